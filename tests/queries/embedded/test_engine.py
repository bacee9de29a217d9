"""What is particular to the embedded engine: slots, limits, reuse, expiry, several processes, files that change."""

# ruff: noqa: DTZ001  (timestamps without time zone are the tables' own)

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.clock import now
from chalicelib.errors import EngineBusy, NotFound, QueryFailed
from chalicelib.queries.embedded.book import QueryBook, QueryRecord
from chalicelib.queries.embedded.csv_file import csv_bytes
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.queries.embedded.process import held_bytes
from chalicelib.queries.engine import Query, QueryState, ResultColumn
from chalicelib.queries.rendering import csv_lines
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.tables import BY_NAME
from chalicelib.wiring import open_engine
from tests.support.engines import Opened, embedded, fill, on

LONG = """
    SELECT count(*) FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 10000)) AS b(x),
        UNNEST(sequence(1, 10000)) AS c(x)
    WHERE a.x * b.x + c.x = ?
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    with embedded(tmp_path) as made:
        fill(made)
        yield made


def wait_for(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_opening_starts_no_thread_and_touches_no_file(tmp_path: Path) -> None:
    before = threading.active_count()
    chosen = Settings(lake_url=str(tmp_path / "lake"))
    engine = open_engine(chosen, open_lake(chosen))
    assert threading.active_count() == before
    assert not (tmp_path / "lake").exists()
    engine.close()


def test_a_query_past_its_time_fails_and_says_so(tmp_path: Path) -> None:
    with embedded(tmp_path, query_seconds=0.3) as opened:
        query = opened.done(LONG, 7)
    assert query.state == QueryState.FAILED
    assert query.error is not None and "QUERY_SECONDS allows (0.3 s)" in query.error["message"]


def test_a_running_query_is_cancelled(opened: Opened) -> None:
    query = opened.engine.start_query(LONG, [1])
    wait_for(lambda: opened.engine.query(query.query_id).state == QueryState.RUNNING)
    assert opened.engine.cancel(query.query_id).state == QueryState.CANCELLED
    with pytest.raises(QueryFailed, match="cancelled"):
        opened.engine.rows(query.query_id)
    assert opened.ask("SELECT count(*) FROM plays") == [(3,)]


def test_a_waiting_query_is_cancelled_and_never_runs(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1) as opened:
        running = opened.engine.start_query(LONG, [1])
        waiting = opened.engine.start_query(LONG, [2])
        ended = opened.engine.cancel(waiting.query_id)
        assert (ended.state, ended.started_at) == (QueryState.CANCELLED, None)
        opened.engine.cancel(running.query_id)


def test_one_client_leaves_a_slot_to_the_others(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=2, query_seconds=30) as opened:
        heavy = [opened.engine.start_query(LONG, [number], client="heavy") for number in range(4)]
        light = opened.engine.start_query("SELECT 1", client="light")
        assert opened.engine.wait(light.query_id, 25).state == QueryState.SUCCEEDED
        wait_for(lambda: opened.engine.query(heavy[0].query_id).state == QueryState.RUNNING)
        assert [opened.engine.query(query.query_id).state for query in heavy[1:]] == [QueryState.QUEUED] * 3
        for query in heavy:
            opened.engine.cancel(query.query_id)


def test_clients_take_turns_in_the_queue(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1) as opened:
        blocking = opened.engine.start_query(LONG, [0], client="a")
        first = [opened.engine.start_query(f"SELECT {n}", client="a") for n in range(5)]
        other = opened.engine.start_query("SELECT 100", client="b")
        opened.engine.cancel(blocking.query_id)
        ended = [opened.engine.wait(query.query_id, 10).ended_at for query in [*first, other]]
        assert sum(moment < ended[-1] for moment in ended[:-1] if moment and ended[-1]) <= 1


def test_a_full_queue_is_said_to_be_full_and_another_client_still_gets_in(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1, query_queue=4) as opened:
        started = [opened.engine.start_query(LONG, [0], client="greedy")]
        wait_for(lambda: opened.engine.query(started[0].query_id).state == QueryState.RUNNING)  # it left the queue
        with pytest.raises(EngineBusy):
            started.extend(opened.engine.start_query(LONG, [number], client="greedy") for number in range(1, 10))
        assert len(started) == 5
        started.append(opened.engine.start_query("SELECT 1", client="other"))
        assert len(opened.engine.queries()[0]) == 6
        for query in started:
            opened.engine.cancel(query.query_id)


def test_an_identical_query_is_answered_again_while_the_data_is_the_same(opened: Opened) -> None:
    sql = "SELECT count(*) FROM tracks"
    first, second = opened.done(sql), opened.done(sql)
    assert (first.reused, second.reused, second.bytes_scanned) == (False, True, 0)
    assert first.query_id != second.query_id
    assert opened.engine.rows(second.query_id).rows == [(2,)]
    opened.put("tracks", {"track_id": "t9", "name": "Nine", "observed_at": on(9)}, name="new")
    assert opened.ask(sql) == [(3,)]
    assert not opened.done("SELECT count(*) FROM artists WHERE name <> ?", "x").reused
    assert opened.done("SELECT count(*) FROM artists WHERE name <> ?", "x").reused
    assert not opened.done("SELECT count(*) FROM artists WHERE name <> ?", "y").reused


@pytest.mark.thorough
def test_an_answer_that_depends_on_the_time_is_never_used_again(opened: Opened) -> None:
    for sql in (
        "SELECT now()",
        "SELECT random()",
        "SELECT current_date",
        "SELECT count(*) FROM plays WHERE ended_at < localtimestamp",
    ):
        opened.done(sql)
        assert not opened.done(sql).reused


def test_equal_numbers_of_different_types_are_different_parameters(opened: Opened) -> None:
    types = [opened.done("SELECT ?", value).columns[0].type for value in (1, True, 1.0)]
    assert types == ["integer", "boolean", "double"]


@pytest.mark.thorough
def test_a_new_file_is_seen_at_once_without_a_crawl(opened: Opened) -> None:
    for number in range(20):
        opened.put("artists", {"artist_id": f"new{number}", "name": "N", "observed_at": on(9)}, name=f"n{number}")
        assert opened.ask("SELECT count(*) FROM artists WHERE name <> ?", str(number)) == [(3 + number,)]


def test_results_expire(tmp_path: Path) -> None:
    moment = datetime(2026, 11, 20, 10, tzinfo=UTC)
    chosen = Settings(lake_url=str(tmp_path / "lake"), results_kept=2.0)
    engine = EmbeddedEngine(chosen, open_lake(chosen), clock=lambda: moment)
    query = engine.wait(engine.start_query("SELECT 1").query_id, 10)
    moment += timedelta(hours=1)
    assert engine.rows(query.query_id).rows == [(1,)]
    moment += timedelta(hours=1, seconds=1)
    with pytest.raises(NotFound, match="expired"):
        engine.rows(query.query_id)
    assert engine.queries()[0] == []
    engine.close()
    moment += timedelta(hours=2)
    later = EmbeddedEngine(chosen, open_lake(chosen), clock=lambda: moment)
    later.wait(later.start_query("SELECT 2").query_id, 10)
    assert len(list((tmp_path / "lake" / "results").rglob("*.parquet"))) == 1
    later.close()


def test_results_never_take_more_than_their_share_of_the_disk(tmp_path: Path) -> None:
    with embedded(tmp_path, results_bytes=1_000_000) as opened:
        sql = "SELECT x, random() AS y FROM UNNEST(sequence(1, 10000)) AS t(x), UNNEST(sequence(1, 10)) AS u(y)"
        old = opened.done(sql)
        new = opened.done(sql)
    with embedded(tmp_path, results_bytes=1_000_000) as opened:
        opened.done("SELECT 1")
        kept = sum(path.stat().st_size for path in (tmp_path / "lake" / "results").rglob("*.parquet"))
        assert kept <= 1_000_000
        with pytest.raises(NotFound, match="has been removed"):
            opened.engine.rows(old.query_id)
        assert new.rows == 100_000


def test_a_result_is_cut_at_its_byte_cap(tmp_path: Path) -> None:
    with embedded(tmp_path, query_bytes=200_000) as opened:
        sql = "SELECT random() AS y FROM UNNEST(sequence(1, 10000)) AS t(x), UNNEST(sequence(1, 100)) AS u(y)"
        query = opened.done(sql)
        assert query.truncated and query.rows is not None and 0 < query.rows < 1_000_000
        assert opened.engine.rows(query.query_id, 10).truncated


def test_another_process_sees_the_queries_and_their_rows(opened: Opened) -> None:
    query = opened.done("SELECT name FROM tracks ORDER BY name")
    second = open_engine(opened.settings, open_lake(opened.settings))
    assert second.query(query.query_id) == query
    assert second.rows(query.query_id).rows == opened.engine.rows(query.query_id).rows
    second.close()


def test_another_process_cancels_a_query(opened: Opened) -> None:
    query = opened.engine.start_query(LONG, [1])
    second = open_engine(opened.settings, open_lake(opened.settings))
    wait_for(lambda: bool(second.queries()[0]))
    assert second.cancel(query.query_id).state == QueryState.CANCELLED
    second.close()


@pytest.mark.thorough
def test_the_queries_of_a_killed_process_have_failed(opened: Opened) -> None:
    script = (
        "import sys, time\n"
        "from chalicelib.wiring import open_engine\n"
        "from chalicelib.stores import open_lake\n"
        "from chalicelib.settings import Settings\n"
        "settings = Settings(lake_url=sys.argv[1], query_seconds=60.0)\n"
        "query = open_engine(settings, open_lake(settings)).start_query(sys.argv[2], [1])\n"
        "print(query.query_id, flush=True)\n"
        "time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, opened.settings.lake_url, LONG], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        query_id = child.stdout.readline().strip()
        wait_for(lambda: any(query.query_id == query_id for query in opened.engine.queries()[0]))
        assert not opened.engine.query(query_id).state.ended
    finally:
        child.kill()
        child.communicate()
    query = opened.engine.query(query_id)
    assert query.state == QueryState.FAILED
    assert query.error is not None and "the process that ran it ended" in query.error["message"]


@pytest.mark.thorough
def test_a_process_that_begins_is_never_taken_for_a_dead_one(tmp_path: Path) -> None:
    lake = open_lake(Settings(lake_url=str(tmp_path)))
    first = QueryBook(lake, timedelta(hours=1), now)
    ended = threading.Event()

    def expire() -> None:
        while not ended.is_set():
            first.expire()

    sweeping = [threading.Thread(target=expire) for _ in range(2)]
    for thread in sweeping:
        thread.start()
    try:
        for _ in range(200):
            other = QueryBook(lake, timedelta(hours=1), now)
            query_id = other.new_id()
            other.prepare(query_id)
            other.write(QueryRecord(Query(query_id, "SELECT 1", QueryState.RUNNING, now()), other.owner))
            assert first.read(query_id).query.state == QueryState.RUNNING
            other.close()
    finally:
        ended.set()
        for thread in sweeping:
            thread.join()


@pytest.mark.thorough
def test_a_disk_that_takes_nothing_for_a_while_stops_neither_limits_nor_slots(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results, aside = tmp_path / "lake" / "results", tmp_path / "aside"
    with embedded(tmp_path, query_slots=1, query_seconds=3.0) as opened:
        fill(opened)
        query = opened.engine.start_query(LONG, [1])
        results.rename(aside)
        results.write_text("no folder: nothing can be written below it")
        wait_for(lambda: opened.engine.query(query.query_id).state == QueryState.FAILED)
        results.unlink()
        aside.rename(results)
        assert opened.ask("SELECT count(*) FROM plays") == [(3,)]
        assert opened.done(LONG, 2).state == QueryState.FAILED
    assert "cannot write the query's record" in caplog.text


def test_closing_cancels_what_runs(tmp_path: Path) -> None:
    with embedded(tmp_path) as opened:
        query = opened.engine.start_query(LONG, [1])
        chosen = opened.settings
    later = open_engine(chosen, open_lake(chosen))
    assert later.query(query.query_id).state in (QueryState.CANCELLED, QueryState.FAILED)
    later.close()


# Files written by another version of the declarations


def write(opened: Opened, table: str, name: str, columns: dict[str, pa.Array]) -> None:
    folder = Path(opened.lake.store.location(f"transformed/g1/{BY_NAME[table].history}/month=2025-01"))
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


@pytest.mark.thorough
def test_older_files_with_fewer_narrower_and_foreign_columns_stay_readable(opened: Opened) -> None:
    moment = pa.array([datetime(2025, 1, 1)], pa.timestamp("us"))
    write(opened, "tracks", "old", {"track_id": pa.array(["t0"]), "name": pa.array(["Old"]), "observed_at": moment,
                                    "duration_ms": pa.array([5], pa.int32()), "colour": pa.array(["red"])})  # fmt: skip
    sql = "SELECT track_id, name, duration_ms, explicit FROM tracks ORDER BY track_id"
    assert opened.ask(sql)[0] == ("t0", "Old", 5, None)
    assert len(opened.ask(sql)) == 3
    changes = [change["change"] for change in opened.crawl().changes]
    assert "table_added" in changes
    write(
        opened,
        "tracks",
        "newer",
        {"track_id": pa.array(["t00"]), "name": pa.array(["N"]), "observed_at": moment, "mood": pa.array([1.5])},
    )
    (change,) = [change for change in opened.crawl().changes if change["change"].startswith("column")]
    assert change == {"change": "column_added", "table": "tracks_history", "column": "mood", "type": "double"}


def test_files_are_read_whether_they_are_alike_or_not(opened: Opened) -> None:
    """Those with the same columns in another order, and then one that has others, come and go."""
    sql = "SELECT track_id, name, duration_ms, explicit FROM tracks ORDER BY track_id"
    known = opened.ask(sql)
    place = Path(opened.lake.store.location("transformed/g1/tracks_history/month=2026-11/part.parquet"))
    turned = pq.read_table(place).select(sorted(pq.read_schema(place).names, reverse=True))
    more = [f"{track}+" for track in turned["track_id"].to_pylist()]
    turned = turned.set_column(turned.schema.get_field_index("track_id"), "track_id", pa.array(more))
    write(opened, "tracks", "turned", dict(zip(turned.schema.names, turned.columns, strict=True)))
    both = sorted([*known, *((f"{row[0]}+", *row[1:]) for row in known)])
    assert opened.ask(sql) == both
    moment = pa.array([datetime(2025, 1, 1)], pa.timestamp("ms"))
    write(opened, "tracks", "few", {"duration_ms": pa.array([5], pa.int16()), "track_id": pa.array(["t0"]),
                                    "observed_at": moment})  # fmt: skip
    assert opened.ask(sql) == [("t0", None, 5, None), *both]
    Path(opened.lake.store.location("transformed/g1/tracks_history/month=2025-01/few.parquet")).unlink()
    assert opened.ask(sql) == both


def plays_of(count: int) -> dict[str, Any]:
    """So many plays of one title by nobody else."""
    moment = pa.scalar(datetime(2025, 1, 1), pa.timestamp("ms"))
    values = {"play_id": "p", "user_id": "w", "ended_at": moment, "ms_played": 60_000, "item_type": "track",
              "item_name": "Again", "artist_name": "Ann", "origin": "extended_history", "resolution": 1}  # fmt: skip
    return {name: pa.repeat(value, count) for name, value in values.items()}


@pytest.fixture
def ten_months(opened: Opened) -> Opened:
    """The first of them had just begun."""
    for month in range(1, 11):
        listens = (listen(month, number) for number in range(1 if month == 1 else 3_000))
        opened.put("plays_resolved", *listens, name="resolution-000001")
    return opened


def listen(month: int, number: int) -> dict[str, Any]:
    ended = datetime(2030, month, 1) + timedelta(minutes=number)
    told = {"item_type": "track", "origin": "extended_history", "item_id": f"t{number % 50}", "ms_played": 60_000}
    return {"play_id": f"{month}-{number}", "user_id": "u", "ended_at": ended, "resolution": 1, **told}


def test_what_the_database_expects_of_a_table_is_near_what_it_has(ten_months: Opened) -> None:
    """Of a join it keeps the side that it takes for the smaller one in memory."""
    plan = plan_of(ten_months, "SELECT item_id FROM plays WHERE ended_at < TIMESTAMP '2031-01-01 00:00:00'")
    expected = [int(each.replace(",", "")) for each in re.findall(r"~([\d,]+) rows?", plan)]
    assert 27_000 / 10 < max(expected) < 27_000 * 3, plan


def test_ids_of_listens_are_read_only_for_who_asks_for_them(ten_months: Opened) -> None:
    """They are half of a table's bytes."""
    plan = plan_of(ten_months, "SELECT item_type, sum(ms) AS ms FROM heard GROUP BY item_type")
    assert "item_type" in plan and "play_id" not in plan


