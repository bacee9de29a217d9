"""Parameters of reports: how a file declares them, and values read as they declare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chalicelib.reports.periods import FIRST_DAY, period_days
from chalicelib.tables import PLAY_SECONDS

LONGEST_TEXT = 500  # characters of one parameter value
TYPES = ("period", "timezone", "user", "integer", "choice", "text")
HELP = {
    "period": "7d, 4w, 6m, 1y (up to today), 2025, 2025-03, 2025-03-14 or all; or give from and to",
    "timezone": "IANA time zone whose days and hours count, such as Europe/Berlin",
    "user": "Listener; empty for everybody",
}
#: Parameters that mean the same in every report; a file need not say more than their type.
SHARED: dict[str, dict[str, Any]] = {
    "min_seconds": {
        "default": PLAY_SECONDS,
        "least": 0,
        "most": 3600,
        "help": f"Seconds that make a play; {PLAY_SECONDS} as Spotify counts, 0 for every start",
    }
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a report. ``least`` and ``most`` bound an integer; ``values`` are a choice's."""

    name: str
    type: str
    default: str | int
    help: str = ""
    least: int | None = None
    most: int | None = None
    values: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As ``GET /reports`` lists it."""
        shown: dict[str, Any] = {"name": self.name, "type": self.type, "default": self.default, "help": self.help}
        if self.type == "integer":
            shown |= {"least": self.least, "most": self.most}
        if self.values:
            shown["values"] = list(self.values)
        return shown


def read_value(parameter: Parameter, value: Any) -> str | int:
    """The value in its parameter's type; ValueError says what it must be."""
    text = str(value).strip()
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"is longer than {LONGEST_TEXT} characters")
    if parameter.type == "integer":
        return whole_number(parameter, text)
    if parameter.type == "choice" and text not in parameter.values:
        raise ValueError(f"{text!r} is not one of {', '.join(parameter.values)}")
    if parameter.type == "timezone":
        return time_zone(text).key
    if parameter.type == "period":
        period_days(text, FIRST_DAY)
    return text


def whole_number(parameter: Parameter, text: str) -> int:
    """A whole number within the parameter's bounds. Raises ValueError."""
    least = -(10**18) if parameter.least is None else parameter.least
    most = 10**18 if parameter.most is None else parameter.most
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ValueError(f"{text!r} is not a whole number")
    number = int(text)
    if not least <= number <= most:
        raise ValueError(f"{number} is not from {least} to {most}")
    return number


def time_zone(text: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ValueError."""
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not an IANA time zone such as Europe/Berlin") from None


def read_parameter(name: str, said: Any) -> Parameter:
    """A parameter as a header declares it. Raises ValueError."""
    if not isinstance(said, dict) or said.get("type") not in TYPES:
        raise ValueError(f"parameter {name} needs a type: one of {', '.join(TYPES)}")
    kind = said["type"]
    if kind in ("period", "timezone") and name != kind:
        raise ValueError(f"parameter {name} of type {kind} must be named {kind}")
    said = {**SHARED.get(name, {}), **said}
    require_plain(f"parameter {name}", said)
    try:
        parameter = Parameter(
            name=name,
            type=kind,
            default=said.get("default", "UTC" if kind == "timezone" else ""),
            help=said.get("help", HELP.get(kind, "")),
            least=said.get("least"),
            most=said.get("most"),
            values=tuple(said.get("values", ())),
        )
        read_value(parameter, parameter.default)
    except (ValueError, TypeError) as error:
        raise ValueError(f"parameter {name}: its default {error}") from None
    return parameter


def require_plain(what: str, said: Mapping[str, Any]) -> None:
    """Texts, whole numbers and lists of texts: TOML's dates and NaN have no place in JSON."""
    for name, value in said.items():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) or (type(each) is int and each is value) for each in texts):
            raise ValueError(f"{what}: {name} must be a text or a whole number, or a list of texts")
