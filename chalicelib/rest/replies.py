"""What the endpoints answer, each a class: ``openapi.py`` describes it, ``messages.py`` writes it as JSON.

Where an endpoint answers a record as it is (a query, a table, a crawl), the record's own class stands in routes.py.
The classes have no comparison and no text of their own: nothing asks for them, and generating both for each class would
take a tenth of what a cold start of the API imports (``python -m bench.coldstart``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

from chalicelib.clock import rfc3339
from chalicelib.exports.announced import ImportState
from chalicelib.quarantine import Quarantined, Reason
from chalicelib.queries.engine import CatalogueTable, Query, ResultColumn, TableColumn
from chalicelib.runs import RunRecord, SourceRecord, plays_are_complete

T = TypeVar("T")
NEXT = {"description": "Give it as page_token to get the next page; null on the last one"}
NOTES = {"description": "What was noticed and is usual, such as entries of playlists that Spotify says nothing of"}
CUT = {"description": "The result was cut at a limit of rows or bytes"}


@dataclass(eq=False, repr=False)
class HealthReport:
    """Alive, and what the owner should know before it is too late."""

    status: Literal["ok"]
    version: str
    engine: Literal["embedded", "athena"]
    command: str = field(metadata={"description": "What a person types before a command's name to be at this lake"})
    warnings: list[str]


@dataclass(eq=False, repr=False)
class BrowserSession:
    """A browser's token. ``token`` itself is only in the answer that makes it."""

    token_id: str
    scope: str
    expires_at: str | None
    token: str | None = None


@dataclass(eq=False, repr=False)
class SignedIn:
    """What a token may: read, run, or see the pages and reports of one ``listener`` (an id, with the name)."""

    scope: str
    listener: str | None
    name: str | None


@dataclass(eq=False, repr=False)
class Deleted:
    """What was deleted or taken back."""

    deleted: str


# --- runs ---------------------------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class ListedSource:
    """One source in one run, without the keys of its raw objects."""

    source: str
    user_id: str | None
    state: str
    calls: int
    items: int
    new_items: int
    retries: int
    bytes: int
    waited_seconds: float
    not_before: str | None
    left: str | None
    error: dict[str, Any] | None


@dataclass(eq=False, repr=False)
class ListedRun:
    """One extraction run. Times are RFC 3339 UTC."""

    run_id: str
    state: str
    trigger: str
    started_at: str
    ended_at: str | None
    mode: str | None
    calls: int
    calls_by_endpoint: dict[str, int]
    items: int
    retries: int
    bytes: int
    waited_seconds: float
    sources: list[ListedSource]
    holes: list[dict[str, Any]]
    warnings: list[str]
    notes: list[str] = field(metadata=NOTES)
    authorizations: list[dict[str, Any]]
    error: dict[str, Any] | None
    complete_at: str | None = field(
        metadata={"description": "When scheduled runs will have fetched what is left; null where nothing is"}
    )
    plays_are_complete: bool = field(metadata={"description": "Every play that Spotify showed was read"})

    @classmethod
    def of(cls, record: RunRecord, complete_at: datetime | None = None) -> ListedRun:
        """As ``GET /runs`` lists a run."""
        return cls(
            **{name: getattr(record, name) for name in (each.name for each in fields(RunRecord)) if name != "sources"},
            sources=[of(ListedSource, each) for each in record.sources],
            complete_at=rfc3339(complete_at) if complete_at else None,
            plays_are_complete=plays_are_complete(record),
        )


@dataclass(eq=False, repr=False)
class RunList:
    """A page of runs."""

    runs: list[ListedRun]
    next_page_token: str | None = field(metadata=NEXT)


@dataclass(eq=False, repr=False)
class RunDetail:
    """One extraction run, with what became of its raw objects. One that has not begun has no more than its start."""

    run_id: str
    state: str
    trigger: str
    started_at: str
    ended_at: str | None = None
    mode: str | None = None
    calls: int = 0
    calls_by_endpoint: dict[str, int] = field(default_factory=dict)
    items: int = 0
    retries: int = 0
    bytes: int = 0
    waited_seconds: float = 0.0
    sources: list[SourceRecord] = field(default_factory=list)
    holes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list, metadata=NOTES)
    authorizations: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    to_transform: list[str] = field(
        default_factory=list, metadata={"description": "Raw keys that are not in the tables yet"}
    )
    quarantined: list[Reason] = field(
        default_factory=list, metadata={"description": "Raw objects that cannot be published, and why"}
    )


@dataclass(eq=False, repr=False)
class QuarantineList:
    """A page of what lies in quarantine."""

    objects: list[Quarantined]
    next_page_token: str | None = field(metadata=NEXT)


# --- catalogue and queries ----------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class ListedTable:
    """A table of the catalogue; its own page lists its partitions too."""

    name: str
    description: str
    columns: list[TableColumn]
    rows: int | None
    bytes: int | None
    files: int | None
    newest: str | None


@dataclass(eq=False, repr=False)
class TableList:
    """The catalogue."""

    tables: list[ListedTable]

    @classmethod
    def of(cls, tables: list[CatalogueTable]) -> TableList:
        """As ``GET /tables`` lists them."""
        return cls([of(ListedTable, table) for table in tables])


