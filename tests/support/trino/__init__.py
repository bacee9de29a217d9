"""A real Trino, which Athena's engine version 3 is made from: the judge of what the lake's SQL must answer.

``make trino`` brings it from Maven Central into build/trino. ``shared()`` is the one server of all test processes: the
first to ask starts it, and it ends with the last of them. By hand ``python -m tests.support.trino "SELECT 1"`` asks it,
and ``python -m tests.support.trino --keep`` lets it run until Ctrl-C, so that short test runs need not start it.
"""

from __future__ import annotations

from tests.support.trino.client import Answer, Column, Double, Session, TrinoFailed, advance, ask, cancel, start
from tests.support.trino.server import Server, TrinoAbsent, absence, needed, shared

__all__ = [
    "Answer",
    "Column",
    "Double",
    "Server",
    "Session",
    "TrinoAbsent",
    "TrinoFailed",
    "absence",
    "advance",
    "ask",
    "cancel",
    "needed",
    "shared",
    "start",
]
