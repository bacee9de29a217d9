"""What was judged of statements before: the same statement again need not wait for a judge.

A statement whose translation serves any values is known by the types of its parameters, any other by their values.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from chalicelib.queries.embedded.tasks import Verdict

REMEMBERED = 8_000_000  # bytes of statements and their translations
PLAIN = (str, bool, float, type(None))
Key = tuple[str, str]


class Verdicts:
    """The statements judged last. Safe for threads."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._held = 0
        self._verdicts: OrderedDict[Key, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, sql: str, parameters: Sequence[Any]) -> Verdict | None:
        """What was judged of this statement with these parameters, or with others that it makes no difference to."""
        with self._lock:
            for key in (of_any_values(sql, parameters), of_these_values(sql, parameters)):
                if found := self._verdicts.get(key):
                    self._verdicts.move_to_end(key)
                    return found
        return None

    def keep(self, sql: str, parameters: Sequence[Any], verdict: Verdict) -> None:
        """Remember a verdict, and forget the oldest ones that there is no room for."""
        key = (of_any_values if verdict.any_values else of_these_values)(sql, parameters)
        with self._lock:
            if key not in self._verdicts:
                self._held += size(key, verdict)
                self._verdicts[key] = verdict
            while self._held > self._most:
                self._held -= size(*self._verdicts.popitem(last=False))


def size(key: Key, verdict: Verdict) -> int:
    """About how many bytes a verdict holds."""
    return len(verdict.statement) + 2 * sum(map(len, key)) + 1_000


def of_any_values(sql: str, parameters: Sequence[Any]) -> Key:
    """Names a statement and the types of its parameters, of which a number's is its size too."""
    return sql, f"types {[kind(value) for value in parameters]}"


def of_these_values(sql: str, parameters: Sequence[Any]) -> Key:
    """Names a statement and its parameters."""
    return sql, f"values {list(parameters)!r}"


def kind(value: Any) -> str:
    """What decides of the type that a parameter has in SQL: its Python type, or more where that does not say all."""
    if type(value) in PLAIN:
        return type(value).__name__
    if type(value) is int and abs(value) < 2**63:
        return "integer" if abs(value) < 2**31 else "bigint"
    return repr(value)
