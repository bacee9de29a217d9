"""The pieces of the API that need no server: words checked, tokens, limits, rows as text, schedules."""

from __future__ import annotations

import csv
import io
import json
import stat
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import InvalidRequest, InvalidSetting, NotFound, TooManyRequests, Unauthorized
from chalicelib.extraction.starting import LocalWorker
from chalicelib.queries.rendering import csv_lines, plain
from chalicelib.rest.access import Access
from chalicelib.rest.api import Api
from chalicelib.rest.limits import RateLimit
from chalicelib.rest.messages import Request
from chalicelib.rest.schema import Field, ListOf, Number, Scalar, Text, Whole, check_body, check_query, refuse
from chalicelib.schedule import next_time
from chalicelib.settings import Settings
from chalicelib.stores.secrets_folder import SecretFolder
from tests.support.engines import embedded

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FIELDS = (
    Field("sql", Text(1, 20), "SQL", required=True),
    Field("limit", Whole(1, 10), "limit", default=5),
    Field("wait", Number(0, 20), "wait"),
    Field("values", ListOf(Scalar(), most=2), "values"),
)


class Hands:
    """A clock whose hands a test moves."""

    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> datetime:
        return self.moment

    def seconds(self) -> float:
        return self.moment.timestamp()


# --- pages --------------------------------------------------------------------------------------------------------


def test_a_page_is_small_enough_for_lambda_in_any_script(tmp_path):
    with embedded(tmp_path) as opened:
        query = opened.done("SELECT lpad('', 1000, '音') AS text FROM UNNEST(sequence(1, 3000)) AS a(x)")
        assert query.rows == 3_000
        api = Api(
            opened.settings,
            opened.lake,
            engine=lambda: opened.engine,
            worker=lambda: LocalWorker(opened.settings, opened.lake),
            access=lambda: Access(opened.settings, SecretFolder(tmp_path / "secrets")),
        )
        path = {"query_id": query.query_id}
        reply = api.handle(Request("GET", "/queries/{query_id}/rows", path, {"limit": ["3000"]}, scope="read"))
    assert reply.status == 200
    page = json.loads(reply.content)
    assert page["rows"] and page["next_page_token"]
    assert len(reply.content.encode()) < 6 * 2**20


# --- requests -----------------------------------------------------------------------------------------------------


def test_every_fault_of_a_body_is_named_at_once():
    _, faults = check_body(FIELDS, {"limit": 11, "wait": "1", "values": [1, 2, 3], "lmit": 1})
    assert {fault["name"] for fault in faults} == {"sql", "limit", "wait", "values", "lmit"}
    with pytest.raises(InvalidRequest) as refused:
        refuse(faults)
    assert all(name in refused.value.message for name in ("sql is missing", "lmit", "values must be a list"))
    assert refused.value.details["faults"] == faults


def test_a_body_in_order_has_its_values_and_defaults():
    assert check_body(FIELDS, {"sql": "SELECT 1", "values": [None, 1.5]}) == (
        {"sql": "SELECT 1", "limit": 5, "wait": None, "values": [None, 1.5]},
        [],
    )


@pytest.mark.parametrize("text", ["", "0", "11", "1.5", "x", "1e3", "٣", "9" * 30])
def test_a_query_parameter_that_is_no_such_number_is_refused(text):
    assert check_query((FIELDS[1],), {"limit": [text]})[1]


def test_a_query_parameter_given_twice_is_refused():
    assert check_query((FIELDS[1],), {"limit": ["1", "2"]})[1][0]["message"] == "is given more than once"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["sql", "limit", "wait", "values", "other"]), ANY_JSON))
def test_the_check_and_the_schema_shown_agree(body):
    schema = {
        "type": "object",
        "properties": {field.name: field.schema() for field in FIELDS},
        "required": ["sql"],
        "additionalProperties": False,
    }
    valid = jsonschema.Draft202012Validator(schema).is_valid(body)
    assert valid == (not check_body(FIELDS, body)[1])


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def access(tmp_path: Path, hands: Hands) -> Access:
    return Access(Settings(), SecretFolder(tmp_path / "secrets"), clock=hands, monotonic=hands.seconds)


def test_tokens_are_kept_hashed_and_recognised(access, tmp_path):
    kept, token = access.add("notebook", "read")
    assert access.recognise(f"Bearer {token}").scope == "read"
    assert access.recognise(f"bearer  {token} ").token_id == kept.token_id
    stored = b"".join(path.read_bytes() for path in (tmp_path / "secrets").iterdir())
    assert token.encode() not in stored


def test_several_tokens_work_until_each_is_revoked(access):
    old, old_token = access.add("old", "run")
    _, new_token = access.add("new", "run")
    assert access.recognise(f"Bearer {old_token}") and access.recognise(f"Bearer {new_token}")
    access.revoke(old.token_id)
    assert access.recognise(f"Bearer {new_token}").name == "new"
    with pytest.raises(Unauthorized):
        access.recognise(f"Bearer {old_token}")
    with pytest.raises(NotFound):
        access.revoke(old.token_id)


def test_a_token_revoked_elsewhere_stops_working_within_seconds(access, tmp_path, hands):
    kept, token = access.add("phone", "read")
    access.recognise(f"Bearer {token}")
    Access(Settings(), SecretFolder(tmp_path / "secrets")).revoke(kept.token_id)
    hands.moment += timedelta(seconds=3)
    with pytest.raises(Unauthorized):
        access.recognise(f"Bearer {token}")


