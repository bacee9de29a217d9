"""Imports as the page brings them: announced by name and size, put to a link, followed until their end."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib import pipeline
from chalicelib.errors import InvalidRequest
from chalicelib.exports import announced
from chalicelib.exports.importing import import_dropped
from chalicelib.lake import Lake
from chalicelib.listeners import known_listeners, note_login
from chalicelib.runs import RunRecord, save_run
from chalicelib.settings import Settings
from chalicelib.stores.s3 import LARGEST_PUT, BucketStore
from chalicelib.transformation.transform import transform_object
from deploy.functions import BY_HANDLER
from deploy.names import API_HANDLER, Names
from deploy.policies import policy
from tests.emulator import ACCOUNT, REGION, Emulator, shared
from tests.emulator.stage import make_bucket, make_role
from tests.support.raw_objects import folder_lake

OCTETS = {"Content-Type": "application/octet-stream"}  # what the page sends
NAME = "Streaming_History_Audio_2020.json"


def export(rows: int = 1) -> bytes:
    row = {"ts": "2020-01-02T03:04:05Z", "ms_played": 60000, "master_metadata_track_name": "Song",
           "master_metadata_album_artist_name": "Band", "master_metadata_album_album_name": "LP",
           "spotify_track_uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC"}  # fmt: skip
    return json.dumps([{**row, "ms_played": 60000 + number} for number in range(rows)]).encode()


class Bucket:
    """A stage's bucket, as its functions see it: each with its own rights and no more."""

    def __init__(self, aws: Emulator, stage: str) -> None:
        self.names = Names(stage, ACCOUNT, REGION)
        self.settings = Settings(lake_url=self.names.lake_url, secrets_url=f"secretsmanager:{self.names.secret}")
        make_bucket(aws, self.names.bucket)
        for handler in (API_HANDLER, "import_history"):
            make_role(aws, self.names.role(handler), policy(BY_HANDLER[handler], self.names))
        self.aws = aws

    def lake(self, handler: str = "") -> Lake:
        given = self.aws.credentials(self.names.role(handler)) if handler else None
        client = self.aws.client("s3", given)
        return Lake(BucketStore(self.names.bucket, s3=lambda: client))

    def announce(self, **more: Any) -> dict[str, Any]:
        asked: dict[str, Any] = {"filename": NAME, "user_id": None, **more}
        record, upload = announced.announce(self.settings, self.lake(API_HANDLER), **asked)
        return {**asdict(record), "upload": upload}


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    aws = shared()
    before = len(aws.denied)
    yield Bucket(aws, f"i{abs(hash(request.node.nodeid)) % 10**8}")
    assert aws.denied[before:] == []


def put(url: str, body: bytes) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, OCTETS, method="PUT")) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def log_in(lake: Lake, user: str) -> None:
    """As a login leaves the lake, its note transformed."""
    began = datetime(2026, 11, 1, tzinfo=UTC)
    transform_object(lake, note_login(lake, user, began, began + timedelta(days=181), {"id": user}))


def a_run(*users: str) -> RunRecord:
    authorizations = [{"user_id": user, "authorized_at": "2026-11-01T00:00:00Z", "ends_at": "2027-05-01T00:00:00Z"}
                      for user in users]  # fmt: skip
    return RunRecord("20261120T101530Z-1a2b3c", "succeeded", "schedule", "2026-11-20T10:15:30Z",
                     "2026-11-20T10:16:30Z", authorizations=authorizations)  # fmt: skip


def test_the_pages_own_import_needs_no_name_where_one_has_logged_in(bucket: Bucket) -> None:
    """Neither the API nor the import may read Spotify's secrets: the lake says who there is."""
    save_run(bucket.lake(), a_run("anna"))
    record = bucket.announce()
    assert record["user_id"] == "anna"
    look = lambda: announced.look_up(bucket.lake(API_HANDLER), record["import_id"])[0].state  # noqa: E731
    assert look() == "waiting"
    assert put(record["upload"]["url"], export()) == 200
    assert look() == "received"
    import_dropped(bucket.lake("import_history"), bucket.settings, record["key"])
    assert look() == "succeeded"


