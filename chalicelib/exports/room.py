"""Room for an export on the temporary disk, where it is read before any of it is published.

A computer's disk may be full of other things, and have room tomorrow. A function's /tmp (512 MB) is its alone and never
gets larger: an export that does not fit is refused, so that nobody tries it again and again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chalicelib.errors import ImportRefused
from chalicelib.files import FULL, scratch_folder, storage_errors

AS_GOOD_AS_EMPTY = 0.9  # of a file system: the rest is its own


@contextmanager
def room_for(name: str) -> Iterator[Path]:
    """A temporary folder for the export ``name``. Raises ImportRefused where it would not even fit if the disk were
    empty, StorageFailed where something else is in the way."""
    with scratch_folder() as folder, storage_errors(f"unpack {name} in {folder.parent}"):
        room = shutil.disk_usage(folder)
        try:
            yield folder
        except OSError as error:
            if error.errno in FULL and room.free > AS_GOOD_AS_EMPTY * room.total:
                raise ImportRefused(too_large(name, folder.parent, room.total), file=name) from error
            raise


def too_large(name: str, where: Path, size: int) -> str:
    """Why an export has no room, and how it gets into the lake all the same."""
    return (
        f"{name} does not fit into {where}, which has {size / 2**20:,.0f} MB: send it zipped, or import it "
        "on a computer with more room (`.venv/bin/lake import-history FILE`)"
    )