def test_an_expired_token_is_refused(access, hands):
    _, token = access.add("guest", "read", timedelta(days=1))
    assert access.recognise(f"Bearer {token}")
    hands.moment += timedelta(days=1, seconds=1)
    with pytest.raises(Unauthorized):
        access.recognise(f"Bearer {token}")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer \udcff", "Bearer lake_x", "lake_x"])
def test_a_wrong_token_is_refused_with_the_remedy(access, header):
    with pytest.raises(Unauthorized, match="token show"):
        access.recognise(header)


def test_the_local_token_is_made_once_and_kept_for_its_owner_alone(access, tmp_path):
    token = access.local_token()
    assert token == access.local_token() and len(token) > 40
    assert access.recognise(f"Bearer {token}").scope == "run"
    files = [path for path in (tmp_path / "secrets").iterdir() if path.is_file()]
    assert files and all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


def test_the_setting_is_a_token_too_and_then_no_local_one_is_made(tmp_path):
    access = Access(Settings(api_token="secret"), SecretFolder(tmp_path / "secrets"))
    assert access.local_token() == "secret"
    assert access.recognise("Bearer secret").scope == "run"
    assert not (tmp_path / "secrets").exists()


def test_on_aws_there_is_no_local_token(tmp_path):
    access = Access(Settings(lake_url="s3://bucket"), SecretFolder(tmp_path / "secrets"))
    with pytest.raises(InvalidRequest, match="token add"):
        access.local_token()
    with pytest.raises(Unauthorized):
        access.recognise("Bearer anything")


def test_an_unknown_scope_is_refused(access):
    with pytest.raises(InvalidRequest):
        access.add("x", "write")


# --- limits -------------------------------------------------------------------------------------------------------


def test_a_token_that_asks_too_often_is_told_when_to_come_back(hands):
    limit = RateLimit(60, monotonic=hands.seconds, clock=hands)
    for _ in range(30):
        limit.take("a")
    with pytest.raises(TooManyRequests) as refused:
        limit.take("a")
    assert 0 < refused.value.details["retry_after"] <= 1
    limit.take("b")
    hands.moment += timedelta(seconds=1)
    limit.take("a")


def test_over_a_minute_a_token_gets_what_it_may(hands):
    limit = RateLimit(600, monotonic=hands.seconds, clock=hands)
    taken = 0
    for _ in range(6_000):
        hands.moment += timedelta(milliseconds=10)
        try:
            limit.take("a")
        except TooManyRequests:
            continue
        taken += 1
    assert 890 <= taken <= 900


# --- rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (-(2**63), "-9223372036854775808"),
        (1.5, 1.5),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05.000Z"),  # noqa: DTZ001 (the lake's are UTC)
        (datetime(2026, 1, 2, 3, 4, 5, 123456), "2026-01-02T03:04:05.123456Z"),  # noqa: DTZ001
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (time(3, 4, 5), "03:04:05"),
        ([1, None, "x"], [1, None, "x"]),
        ({"a": date(2026, 1, 2), 1: 2}, {"a": "2026-01-02", "1": 2}),
        (b"\x00\xff", "AP8="),
    ],
)
def test_a_value_keeps_its_type_in_json_or_becomes_exact_text(value, shown):
    assert plain(value) == shown
    json.dumps(plain(value), allow_nan=False)


CSV_VALUES = st.none() | st.text() | st.integers() | st.booleans() | st.dates()


@settings(deadline=None)
@given(st.lists(st.lists(CSV_VALUES, min_size=2, max_size=4), max_size=5))
def test_csv_is_read_back_by_any_reader(rows):
    text = csv_lines(rows)
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    shown = [
        ["" if v is None else v if isinstance(v, str) else json.dumps(plain(v)).strip('"') for v in r] for r in rows
    ]
    assert read == shown


def test_csv_tells_null_from_empty_and_ends_lines_with_cr_lf():
    assert csv_lines([[None, "", 'a"b,c'], [True, [1], " x"]]) == ',"","a""b,c"\r\ntrue,[1]," x"\r\n'


# --- schedules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", "2026-11-20T12:01:00"),
        ("rate(2 hours)", "2026-11-20T14:00:00"),
        ("rate(7 days)", "2026-11-27T12:00:00"),
        ("cron(30 6 * * ? *)", "2026-11-21T06:30:00"),
        ("cron(0 6 ? * MON *)", "2026-11-23T06:00:00"),
        ("cron(0/15 * * * ? *)", "2026-11-20T12:15:00"),
        ("cron(0 0 L * ? *)", "2026-11-30T00:00:00"),
        ("cron(0 8 ? * 6#3 2027)", "2027-01-15T08:00:00"),
    ],
)
def test_a_schedule_fires_when_eventbridge_would(expression, expected):
    assert next_time(expression, NOON) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "expression", ["cron(0 6 * * * *)", "cron(x 6 * * ? *)", "cron(0 6 ? * ? *)", "cron(0 6 * * ? 1999)"]
)
def test_a_schedule_eventbridge_would_refuse_is_refused(expression):
    with pytest.raises(InvalidSetting, match="EXTRACT_SCHEDULE"):
        next_time(expression, NOON)
