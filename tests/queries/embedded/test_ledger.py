"""The queries of a process in memory, when their record cannot be written."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib.clock import now
from chalicelib.lake import Lake
from chalicelib.queries.embedded.book import QueryBook
from chalicelib.queries.embedded.ledger import Ledger
from chalicelib.queries.engine import Query, QueryState
from chalicelib.stores.folder import FolderStore


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Over a lake that nothing can be written to: where its folder should be lies a file."""
    (tmp_path / "lake").write_text("")
    kept = timedelta(hours=1)
    return Ledger(QueryBook(Lake(FolderStore(tmp_path / "lake")), kept, now), kept, now)


def test_a_query_that_ended_is_known_here_although_its_record_cannot_be_written(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ended = Query("20261120T101112000000Z-0123456789abcdef", "SELECT 1", QueryState.SUCCEEDED, now())
    assert ledger.note(ended) == ended
    assert ledger.entry(ended.query_id).query == ended
    assert "cannot write the query's record" in caplog.text


@pytest.mark.thorough
def test_what_is_kept_of_queries_is_bounded_in_bytes_and_is_read_again_from_their_records(tmp_path: Path) -> None:
    kept = timedelta(hours=1)
    book = QueryBook(Lake(FolderStore(tmp_path / "lake")), kept, now)
    ledger = Ledger(book, kept, now)
    going_on = Query(book.new_id(), "SELECT 0", QueryState.RUNNING, now())
    book.prepare(going_on.query_id)
    ledger.note(going_on)
    tracemalloc.start()
    try:
        names = []
        for number in range(300):
            name = book.new_id()
            book.prepare(name)
            names.append(name)
            ledger.note(Query(name, f"SELECT '{number:0200000}'", QueryState.SUCCEEDED, now()))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000_000  # of 60 MB of text
    assert ledger.entry(names[0]).query.sql.startswith("SELECT '0000")
    assert ledger.entry(going_on.query_id).query == going_on
    book.close()


def test_a_query_that_goes_on_is_known_here_although_its_record_cannot_be_written(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    going_on = Query("20261120T101112000000Z-0123456789abcdef", "SELECT 1", QueryState.RUNNING, now())
    ledger.note(going_on)
    ledger.write_late(older_than=0)
    assert ledger.entry(going_on.query_id).query == going_on
    assert "cannot write the query's record" in caplog.text