@dataclass(eq=False, repr=False)
class QueryList:
    """A page of queries."""

    queries: list[Query]
    next_page_token: str | None = field(metadata=NEXT)


@dataclass(eq=False, repr=False)
class Rows:
    """A page of a result: one list a row, one value a column."""

    columns: list[ResultColumn]
    rows: list[list[Any]]
    next_page_token: str | None = field(metadata=NEXT)
    truncated: bool = field(metadata=CUT)


@dataclass(eq=False, repr=False)
class QueryRows:
    """A query that has ended, with the first page of its rows; `GET /queries/{query_id}/rows` has the next."""

    query: Query
    columns: list[ResultColumn]
    rows: list[list[Any]]
    next_page_token: str | None = field(metadata=NEXT)
    truncated: bool = field(metadata=CUT)


# --- reports ------------------------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class ListedReport:
    """A report, with what it takes and how it may be drawn."""

    name: str
    title: str
    description: str
    question: str | None
    chart: dict[str, Any]
    built_in: bool
    fault: str | None = field(metadata={"description": "Why a report of your own cannot be run"})
    parameters: list[dict[str, Any]]


@dataclass(eq=False, repr=False)
class ReportList:
    """The reports there are."""

    reports: list[ListedReport]
    questions: list[str]  # those that reports answer, in the order in which they are shown


@dataclass(eq=False, repr=False)
class ReportRows:
    """A report's rows, the values its parameters came to, and the SQL that was run."""

    report: ListedReport
    values: dict[str, Any]
    sql: str
    query_id: str
    columns: list[ResultColumn]
    rows: list[list[Any]]
    next_page_token: str | None = field(metadata=NEXT)
    truncated: bool = field(metadata=CUT)


# --- listeners ----------------------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class ListenerShown:
    """A listener: ``user_id`` is what plays bear and reports take as ``user``, ``ids`` every id that means them.

    ``may_be`` are user ids of listeners known from imports alone who may be the same person.
    """

    user_id: str
    name: str
    ids: list[str]
    display_name: str | None
    image_url: str | None
    spotify_user_ids: list[str]
    account_id: str | None
    known_since: str | None
    has_logged_in: bool
    authorized_at: str | None
    authorization_ends_at: str | None
    may_be: list[str]


@dataclass(eq=False, repr=False)
class ListenerList:
    """Listeners, by name."""

    listeners: list[ListenerShown]


@dataclass(eq=False, repr=False)
class ShownInvitation:
    """An open invitation; ``url`` is its link, in the answer that makes it alone."""

    invitation_id: str
    name: str
    listener: str | None
    created_at: str
    expires_at: str
    url: str | None = None


@dataclass(eq=False, repr=False)
class InvitationList:
    """Open invitations."""

    invitations: list[ShownInvitation]


@dataclass(eq=False, repr=False)
class Share:
    """A token of one listener; ``token`` and the page's ``url`` with it are in the answer that makes it alone."""

    token_id: str
    name: str
    listener: str
    created_at: str
    expires_at: str | None
    token: str | None = None
    url: str | None = None


@dataclass(eq=False, repr=False)
class ImageList:
    """Names of the pictures of which the lake keeps a copy: the last part of their links."""

    images: list[str]


@dataclass(eq=False, repr=False)
class ShownExclusion:
    """What is left out of every number. ``user_id`` is whose listening alone, null for everybody's."""

    exclusion_id: str
    kind: str
    artist_name: str | None
    item_name: str | None
    context_uri: str | None
    from_at: str | None
    to_at: str | None
    user_id: str | None
    decided_at: str
    is_active: bool
    in_force: bool = field(metadata={"description": "Whether reports go by this decision yet; within moments they do"})


@dataclass(eq=False, repr=False)
class ExclusionList:
    """What is left out now, the oldest decision first."""

    exclusions: list[ShownExclusion]


@dataclass(eq=False, repr=False)
class ShareList:
    """Tokens of one listener that are let in now."""

    shares: list[Share]


# --- imports ------------------------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class UploadTarget:
    """Where the file goes; ``expires_at`` is null where that does not end."""

    method: Literal["PUT"]
    url: str
    expires_at: str | None


@dataclass(eq=False, repr=False)
class Import:
    """An announced import. ``upload`` is in the answer that announces it, ``summary`` and ``error`` come at its end."""

    import_id: str
    state: ImportState
    filename: str
    user_id: str | None
    key: str
    announced_at: str
    received_at: str | None
    upload: UploadTarget | None = None
    summary: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def of(kind: type[T], record: Any, **more: Any) -> T:
    """A reply that has those of a record's members that it declares, and more."""
    found = {each.name: getattr(record, each.name) for each in fields(cast(Any, kind)) if hasattr(record, each.name)}
    return kind(**found | more)


def members(kind: type[Any], record: Any) -> dict[str, Any]:
    """Those of a record's members that the reply has too."""
    return {each.name: getattr(record, each.name) for each in fields(kind)}
