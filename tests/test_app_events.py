"""The schedule and the raw zone's events, through the same Chalice handlers that AWS calls."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from chalice.app import Chalice, CloudWatchEvent, S3Event

from chalicelib.errors import StorageFailed
from chalicelib.lake import Lake, ObjectInfo
from chalicelib.local.arrivals import Arrivals, files_in
from chalicelib.local.ticker import Ticker
from chalicelib.wiring import Parts
from sandbox import export
from sandbox.world import World
from tests.support.server import PROJECT, LakeServer, environment, eventually, free_port, sandboxed
from tests.support.server import filled as filled_lake

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def service_in(folder: Path) -> Parts:
    return Parts({"LAKE_URL": str(folder / "lake"), "SECRETS_URL": str(folder / "secrets")}, None)


# --- the schedule -------------------------------------------------------------------------------------------------


class Leaping:
    """A clock that a minute passes on at every look."""

    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> datetime:
        self.moment += timedelta(minutes=1)
        return self.moment


def test_a_schedule_fires_at_its_times_with_eventbridges_event(tmp_path):
    app, fired = Chalice("scheduled", configure_logs=False), []

    @app.schedule("rate(1 hour)")
    def hourly(event: CloudWatchEvent) -> None:
        fired.append((event.time, event.detail_type, cast(Any, event.context).get_remaining_time_in_millis() > 0))

    ticker = Ticker(app, service_in(tmp_path), clock=Leaping(), wait=lambda _: time.sleep(0.001))
    ticker.start()
    assert eventually(lambda: len(fired) >= 3, 10)
    ticker.stop()
    ticker.join(10)
    assert [moment for moment, _, _ in fired][:2] == ["2026-11-20T13:01:00Z", "2026-11-20T14:01:00Z"]
    assert fired[0][1:] == ("Scheduled Event", True)


def test_a_handler_that_fails_does_not_end_the_schedule(tmp_path, caplog):
    app, fired = Chalice("failing", configure_logs=False), []

    @app.schedule("rate(1 hour)")
    def hourly(event: CloudWatchEvent) -> None:
        fired.append(event.time)
        raise RuntimeError("broken")

    ticker = Ticker(app, service_in(tmp_path), clock=Leaping(), wait=lambda _: time.sleep(0.001))
    ticker.start()
    assert eventually(lambda: len(fired) >= 2, 10)
    ticker.stop()
    ticker.join(10)
    assert "broken" in caplog.text


def test_a_clock_that_is_set_back_does_not_stall_the_schedule(tmp_path):
    app, fired = Chalice("set_back", configure_logs=False), []

    @app.schedule("rate(1 hour)")
    def hourly(event: CloudWatchEvent) -> None:
        fired.append(event.time)

    clock = Leaping()
    ticker = Ticker(app, service_in(tmp_path), clock=clock, wait=lambda _: time.sleep(0.001))
    clock.moment -= timedelta(days=30)
    ticker.start()
    assert eventually(lambda: fired, 10)
    ticker.stop()
    ticker.join(10)
    assert fired[0] < "2026-10-21T14:00:00Z"


# --- arrivals -----------------------------------------------------------------------------------------------------


@pytest.fixture
def arrived(tmp_path: Path) -> Iterator[tuple[Path, list[tuple[str, str, int]]]]:
    """A watched lake, and what arrived in it: bucket, key and size at that time."""
    app, events = Chalice("watching", configure_logs=False), []
    parts = service_in(tmp_path)

    @app.on_s3_event(bucket="lake", prefix="raw/history/")
    def history(event: S3Event) -> None:
        events.append((event.bucket, event.key, cast(ObjectInfo, parts.lake.store.stat(event.key)).size))

    folder = tmp_path / "lake" / "raw" / "history"
    arrivals = Arrivals(app, parts, catch_up=lambda _: [])
    arrivals.start()
    assert eventually(folder.is_dir)
    time.sleep(0.3)
    yield folder, events
    arrivals.stop()
    arrivals.join(10)


@pytest.mark.thorough
def test_a_look_that_fails_does_not_end_the_watch(tmp_path, caplog):
    app, events = Chalice("failing_look", configure_logs=False), []

    @app.on_s3_event(bucket="lake", prefix="raw/history/")
    def history(event: S3Event) -> None:
        events.append(event.key)

    def full_disk(_: Lake) -> list[str]:
        raise StorageFailed("the disk is full")

    arrivals = Arrivals(app, service_in(tmp_path), catch_up=full_disk)
    arrivals.start()
    assert eventually(lambda: "the disk is full" in caplog.text)
    (tmp_path / "lake" / "raw" / "history" / "mine.zip").write_bytes(b"x")
    assert eventually(lambda: events == ["raw/history/mine.zip"])
    arrivals.stop()
    arrivals.join(10)


@pytest.mark.thorough
def test_a_dropped_file_is_an_event_once_whatever_its_name(arrived):
    folder, events = arrived
    (folder / "Meine Daten + größer (1) 100%.zip").write_bytes(b"x" * 10)
    assert eventually(lambda: events)
    time.sleep(2)
    assert events == [("lake", "raw/history/Meine Daten + größer (1) 100%.zip", 10)]


@pytest.mark.thorough
def test_a_file_that_still_grows_is_waited_for(arrived):
    folder, events = arrived
    with (folder / "big.zip").open("wb") as stream:
        for _ in range(5):
            stream.write(b"x" * 1_000)
            stream.flush()
            time.sleep(0.5)
            assert events == []
    assert eventually(lambda: events) == [("lake", "raw/history/big.zip", 5_000)]


@pytest.mark.thorough
def test_a_folder_moved_in_is_an_event_for_each_of_its_files_but_unfinished_ones(arrived, tmp_path):
    folder, events = arrived
    (tmp_path / "export").mkdir()
    for name in ("a.json", "b.json", ".hidden", "c.json.part"):
        (tmp_path / "export" / name).write_bytes(b"{}")
    shutil.move(tmp_path / "export", folder / "export")
    assert eventually(lambda: len(events) == 2)
    time.sleep(0.5)
    assert [key for _, key, _ in events] == ["raw/history/export/a.json", "raw/history/export/b.json"]


def watches() -> int:
    """How many folders this process has the system watch."""
    found = 0
    for path in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):
            found += path.read_text().count("inotify wd")
    return found


@pytest.mark.thorough
def test_a_link_to_a_folder_elsewhere_is_neither_looked_through_nor_watched(arrived, tmp_path, caplog):
    folder, events = arrived
    for number in range(200):
        (tmp_path / "elsewhere" / str(number)).mkdir(parents=True)
        (tmp_path / "elsewhere" / str(number) / "x.zip").write_bytes(b"x")
    (folder / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (folder / "mine.zip").write_bytes(b"x")
    assert eventually(lambda: events)
    time.sleep(1)
    assert [key for _, key, _ in events] == ["raw/history/mine.zip"]
    assert list(files_in(folder / "elsewhere")) == []
    before = watches()
    again = Arrivals(Chalice("watching_again", configure_logs=False), service_in(tmp_path), catch_up=lambda _: [])
    again.start()
    assert eventually(lambda: f"{folder / 'elsewhere'} is a link" in caplog.text)
    assert watches() - before < 200
    again.stop()
    again.join(10)


# --- the whole ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LakeServer, dict[str, object]]]:
    """A served lake after one run that was started over the API, and that run's record."""
    folder = tmp_path_factory.mktemp("filled")
    with sandboxed(folder) as spotify, LakeServer(folder, spotify) as server:
        started = start(server, {})
        assert started.headers["Location"] == f"/runs/{started.json()['run_id']}"
        assert server.post("/runs", json={}).status_code == 409
        record = eventually(lambda: (r := server.get(started.headers["Location"]).json()).get("ended_at") and r)
        yield server, record