def test_of_a_file_that_is_nobodys_its_sender_is_asked_and_nothing_of_it_is_left_over(bucket: Bucket) -> None:
    record = bucket.announce()
    assert put(record["upload"]["url"], export()) == 200
    with pytest.raises(InvalidRequest, match="whose listening"):
        import_dropped(bucket.lake("import_history"), bucket.settings, record["key"])
    asked, _, error = announced.look_up(bucket.lake(API_HANDLER), record["import_id"])
    assert asked.state == "failed" and error and error["details"]["known"] == []
    assert [info.key for zone in ("raw/", "quarantine/") for info in bucket.lake().store.list(zone)] == []
    again = bucket.announce(new_listener="Ann")
    assert put(again["upload"]["url"], export()) == 200
    summary = import_dropped(bucket.lake("import_history"), bucket.settings, again["key"])
    assert summary and summary.total("new") == 1


def test_a_file_dropped_without_a_folder_is_the_only_listeners(bucket: Bucket) -> None:
    log_in(bucket.lake(), "anna")
    bucket.lake().store.write(f"raw/history/{NAME}", export())
    summary = import_dropped(bucket.lake("import_history"), bucket.settings, f"raw/history/{NAME}")
    assert summary and summary.user_id == "anna"


@pytest.mark.thorough
def test_where_several_have_logged_in_the_page_is_told_whom_to_name(bucket: Bucket) -> None:
    save_run(bucket.lake(), a_run("anna", "ben"))
    log_in(bucket.lake(), "cleo")  # has logged in since
    with pytest.raises(InvalidRequest, match="whose listening") as caught:
        bucket.announce()
    assert caught.value.details["known"] == ["anna", "ben", "cleo"]
    record = bucket.announce(user_id="ben")
    assert put(record["upload"]["url"], export()) == 200
    summary = import_dropped(bucket.lake("import_history"), bucket.settings, record["key"])
    assert summary and summary.user_id == "ben"


def test_a_link_takes_a_file_of_the_size_that_was_said_and_no_other(bucket: Bucket) -> None:
    data = export()
    record = bucket.announce(size=len(data))
    assert put(record["upload"]["url"], data + b" ") == 403
    assert announced.look_up(bucket.lake(), record["import_id"])[0].state == "waiting"
    assert put(record["upload"]["url"], data) == 200
    with pytest.raises(InvalidRequest, match="send the zip"):
        bucket.announce(size=LARGEST_PUT + 1)


def test_nobody_known_is_no_name() -> None:
    lake = folder_lake(Path("/nowhere/lake"))
    assert known_listeners(lake) == []


@pytest.mark.thorough
def test_an_import_that_fails_keeps_nothing_else_waiting(bucket: Bucket) -> None:
    """One try with the wrong rights, or a disk that is full, once stopped all maintenance for good."""
    lake = bucket.lake()
    log_in(lake, "anna")
    for name in ("a.json", "b.json", "c.json"):
        lake.store.write(f"raw/history/anna/{name}", export())
    bucket.aws.inject("denied", "s3", "^GET .*/raw/history/anna/b.json", times=1000)
    try:
        caught_up = pipeline.catch_up(lake, bucket.settings)
    finally:
        bucket.aws.faults.clear()
    assert caught_up.objects == 3 and len({key for key in caught_up.files if "/plays_history/" in key}) == 1
    assert pipeline.catch_up(lake, bucket.settings).objects == 1  # the one that failed, tried again


def test_an_export_of_400_mb_fits_a_tmp_that_holds_it_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Scaled down: what lies in the temporary folder at once is the file and less than half of it again."""
    log_in(bucket.lake(), "anna")
    data = export(20_000)
    bucket.lake().store.write("raw/history/anna/all.json", data)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    most = 0
    copy = BucketStore.copy

    def weigh(self: BucketStore, key: str, to: str) -> None:
        nonlocal most
        copy(self, key, to)
        most = max(most, sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))

    monkeypatch.setattr(BucketStore, "copy", weigh)
    import_dropped(bucket.lake("import_history"), bucket.settings, "raw/history/anna/all.json")
    assert len(data) <= most < 1.5 * len(data)
