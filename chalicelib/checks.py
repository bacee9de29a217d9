"""Validators of what a person may write in a setting or in sources.toml: each takes a value and answers it parsed.

A value that is not allowed is a ValueError whose words go on after the value: ``must be one of a, b``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from chalicelib.clock import parse_duration

Validator = Callable[[Any], Any]

SIZES = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def one_of(*choices: str) -> Validator:
    """One of a few words."""

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return check


def some_of(*choices: str) -> Validator:
    """A list of at least one of a few words."""

    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or not value or any(item not in choices for item in value):
            raise ValueError(f"must be a list of {', '.join(choices)}")
        return value

    return check


def number(least: float, most: float) -> Validator:
    """A number, or a text that is one."""

    def check(value: Any) -> float:
        with suppress(ValueError, TypeError):
            if not isinstance(value, bool) and least <= (found := float(value)) <= most:
                return found
        raise ValueError(f"must be a number from {least:g} to {most:g}")

    return check


def whole(least: int, most: int) -> Validator:
    """A whole number, or a text that is one."""

    def check(value: Any) -> int:
        with suppress(ValueError):
            if isinstance(value, (int, str)) and not isinstance(value, bool) and least <= (found := int(value)) <= most:
                return found
        raise ValueError(f"must be a whole number from {least} to {most}")

    return check


def switch(text: str) -> bool:
    """``true`` or ``false``, in any of the usual words."""
    try:
        return SWITCHES[text.lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def words(value: Any) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text")
    return value


def duration(value: Any) -> timedelta:
    """``90s``, ``15m``, ``1h``, ``7d`` or ``2w``, of at least a second."""
    try:
        span = parse_duration(value)
    except (ValueError, AttributeError):
        raise ValueError("must be a duration such as 15m, 1h or 30d") from None
    if span < timedelta(seconds=1):
        raise ValueError("must be at least 1s")
    return span


def size(text: str) -> int:
    """``1GB`` or ``512MiB`` in bytes."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([KMG]I?B)?", text.strip().upper())
    if not match:
        raise ValueError("must be a size such as 512MB or 1GB")
    return int(float(match[1]) * SIZES[match[2] or ""])


def spell_size(count: int) -> str:
    """A size as a person writes it: ``1GB``."""
    unit = next(unit for unit in ("GB", "MB", "KB", "") if count % SIZES[unit] == 0)
    return f"{count // SIZES[unit]}{unit}"