def start(server: LakeServer, body: dict[str, object]) -> requests.Response:
    """Start a run, once the one before has given its lock back."""
    started: requests.Response = eventually(lambda: (a := server.post("/runs", json=body)).status_code == 202 and a)
    assert started, server.log()
    return started


@pytest.mark.thorough
def test_a_run_over_the_api_ends_and_its_objects_are_transformed_by_themselves(filled):
    server, record = filled
    assert record["state"] == "succeeded" and record["trigger"] == "api"
    assert record["calls"] > 0 and all(source["raw_keys"] for source in record["sources"] if source["items"])
    address = f"/runs/{record['run_id']}"
    assert eventually(lambda: server.get(address).json()["to_transform"] == [])
    listed = server.get("/runs").json()["runs"]
    assert record["run_id"] in [run["run_id"] for run in listed]
    assert "raw_keys" not in listed[0]["sources"][0]
    assert (server.lake / "transformed" / "g1" / "plays_history").is_dir()


def test_a_file_that_is_no_record_hides_no_run(filled):
    server, record = filled
    stray = server.lake / "raw" / "runs" / "2026" / "11" / "19" / "20261119T000000Z-abcdef.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("hello")
    try:
        listed = server.get("/runs")
        assert listed.status_code == 200, listed.text
        assert record["run_id"] in [run["run_id"] for run in listed.json()["runs"]]
        assert server.get("/runs/20261119T000000Z-abcdef").status_code == 404
    finally:
        stray.unlink()


