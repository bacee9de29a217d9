"""Time zones as Trino knows them: by names of the IANA, as they are written there, or by what they are off from UTC.

The forms are those that a Trino 476 takes: of java.time's offsets (``+2``, ``+02``, ``+0200``, ``+02:00``, with zero
seconds too), of names with one behind them (``UTC+2``, ``GMT-03:30``), and of POSIX' ``Etc/GMT+3``, which is -03:00.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from zoneinfo import available_timezones

from chalicelib.queries.sql.suggestions import did_you_mean

UTC = "UTC"
NAMES_OF_UTC = {
    *("UTC", "UCT", "UT", "GMT", "GMT0", "Z", "Zulu", "Universal", "Greenwich"),
    *("Etc/UTC", "Etc/UCT", "Etc/UT", "Etc/GMT", "Etc/GMT0", "Etc/Universal"),
}
#: What Python's list has and Trino's has not.
NOT_TRINOS = {"EST", "HST", "MST", "ROC", "Etc/Greenwich", "Etc/Zulu", "Factory", "localtime"}
OFFSET = re.compile(r"([+-])(?:([0-9])|([0-9]{2})(?::?([0-9]{2})(?::?00)?)?)")
BEHIND_A_NAME = re.compile(r"(?:Etc/)?(UTC|UT|GMT)([+-])([0-9]{1,2})(?::([0-9]{2}))?")
MOST = 14 * 60  # minutes


@lru_cache(1_000)
def zone_key(written: str) -> str:
    """The zone's name or its offset as ``+02:00``; empty where there is no such zone."""
    if written in NAMES_OF_UTC:
        return UTC
    if found := OFFSET.fullmatch(written):
        return offset(found[1], found[2] or found[3], found[4])
    if found := BEHIND_A_NAME.fullmatch(written):
        turned = written.startswith("Etc/GMT")
        return offset("-" if (found[2] == "-") != turned else "+", found[3], found[4])
    return written if written in names() else ""


def offset(sign: str, hours: str, minutes: str | None) -> str:
    """``+02:00``, or UTC; empty for one that is too large."""
    total = int(hours) * 60 + int(minutes or 0)
    if total > MOST or int(minutes or 0) > 59:
        return ""
    return f"{sign}{total // 60:02}:{total % 60:02}" if total else UTC


def nearest(written: str) -> str:
    """What to add to the refusal of a zone."""
    small = {name.lower(): name for name in names() if name[:1].lower() == written[:1].lower()}
    found = did_you_mean(written.lower(), list(small))
    return re.sub(r"mean (\S+)\?", lambda match: f"mean {small[match[1]]}?", found)


@cache
def names() -> frozenset[str]:
    """Every zone's name but those of UTC that Python has not."""
    return frozenset(available_timezones() - NOT_TRINOS | {UTC})
