"""Periods of a listener's days: what ``4w``, ``2025-03`` or ``all`` spans."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

PERIOD_BOUNDS = ("from", "to", "previous_from")
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2200, 1, 1)  # what "all" spans


def bounds(period: str, first_day: Any, last_day: Any, zone: ZoneInfo, today: date) -> dict[str, str]:
    """``from``, ``to`` (excluded) and ``previous_from`` as UTC timestamps without a zone.

    ``first_day`` and ``last_day`` (included), where given, replace those of ``period``. ValueError says what is wrong.
    """
    first, after = period_days(period, today)
    first = date_in(first_day) if first_day else first
    after = date_in(last_day) + timedelta(days=1) if last_day else after
    if first >= after:
        raise ValueError(f"from {first} is after to {after - timedelta(days=1)}")
    before = max(first - (after - first), FIRST_DAY)
    return {
        name: datetime.combine(day, time(), zone).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        for name, day in zip(PERIOD_BOUNDS, (first, after, before), strict=True)
    }


def period_days(text: str, today: date) -> tuple[date, date]:
    """First day of a period and the day after its last."""
    if text == "all":
        return FIRST_DAY, LAST_DAY
    after = today + timedelta(days=1)
    if match := re.fullmatch(r"([1-9]\d{0,3})([dwmy])", text):
        count, unit = int(match[1]), match[2]
        if unit in "dw":
            return max(after - timedelta(days=count * (7 if unit == "w" else 1)), FIRST_DAY), after
        return max(months_before(after, count * (12 if unit == "y" else 1)), FIRST_DAY), after
    if match := re.fullmatch(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", text):
        first = date_in("-".join(part or "01" for part in match.groups()))
        if match[3]:
            return first, first + timedelta(days=1)
        return first, months_before(first, -1 if match[2] else -12)
    raise ValueError(f"{text!r} is not a period such as 7d, 4w, 6m, 1y, 2025, 2025-03 or all")


def months_before(day: date, count: int) -> date:
    """The same day ``count`` months earlier, or that month's last day."""
    months = day.year * 12 + day.month - 1 - count
    if months < 12:
        return date.min
    first = date(months // 12, months % 12 + 1, 1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first.replace(day=min(day.day, (following - first).days))


def date_in(text: Any) -> date:
    """A date from 1970 to 2200; ValueError for anything else."""
    try:
        day = date.fromisoformat(str(text).strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a date such as 2025-03-14") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"{day} is not from {FIRST_DAY} to {LAST_DAY}")
    return day
