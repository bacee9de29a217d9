"""What the transform of one raw object found: results of checks, rows that are not published, and how many there were.

Each part of a transform adds to the one :class:`Findings` of its object; what becomes of the object depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chalicelib.errors import CheckFailed
from chalicelib.tables import Severity

CONTENT_KEPT = 4096  # bytes of what is not published


@dataclass(frozen=True, slots=True)
class Misfit:
    """A cell that does not fit its column's type; its row is left out."""

    origin: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row or item that is not published. ``item`` is -1 for a whole answer."""

    answer: int
    item: int
    table_name: str
    check_name: str
    reason: str
    content: str


@dataclass(slots=True)
class Result:
    """What one check found in one raw object."""

    table_name: str
    check_name: str
    severity: Severity
    rows_checked: int = 0
    failures: int = 0
    detail: str | None = None

    def as_row(self) -> dict[str, Any]:
        """Its columns of ``quality_results``; each raw object has some sixty, for which asdict takes a millisecond."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Findings:
    """Results and rejections of one raw object, gathered over its windows."""

    results: dict[tuple[str, str], Result] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    rejected: int = 0
    rows: dict[str, int] = field(default_factory=dict)  # by table: rows met
    lost: dict[str, int] = field(default_factory=dict)  # by table: those of them that are not published

    def note(self, table: str, check: str, severity: Severity, rows: int, failures: int, detail: str = "") -> None:
        """Add to what a check found. Raises CheckFailed where one of severity ``fail`` found something."""
        result = self.results.setdefault((table, check), Result(table, check, severity))
        result.rows_checked += rows
        result.failures += failures
        if failures and detail and result.detail is None:
            result.detail = detail
        if failures and severity == "fail":
            raise CheckFailed(
                f"{table or 'answers'}: check {check} failed on {failures} of {rows} rows: {detail}", check=check
            )

    def reject(self, rejection: Rejection) -> None:
        self.rejections.append(rejection)
        self.rejected += 1

    def count(self, table: str, rows: int, lost: int) -> None:
        self.rows[table] = self.rows.get(table, 0) + rows
        self.lost[table] = self.lost.get(table, 0) + lost

    def take_rejections(self) -> list[Rejection]:
        """The rejections since the last call."""
        taken, self.rejections = self.rejections, []
        return taken

    def failures(self) -> dict[str, int]:
        """How many rows failed each check that some failed, by ``table.check``."""
        results = self.results.values()
        return {f"{each.table_name}.{each.check_name}": each.failures for each in results if each.failures}


def shortened(content: bytes) -> str:
    """At most 4 kB of ``content`` as text; what is no UTF-8 is marked."""
    text = content[:CONTENT_KEPT].decode("utf-8", "replace")
    return text.encode()[:CONTENT_KEPT].decode("utf-8", "ignore")
