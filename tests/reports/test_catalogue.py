"""Report files, their parameters and the values they come to."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.lake import Lake, ObjectInfo
from chalicelib.reports import catalogue
from chalicelib.stores.folder import FolderStore

HEADER = '-- title = "Plays"\n-- description = "How many"\n'
PERIOD = '-- [parameters]\n-- period = {type = "period", default = "7d"}\n-- timezone = {type = "timezone"}\n'
SPAN = "SELECT count(*) FROM plays WHERE ended_at >= :from AND ended_at < :to"


def noon() -> datetime:
    return datetime(2026, 3, 31, 12, tzinfo=UTC)


def bounds(**values: str) -> tuple[object, ...]:
    report = catalogue.parse_report("plays", HEADER + PERIOD + SPAN)
    return catalogue.bind(report, values, clock=noon).bound


@pytest.mark.parametrize(
    ("period", "first", "after"),
    [
        ("1d", "2026-03-31", "2026-04-01"),
        ("7d", "2026-03-25", "2026-04-01"),
        ("4w", "2026-03-04", "2026-04-01"),
        ("6m", "2025-10-01", "2026-04-01"),
        ("1y", "2025-04-01", "2026-04-01"),
        ("2025", "2025-01-01", "2026-01-01"),
        ("2025-12", "2025-12-01", "2026-01-01"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("all", "1970-01-01", "2200-01-01"),
        ("900y", "1970-01-01", "2026-04-01"),
    ],
)
def test_a_period_spans_whole_days(period: str, first: str, after: str) -> None:
    assert bounds(period=period) == (f"{first} 00:00:00", f"{after} 00:00:00")


def test_a_day_is_the_listeners_day_through_a_clock_change() -> None:
    assert bounds(period="2026-03-29", timezone="Europe/Berlin") == ("2026-03-28 23:00:00", "2026-03-29 22:00:00")
    assert bounds(period="1d", timezone="Pacific/Auckland") == ("2026-03-31 11:00:00", "2026-04-01 11:00:00")


def test_from_and_to_replace_the_period_and_both_days_count() -> None:
    given = {"from": "2026-01-05", "to": "2026-01-06"}
    assert bounds(**given) == ("2026-01-05 00:00:00", "2026-01-07 00:00:00")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"period": "7x"}, "'7x' is not a period"),
        ({"period": "2025-13"}, "is not a date"),
        ({"period": "0d"}, "is not a period"),
        ({"timezone": "Mars/Base"}, "'Mars/Base' is not an IANA time zone"),
        ({"timezone": "../etc/passwd"}, "is not an IANA time zone"),
        ({"timezone": ""}, "is not an IANA time zone"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from 2026-02-01 is after to 2026-01-01"),
        ({"from": "1950-01-01"}, "is not from 1970-01-01"),
        ({"until": "2026"}, "until is not a parameter; there are period, timezone, from, to"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, str], fault: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bounds(**values)
    assert fault in caught.value.message


def test_every_faulty_value_is_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        bounds(period="x", timezone="y", what="z")
    assert len(caught.value.details["faults"]) == 3


def test_values_are_bound_and_never_pasted() -> None:
    header = (
        HEADER
        + '-- [parameters]\n-- name = {type = "text"}\n'
        + '-- limit = {type="integer", default = 5, least = 1, most = 9}\n'
    )
    sql = "SELECT ':name', \":name\", a::int /* :name */ FROM t -- :name\nWHERE a = :name OR b = :name LIMIT :limit"
    report = catalogue.parse_report("odd", header + sql)
    bound = catalogue.bind(report, {"name": "'; DROP", "limit": "7"}, clock=noon)
    assert bound.bound == ("'; DROP", "'; DROP", 7)
    assert bound.sql == sql.replace("a = :name OR b = :name LIMIT :limit", "a = ? OR b = ? LIMIT ?")
    with pytest.raises(InvalidRequest, match="limit: 10 is not from 1 to 9"):
        catalogue.bind(report, {"limit": 10}, clock=noon)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SELECT 1", "names no title"),
        ("-- title = oops\nSELECT 1", "not TOML"),
        (HEADER, "holds no SQL"),
        (HEADER + "SELECT :x", "uses :x without declaring it"),
        (HEADER + '-- [parameters]\n-- x = {type = "text"}\nSELECT 1', "parameter x is not used"),
        (HEADER + '-- [parameters]\n-- x = {type = "colour"}\nSELECT :x', "parameter x needs a type"),
        (HEADER + '-- [parameters]\n-- x = {type = "integer", default = "many"}\nSELECT :x', "'many' is not a whole"),
        (HEADER + '-- [parameters]\n-- span = {type = "period", default = "7d"}\nSELECT 1', "must be named period"),
        (HEADER + '-- chart = {kind = "pie"}\nSELECT 1', "chart needs a kind"),
        (HEADER + '-- question = "Why?"\nSELECT 1', "question must be one of: What did I hear most"),
        (HEADER + "-- question = {a = 1}\nSELECT 1", "question must be one of"),
        (HEADER + '-- colour = "red"\nSELECT 1', "colour, which means nothing"),
        (HEADER + '-- chart = {kind = "bar", x = nan}\nSELECT 1', "chart: x must be a text"),
        (HEADER + '-- chart = {kind = "bar", x = {}}\nSELECT 1', "chart: x must be a text"),
        (HEADER + '-- [parameters]\n-- x = {type = "text", default = 2026-01-01}\nSELECT :x', "default must be a text"),
        (HEADER + '-- [parameters]\n-- x = {type = "text", help = 07:00:00}\nSELECT :x', "help must be a text"),
        (
            HEADER + '-- [parameters]\n-- x = {type = "choice", default = "a", values = ["a", 1]}\nSELECT :x',
            "values must be a text or a whole number, or a list of texts",
        ),
    ],
)
def test_a_faulty_file_is_explained(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        catalogue.parse_report("x", text)


@given(st.text(max_size=200))
def test_no_file_content_crashes_the_reader(text: str) -> None:
    try:
        catalogue.parse_report("x", text)
    except ValueError:
        return


@given(st.text(max_size=20))
def test_no_value_crashes_the_binding(text: str) -> None:
    try:
        bounds(period=text, timezone="Europe/Berlin")
    except InvalidRequest:
        return


def test_the_owners_reports_join_the_built_in_ones(tmp_path: Path) -> None:
    lake = Lake(FolderStore(tmp_path))
    lake.store.write("reports/mine.sql", (HEADER + "SELECT 1").encode())
    lake.store.write("reports/broken.sql", b"SELECT 1")
    lake.store.write("reports/top_artists.sql", (HEADER + "SELECT 2").encode())
    lake.store.write("reports/notes.txt", b"not a report")
    names = [report.name for report in catalogue.reports(lake)]
    assert {"mine", "broken", "top_tracks"} <= set(names)
    assert names == sorted(names)
    assert "notes" not in names
    assert catalogue.report("top_artists", lake).sql == "SELECT 2"
    with pytest.raises(InvalidRequest, match=r"reports/broken\.sql: its header names no title"):
        catalogue.bind(catalogue.report("broken", lake), {})


def test_a_report_that_is_deleted_while_all_are_listed_is_left_out(tmp_path: Path) -> None:
    class Vanishing(FolderStore):
        """Somebody deletes each file as soon as it was seen."""

        def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
            for info in super().list(prefix, start_after=start_after):
                self.delete([info.key])
                yield info

    FolderStore(tmp_path).write("reports/mine.sql", (HEADER + "SELECT 1").encode())
    names = [report.name for report in catalogue.reports(Lake(Vanishing(tmp_path)))]
    assert "top_artists" in names
    assert "mine" not in names


def test_an_unknown_report_is_not_found_and_the_others_are_named() -> None:
    with pytest.raises(NotFound, match=r"there is no report nothing; there are .*top_artists"):
        catalogue.report("nothing")


@pytest.mark.parametrize("report", catalogue.reports(), ids=lambda report: report.name)
def test_a_built_in_report_describes_itself_fully(report: catalogue.Report) -> None:
    shown = report.as_json()
    assert shown["title"] and shown["description"].endswith(".") and shown["built_in"] and shown["fault"] is None
    assert (shown["question"] is None) == report.name.startswith("dashboard_")
    assert all(parameter["help"] for parameter in shown["parameters"])
    assert not report.parameter("period") or report.parameter("timezone")
    assert catalogue.bind(report, {}).sql.count("?") == len(catalogue.bind(report, {}).bound)