def test_a_run_of_one_source_brings_that_source_alone(filled):
    server, record = filled
    names = {source["source"] for source in record["sources"]}
    started = start(server, {"sources": ["recently_played"]})
    again = eventually(lambda: (r := server.get(started.headers["Location"]).json()).get("ended_at") and r)
    assert {source["source"] for source in again["sources"]} == {"recently_played"} < names


def test_a_run_of_no_such_source_is_refused_by_name(filled):
    server, _ = filled
    refused = server.post("/runs", json={"sources": ["no_such_source"]})
    assert refused.status_code == 400
    assert "no_such_source" in refused.json()["error"]["message"]


@pytest.mark.thorough
def test_a_run_that_cannot_start_says_why(tmp_path):
    with LakeServer(tmp_path) as server:
        started = start(server, {})
        failed = eventually(lambda: (r := server.get(started.headers["Location"]).json())["state"] == "failed" and r)
        assert "SPOTIPY_CLIENT_ID" in failed["error"]["message"]
        assert start(server, {}).headers["Location"] != started.headers["Location"]


@pytest.mark.thorough
def test_an_export_over_the_api_becomes_plays_and_every_row_is_accounted_for(tmp_path):
    written = export.write(tmp_path, World(seed=7, scale="small"), "extended-2025")
    with LakeServer(tmp_path) as server:
        record = server.post("/imports", json={"filename": written.path.name, "user_id": "somebody"}).json()
        with written.path.open("rb") as stream:
            assert server.put(f"/{record['upload']['url']}", data=stream).status_code == 202
        address = f"/imports/{record['import_id']}"
        done = eventually(lambda: (r := server.get(address).json())["state"] in ("succeeded", "failed") and r, 90)
        assert done["state"] == "succeeded", done
        told = done["summary"]
        assert told["read"] == told["new"] + told["known"] + told["merged"] + told["rejected"] > 0
        assert server.rows("SELECT count(*), count(DISTINCT user_id) FROM plays") == [[len(written.listens), 1]]


@pytest.mark.thorough
def test_a_file_that_is_no_export_is_a_failed_import_that_says_why(tmp_path):
    with LakeServer(tmp_path) as server:
        record = server.post("/imports", json={"filename": "letter.zip", "user_id": "somebody"}).json()
        assert server.put(f"/{record['upload']['url']}", data=b"Dear reader").status_code == 202
        address = f"/imports/{record['import_id']}"
        done = eventually(lambda: (r := server.get(address).json())["state"] in ("succeeded", "failed") and r, 90)
        assert done["state"] == "failed" and "letter.zip" in done["error"]["message"]


