"""What the overview must show, worked out from the rows that the command line answers. English as in ``en-GB``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
MIDNIGHT = "T00:00:00.000"  # of the listener's clock
MOMENT = r"\d{4}-\d\d-\d\dT[\d:.]+Z?"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure's title, its value and the words below it."""

    title: str
    value: str
    change: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """One row of a ranked list; ``climb`` is empty where there is nothing to compare with."""

    place: str
    climb: str
    name: str
    by: str
    much: str
    more: str


# --- figures ------------------------------------------------------------------------------------------------------


def figures(totals: Row, *, comparable: bool) -> list[Figure]:
    shown = (("Plays", "plays", whole), ("Listening time", "hours", hours),
             ("Artists", "artists", whole), ("New artists", "new_artists", whole))  # fmt: skip
    return [
        Figure(
            title,
            words(totals[name]),
            change(totals[name], totals[f"{name}_before"], words) if comparable else "over all time",
        )
        for title, name, words in shown
    ]


def change(now: float, before: float, words: Any) -> str:
    if not before:
        return "none in the period before" if now else "as in the period before"
    part = (now - before) / before
    if abs(part) < 0.005:
        return "as in the period before"
    arrow = "▲ up" if part > 0 else "▼ down"
    return f"{arrow} {rounded(Decimal(str(abs(part))) * 100, 0):,}% against {words(before)} before"


# --- ranked lists -------------------------------------------------------------------------------------------------


def ranked(rows: Sequence[Row], name: str, by: str | None, *, comparable: bool) -> list[Ranked]:
    return [
        Ranked(
            place=whole(row["place"]),
            climb=climb(row) if comparable else "",
            name=row[name],
            by=row[by] if by else "",
            much=whole(row["plays"]),
            more=minutes(row["minutes"]),
        )
        for row in rows
    ]


def shares(rows: Sequence[Row]) -> list[float]:
    """How long the bar below each name is, of the longest."""
    return [row["plays"] / max(row["plays"] for row in rows) for row in rows]


def climb(row: Row) -> str:
    if row["place_before"] is None:
        return "new"
    if row["climbed"] == 0:
        return "="
    return f"{'▲up' if row['climbed'] > 0 else '▼down'} {whole(abs(row['climbed']))}"


# --- charts -------------------------------------------------------------------------------------------------------


def steps(
    rows: Sequence[Row], grain: str, *, by: str = "start", days: Sequence[date] = ()
) -> list[tuple[str, Row | None]]:
    """Every day, week or month from the first to the last, and of the whole period of ``days``.

    Those between others hold the row ``{}`` where nothing was heard, those before and after them None.
    """
    known = {str(row[by])[:10]: row for row in rows}
    ends = [date.fromisoformat(min(known)), date.fromisoformat(max(known))]
    at, last = (choose([*ends, *(start_of(day, grain) for day in days)]) for choose in (min, max))
    found = []
    while at <= last:
        found.append((at.isoformat(), known.get(at.isoformat(), {} if ends[0] < at < ends[1] else None)))
        at = following(at, grain)
    return found


def of_steps(steps: Sequence[tuple[str, Row | None]], name: str, share: float = 1) -> list[float | None]:
    """What the chart draws of a column."""
    return [None if row is None else row.get(name, 0) * share for _, row in steps]


def days_of(values: Row, today: date) -> list[date]:
    """The first and the last day of the period that a report was asked for, up to today; none of all time."""
    zone = ZoneInfo(values["timezone"])
    first, end = (datetime.fromisoformat(f"{values[name]}+00:00") for name in ("from", "to"))
    if first.year < 2000:
        return []
    return [first.astimezone(zone).date(), min(today, (end - timedelta(seconds=1)).astimezone(zone).date())]


def start_of(day: date, grain: str) -> date:
    """The first day of the day, week (from Monday) or month."""
    if grain == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday() if grain == "week" else 0)


def following(at: date, grain: str) -> date:
    if grain == "month":
        return date(at.year + at.month // 12, at.month % 12 + 1, 1)
    return at + timedelta(days=7 if grain == "week" else 1)


def cells(rows: Sequence[Row]) -> list[tuple[int, int, int]]:
    """The heat map: hour, weekday from 0, plays; all 168, row by row."""
    known = {(row["hour"], row["weekday"] - 1): row["plays"] for row in rows}
    return [(hour, weekday, known.get((hour, weekday), 0)) for weekday in range(7) for hour in range(24)]


def table(rows: Sequence[Row]) -> list[list[str]]:
    """A data table's cells, as far as it goes; a column of nothing but midnights shows days."""
    days = {name for name in rows[0] if all(str(row[name])[10:] == MIDNIGHT for row in rows)}
    return [[cell(value, day=name in days) for name, value in row.items()] for row in rows[:500]]


def cell(value: Any, *, day: bool) -> str:
    if value is None:
        return "–"
    if re.fullmatch(MOMENT, str(value)):
        return str(value)[: 10 if day else 19].replace("T", " ")
    return number(value) if isinstance(value, int | float) else str(value)


def years(listeners: Sequence[Row]) -> list[str]:
    """The years that can be chosen, newest first."""
    first = min(str(each["first_listen"]) for each in listeners)[:4]
    last = max(str(each["last_listen"]) for each in listeners)[:4]
    return [str(year) for year in range(int(last), int(first) - 1, -1)]


# --- numbers ------------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Whole, or to six significant digits."""
    exact = Decimal(str(value))
    if exact == exact.to_integral_value() or abs(value) >= 10_000:
        return whole(value)
    kept = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 5), ROUND_HALF_UP)
    return plain(kept)


def whole(value: float) -> str:
    return f"{rounded(value, 0):,}"


def hours(value: float) -> str:
    return f"{plain(rounded(value, 1)) if abs(value) < 100 else whole(value)} h"


def minutes(value: float) -> str:
    if value >= 60:
        return hours(value / 60)
    seconds = value * 60
    if rounded(seconds, 0) < 60:
        return f"{plain(rounded(seconds, 1))} s" if 0 < seconds < 10 else f"{rounded(seconds, 0)} s"
    return f"{int(rounded(seconds, 0)) // 60} min"


def duration(seconds: float) -> str:
    """A length: hours and minutes, minutes and seconds, or seconds."""
    whole_seconds = int(rounded(seconds, 0))
    if whole_seconds < 60:
        return f"{plain(rounded(seconds, 1))} s" if 0 < seconds < 10 else f"{whole_seconds} s"
    if whole_seconds < 3600:
        return f"{whole_seconds // 60} min {whole_seconds % 60:02} s"
    return f"{whole_seconds // 3600} h {rounded(whole_seconds % 3600 / 60, 0)} min"


def rounded(value: float | Decimal, places: int) -> Decimal:
    """Half away from zero, of the number as it is written shortest: what browsers do."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def plain(value: Decimal) -> str:
    """Grouped, without zeros at its end."""
    text = f"{value:,}"
    return text.rstrip("0").rstrip(".") if "." in text else text