def plan_of(opened: Opened, sql: str) -> str:
    return "\n".join(line for (line,) in opened.ask(f"EXPLAIN {sql}"))


def test_names_that_were_heard_are_those_of_the_files_that_are_there_now(tmp_path: Path) -> None:
    """In each process, in which they are held: there is one."""
    sql = "SELECT item_name, play_seconds FROM heard_names WHERE user_id = 'w'"
    with embedded(tmp_path, query_slots=1) as opened:
        fill(opened)
        known = opened.ask("SELECT count(*) FROM heard_names")
        assert (opened.ask(sql), known) == ([], [(1,)])
        write(opened, "plays_resolved", "more", plays_of(2))
        assert opened.ask(sql) == [("Again", [60, 60])]
        assert opened.ask("SELECT count(*) FROM heard_names") == [(2,)]
        Path(opened.lake.store.location("transformed/g1/plays_resolved/month=2025-01/more.parquet")).unlink()
        assert opened.ask(sql) == []
        assert opened.ask("SELECT count(*) FROM heard_names") == known


@pytest.mark.thorough
def test_names_whose_listens_do_not_fit_into_memory_can_be_asked_for_still(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1, query_memory=64_000_000) as opened:
        write(opened, "plays_resolved", "many", plays_of(6_000_000))
        assert opened.ask("SELECT item_name FROM heard_names") == [("Again",)]


