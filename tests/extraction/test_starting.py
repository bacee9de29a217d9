"""A run that a service accepted: it is awaited while that service lives, and known to be dead when it was killed."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from chalicelib.errors import RunInProgress
from chalicelib.extraction.starting import accept, accepted_run, note_failure, starting_lock
from chalicelib.filelock import hold
from chalicelib.lake import STATE, Lake
from chalicelib.stores.folder import FolderStore


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(FolderStore(tmp_path / "lake"))


ONE, OTHER = "20261120T101530Z-1a2b3c", "20261120T101531Z-4d5e6f"


def serving(lake: Lake) -> IO[str]:
    """The lock that a service holds, in the folder that it makes first."""
    lake.folder(STATE)
    lock = hold(starting_lock(lake))
    assert lock is not None
    return lock


def test_while_its_service_lives_it_is_queued_and_no_other_one_begins(lake: Lake) -> None:
    with serving(lake):
        accept(lake, ONE)
        record = accepted_run(lake, ONE)
        assert record is not None and record.state == "queued"
        with pytest.raises(RunInProgress, match=ONE):
            accept(lake, OTHER)


def test_when_its_service_was_killed_it_is_dead_at_once_and_another_one_begins(lake: Lake) -> None:
    with serving(lake):
        accept(lake, ONE)
    record = accepted_run(lake, ONE)  # the system let go of the lock
    assert record is not None and (record.state, record.error and record.error["code"]) == ("failed", "not_started")
    assert accept(lake, OTHER).run_id == OTHER


def test_why_it_never_began_is_kept(lake: Lake) -> None:
    accept(lake, ONE)
    note_failure(lake, ONE, "no client id")
    record = accepted_run(lake, ONE)
    assert record is not None and record.error == {"code": "not_started", "message": "no client id"}
    assert accepted_run(lake, OTHER) is None
