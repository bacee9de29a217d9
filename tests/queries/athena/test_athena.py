"""What is Athena's and Glue's own: text to values and back, result files, notes, crawls, bounded waits."""

# ruff: noqa: DTZ001  (timestamps without time zone are the tables' own)

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chalicelib.errors import (
    CrawlInProgress,
    EngineBusy,
    FileNotReady,
    InvalidRequest,
    LakeError,
    QueryFailed,
    StorageFailed,
    StorageUnavailable,
)
from chalicelib.lake import Lake
from chalicelib.queries.athena.conversion import convert
from chalicelib.queries.athena.engine import AthenaEngine, cost
from chalicelib.queries.athena.files import records
from chalicelib.queries.athena.glue import GlueTables
from chalicelib.queries.athena.glue_crawls import read_crawl
from chalicelib.queries.athena.note import Note, read_note, with_literals, with_note
from chalicelib.queries.athena.values import reader
from chalicelib.queries.engine import QueryState, ResultColumn
from chalicelib.queries.sql import check
from chalicelib.queries.sql.tokens import tokenize
from chalicelib.stores.aws import build_client
from chalicelib.stores.s3 import BucketStore
from chalicelib.views import user_tables
from tests.emulator import Fault, shared
from tests.emulator.functions import Inline
from tests.emulator.stage import make_stage
from tests.support.engines import Opened, OpenedOnAws, athena


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenedOnAws]:
    with athena(tmp_path) as made:
        assert isinstance(made, OpenedOnAws)
        yield made
    shared().faults.clear()
    shared().athena.gate.set()
    shared().athena.statistics = True


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("bigint", "-9007199254740993", -9007199254740993),
        ("double", "1.0E10", 1e10),
        ("decimal(3,2)", "1.50", Decimal("1.50")),
        ("boolean", "true", True),
        ("date", "2026-11-20", date(2026, 11, 20)),
        ("timestamp(3)", "2026-11-20 10:15:30.123", datetime(2026, 11, 20, 10, 15, 30, 123000)),
        ("timestamp(9)", "2026-11-20 10:15:30.123456789", datetime(2026, 11, 20, 10, 15, 30, 123456)),
        ("timestamp(3) with time zone", "2026-11-20 10:15:30.000 UTC", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        (
            "timestamp(3) with time zone",
            "2026-11-20 10:15:30.000 Europe/Berlin",
            datetime(2026, 11, 20, 10, 15, 30, tzinfo=ZoneInfo("Europe/Berlin")),
        ),
        (
            "timestamp(3) with time zone",
            "2026-11-20 10:15:30.000 -03:30",
            datetime(2026, 11, 20, 10, 15, 30, tzinfo=timezone(-timedelta(hours=3, minutes=30))),
        ),
        ("array(varchar)", "[rock, null, drum and bass]", ["rock", None, "drum and bass"]),
        ("array(bigint)", "[1, 2]", [1, 2]),
        ("array(array(bigint))", "[[1, 2], [], null]", [[1, 2], [], None]),
        ("map(varchar, bigint)", "{a=1, b=null}", {"a": 1, "b": None}),
        ("row(x bigint, y varchar)", "{x=1, y=z}", {"x": 1, "y": "z"}),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("varbinary", "de ad", b"\xde\xad"),
        ("varchar", "null", "null"),
    ],
)
def test_athenas_text_becomes_a_value(kind: str, text: str, value: Any) -> None:
    assert reader(kind)(text) == value


BINDABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    st.decimals(-(10**9), 10**9, places=3),
)


@pytest.mark.thorough
@hypothesis_settings(max_examples=200, deadline=None)
@given(values=st.lists(BINDABLE, min_size=1, max_size=4), spaces=st.sampled_from(["", " ", "\n"]))
def test_values_stand_as_literals_in_the_text_that_athena_gets(values: list[Any], spaces: str) -> None:
    """Athena takes ``?`` in WHERE alone, and 1,024 characters of each value."""
    sql = "SELECT /* ? */ " + ",".join(f"coalesce(NULL,{spaces}?)" for _ in values) + " AS last"
    text = with_note(check(sql, user_tables(), values), 10, "", values)
    assert not [token for token in tokenize(text) if token.word == "?"]
    written, note = read_note(text) or ("", None)
    assert written == sql and note
    assert len(check(text, user_tables()).columns) == len(values)
    assert note.written_place(*place_in(text, text.index(" AS last")), text) == place_in(sql, sql.index(" AS last"))