def test_a_file_that_is_no_parquet_is_named(opened: Opened) -> None:
    Path(opened.lake.store.location("transformed/g1/tracks_history/month=2026-11/broken.parquet")).write_bytes(
        b"x" * 100
    )
    query = opened.done("SELECT count(*) FROM tracks")
    assert query.state == QueryState.FAILED
    assert query.error is not None and "broken.parquet" in query.error["message"]
    assert opened.ask("SELECT count(*) FROM plays") == [(3,)]


def test_warming_up_reads_the_footers_and_what_is_broken_is_logged(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    before = threading.active_count()
    opened.engine.warm_up(["plays"])  # type: ignore[attr-defined]
    wait_for(lambda: threading.active_count() > before)
    assert opened.engine.queries() == ([], None)
    assert opened.ask("SELECT count(*) FROM plays") == [(3,)]
    (folder,) = Path(opened.lake.store.location("transformed/g1/tracks_history")).iterdir()
    (folder / "broken.parquet").write_bytes(b"x" * 100)
    opened.engine.warm_up(["tracks"])  # type: ignore[attr-defined]
    wait_for(lambda: "broken.parquet" in caplog.text)


def test_closing_while_it_is_being_warmed_up_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = Settings(lake_url=str(tmp_path / "lake"))
    engine = EmbeddedEngine(chosen, open_lake(chosen))
    engine.warm_up(["plays"])
    engine.close()
    assert caplog.text == ""


@pytest.mark.thorough
def test_files_that_are_replaced_while_they_are_read_do_no_harm(opened: Opened) -> None:
    stop = threading.Event()
    folder = Path(opened.lake.store.location("transformed/g1/tracks_history/month=2026-11"))

    def compact() -> None:
        number = 0
        while not stop.is_set():
            (old,) = folder.glob("*.parquet")
            new = folder / f"compacted-{number}.parquet"
            new.with_suffix(".tmp").write_bytes(old.read_bytes())
            new.with_suffix(".tmp").rename(new)
            old.unlink()
            number += 1
            time.sleep(0.1)

    thread = threading.Thread(target=compact)
    thread.start()
    try:
        for number in range(40):
            assert opened.ask("SELECT count(*) FROM tracks WHERE name <> ?", str(number)) == [(2,)]
    finally:
        stop.set()
        thread.join()


# Downloads


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.booleans(),
            st.none() | st.floats(),
            st.none() | st.dates(),
            st.none() | st.datetimes(),
            st.none() | st.lists(st.none() | st.text(alphabet='a,"é ')),
        )
    )
)
def test_a_csv_file_holds_what_the_pages_hold(rows: list[tuple[object, ...]]) -> None:
    types = [pa.string(), pa.int64(), pa.bool_(), pa.float64(), pa.date32(), pa.timestamp("us"), pa.list_(pa.string())]
    names = ["varchar", "bigint", "boolean", "double", "date", "timestamp(3)", "array(varchar)"]
    columns = [
        pa.array(column, kind)
        for column, kind in zip(zip(*rows, strict=True) if rows else [[]] * 7, types, strict=True)
    ]
    table = pa.table(columns, names=list("abcdefg"))
    text = csv_bytes(table, [ResultColumn(name, kind) for name, kind in zip("abcdefg", names, strict=True)]).decode()
    assert text == csv_lines(rows)


