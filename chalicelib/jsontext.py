"""JSON as Spotify and what stands between really send it: one reader for those who ask and those who make tables.

What is strictly JSON in UTF-8 is read by msgspec. What is nearly that is read too, by Python's own reader, so that one
odd character costs no page of a library: UTF-16 and byte order marks, bytes that are no UTF-8 and halves of UTF-16
pairs (as U+FFFD), NaN and numbers that no computer word holds (as null). Of a name that stands twice the last counts.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec


def read_json(body: bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return read_leniently(body)


def repaired(body: bytes) -> bytes:
    """The same text as strict JSON in UTF-8; ``body`` itself where it is that. Raises ValueError for what is none."""
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode(read_leniently(body))
    return body


def read_leniently(body: bytes) -> Any:
    """JSON as Python's own reader takes it, bytes that are no text replaced. Raises ValueError."""
    try:
        return cleaned(json.loads(body.decode(json.detect_encoding(body), "replace")))
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def cleaned(value: Any) -> Any:
    """A value without what strict JSON in UTF-8 cannot say."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {cleaned(name): cleaned(each) for name, each in value.items()}
    if isinstance(value, list):
        return [cleaned(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return None
    return value