@pytest.mark.parametrize(
    ("sql", "values", "sent"),
    [
        ("SELECT 10-?", [-5], "SELECT 10- -5 "),
        ("SELECT '?' AS q, ? AS x", ["?"], "SELECT '?' AS q,  '?'  AS x"),
        ("SELECT x FROM (VALUES 1, 2) AS t(x) LIMIT ?", [1], "SELECT x FROM (VALUES 1, 2) AS t(x) LIMIT  1 "),
        ("SELECT ?", ["it's\n--"], "SELECT  'it''s\n--' "),
    ],
)
def test_a_value_stands_apart_from_what_is_beside_it(sql: str, values: list[Any], sent: str) -> None:
    assert with_note(check(sql, user_tables(), values), 10, "", values).startswith(sent)


@pytest.mark.thorough
def test_a_value_may_be_longer_than_athenas_own_parameters(opened: OpenedOnAws) -> None:
    long = "x" * 5_000
    query = opened.engine.wait(opened.engine.start_query("SELECT length(?) AS n", [long]).query_id, 20)
    assert opened.engine.rows(query.query_id).rows == [(5_000,)]
    with pytest.raises(InvalidRequest, match="262,144 bytes"):
        opened.engine.start_query("SELECT ?", ["x" * 262_144])


def test_a_fault_is_placed_in_the_statement_as_it_was_written() -> None:
    sql = "SELECT ? AS a,\n ? AS b,\n ? + broken"
    values = ["one\ntwo", 12_345, -1]
    text, places = with_literals(sql, values)
    note = Note("select", 10, written=sql, values=places)
    for word in ("AS a", "AS b", "broken", "SELECT"):
        assert note.written_place(*place_in(text, text.index(word)), text) == place_in(sql, sql.index(word))
    assert note.written_place(*place_in(text, text.index("12345")), text) == place_in(sql, sql.index("? AS b"))


