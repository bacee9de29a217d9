"""The lake's Parquet files while they are written: what is done with is let go of."""

from __future__ import annotations

import gc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chalicelib.parquet import Spool, TableFiles, arrow_schema
from chalicelib.tables import BY_NAME
from tests.support.engines import on

TRACKS = BY_NAME["tracks"]


def one_track() -> pa.Table:
    row = {"track_id": "t", "observed_at": on(1)}
    schema = arrow_schema(TRACKS)
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema=schema)


def alive() -> int:
    gc.collect()
    return sum(isinstance(each, (Spool, pq.ParquetWriter, TableFiles)) for each in gc.get_objects())


def written(name: str, spill: int) -> int:
    """Bytes of a file that is written to its end."""
    with TableFiles("g1", name, spill) as files:
        files.add(TRACKS, one_track())
        (content,) = files.finish().values()
        return content.stat().st_size if isinstance(content, Path) else len(content)


def given_up(name: str) -> None:
    with TableFiles("g1", name, spill=1) as files:
        files.add(TRACKS, one_track())
        raise KeyError


@pytest.mark.thorough
@pytest.mark.parametrize("spill", [4_000_000, 1], ids=["in memory", "on the disk"])
def test_files_that_are_written_are_not_held_on_to(spill: int) -> None:
    before = alive()
    assert all(written(f"part-{number}", spill) > 500 for number in range(50))
    assert alive() == before


@pytest.mark.thorough
def test_files_that_are_given_up_are_not_held_on_to_either(capfd: pytest.CaptureFixture[str]) -> None:
    before = alive()
    for number in range(50):
        with pytest.raises(KeyError):
            given_up(f"part-{number}")
    assert alive() == before
    assert capfd.readouterr().err == ""
