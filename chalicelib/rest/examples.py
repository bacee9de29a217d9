"""One example of each answer, made of the answers' own classes: what the OpenAPI document shows."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from chalicelib import __version__
from chalicelib.exports.announced import ImportState
from chalicelib.extraction.starting import AcceptedRun
from chalicelib.quarantine import Quarantined
from chalicelib.queries.engine import (
    CatalogueTable,
    Crawl,
    CrawlState,
    Query,
    QueryState,
    ResultColumn,
    TableColumn,
)
from chalicelib.rest.messages import as_json
from chalicelib.rest.replies import (
    BrowserSession,
    Deleted,
    ExclusionList,
    HealthReport,
    ImageList,
    Import,
    InvitationList,
    ListedReport,
    ListedRun,
    ListenerList,
    ListenerShown,
    QuarantineList,
    QueryList,
    QueryRows,
    ReportList,
    ReportRows,
    Rows,
    RunDetail,
    RunList,
    Share,
    ShareList,
    ShownExclusion,
    ShownInvitation,
    SignedIn,
    TableList,
    UploadTarget,
)
from chalicelib.rest.routes import IMAGE, IMPORT_ID, QUERY_ID, RUN_ID
from chalicelib.runs import RunRecord, SourceRecord

MOMENT = datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)
TEXT_MOMENT = "2026-11-20T10:15:30.000Z"
LISTENER = "3yKh4YwYaApgC7ers1Yeox"
SQL = "SELECT artist_name, count(*) AS plays FROM plays GROUP BY 1"
COLUMNS = [ResultColumn("artist_name", "varchar"), ResultColumn("plays", "bigint")]
ROWS = [["The Velvet Cinemas", 1834], ["Early Garden", 911]]
CSV_TEXT = "artist_name,plays\r\nThe Velvet Cinemas,1834\r\nEarly Garden,911\r\n"

SOURCE = SourceRecord("recently_played", LISTENER, "succeeded", calls=1, items=50, new_items=12, bytes=48_211)
RUN = RunRecord(
    RUN_ID, "succeeded", "api", TEXT_MOMENT, TEXT_MOMENT, "development", calls=1, items=50, sources=[SOURCE]
)
QUERY = Query(
    QUERY_ID,
    SQL,
    QueryState.SUCCEEDED,
    MOMENT,
    MOMENT,
    MOMENT,
    120_400,
    0.0,
    rows=2,
    columns=tuple(COLUMNS),
    client="1a2b3c4d",
)
TABLE = CatalogueTable(
    "plays",
    "Listens, each counted once",
    (TableColumn("play_id", "varchar", "Names the listen"),),
    rows=506_490,
    bytes=31_400_120,
    files=98,
    partitions=({"month": "2026-11", "rows": 4_120, "bytes": 310_400, "files": 1},),
    newest=MOMENT,
)
REPORT = ListedReport(
    "top_artists",
    "Top artists",
    "Artists by listens",
    "What did I hear most?",
    {"kind": "bar", "x": "artist_name", "y": "plays"},
    True,
    None,
    [{"name": "limit", "type": "integer", "default": 10, "help": "Rows", "least": 1, "most": 1000}],
)
IMPORT = Import(
    IMPORT_ID,
    ImportState.WAITING,
    "my_spotify_data.zip",
    None,
    f"raw/history/{IMPORT_ID}-my_spotify_data.zip",
    TEXT_MOMENT,
    None,
    UploadTarget("PUT", f"/imports/{IMPORT_ID}", None),
)

ANN = ListenerShown(
    LISTENER,
    "Ann",
    [LISTENER, "ann.spotify", "me"],
    "Ann Example",
    None,
    ["ann.spotify"],
    LISTENER,
    TEXT_MOMENT,
    True,
    TEXT_MOMENT,
    "2027-05-20T10:15:30.000Z",
    [],
)
INVITATION = ShownInvitation("1a2b3c4d", "Ann", None, TEXT_MOMENT, "2026-11-27T10:15:30.000Z")
EXCLUSION = ShownExclusion(
    "1a2b3c4d", "artist", "White Noise", None, None, None, None, None, TEXT_MOMENT, is_active=True, in_force=True
)
SHARE = Share("1a2b3c4d", "Grandma", LISTENER, TEXT_MOMENT, None)

#: By the class of the answer. A list is one of rows by the columns' names; a dict is this document.
EXAMPLES: dict[type[Any], Any] = {
    HealthReport: HealthReport("ok", __version__, "embedded", ".venv/bin/lake", []),
    BrowserSession: BrowserSession("1a2b3c4d", "run", TEXT_MOMENT, "lake_…"),
    SignedIn: SignedIn("listener", "4kQZ0acct", "Ann"),
    Deleted: Deleted("my_report"),
    AcceptedRun: AcceptedRun(RUN_ID, "queued", "api", TEXT_MOMENT),
    RunList: RunList([ListedRun.of(RUN)], None),
    RunDetail: RunDetail(**asdict(RUN)),
    QuarantineList: QuarantineList(
        [Quarantined("raw/spotify/2026/11/20/x.jsonl.gz", MOMENT, "raw_object_damaged", "is no gzip", {})], None
    ),
    Crawl: Crawl("20261120T101530Z-7a8b9c", CrawlState.SUCCEEDED, MOMENT, MOMENT, ()),
    TableList: TableList.of([TABLE]),
    CatalogueTable: TABLE,
    Query: QUERY,
    QueryList: QueryList([QUERY], None),
    Rows: Rows(COLUMNS, ROWS, None, False),
    QueryRows: QueryRows(QUERY, COLUMNS, ROWS, None, False),
    ReportList: ReportList([REPORT], ["What did I hear most?"]),
    ReportRows: ReportRows(REPORT, {"limit": 10}, SQL, QUERY_ID, COLUMNS, ROWS, None, False),
    ListedReport: REPORT,
    Import: IMPORT,
    ListenerShown: ANN,
    ListenerList: ListenerList([ANN]),
    ShownInvitation: replace(INVITATION, url="https://lake.example/join?invitation=…"),
    InvitationList: InvitationList([INVITATION]),
    Share: replace(SHARE, token="lake_…", url="https://lake.example/#share=lake_…"),
    ShareList: ShareList([SHARE]),
    ShownExclusion: EXCLUSION,
    ImageList: ImageList([IMAGE]),
    ExclusionList: ExclusionList([EXCLUSION]),
    list: [dict(zip([column.name for column in COLUMNS], row, strict=True)) for row in ROWS],
    dict: {"openapi": "3.1.0"},
}


def example_of(kind: type[Any]) -> Any:
    """An answer of this class, as JSON."""
    return as_json(EXAMPLES[kind])