def place_in(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset."""
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


TEXTS = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30))


@pytest.mark.thorough
@hypothesis_settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), max_size=8))
)
def test_a_result_file_gives_back_what_was_written(rows: list[list[str | None]]) -> None:
    lines = [",".join("" if t is None else '"' + t.replace('"', '""') + '"' for t in row) + "\n" for row in rows]
    assert list(records(io.BytesIO("".join(lines).encode()))) == rows


def test_a_file_that_breaks_off_is_an_error() -> None:
    with pytest.raises(ValueError, match="not what Athena writes"):
        list(records(io.BytesIO(b'"a","b\n')))


@pytest.mark.parametrize(
    ("sql", "limited"),
    [
        ("SELECT 1", True),
        ("SELECT 1 LIMIT 5", False),
        ("SELECT 1\nLIMIT 5", False),
        ("SELECT 4000000000 AS only", True),
        ("(SELECT 1 LIMIT 5)", True),
        ("SELECT x FROM (SELECT 1 AS x LIMIT 5) AS t", True),
        ("SELECT 1 UNION SELECT 2", True),
        ("VALUES 1, 2", True),
        ("WITH a AS (SELECT 1 AS x) SELECT x FROM a ORDER BY x LIMIT 1", False),
        ("SELECT 1 -- a comment", True),
        ("EXPLAIN SELECT 1", False),
    ],
)
def test_a_statement_is_sent_as_written_with_a_limit_where_it_has_none(sql: str, limited: bool) -> None:
    checked = check(sql, user_tables())
    text = with_note(checked, 10, "client")
    assert text.startswith(checked.sql) and ("\nLIMIT 11\n" in text) is limited
    found = read_note(text)
    assert found and found[0] == checked.sql and found[1].most == 10
    again = check(text, user_tables())
    assert again.columns == checked.columns


def test_a_query_that_the_lake_did_not_start_has_no_note() -> None:
    assert read_note("SELECT 1") is None
    assert read_note("SELECT '-- lake: {\"most\":1}'") is None


def test_nested_types_are_noted_because_athena_tells_only_their_name() -> None:
    found = read_note(with_note(check("SELECT 1 AS a, genres FROM artists", user_tables()), 5, ""))
    assert found and found[1].types == {"1": "array(varchar)"}
    assert ResultColumn("genres", found[1].types["1"]).type == "array(varchar)"


def test_a_query_costs_at_least_ten_megabytes_and_a_failed_one_nothing() -> None:
    least = 10 * 2**20 * 5.0 / 2**40
    assert cost(QueryState.SUCCEEDED, "select", 1, False) == least
    assert cost(QueryState.SUCCEEDED, "select", 2**40, False) == 5.0
    assert cost(QueryState.FAILED, "select", 2**40, False) == 0.0
    assert cost(QueryState.SUCCEEDED, "select", 2**40, True) == 0.0
    assert cost(QueryState.RUNNING, "select", 5, False) is None


def test_a_crawl_tells_what_changed() -> None:
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    details = '{"names": ["db.tracks_history.2026-11", "plays_history/month=2026-12"]}'
    summary = {"PARTITION": {"ADD": {"Count": 2, "Details": details}}, "TABLE": '{"UPDATE": {"Count": 1}}'}
    import json

    crawl = read_crawl({"CrawlId": "c", "State": "COMPLETED", "StartTime": moment, "Summary": json.dumps(summary)})
    assert crawl.state == "succeeded" and crawl.changes == (
        {"change": "partition_added", "table": "tracks_history", "month": "2026-11"},
        {"change": "partition_added", "table": "plays_history", "month": "2026-12"},
        {"change": "table_changed", "count": 1},
    )
    stopped = read_crawl({"CrawlId": "c", "State": "STOPPED", "StartTime": moment, "EndTime": moment})
    assert stopped.state == "failed" and stopped.error


def test_a_crawl_that_was_started_though_the_answer_was_lost_is_ours(opened: OpenedOnAws) -> None:
    from chalicelib.queries.athena.engine import AthenaEngine

    engine = AthenaEngine(opened.settings, opened.lake, clients=lambda name: shared().client(name, attempts=2))
    shared().crawlers.seconds = 1.0
    try:
        fault = shared().inject("lost", "glue", "StartCrawler")
        assert engine.start_crawl().state == "running" and fault.hits == 1
        with pytest.raises(CrawlInProgress):
            engine.start_crawl()
    finally:
        shared().crawlers.seconds = 0.0
        shared().settle()


def test_publishing_a_generation_leaves_no_moment_without_a_month() -> None:
    """Whatever Glue is asked while tables are moved, every month that both generations have is there after it."""
    aws = shared()
    stage = make_stage(aws)
    glue = aws.client("glue")
    kept, gone, new = "2026-10", "2026-09", "2026-11"
    for generation, months in (("g1", (gone, kept)), ("g2", (kept, new))):
        for month in months:
            stage.lake.store.write(f"transformed/{generation}/plays_history/month={month}/a.parquet", b"")
    stage.lake.publish_generation("g1")
    tables = GlueTables(stage.names.database, stage.lake, glue=glue)
    tables.register_all()
    assert tables.months("plays_history").keys() == {gone, kept}
    seen: list[set[str]] = []
    glue.meta.events.register("after-call.glue", lambda **_: seen.append(months_of(stage.names.database)), "watch")
    try:
        tables.publish("g2")
    finally:
        glue.meta.events.unregister("after-call.glue", unique_id="watch")
    assert len(seen) > 3 and all(kept in months for months in seen)
    moved = tables.months("plays_history")
    assert moved.keys() == {kept, new} and all("/g2/plays_history/month=" in place for place in moved.values())
    tables.publish("g2")
    assert tables.months("plays_history") == moved


def months_of(database: str) -> set[str]:
    """The months that the catalogue has at this moment, asked beside the client that is watched."""
    from moto.glue.models import glue_backends

    from tests.emulator import ACCOUNT, REGION

    table = glue_backends[ACCOUNT][REGION].get_table(database, "plays_history")
    return {partition.values[0] for partition in table.get_partitions("")}


@pytest.mark.parametrize("code", ["InternalServiceException", "EntityNotFoundException"])
def test_a_partition_that_glue_does_not_move_is_no_success(code: str) -> None:
    glue = boto3.client("glue", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    tables = GlueTables("db", Lake(BucketStore("b")), glue=glue)
    table = {"Name": "plays_history", "StorageDescriptor": {"Location": "s3://b/transformed/g2/plays_history"}}
    failed = {"PartitionValueList": ["2026-11"], "ErrorDetail": {"ErrorCode": code}}
    with Stubber(glue) as stubbed:
        stubbed.add_response("batch_update_partition", {"Errors": [failed]})
        with pytest.raises(StorageUnavailable, match=f"did not move 2026-11 of plays_history: {code}"):
            tables._relocate(table, ["2026-11"])


def test_a_partition_that_glue_does_not_forget_is_no_success() -> None:
    glue = boto3.client("glue", "eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    place = {"DatabaseName": "d", "TableName": "plays_history", "PartitionsToDelete": [{"Values": ["2026-11"]}]}
    tables = GlueTables("d", Lake(BucketStore("b")), glue=glue)

    def forget(code: str) -> None:
        error = {"PartitionValues": ["2026-11"], "ErrorDetail": {"ErrorCode": code, "ErrorMessage": "said"}}
        with Stubber(glue) as stubber:
            stubber.add_response("batch_delete_partition", {"Errors": [error]}, place)
            tables.forget("plays_history", ["2026-11"])

    with pytest.raises(StorageUnavailable, match="2026-11 of plays_history: InternalServiceException"):
        forget("InternalServiceException")
    forget("EntityNotFoundException")


def test_waiting_is_bounded_whatever_is_asked(opened: OpenedOnAws) -> None:
    shared().athena.gate.clear()
    slept: list[float] = []
    engine: Any = opened.engine
    engine._sleep = slept.append
    moments = iter(range(0, 10_000, 3))
    engine._monotonic = lambda: float(next(moments))
    query = engine.start_query("SELECT 1")
    assert engine.wait(query.query_id, 10_000).state == QueryState.QUEUED
    assert len(slept) < 15


def test_a_query_over_its_time_is_stopped_and_says_so(tmp_path: Path) -> None:
    with athena(tmp_path, query_seconds=0.1) as made:
        shared().athena.gate.clear()
        query = made.engine.start_query("SELECT 1")
        import time

        time.sleep(0.3)
        late = made.engine.query(query.query_id)
        shared().athena.gate.set()
        assert late.state == QueryState.FAILED and late.error and "longer than 0.1 s" in late.error["message"]


def test_a_result_without_statistics_is_still_read(opened: OpenedOnAws) -> None:
    shared().athena.statistics = False
    query = opened.done("SELECT x FROM UNNEST(sequence(1, 5)) AS t(x)", max_rows=3)
    assert query.rows is None
    page = opened.engine.rows(query.query_id)
    assert len(page.rows) == 3 and page.truncated


def test_throttling_that_lasts_is_busy_and_denied_is_terminal(opened: OpenedOnAws) -> None:
    for kind, error in (("throttle", EngineBusy), ("denied", StorageFailed), ("error", LakeError)):
        shared().faults.append(Fault(kind, "athena", "StartQueryExecution", times=100))
        with pytest.raises(error) as caught:
            opened.engine.start_query("SELECT 1")
        assert caught.value.status in (500, 503)
        shared().faults.clear()
    assert opened.ask("SELECT 1") == [(1,)]


def test_settings_that_deploying_makes_are_asked_for_by_name(opened: Opened) -> None:
    from chalicelib.queries.athena.engine import AthenaEngine

    bare = replace(opened.settings, athena_workgroup="", glue_crawler="")
    engine = AthenaEngine(bare, opened.lake, clients=shared().client)
    with pytest.raises(LakeError, match="ATHENA_WORKGROUP"):
        engine.start_query("SELECT 1")
    with pytest.raises(LakeError, match="GLUE_CRAWLER"):
        engine.start_crawl()


@dataclass
class SlowFile:
    """The function that makes files: it waits for ``go``, and fails as long as ``failing``."""

    opened: OpenedOnAws
    go: threading.Event = field(default_factory=threading.Event)
    calls: int = 0
    failing: bool = False

    def __call__(self, event: Any) -> Any:
        self.calls += 1
        if self.failing:
            raise ValueError("out of memory")
        self.go.wait(60)
        return convert(self.opened.lake, **event)

    def engine(self, sleep: Callable[[float], None]) -> AthenaEngine:
        """An engine that waits a second for the function, where the deployed one waits 25."""
        name = f"{self.opened.settings.glue_database}-file"
        shared().functions.inline[name] = Inline(self)
        with shared().in_environment():
            asked = build_client("lambda", read_timeout=1)
        return AthenaEngine(
            replace(self.opened.settings, result_function=name),
            self.opened.lake,
            clients=lambda service: asked if service == "lambda" else shared().client(service),
            sleep=sleep,
        )


def test_a_file_that_takes_longer_than_a_request_is_made_once_and_had_later(opened: OpenedOnAws) -> None:
    slow = SlowFile(opened)
    engine = slow.engine(lambda _: slow.go.set())
    query = opened.done("SELECT 1 AS a")
    with pytest.raises(FileNotReady):
        engine.download(query.query_id, "csv")
    link = engine.download(query.query_id, "csv").link  # looks, and sleeps until it is there
    assert link and slow.calls == 1
    assert engine.download(query.query_id, "csv").link and slow.calls == 1


def test_a_file_that_could_not_be_made_is_tried_again_when_asked_for(opened: OpenedOnAws) -> None:
    slow = SlowFile(opened, failing=True)
    slow.go.set()
    engine = slow.engine(lambda _: None)
    query = opened.done("SELECT 1 AS a")
    with pytest.raises(QueryFailed, match="out of memory"):
        engine.download(query.query_id, "csv")
    slow.failing = False
    assert engine.download(query.query_id, "csv").link and slow.calls == 2
