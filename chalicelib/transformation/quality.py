"""Quality checks: what tables.py declares, asked of the rows of one raw object before they are published.

Follows from the columns: ``type:<column>`` (columns.py finds those), ``not_null:<column>`` and ``unique`` (one row
per key and time of observation). Declared: ``pattern``, ``range``, ``one_of``, ``not_after_observed`` and
``references`` (the row's track, album or artist was published from the same raw object); of the object as a whole
``mostly_rejected`` (how many of a table's rows were) and ``observed_in_run`` (answers bear times of their own run).

What fails a check of severity ``reject`` is not published: in a column that may be null the value, which is null then,
and in any other the row, which is handed back apart. What fails one of severity ``warn`` stays; a failed check of
severity ``fail`` raises CheckFailed, and nothing of the object may be published but what was found.
Arrow's own functions do the checking; on 100,000 rows they take half of what pandas or pandera take, and a function
that transforms need not import either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.clock import epoch_ms, rfc3339
from chalicelib.parquet import sort_columns
from chalicelib.tables import OBJECT_CHECKS, TABLES, Check, Severity, Table
from chalicelib.transformation.findings import Findings, Misfit, Rejection, shortened
from chalicelib.transformation.origin import ORIGIN, Origin

HOUR_MS = 3_600_000
EARLY_MS, LATE_MS = -HOUR_MS, 48 * HOUR_MS  # since a run began: clocks may be set right, a run may take a day


def check_rows(table: Table, rows: pa.Table, misfits: Iterable[Misfit], findings: Findings) -> pa.Table:
    """The rows of ``table`` (with their ``_origin``) that may be published, sorted as they are stored."""
    checked = rows.num_rows
    keep: pa.ChunkedArray | None = None
    unfit = report_misfits(table, checked, misfits, findings)
    for check in implied(table):
        bad = BAD[check.kind](check, rows)
        failures = pc.sum(bad).as_py() or 0 if bad is not None else 0
        detail = describe(check, rows, bad) if failures else ""
        severity = check.severity
        emptied = severity == "reject" and check.kind != "not_null" and table.column(check.column).nullable
        findings.note(table.name, check.name, "warn" if emptied else severity, checked, failures, detail)
        if failures and emptied:
            rows = with_nulls(rows, check.column, bad)
        elif failures and severity == "reject":
            for row in rows.filter(bad).to_pylist():
                findings.reject(rejection(table, check.name, reason(check, row[check.column]), row))
            good = pc.invert(bad)
            keep = good if keep is None else pc.and_(keep, good)
    if keep is not None:
        rows = rows.filter(keep)
    findings.count(table.name, checked + unfit, checked + unfit - rows.num_rows)
    return unique_rows(table, sort_rows(table, rows), findings)


def with_nulls(rows: pa.Table, name: str, bad: pa.ChunkedArray) -> pa.Table:
    """The rows with a null where a value is ``bad``."""
    column = rows.column(name)
    emptied = pc.if_else(bad, pa.scalar(None, column.type), column)
    return rows.set_column(rows.schema.get_field_index(name), name, emptied)


def check_references(published: dict[str, tuple[Table, pa.Table]], findings: Findings) -> None:
    """For rows that name a row of another table: whether that row was published with them."""
    for table, rows in published.values():
        for check in table.checks:
            if check.kind != "references" or check.table is None:
                continue
            target = published.get(check.table)
            if target is None:
                findings.note(table.name, check.name, check.severity, rows.num_rows, rows.num_rows, "none is known")
                continue
            known = target[1].column(target[0].key[0])
            found = pc.is_in(rows.column(check.column), value_set=known.combine_chunks())
            missing = rows.num_rows - (pc.sum(found).as_py() or 0)
            findings.note(table.name, check.name, check.severity, rows.num_rows, missing)


def check_whole(findings: Findings) -> None:
    """Once all rows of an object are checked: whether too many of some table were rejected."""
    for table in TABLES:
        for check in table.checks:
            if check.kind == "mostly_rejected":
                judge_share(table, check, findings)


def judge_share(table: Table, check: Check, findings: Findings) -> None:
    """Judge how large a share of an object's rows was lost."""
    readable = findings.results.get((table.name, "readable"))
    unreadable = readable.failures if readable else 0
    rows, lost = findings.rows.get(table.name, 0) + unreadable, findings.lost.get(table.name, 0) + unreadable
    if rows and check.high is not None:
        failed = rows >= check.fewest and lost > check.high * rows
        why = next(
            (each.detail for each in findings.results.values() if each.table_name == table.name and each.detail), ""
        )
        findings.note(table.name, check.name, check.severity, rows, lost if failed else 0, why)


