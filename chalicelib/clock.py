"""Time as the lake writes it: UTC, RFC 3339, and a clock that can be handed in."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
Sleep = Callable[[float], None]

THIS_CLOCK = "this machine's clock"  # how a warning about it begins
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """``2026-11-20T10:15:30.123Z``: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """The moment an RFC 3339 text names, in UTC; ValueError when it names none."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return moment.astimezone(UTC)


def parse_moment(text: str | None) -> datetime | None:
    """As :func:`parse_rfc3339`; None where there is no text."""
    return parse_rfc3339(text) if text else None


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970, without the rounding of ``timestamp()``."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def parse_duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``1h``, ``7d`` or ``2w``; ValueError for anything else."""
    match = re.fullmatch(r"(\d{1,5})([smhdw])", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 15m, 1h or 7d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def spell_duration(span: timedelta) -> str:
    """A duration in the largest unit that holds it whole: ``30d``."""
    seconds = int(span.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % SECONDS[unit] == 0)
    return f"{seconds // SECONDS[unit]}{unit}"