@pytest.mark.thorough
def test_raw_objects_that_came_while_nobody_served_are_transformed_at_the_next_start(filled, tmp_path):
    server, record = filled
    shutil.copytree(server.lake / "raw", tmp_path / "lake" / "raw")
    with LakeServer(tmp_path) as late:
        assert eventually(lambda: late.get(f"/runs/{record['run_id']}").json()["to_transform"] == [])


@pytest.mark.thorough
def test_a_raw_object_a_person_drops_in_is_transformed_within_seconds(filled, tmp_path):
    server, _ = filled
    (taken,) = (server.lake / "raw" / "spotify").rglob("saved_albums-0001.jsonl.gz")
    with LakeServer(tmp_path) as other:
        place = other.lake / "raw" / "spotify" / "by hand"
        assert eventually(lambda: (other.lake / "raw").is_dir())
        place.mkdir(parents=True)
        shutil.copy(taken, place / "my albums.jsonl.gz")
        tables = other.lake / "transformed" / "g1" / "albums_history"
        assert eventually(lambda: list(tables.rglob("*.parquet")), 10)
        (place / "not ours.jsonl.gz").write_bytes(b"hello")
        assert eventually(lambda: list((other.lake / "quarantine").rglob("*reason*")), 10)
        assert other.get("/health").status_code == 200


@pytest.mark.thorough
def test_chalice_local_alone_serves_the_same_api(tmp_path_factory):
    tmp_path = filled_lake(tmp_path_factory, "chalice-local")
    port = free_port()
    environ = environment(tmp_path, {"PYTHONWARNINGS": "default"})
    command = [str(Path(sys.executable).with_name("chalice")), "local", "--stage", "local", "--no-autoreload"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, "--port", str(port)], cwd=PROJECT, env=environ, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"

        def health() -> bool:
            try:
                return bool(requests.get(f"{url}/health", timeout=5).json()["status"] == "ok")
            except requests.ConnectionError:
                return False

        assert eventually(health), (tmp_path / "log").read_text()
        shown = [sys.executable, "-m", "chalicelib", "token", "show"]
        token = subprocess.run(
            shown, env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()
        none = requests.get(f"{url}/reports", timeout=10)
        assert (none.status_code, none.json()["error"]["code"]) == (401, "unauthorized")
        assert "token show" in none.json()["error"]["message"]
        wrong = requests.get(f"{url}/reports", headers={"Authorization": "Bearer wrong"}, timeout=10)
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "unauthorized")
        right = requests.get(f"{url}/reports", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert right.status_code == 200 and right.json()["reports"]
        missing = requests.get(f"{url}/runs/nothing", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        assert requests.get(f"{url}/", timeout=10).headers["Content-Type"].startswith("text/html")
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            started = session.post(f"{url}/queries", json={"sql": "SELECT count(*) AS n FROM plays"}, timeout=10)
            assert started.status_code == 202, started.text
            query = url + started.headers["Location"]
            (row,) = session.get(f"{query}/rows", params={"wait": 20}, timeout=30).json()["rows"]
            assert row[0] > 0
            assert session.get(f"{query}/download", timeout=30).text == f"n\r\n{row[0]}\r\n"
            record = session.post(f"{url}/imports", json={"filename": "a.zip", "user_id": "b"}, timeout=10).json()
            sent = session.put(f"{url}/{record['upload']['url']}", data=b"\x00\xff" * 100, timeout=10)
            assert sent.status_code == 202
            assert (tmp_path / "lake" / record["key"]).read_bytes() == b"\x00\xff" * 100
    finally:
        process.terminate()
        process.wait(10)
    assert token not in (tmp_path / "log").read_text()
