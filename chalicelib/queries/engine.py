"""What a query engine and its catalogue must do; ``queries/embedded/engine.py`` and ``queries/athena/engine.py`` do it.

SQL is Athena's dialect (engine version 3, Trino) on both. Queries are asynchronous everywhere: start one, look at
its state, page through its rows. One contract test suite runs against both engines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from chalicelib.errors import LakeError, QueryFailed, StorageFailed


class QueryState(StrEnum):
    """Where a query stands; those that have ended stay as they are."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (QueryState.SUCCEEDED, QueryState.FAILED, QueryState.CANCELLED)


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result, with Athena's name of its type."""

    name: str
    type: str  # Athena's name: varchar, bigint, timestamp(3), array(varchar)…


@dataclass(frozen=True, slots=True)
class Query:
    """One query as ``GET /queries/{id}`` shows it. Times are UTC; ``cost_usd`` is 0 on the embedded engine; ``client``
    is who asked: a token's id, or what a command calls itself."""

    query_id: str
    sql: str
    state: QueryState
    submitted_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    bytes_scanned: int | None = None
    cost_usd: float | None = None
    rows: int | None = None
    columns: tuple[ResultColumn, ...] = ()
    truncated: bool = False
    reused: bool = False
    error: dict[str, Any] | None = None  # {"code", "message", "details": {"position": {"line", "column"}}}
    client: str = ""


def failure_of(query: Query, about: str = "") -> LakeError:
    """What a query without rows ended with: StorageFailed where the disk was at fault and not the query, else
    QueryFailed. ``about`` comes before its message."""
    error = query.error or {"message": f"the query was {query.state}"}
    kind = StorageFailed if error.get("code") == StorageFailed.code else QueryFailed
    details = {**error.get("details", {}), "query_id": query.query_id}
    return kind(f"{about}{error['message']}", **details)


@dataclass(frozen=True, slots=True)
class RowPage:
    """A page of typed Python values, one tuple a row."""

    columns: tuple[ResultColumn, ...]
    rows: list[tuple[Any, ...]]
    next_page_token: str | None = None
    truncated: bool = False


@runtime_checkable
class Chunks(Protocol):
    """A file that is still being written, in pieces; an empty one says that it has not grown for a moment. ``close``
    says that nobody waits for it any more."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Download:
    """A whole result: a local file, a link that works until ``expires_at``, or a file that is still being written.

    ``chunks`` is the latter, as it comes: close it when it is no longer wanted. What it raises after its first bytes
    means that the file will not become whole.
    """

    content_type: str
    filename: str
    path: Path | None = None
    link: str | None = None
    expires_at: datetime | None = None
    chunks: Chunks | None = None


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table, as the catalogue tells it."""

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueTable:
    """A table as ``GET /tables/{name}`` shows it; ``partitions`` is filled for one table, not in the listing."""

    name: str
    description: str
    columns: tuple[TableColumn, ...]
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    partitions: tuple[dict[str, Any], ...] = ()  # {"month", "rows", "bytes", "files"}
    newest: datetime | None = None  # newest write of a file: the table's freshness


class CrawlState(StrEnum):
    """Where a crawl stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl. ``changes`` names what the crawl changed: {"change": "table_added", "table": …, …}."""

    crawl_id: str
    state: CrawlState
    started_at: datetime
    ended_at: datetime | None = None
    changes: tuple[dict[str, Any], ...] = field(default=())
    error: str | None = None


class Engine(Protocol):
    """Errors: NotFound for an unknown query or table, QueryRefused, QueryFailed, CrawlInProgress, EngineBusy."""

    def start_crawl(self) -> Crawl: ...

    def latest_crawl(self) -> Crawl | None: ...

    def tables(self) -> list[CatalogueTable]: ...

    def table(self, name: str) -> CatalogueTable: ...

    def check(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[ResultColumn, ...]:
        """The columns that a statement would answer. Raises QueryRefused for one that may not run."""

    def start_query(
        self, sql: str, parameters: Sequence[Any] = (), *, client: str = "", max_rows: int | None = None
    ) -> Query:
        """Check ``sql`` with the guard, then queue it. ``client`` is who asks: limits are per client."""

    def query(self, query_id: str) -> Query: ...

    def queries(
        self, limit: int = 50, page_token: str | None = None, *, client: str | None = None
    ) -> tuple[list[Query], str | None]:
        """Newest first, and the next page's token. Those of one ``client`` alone, or everybody's; a page of one
        client's may hold fewer than ``limit`` while there are more."""

    def rows(self, query_id: str, limit: int = 1000, page_token: str | None = None) -> RowPage: ...

    def all_rows(self, query_id: str, *, bounded: bool = False) -> Iterator[RowPage]:
        """The whole result, a page at a time, in constant memory but for what one row holds; ``bounded`` raises
        QueryFailed for a row that a page could not hold."""

    def download(self, query_id: str, format: str, *, client: str = "") -> Download:
        """``format`` is ``csv`` or ``parquet``. Raises QueryFailed where a file of that format would be too large."""

    def cancel(self, query_id: str) -> Query: ...

    def wait(self, query_id: str, seconds: float) -> Query:
        """The query when it has ended, or as it is after ``seconds``."""

    def publish(self, generation: str) -> None:
        """Answer from another generation of the tables from now on."""

    def close(self) -> None: ...


@runtime_checkable
class Examining(Protocol):
    """An engine whose tables' files may be damaged by who has the disk."""

    def damaged_files(self, *, thorough: bool = False) -> dict[str, str]:
        """Key and fault of each damaged or lost file of the tables in force; ``thorough`` reads all that they hold."""


@runtime_checkable
class Warming(Protocol):
    """An engine whose first query takes longer than the next, unless it is told what will be asked for."""

    def warm_up(self, tables: Sequence[str]) -> None:
        """Get ready, in the background, to read ``tables``."""