# Load


def ask_for(opened: Opened, client: int, seconds: float, wrong: list[str], done: list[int]) -> None:
    """Ask questions whose answers only this client can be given."""
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        marker = client * 1_000_000 + number + 10_000  # no play is that long
        query = opened.engine.start_query(
            "SELECT ? AS mine, count(*) AS plays FROM plays WHERE ms_played <> ?", [marker, marker], client=str(client)
        )
        ended = opened.engine.wait(query.query_id, 30)
        rows = opened.engine.rows(query.query_id).rows if ended.state == QueryState.SUCCEEDED else ended.error
        if rows != [(marker, 2)]:
            wrong.append(f"{marker}: {rows}")
        number += 1
    done.append(number)


def throughput(opened: Opened, clients: int, seconds: float) -> float:
    wrong: list[str] = []
    done: list[int] = []
    threads = [
        threading.Thread(target=ask_for, args=(opened, client, seconds, wrong, done)) for client in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    return sum(done) / seconds


@pytest.mark.thorough
def test_fifty_clients_at_once_get_their_own_answers(opened: Opened) -> None:
    assert throughput(opened, 50, 2.0) > 0


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_fifty_clients_for_a_minute_are_served_as_fast_as_eight(opened: Opened) -> None:
    throughput(opened, 8, 5)
    eight = throughput(opened, 8, 20)
    before = resident()
    fifty = throughput(opened, 50, 60)
    assert fifty >= 0.8 * eight, f"{fifty:.0f} queries/s with 50 clients, {eight:.0f} with 8"
    assert resident() - before < 100_000_000


def resident() -> int:
    return held_bytes(os.getpid())
