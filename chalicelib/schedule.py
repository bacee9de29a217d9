"""When an EventBridge schedule fires next: ``rate(…)`` and ``cron(…)``, UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from chalicelib.errors import InvalidSetting


def at_most_daily(expression: str) -> str:
    """When to look after the lake: as often as it is filled, but at least once a day."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour)s?\)", expression)
    often = rate is not None and timedelta(**{f"{rate[2]}s": int(rate[1])}) < timedelta(days=1)
    return expression if often else "rate(1 day)"


def next_time(expression: str, after: datetime) -> datetime:
    """The first firing after ``after``. Raises InvalidSetting for an expression EventBridge would not take."""
    rate = re.fullmatch(r"rate\(([1-9]\d*) (minute|hour|day)s?\)", expression)
    if rate:
        return after + timedelta(**{f"{rate[2]}s": int(rate[1])})
    fields = expression.removeprefix("cron(").removesuffix(")")
    days, weekdays = (fields.split(" ") + [""] * 6)[2:5:2]
    if (days == "?") == (weekdays == "?"):
        raise InvalidSetting(f"EXTRACT_SCHEDULE={expression!r}: one of day and weekday must be ?, the other not")
    return next_cron(expression, fields, after)


def next_cron(expression: str, fields: str, after: datetime) -> datetime:
    """The next time after ``after`` at which an EventBridge cron expression fires. Raises InvalidSetting."""
    from pyawscron import AWSCron

    try:
        moment = AWSCron(fields).occurrence(after).next()
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise InvalidSetting(f"EXTRACT_SCHEDULE={expression!r} is not a cron expression: {error}") from error
    if not isinstance(moment, datetime):
        raise InvalidSetting(f"EXTRACT_SCHEDULE={expression!r} never fires again")
    return moment
