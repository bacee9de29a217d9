"""What the functions put into /tmp, of which Lambda gives each 512 MB: nothing twice, and what does not fit stops
nothing else.

The temporary folder lies on a small file system of its own; the largest work is done in one of Lambda's size, by the
soak.
"""

from __future__ import annotations

import io
import json
import random
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chalicelib import handlers
from chalicelib.errors import QueryFailed, StorageFailed
from chalicelib.exports.dropped import outcome
from chalicelib.extraction.keeping import MOST_PACKED
from chalicelib.queries.athena.conversion import FOLDER, convert
from chalicelib.raw import pack
from chalicelib.wiring import Parts
from tests.support.listening import extended_row, listens_in
from tests.support.raw_objects import answer, track
from tests.support.small_disk import small_disk

MB = 2**20
SMALL = 24 * MB
LAMBDAS = 512 * MB  # of /tmp, where nobody asks for more ("Configure ephemeral storage", Lambda's guide)
NAME = "Streaming_History_Audio_2015.json"
DROPPED = f"raw/history/me/{NAME}"
OTHER = "raw/history/me/endsong_0.json"
EVENT_OF_RUN = "raw/spotify/2026/11/20/20261120T101500Z-1a2b3c/answers-0001.jsonl.gz"


@contextmanager
def temporary(folder: Path, size: int) -> Iterator[Path]:
    """The temporary folder of this process on a file system of that size, which is empty again in the end."""
    before = tempfile.tempdir
    with small_disk(folder, size) as disk:
        tempfile.tempdir = str(disk)
        try:
            yield disk
        finally:
            tempfile.tempdir = before
        assert list(disk.iterdir()) == []


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    (tmp_path / "lake" / "raw" / "history" / "me").mkdir(parents=True)
    return Parts({"LAKE_URL": str(tmp_path / "lake"), "SECRETS_URL": str(tmp_path / "secrets")}, None)


def write_history(path: Path, size: float) -> int:
    """A history of about ``size`` bytes of JSON in one file; answers its rows."""
    dice, rows = random.Random(1), 0
    with path.open("w") as file:
        while file.tell() < size:
            minute = rows * 4
            day, hour = minute // 1440, minute % 1440 // 60
            moment = f"{2010 + day // 336}-{1 + day % 336 // 28:02}-{1 + day % 28:02}T{hour:02}:{minute % 60:02}:00Z"
            row = extended_row(moment, 30_000 + dice.randrange(200_000), str(dice.randrange(5_000)), platform="x" * 300)
            file.write(f"{',' if rows else '['}{json.dumps(row)}")
            rows += 1
        file.write("]")
    return rows


def put_in_zip(path: Path, target: Path) -> None:
    """A zip that holds a history, hardly smaller than it is, and what is not kept."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.write(path, f"my/{path.name}")
        archive.writestr("my/Payments.json", "{}")


SIZES = [pytest.param(SMALL, id="small"), pytest.param(LAMBDAS, id="lambdas", marks=pytest.mark.soak)]


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("zipped", [False, True], ids=["file", "zip"])
def test_an_export_of_seven_tenths_of_tmp_is_imported(tmp_path: Path, parts: Parts, zipped: bool, size: int) -> None:
    here = tmp_path / NAME
    rows = write_history(here, 0.7 * size)
    key = "raw/history/me/my_spotify_data.zip" if zipped else DROPPED
    if zipped:
        put_in_zip(here, tmp_path / "lake" / key)
    else:
        here.rename(tmp_path / "lake" / key)
    with temporary(tmp_path / "tmp", size):
        assert handlers.import_history(parts, key) == {"key": key, "rows": rows}
    assert listens_in(parts.lake).num_rows == rows


@pytest.mark.thorough
@pytest.mark.parametrize("share", [1.2, 0.95], ids=["itself", "its rows"])
def test_an_export_that_does_not_fit_is_refused_and_stops_nothing(tmp_path: Path, parts: Parts, share: float) -> None:
    write_history(tmp_path / "lake" / DROPPED, share * SMALL)
    with temporary(tmp_path / "tmp", SMALL) as disk:
        told = handlers.import_history(parts, DROPPED)
        assert told["state"] == "quarantined"
        assert f"{NAME} does not fit into {disk}, which has 24 MB" in told["reason"]
        rows = write_history(tmp_path / "lake" / OTHER, 100_000)
        handlers.maintain(parts)
    ended = [outcome(parts.lake, key) for key in (DROPPED, OTHER)]
    assert [each and each.state for each in ended] == ["failed", "succeeded"]
    assert listens_in(parts.lake).num_rows == rows


@pytest.mark.thorough
def test_an_export_that_only_finds_the_disk_full_is_imported_later(tmp_path: Path, parts: Parts) -> None:
    rows = write_history(tmp_path / "lake" / DROPPED, 0.3 * SMALL)
    with temporary(tmp_path / "tmp", SMALL) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(int(0.8 * SMALL)))
        with pytest.raises(StorageFailed, match="no space left"):
            handlers.import_history(parts, DROPPED)
        handlers.maintain(parts)  # goes on all the same
        assert outcome(parts.lake, DROPPED) is None
        filler.unlink()
        assert handlers.import_history(parts, DROPPED)["rows"] == rows


@pytest.mark.thorough
def test_the_largest_raw_object_of_a_run_needs_little(tmp_path: Path, parts: Parts) -> None:
    """Random names, which hardly pack; its files go to the disk when they are longer than a few MB."""
    dice = random.Random(2)

    def saved() -> dict[str, Any]:
        item = track("t", name=f"{dice.getrandbits(4_000):x}", id=f"{dice.getrandbits(87):022x}")
        return {"added_at": "2026-01-01T00:00:00Z", "track": item}

    pages = MOST_PACKED // (50 * 560)
    data = pack(answer("me/tracks", {"items": [saved() for _ in range(50)]}, second=at) for at in range(pages))
    assert len(data) > 0.8 * MOST_PACKED
    parts.lake.store.write(EVENT_OF_RUN, data)
    with temporary(tmp_path / "tmp", SMALL):
        assert handlers.transform(parts, EVENT_OF_RUN)["state"] == "done"


def test_what_is_no_raw_object_goes_to_quarantine_however_large_it_is(tmp_path: Path, parts: Parts) -> None:
    parts.lake.store.write(EVENT_OF_RUN, random.Random(3).randbytes(2 * MB))
    with temporary(tmp_path / "tmp", MB):
        assert handlers.transform(parts, EVENT_OF_RUN)["state"] == "quarantined"
    assert parts.lake.store.stat(EVENT_OF_RUN.replace("raw/", "quarantine/", 1))


def test_a_file_of_a_result_that_does_not_fit_says_what_would(tmp_path: Path, parts: Parts) -> None:
    row = '"' + "x" * 999 + '"\n'
    parts.lake.store.write(f"{FOLDER}q.csv", ('"a"\n' + 3 * MB // 1_000 * row).encode())
    with temporary(tmp_path / "tmp", 2 * MB):
        with pytest.raises(QueryFailed, match="which has 2 MB: ask for Parquet, which is smaller, or for fewer rows"):
            convert(parts.lake, f"{FOLDER}q.csv", f"{FOLDER}q-download.csv", [("a", "varchar")], 10**6)
        made = convert(parts.lake, f"{FOLDER}q.csv", f"{FOLDER}q-download.parquet", [("a", "varchar")], 10**6)
    assert pq.read_metadata(io.BytesIO(parts.lake.store.read(made))).num_rows == 3 * MB // 1_000