def check_times(times: Sequence[tuple[str, int]], findings: Findings) -> None:
    """Whether answers (their run's id and their time in ms since 1970) were received during their run."""
    for check in OBJECT_CHECKS:
        failures, detail = 0, ""
        for run_id, observed_ms in times:
            began = start_of(run_id)
            if began is not None and not EARLY_MS <= observed_ms - began < LATE_MS:
                failures += 1
                moment = datetime.fromtimestamp(observed_ms / 1000, UTC)
                detail = detail or f"an answer of run {run_id} bears the time {rfc3339(moment)}"
        findings.note("", check.name, check.severity, len(times), failures, detail)


@lru_cache(maxsize=64)
def start_of(run_id: str) -> int | None:
    """When a run began, in ms since 1970; None for what is no run's id."""
    try:
        return epoch_ms(datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class NotNull:
    """Follows from a column that may not be null."""

    column: str
    kind: str = "not_null"
    severity: Severity = "reject"

    @property
    def name(self) -> str:
        return f"not_null:{self.column}"


def implied(table: Table) -> Iterator[Any]:
    """The checks of single rows: those that follow from the columns, then the declared ones."""
    for column in table.physical_columns:
        if not column.nullable:
            yield NotNull(column.name)
    yield from (check for check in table.checks if check.kind in BAD)


def nulls(check: NotNull, rows: pa.Table) -> pa.ChunkedArray | None:
    """Which rows lack the value; None where none does."""
    column = rows.column(check.column)
    return column.is_null() if column.null_count else None


def out_of_pattern(check: Check, rows: pa.Table) -> pa.ChunkedArray | None:
    """Which rows hold a text that does not match."""
    return failing(pc.match_substring_regex(rows.column(check.column), check.pattern))


def out_of_range(check: Check, rows: pa.Table) -> pa.ChunkedArray | None:
    """Which rows hold a number out of the range; None where none does."""
    column = rows.column(check.column)
    bounds = pc.min_max(column)
    least, most = bounds["min"].as_py(), bounds["max"].as_py()
    if least is None:
        return None
    bad = None
    if check.low is not None and least < check.low:
        bad = pc.less(column, limit(column, check.low))
    if check.high is not None and most > check.high:
        above = pc.greater(column, limit(column, check.high))
        bad = above if bad is None else pc.or_(bad, above)
    return None if bad is None else pc.fill_null(bad, False)


def limit(column: pa.ChunkedArray, value: float) -> pa.Scalar:
    """A bound as the column's type: whole numbers beyond 2 ** 53 compare with no float."""
    return pa.scalar(int(value) if pa.types.is_integer(column.type) else value, column.type)


def foreign_values(check: Check, rows: pa.Table) -> pa.ChunkedArray | None:
    """Which rows hold a value that is none of those declared; None where none does."""
    column = rows.column(check.column)
    if set(pc.unique(column).to_pylist()) <= {None, *check.values}:
        return None
    return failing(pc.or_(pc.is_in(column, value_set=pa.array(check.values)), pc.is_null(column)))


def after_observed(check: Check, rows: pa.Table) -> pa.ChunkedArray | None:
    """Which rows bear a time after their observation."""
    return pc.fill_null(pc.greater(rows.column(check.column), rows.column("observed_at")), False)


def failing(good: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Where ``good`` is false; null (nothing to check) is not."""
    if pc.all(good).as_py() is not False:
        return None
    return pc.invert(pc.fill_null(good, True))


BAD: dict[str, Callable[[Any, pa.Table], Any]] = {
    "not_null": nulls,
    "pattern": out_of_pattern,
    "range": out_of_range,
    "one_of": foreign_values,
    "not_after_observed": after_observed,
}


def sort_rows(table: Table, rows: pa.Table) -> pa.Table:
    """The rows in the table's order, and those alike in the order in which they were said."""
    order = [(name, "ascending") for name in (*sort_columns(table), ORIGIN)]
    return rows.take(pc.sort_indices(rows, sort_keys=order))


def unique_rows(table: Table, rows: pa.Table, findings: Findings) -> pa.Table:
    """One row per key and time of observation, of rows that are sorted so that equal keys are neighbours.

    What says the same twice is one row; partial descriptions of one thing are put together; what contradicts an
    earlier row is rejected.
    """
    same = repeats_previous(table, rows)
    failures = 0
    if same is not None:
        rows, failures = settle_repeats(table, rows, same, findings)
    findings.note(table.name, "unique", "reject", rows.num_rows + failures, failures, "the same key said differently")
    findings.count(table.name, 0, failures)
    return rows


def repeats_previous(table: Table, rows: pa.Table) -> pa.Array | None:
    """For each row but the first: whether it has the key and time of the row before; None where none has."""
    same = None
    for name in identity(table):
        column = rows.column(name)
        equal = pc.equal(column.slice(1), column.slice(0, max(len(column) - 1, 0)))
        same = equal if same is None else pc.and_(same, equal)
    return same if same is not None and pc.any(same).as_py() else None


def identity(table: Table) -> tuple[str, ...]:
    """The columns that tell a table's observations apart."""
    timed = any(column.name == "observed_at" for column in table.physical_columns)
    return (*table.key, "observed_at") if timed else table.key


def settle_repeats(table: Table, rows: pa.Table, same: pa.Array, findings: Findings) -> tuple[pa.Table, int]:
    """Keep the first of rows that say the same, and reject those that contradict it."""
    flags = pa.concat_arrays([pa.array([False]), *pa.chunked_array(same).chunks])
    following = pa.concat_arrays([*pa.chunked_array(same).chunks, pa.array([False])])
    involved = pc.or_(flags, following)
    settled: list[dict[str, Any]] = []
    failures = 0
    key = identity(table)
    for row in rows.filter(involved).to_pylist():
        last = settled[-1] if settled else None
        if last is None or any(row[name] != last[name] for name in key):
            settled.append(row)
        elif contradicts(table, last, row):
            failures += 1
            findings.reject(rejection(table, "unique", "the answer said something else with the same key before", row))
        else:
            last.update({name: value for name, value in row.items() if last[name] is None})
    rest = rows.filter(pc.invert(involved))
    return sort_rows(table, pa.concat_tables([rest, pa.Table.from_pylist(settled, rows.schema)])), failures


def contradicts(table: Table, known: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two rows of one thing differ, but for what is said of it in passing only."""
    passing = {ORIGIN, *table.in_passing}
    return any(
        value is not None and known[name] is not None and value != known[name]
        for name, value in new.items()
        if name not in passing
    )


def report_misfits(table: Table, kept: int, misfits: Iterable[Misfit], findings: Findings) -> int:
    """Report cells that do not fit, and reject the rows of those that may not be null; answers how many those are."""
    unfit = 0
    for misfit in misfits:
        name = f"type:{misfit.column}"
        if table.column(misfit.column).nullable:
            findings.note(table.name, name, "warn", kept, 1, misfit.reason)
            continue
        unfit += 1
        findings.note(table.name, name, "reject", kept, 1, misfit.reason)
        findings.reject(Rejection(*Origin.unpack(misfit.origin), table.name, name, misfit.reason, ""))
    return unfit


def rejection(table: Table, check: str, why: str, row: dict[str, Any]) -> Rejection:
    """A row's rejection, with its content as JSON."""
    content = json.dumps({name: value for name, value in row.items() if name != ORIGIN}, default=str)
    return Rejection(*Origin.unpack(row[ORIGIN]), table.name, check, why, shortened(content.encode()))


def reason(check: Any, value: Any) -> str:
    """Why a value fails a check, in words."""
    shown = f"{check.column} {value!r:.200}"
    match check.kind:
        case "not_null":
            return f"{check.column} is missing"
        case "pattern":
            return f"{shown} does not match {check.pattern}"
        case "range":
            return f"{shown} is not between {bound(check.low)} and {bound(check.high)}"
        case "one_of":
            return f"{shown} is not one of {', '.join(check.values)}"
        case _:
            return f"{shown} is after its own observation"


def bound(value: float | None) -> str:
    """An end of a range as people read it."""
    return "any" if value is None else f"{value:g}"


def describe(check: Any, rows: pa.Table, bad: pa.ChunkedArray) -> str:
    """The first failure, in words."""
    first = pc.index(bad, True).as_py()
    return reason(check, rows.column(check.column)[first].as_py())
