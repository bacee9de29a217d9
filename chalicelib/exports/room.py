"""Room for an export on the temporary disk, where it is read before any of it is published.

A computer's disk may be full of other things, and have room tomorrow. A function's /tmp (512 MB) is its alone and never
gets larger: an export that does not fit is refused, so that nobody tries it again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from chalicelib.errors import ImportRefused
from chalicelib.files import Room, refused_when_full, scratch_folder, storage_errors

AS_GOOD_AS_EMPTY = 0.9  # of a file system: the rest is its own


@contextmanager
def room_for(name: str) -> Iterator[Path]:
    """A temporary folder for the export ``name``. Raises ImportRefused where it would not even fit if the disk were
    empty, StorageFailed where something else is in the way."""
    with (
        scratch_folder() as folder,
        storage_errors(f"unpack {name} in {folder.parent}"),
        refused_when_full(folder, partial(too_large, name)),
    ):
        yield folder


def too_large(name: str, room: Room) -> ImportRefused | None:
    """Why an export has no room on a disk that was as good as empty, and how it gets into the lake all the same."""
    if room.free <= AS_GOOD_AS_EMPTY * room.total:
        return None
    return ImportRefused(
        f"{name} does not fit into {room.where}, which has {room.megabytes}: send it zipped, or import it "
        "on a computer with more room (`.venv/bin/lake import-history FILE`)",
        file=name,
    )
