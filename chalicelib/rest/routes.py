"""Every endpoint, declared once: what it takes, who may call it, what it answers.

``app.py`` decorates one function for each, ``api.py`` answers, ``openapi.py`` describes; tests hold the three to
this table. ``scope`` None needs no token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from chalicelib.exclusions import NEEDED
from chalicelib.extraction.starting import AcceptedRun
from chalicelib.queries.engine import CatalogueTable, Crawl, Query
from chalicelib.rest.access import READ, RUN
from chalicelib.rest.replies import (
    BrowserSession,
    Deleted,
    ExclusionList,
    HealthReport,
    ImageList,
    Import,
    InvitationList,
    ListedReport,
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
)
from chalicelib.rest.schema import AnyObject, Field, ListOf, Number, Scalar, Text, Whole

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
USER_ID = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"  # becomes a folder's name: no dot leads it
MOST_ROWS = 10_000  # rows of one page
LONGEST_WAIT = 20.0  # s one request may wait for a query; API Gateway ends it at 29 s
LARGEST_UPLOAD = 64 * 2**30  # bytes of a privacy export
LONGEST_ADDRESSED = 8_000  # characters of SQL in an address; API Gateway takes 10,240 bytes of request line and headers
LONGEST_SQL = 262_144  # characters; Athena takes as many bytes, and the guard looks at those

JSON, CSV, PARQUET, HTML = (
    "application/json",
    "text/csv",
    "application/vnd.apache.parquet",
    "text/html",
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RouteAnswer:
    """One way an endpoint answers. ``shape`` is the class of its JSON, or None where there is no JSON."""

    status: int
    description: str
    shape: type[Any] | None = None
    content_types: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    example: Any = None  # where its class has no one example


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Route:
    """An endpoint."""

    method: str
    path: str
    name: str  # of the function in app.py and of the method of Api
    summary: str
    answers: tuple[RouteAnswer, ...]
    scope: str | None = READ
    query: tuple[Field, ...] = ()
    open_query: bool = False  # takes other query parameters too: a report's own
    body: tuple[Field, ...] | None = None
    body_required: bool = True
    body_type: str = JSON  # anything but JSON is handed on as it comes
    errors: tuple[int, ...] = ()  # besides those every endpoint may answer
    path_examples: dict[str, str] = field(default_factory=dict)
    of_one_listener: bool = False  # whether a token of one listener may ask, and what it is answered is theirs alone
    tag: str = ""


LIMIT = Field("limit", Whole(1, 200), "Most entries on the page", default=50, example=20)
PAGE_TOKEN = Field("page_token", Text(1, 4_000), "`next_page_token` of the page before")
CSV_FOR = Field(
    "csv",
    Text(choices=("rfc4180", "excel")),
    "How CSV is written; excel: cells that a spreadsheet would take for formulas begin with an apostrophe",
    default="rfc4180",
    example="excel",
)
ROW_LIMIT = Field("limit", Whole(1, MOST_ROWS), "Most rows on the page", default=1_000, example=100)
WAIT = Field("wait", Number(0, LONGEST_WAIT), "Seconds to wait for the query to end before answering", default=0.0)
LONG_WAIT = Field(
    "wait", Number(0, LONGEST_WAIT), "Seconds to wait for the query to end before answering", default=LONGEST_WAIT
)
QUERY_ID, RUN_ID = "0f8fad5b-d9cb-469f-a165-70867728950e", "20261120T101530Z-1a2b3c"
IMAGE = "ab67616d00001e02b7a3f5c9d1e80246913579bd"
IMPORT_ID = "20261120T101530Z-4d5e6f"

LISTENER = Field("listener", Text(1, 200), "A listener, by id or name", True, example="me")

SORT = Field(
    "sort",
    Text(1, 300),
    "Columns of the result to sort by, separated by commas; `-` before one sorts it downwards",
    example="-plays",
)
SQL_FIELDS = (
    Field(
        "sql",
        Text(1, LONGEST_SQL),
        "One read-only statement in Athena's dialect",
        True,
        example="SELECT artist_name, count(*) AS plays FROM plays GROUP BY 1",
    ),
    Field("parameters", ListOf(Scalar(), most=100), "Values for the statement's `?`, in order", default=[]),
    Field("max_rows", Whole(1, 1_000_000_000), "Keep at most this many rows of the result"),
    SORT,
)
PARAMETERS = tuple(
    Field(
        f"p{number}",
        Text(0, 200),
        f"Value for the {number}. `?`: a number as it is written, else text",
        example="30" if number == 1 else None,  # the example of `sql` has one
    )
    for number in range(1, 11)
)
SQL_IN_ADDRESS = (
    Field(
        "sql",
        Text(1, LONGEST_ADDRESSED),
        "One read-only statement in Athena's dialect",
        True,
        example="SELECT artist_name, count(*) AS plays FROM heard WHERE play_seconds >= ? GROUP BY 1",
    ),
    *PARAMETERS,
    SORT,
    LONG_WAIT,
)
MOST_OF_FILE = Field("limit", Whole(1, 1_000_000_000), "Most rows in the file; all without it", example=100)
GOES_ON = RouteAnswer(202, "Takes longer than `wait`; `Location` is the query", Query, headers=("Location",))
FILE_LINK = RouteAnswer(302, "On AWS: `Location` is a link that works for a while", None, (), ("Location",))

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/", "dashboard", "The dashboard", (RouteAnswer(200, "The page", None, (HTML,)),), None, open_query=True
    ),
    Route(
        "GET",
        "/static/{name}",
        "asset",
        "A file of the dashboard",
        (RouteAnswer(200, "The file", None, ("*/*",)), RouteAnswer(304, "As you have it", None, ())),
        None,
        open_query=True,
        errors=(404,),
        path_examples={"name": "style.css"},
    ),
    Route(
        "GET",
        "/static/{name}/{below}",
        "asset_below",
        "A file of the dashboard, one folder down",
        (RouteAnswer(200, "The file", None, ("*/*",)), RouteAnswer(304, "As you have it", None, ())),
        None,
        open_query=True,
        errors=(404,),
        path_examples={"name": "vendor", "below": "chart.js"},
    ),
    Route(
        "GET",
        "/health",
        "health",
        "Liveness, version and engine",
        (RouteAnswer(200, "Alive", HealthReport),),
        None,
        tag="service",
    ),
    Route(
        "GET",
        "/openapi.json",
        "openapi",
        "This document",
        (RouteAnswer(200, "OpenAPI 3.1", dict), RouteAnswer(304, "As you have it", None, ())),
        None,
        tag="service",
    ),
    Route(
        "POST",
        "/session",
        "sign_in",
        "Exchange the code of the address to open, once, for a browser's token",
        (RouteAnswer(201, "Signed in", BrowserSession),),
        None,
        body=(Field("code", Text(1, 200), "The code", True, example="3q2-7wAAAAB"),),
        errors=(401, 429),
        tag="service",
    ),
    Route(
        "GET",
        "/session",
        "signed_in",
        "What this token may, and whose pages it shows",
        (RouteAnswer(200, "Its scope", SignedIn),),
        of_one_listener=True,
        tag="service",
    ),
    Route(
        "PUT",
        "/session",
        "stay_signed_in",
        "Let this browser's token last for 90 days",
        (RouteAnswer(200, "Until when", BrowserSession),),
        body=(),
        body_required=False,
        tag="service",
    ),
    Route(
        "DELETE",
        "/session",
        "sign_out",
        "End this browser's session; any other token stays",
        (RouteAnswer(200, "Signed out", Deleted),),
        errors=(404,),
        of_one_listener=True,
        tag="service",
    ),
    Route(
        "POST",
        "/runs",
        "start_run",
        "Start an extraction run",
        (RouteAnswer(202, "Started; `Location` is its record", AcceptedRun, headers=("Location",)),),
        RUN,
        body=(
            Field(
                "sources",
                ListOf(Text(1, 100, r"[A-Za-z0-9_.-]+"), 1, 100),
                "Only these sources of sources.toml; all that are due without it",
                example=["recently_played"],
            ),
        ),
        body_required=False,
        errors=(409,),
        tag="runs",
    ),
    Route(
        "GET",
        "/runs",
        "list_runs",
        "Runs, newest first",
        (RouteAnswer(200, "A page of runs", RunList),),
        query=(LIMIT, PAGE_TOKEN),
        tag="runs",
    ),
    Route(
        "GET",
        "/runs/{run_id}",
        "get_run",
        "One run: what each source brought, waited for and left, and what is still to transform",
        (RouteAnswer(200, "The run", RunDetail),),
        errors=(404,),
        path_examples={"run_id": RUN_ID},
        tag="runs",
    ),
    Route(
        "GET",
        "/quarantine",
        "list_quarantine",
        "Raw objects and exports that cannot be published, and why",
        (RouteAnswer(200, "A page of them", QuarantineList),),
        query=(LIMIT, PAGE_TOKEN),
        tag="runs",
    ),
    Route(
        "POST",
        "/crawls",
        "start_crawl",
        "Start the crawler",
        (RouteAnswer(202, "Started; `Location` is its state", Crawl, headers=("Location",)),),
        RUN,
        body=(),
        body_required=False,
        errors=(409,),
        tag="catalogue",
    ),
    Route(
        "GET",
        "/crawls/latest",
        "latest_crawl",
        "The newest crawl: its state and what it changed",
        (RouteAnswer(200, "The crawl", Crawl),),
        errors=(404,),
        tag="catalogue",
    ),
    Route(
        "GET",
        "/tables",
        "list_tables",
        "The catalogue",
        (RouteAnswer(200, "The tables", TableList), RouteAnswer(304, "As you have it", None, ())),
        tag="catalogue",
    ),
    Route(
        "GET",
        "/tables/{name}",
        "get_table",
        "One table: columns, partitions, rows, bytes, freshness",
        (RouteAnswer(200, "The table", CatalogueTable), RouteAnswer(304, "As you have it", None, ())),
        errors=(404,),
        path_examples={"name": "plays"},
        tag="catalogue",
    ),
    Route(
        "POST",
        "/queries",
        "start_query",
        "Start a query; with `wait` its rows come at once where they are there in time",
        (
            RouteAnswer(202, "Accepted; `Location` is its state", Query, headers=("Location",)),
            RouteAnswer(200, "It has ended within `wait`: its first rows", QueryRows, headers=("Location",)),
        ),
        query=(WAIT, ROW_LIMIT),
        body=SQL_FIELDS,
        errors=(409, 422),
        tag="queries",
    ),
    Route(
        "GET",
        "/sql",
        "sql",
        "SQL in the address: its rows, as JSON or (`Accept: text/csv`) CSV",
        (RouteAnswer(200, "The first rows", QueryRows, (JSON, CSV), ("Location",)), GOES_ON),
        query=(*SQL_IN_ADDRESS, ROW_LIMIT, CSV_FOR),
        errors=(406, 409, 422),
        tag="queries",
    ),
    Route(
        "GET",
        "/sql.csv",
        "sql_csv",
        "SQL in the address: the whole result as a CSV file",
        (RouteAnswer(200, "The file", None, (CSV,)), FILE_LINK, GOES_ON),
        query=(*SQL_IN_ADDRESS, MOST_OF_FILE, CSV_FOR),
        errors=(409, 422),
        tag="queries",
    ),
    Route(
        "GET",
        "/sql.json",
        "sql_json",
        "SQL in the address: the whole result as a JSON array, an object for each row",
        (RouteAnswer(200, "The rows", list), GOES_ON),
        query=(*SQL_IN_ADDRESS, MOST_OF_FILE),
        errors=(409, 422),
        tag="queries",
    ),
    Route(
        "GET",
        "/sql.parquet",
        "sql_parquet",
        "SQL in the address: the whole result as a Parquet file",
        (RouteAnswer(200, "The file", None, (PARQUET,)), FILE_LINK, GOES_ON),
        query=(*SQL_IN_ADDRESS, MOST_OF_FILE),
        errors=(409, 422),
        tag="queries",
    ),
    Route(
        "GET",
        "/queries",
        "list_queries",
        "Queries, newest first: everybody's for scope `run`; for `read` the token's own, all that it may see or cancel",
        (RouteAnswer(200, "A page of queries", QueryList),),
        query=(LIMIT, PAGE_TOKEN),
        tag="queries",
    ),
    Route(
        "GET",
        "/queries/{query_id}",
        "get_query",
        "A query's state, bytes scanned, time, cost, and error with its position",
        (RouteAnswer(200, "The query", Query),),
        query=(WAIT,),
        errors=(404,),
        path_examples={"query_id": QUERY_ID},
        of_one_listener=True,
        tag="queries",
    ),
    Route(
        "DELETE",
        "/queries/{query_id}",
        "cancel_query",
        "Cancel a query",
        (RouteAnswer(200, "The query as it is now", Query),),
        errors=(404,),
        path_examples={"query_id": QUERY_ID},
        tag="queries",
    ),
    Route(
        "GET",
        "/queries/{query_id}/rows",
        "query_rows",
        "A page of a finished query's rows, as JSON or (`Accept: text/csv`) CSV",
        (RouteAnswer(200, "Rows", Rows, (JSON, CSV)), RouteAnswer(304, "As you have it", None, ())),
        query=(ROW_LIMIT, PAGE_TOKEN, WAIT, CSV_FOR),
        errors=(404, 406, 409, 422),
        path_examples={"query_id": QUERY_ID},
        of_one_listener=True,
        tag="queries",
    ),
    Route(
        "GET",
        "/queries/{query_id}/download",
        "download",
        "The whole result as a file: here from a laptop, behind a short-lived link on AWS",
        (
            RouteAnswer(200, "The file", None, (CSV, PARQUET)),
            RouteAnswer(302, "On AWS: `Location` is a link that works for a while", None, (), ("Location",)),
        ),
        query=(
            Field("format", Text(choices=("csv", "parquet")), "File format", default="csv", example="parquet"),
            CSV_FOR,
        ),
        errors=(404, 409, 422),
        path_examples={"query_id": QUERY_ID},
        tag="queries",
    ),
    Route(
        "POST",
        "/mcp",
        "assistant",
        "The Model Context Protocol (streamable HTTP, without sessions): the lake for assistants, read-only",
        (
            RouteAnswer(200, "The answer", dict, example={"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}),
            RouteAnswer(202, "To a notification", None, ()),
        ),
        body=(
            Field("jsonrpc", Text(choices=("2.0",)), "JSON-RPC's version", True, example="2.0"),
            Field("method", Text(1, 200), "What is asked", True, example="tools/list"),
            Field("id", Scalar(), "Names the request; a notification has none", example=1),
            Field("params", AnyObject(), "What the method takes"),
        ),
        of_one_listener=True,  # each tool is a request of the same token, which is judged by its own route
        tag="assistants",
    ),
    Route(
        "GET",
        "/reports",
        "list_reports",
        "Saved reports with their parameters",
        (RouteAnswer(200, "The reports", ReportList), RouteAnswer(304, "As you have it", None, ())),
        of_one_listener=True,
        tag="reports",
    ),
    Route(
        "GET",
        "/reports/{name}",
        "run_report",
        "One report's rows; its parameters are query parameters",
        (
            RouteAnswer(200, "Rows", ReportRows, (JSON, CSV)),
            RouteAnswer(202, "Takes longer; `Location` is the query", Query, headers=("Location",)),
        ),
        open_query=True,
        errors=(404, 406, 422),
        path_examples={"name": "top_artists"},
        of_one_listener=True,
        tag="reports",
    ),
    Route(
        "PUT",
        "/reports/{name}",
        "save_report",
        "Save a report of your own in the lake",
        (RouteAnswer(200, "Replaced", ListedReport), RouteAnswer(201, "Saved", ListedReport)),
        RUN,
        body=(
            Field(
                "sql",
                Text(1, 100_000),
                "The report: its header in `--` comments, then one statement in Athena's dialect",
                True,
                example='-- title = "Plays"\n-- description = "How many"\nSELECT count(*) AS plays FROM plays\n',
            ),
        ),
        errors=(409, 422),
        path_examples={"name": "my_report"},
        tag="reports",
    ),
    Route(
        "DELETE",
        "/reports/{name}",
        "delete_report",
        "Delete a report of your own",
        (RouteAnswer(200, "Deleted", Deleted),),
        RUN,
        errors=(404,),
        path_examples={"name": "my_report"},
        tag="reports",
    ),
    Route(
        "GET",
        "/listeners",
        "list_listeners",
        "Whose lake it is: names, ids, and until when Spotify honours each authorisation",
        (RouteAnswer(200, "The listeners", ListenerList),),
        of_one_listener=True,
        tag="listeners",
    ),
    Route(
        "PUT",
        "/listeners",
        "rename_listener",
        "Give a listener a name",
        (RouteAnswer(200, "The listener", ListenerShown),),
        RUN,
        body=(LISTENER, Field("name", Text(1, 100), "The name", True, example="Ann")),
        errors=(404, 409),
        tag="listeners",
    ),
    Route(
        "POST",
        "/merges",
        "merge_listeners",
        "Say that two listeners are one person: plays that both tell of then count once",
        (RouteAnswer(200, "The listener that both are", ListenerShown),),
        RUN,
        body=(LISTENER, Field("into", Text(1, 200), "The listener whose id stays, by id or name", True, example="Ann")),
        errors=(404,),
        tag="listeners",
    ),
    Route(
        "DELETE",
        "/merges",
        "split_listener",
        "Take back the last merge of a listener",
        (RouteAnswer(200, "The listener who is one again", ListenerShown),),
        RUN,
        query=(Field("listener", Text(1, 200), "The id that was merged", True, example="me"),),
        errors=(404,),
        tag="listeners",
    ),
    Route(
        "POST",
        "/invitations",
        "invite",
        "Make a link that leads somebody to Spotify's consent and back, logged in; or one to renew an authorisation",
        (RouteAnswer(201, "The invitation, with its link", ShownInvitation),),
        body=(
            Field("name", Text(1, 100), "Whom it is for", example="Ann"),
            Field("listener", Text(1, 200), "The listener who renews, by id or name; nobody else can then take it"),
        ),
        errors=(404,),
        of_one_listener=True,
        tag="listeners",
    ),
    Route(
        "GET",
        "/invitations",
        "list_invitations",
        "Open invitations",
        (RouteAnswer(200, "The invitations", InvitationList),),
        RUN,
        tag="listeners",
    ),
    Route(
        "DELETE",
        "/invitations/{invitation_id}",
        "withdraw_invitation",
        "Take an invitation back",
        (RouteAnswer(200, "Withdrawn", Deleted),),
        RUN,
        errors=(404,),
        path_examples={"invitation_id": "1a2b3c4d"},
        tag="listeners",
    ),
    Route(
        "GET",
        "/join",
        "join",
        "Open an invitation: on to Spotify's page",
        (RouteAnswer(302, "`Location` is Spotify's page", None, (), ("Location",)),),
        None,
        query=(Field("invitation", Text(1, 200), "The link's code", True, example="3q2-7wAAAAB"),),
        errors=(401, 429),
        tag="listeners",
    ),
    Route(
        "GET",
        "/callback",
        "spotify_callback",
        "Where Spotify sends who has agreed",
        (RouteAnswer(200, "Logged in", None, (HTML,)),),
        None,
        open_query=True,
        errors=(401, 403),
        tag="listeners",
    ),
    Route(
        "POST",
        "/shares",
        "share",
        "Make a token of one listener, which shows that listener's pages and reports and nothing else",
        (RouteAnswer(201, "The token, and a link that opens the page with it", Share),),
        RUN,
        body=(
            LISTENER,
            Field("name", Text(1, 100), "Whom or what it is for", default="share", example="Grandma"),
            Field("until", Text(10, 10, r"\d{4}-\d\d-\d\d"), "Its last day, UTC; without end if not said"),
        ),
        errors=(404,),
        tag="listeners",
    ),
    Route(
        "GET",
        "/shares",
        "list_shares",
        "Tokens of one listener that are let in now",
        (RouteAnswer(200, "The tokens", ShareList),),
        RUN,
        tag="listeners",
    ),
    Route(
        "DELETE",
        "/shares/{token_id}",
        "revoke_share",
        "Take a token of one listener back",
        (RouteAnswer(200, "Revoked", Deleted),),
        RUN,
        errors=(404,),
        path_examples={"token_id": "1a2b3c4d"},
        tag="listeners",
    ),
    Route(
        "GET",
        "/images",
        "list_images",
        "Covers and artists' pictures of which the lake keeps a small copy",
        (RouteAnswer(200, "Their names", ImageList), RouteAnswer(304, "As you have it", None, ())),
        tag="images",
    ),
    Route(
        "GET",
        "/images/{name}",
        "image",
        "The copy of a picture, at most a megabyte",
        (
            RouteAnswer(200, "The picture", None, ("image/jpeg", "image/png", "image/webp")),
            RouteAnswer(302, "On AWS: `Location` is a link that works for a while", None, (), ("Location",)),
            RouteAnswer(304, "As you have it", None, ()),
        ),
        errors=(404,),
        path_examples={"name": IMAGE},
        tag="images",
    ),
    Route(
        "GET",
        "/exclusions",
        "list_exclusions",
        "What is left out of every number",
        (RouteAnswer(200, "What is left out now", ExclusionList),),
        of_one_listener=True,
        tag="exclusions",
    ),
    Route(
        "POST",
        "/exclusions",
        "leave_out",
        "Leave an artist, a track, a show, a playlist or a time out of every number; nothing is deleted",
        (
            RouteAnswer(201, "Left out", ShownExclusion, headers=("Location",)),
            RouteAnswer(200, "It was left out already", ShownExclusion),
        ),
        RUN,
        body=(
            Field("kind", Text(choices=tuple(NEEDED)), "What it is", True, example="artist"),
            Field("artist_name", Text(1, 500), "Of an artist, a track, or a show (its name)", example="White Noise"),
            Field("item_name", Text(1, 500), "Of a track: its title"),
            Field("context_uri", Text(1, 500), "Of a playlist: its link, or spotify:playlist:…"),
            Field("from_at", Text(1, 40), "Of a period: its begin, RFC 3339"),
            Field("to_at", Text(1, 40), "Of a period: its end, RFC 3339; itself not in it"),
            Field("listener", Text(1, 200), "Whose listening, by id or name; everybody's without it"),
        ),
        errors=(404,),
        tag="exclusions",
    ),
    Route(
        "DELETE",
        "/exclusions/{exclusion_id}",
        "take_back",
        "Let something count again that was left out",
        (RouteAnswer(200, "It counts again", ShownExclusion),),
        RUN,
        errors=(404,),
        path_examples={"exclusion_id": "1a2b3c4d"},
        tag="exclusions",
    ),
    Route(
        "POST",
        "/imports",
        "start_import",
        "Announce a Spotify privacy export: answers where to put the file",
        (RouteAnswer(201, "Put the file to `upload.url`", Import, headers=("Location",)),),
        RUN,
        body=(
            Field("filename", Text(1, 200), "Name of the zip, JSON or CSV file", True, example="my_spotify_data.zip"),
            Field("user_id", Text(1, 128, USER_ID), "The listener, by id or name; the one who logged in without it"),
            Field("new_listener", Text(1, 100), "Instead of user_id: the name of somebody new"),
            Field("bytes", Whole(1, LARGEST_UPLOAD), "Size of the file: a link of S3 then takes no other"),
        ),
        errors=(409,),
        tag="imports",
    ),
    Route(
        "GET",
        "/imports/{import_id}",
        "get_import",
        "An import's state and, at its end, what became of every row",
        (RouteAnswer(200, "The import", Import),),
        errors=(404,),
        path_examples={"import_id": IMPORT_ID},
        tag="imports",
    ),
    Route(
        "PUT",
        "/imports/{import_id}",
        "upload_import",
        "The file itself (on AWS it goes to a link of S3 instead)",
        (RouteAnswer(202, "Received; being imported", Import, headers=("Location",)),),
        RUN,
        body=(),
        body_type="application/octet-stream",
        errors=(404, 409, 411),
        path_examples={"import_id": IMPORT_ID},
        tag="imports",
    ),
)
BY_ADDRESS = {(route.method, route.path): route for route in ROUTES}
BY_NAME = {route.name: route for route in ROUTES}
PATTERNS = {path: re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)) for path in {each.path for each in ROUTES}}


def route_at(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request, and what its path has in the place of the ``{names}``, still quoted."""
    for pattern_path, match in matches(path):
        if route := BY_ADDRESS.get((method, pattern_path)):
            return route, match.groupdict()
    return None


def methods_at(path: str) -> list[str]:
    """The methods that an address takes; none where there is nothing."""
    paths = {pattern_path for pattern_path, _ in matches(path)}
    return sorted({route.method for route in ROUTES if route.path in paths})


def matches(path: str) -> list[tuple[str, re.Match[str]]]:
    """The declared paths that a path can be, those of fixed words first: ``/crawls/latest`` is no crawl's id."""
    wanted = path.rstrip("/") or "/"
    fitting = [(each, match) for each, pattern in PATTERNS.items() if (match := pattern.fullmatch(wanted))]
    return sorted(fitting, key=lambda each: each[0].count("{"))
