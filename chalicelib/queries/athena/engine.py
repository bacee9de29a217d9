"""The lake on AWS: Athena answers SQL, Glue is the catalogue.

What a query was asked with (its most rows, the types of its arrays and maps) stands in a comment at the end of its
text, so that any function, warm or new, can read any query back from Athena alone.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from chalicelib.clock import Clock, Sleep, now
from chalicelib.errors import (
    CrawlInProgress,
    EngineBusy,
    FileNotReady,
    InvalidRequest,
    InvalidSetting,
    LakeError,
    NotFound,
    PageTokenInvalid,
    QueryFailed,
    QueryRefused,
    StorageUnavailable,
)
from chalicelib.lake import TRANSFORMED, Lake, ObjectInfo
from chalicelib.queries.athena.glue import PLACE, GlueTables
from chalicelib.queries.athena.glue_crawls import read_crawl
from chalicelib.queries.athena.values import reader
from chalicelib.queries.engine import (
    CatalogueTable,
    Crawl,
    CrawlState,
    Download,
    Query,
    QueryState,
    ResultColumn,
    RowPage,
    TableColumn,
)
from chalicelib.settings import Settings
from chalicelib.stores.aws import DENIED, THROTTLED, client, code_of, lake_errors, message_of
from chalicelib.stores.s3 import BucketStore
from chalicelib.tables import BY_NAME, PHYSICAL
from chalicelib.types import TRINO
from chalicelib.views import reads, user_tables

if TYPE_CHECKING:
    from chalicelib.queries.athena.note import Note

PAGE = 1000  # rows, Athena's GetQueryResults
LISTED = 50  # queries, Athena's BatchGetQueryExecution
LOOKED_THROUGH = 20  # of those pages for one page of a client's own, among everybody's
FILE_PAGE = 5000  # rows of a page read from the result file
USD_PER_BYTE = 5.0 / 2**40  # Athena: 5 USD a TB scanned…
LEAST_CHARGED = 10 * 2**20  # …of at least 10 MB a query
BEING_MADE = ".being-made"  # beside a file: somebody has had it begun; empty where that failed
LONGEST_FILE = timedelta(minutes=5)  # the function's own time limit
FILE_SECONDS, FILE_POLL = 20.0, 1.0  # s that a request waits for a file, and between looks
UNANSWERED = "ReadTimeoutError"  # botocore's: a call that goes on
LINK_LASTS = timedelta(minutes=15)
LONGEST = 262_144  # bytes of a query's text, Athena's quota
LONGEST_WAIT = 25.0  # s, below API Gateway's 29
REMEMBERED = 256  # ended queries
POSITION = re.compile(r"line (\d+):(\d+): ")
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
QUERY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STATES = {state.name: state for state in QueryState}


@dataclass(frozen=True, slots=True)
class KnownQuery:
    """A query, where its result lies, and what it was asked with."""

    query: Query
    location: str
    note: Note


class AthenaEngine:
    """Builds no client and asks nothing before it is asked something. Safe for threads."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        *,
        clients: Callable[[str], Any] = client,
        clock: Clock = now,
        sleep: Sleep = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._lake = lake
        self._clients = clients
        self._clock, self._sleep, self._monotonic = clock, sleep, monotonic
        self._ended: OrderedDict[str, KnownQuery] = OrderedDict()
        self._closed = False

    # --- the catalogue --------------------------------------------------------------------------------------------

    def start_crawl(self) -> Crawl:
        name = required(self._settings.glue_crawler, "GLUE_CRAWLER")
        with lake_errors(f"start the crawler {name}", crawler=name):
            try:
                self._clients("glue").start_crawler(Name=name)
            except Exception as error:
                if code_of(error) not in ("CrawlerRunningException", "CrawlerStoppingException"):
                    raise
                if not repeated(error):
                    raise CrawlInProgress("a crawl is going on; GET /crawls/latest shows it") from error
        found = self.latest_crawl()
        return found or Crawl(crawl_id=name, state=CrawlState.RUNNING, started_at=self._clock())

    def latest_crawl(self) -> Crawl | None:
        name = required(self._settings.glue_crawler, "GLUE_CRAWLER")
        with lake_errors(f"list the crawls of {name}", crawler=name):
            crawls = self._clients("glue").list_crawls(CrawlerName=name, MaxResults=20)["Crawls"]
        newest = max(crawls, key=lambda crawl: crawl["StartTime"], default=None)
        return read_crawl(newest) if newest else None

    def tables(self) -> list[CatalogueTable]:
        files = self._files_by_place()
        known = self._glue_tables.described()
        return [describe(name, known[name], files) for name in sorted(user_tables()) if name in known]

    def table(self, name: str) -> CatalogueTable:
        if name not in user_tables():
            raise NotFound(f"there is no table {name}; GET /tables lists them", table=name)
        known = self._glue_tables.described()
        if name not in known:
            raise NotFound(f"table {name} is not in the Glue catalogue: deploy again", table=name)
        return describe(name, known[name], self._files_by_place(), with_partitions=True)

    def publish(self, generation: str) -> None:
        self._glue_tables.publish(generation)
        self._lake.publish_generation(generation)

    @property
    def _glue_tables(self) -> GlueTables:
        database = required(self._settings.glue_database, "GLUE_DATABASE")
        return GlueTables(database, self._lake, glue=self._clients("glue"))

    def _files_by_place(self) -> dict[str, dict[str, list[ObjectInfo]]]:
        """The files of the generation in force, by physical table and month."""
        files: dict[str, dict[str, list[ObjectInfo]]] = {}
        for info in self._lake.store.list(f"{TRANSFORMED}{self._lake.generation()}/"):
            place = PLACE.match(info.key)
            if place and info.key.endswith(".parquet"):
                files.setdefault(place["table"], {}).setdefault(place["month"], []).append(info)
        return files

    # --- queries --------------------------------------------------------------------------------------------------

    def check(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[ResultColumn, ...]:
        from chalicelib.queries.sql import check

        return check(sql, user_tables(), parameters).columns

    def start_query(
        self, sql: str, parameters: Sequence[Any] = (), *, client: str = "", max_rows: int | None = None
    ) -> Query:
        from chalicelib.queries.athena.note import known_as, with_note
        from chalicelib.queries.sql import check

        if self._closed:
            raise EngineBusy("the engine is closed")
        checked = check(sql, user_tables(), parameters)
        most = min(max_rows or self._settings.query_rows, self._settings.query_rows)
        query_id = self._start(with_note(checked, most, known_as(client), parameters))
        columns = checked.columns
        return Query(query_id, checked.sql, QueryState.QUEUED, self._clock(), columns=columns, client=known_as(client))

    def query(self, query_id: str) -> Query:
        return self._look(query_id).query

    def queries(
        self, limit: int = 50, page_token: str | None = None, *, client: str | None = None
    ) -> tuple[list[Query], str | None]:
        found: list[Query] = []
        token = page_token
        for _ in range(LOOKED_THROUGH):
            executions, token = self._listed(min(LISTED, limit - len(found)), token)
            known = [each.query for each in map(read_execution, executions) if each]
            found += [query for query in known if client in (None, query.client)]
            if not token or len(found) >= limit:
                break
        return found, token

    def rows(self, query_id: str, limit: int = 1000, page_token: str | None = None) -> RowPage:
        known = self._with_rows(query_id)
        token, seen = read_token(page_token, query_id)
        wanted = max(0, min(limit, known.note.most - seen))
        rows: list[tuple[Any, ...]] = []
        while len(rows) < wanted:
            header = token is None and not rows
            texts, token = self._results(query_id, min(PAGE, wanted - len(rows) + header), token)
            rows += typed(known.query, texts[1:] if header and is_header(texts, known) else texts)
            if not token:
                break
        seen += len(rows)
        cut = token is not None and seen >= known.note.most
        following = make_token(query_id, token, seen) if token and not cut else None
        return RowPage(known.query.columns, rows, following, known.query.truncated or cut)

    def all_rows(self, query_id: str, *, bounded: bool = False) -> Iterator[RowPage]:  # noqa: ARG002 - Athena's rows are
        known = self._with_rows(query_id)
        query = known.query
        if not known.location.endswith(".csv"):  # a plan is text
            yield self.rows(query_id)
            return
        from chalicelib.queries.athena.files import records

        with closing(self._lake.store.open(self._key_of(known.location))) as stream:
            lines = islice(records(stream), 1, known.note.most + 1)
            chunk = list(islice(lines, FILE_PAGE))
            while True:
                yield RowPage(query.columns, typed(query, chunk), truncated=query.truncated)
                chunk = list(islice(lines, FILE_PAGE))
                if not chunk:
                    return

    def download(self, query_id: str, format: str, *, client: str = "") -> Download:  # noqa: ARG002 - Athena knows its own
        if format not in CONTENT_TYPES:
            raise InvalidRequest(f"format must be csv or parquet, not {format!r}")
        known = self._with_rows(query_id)
        store = self._lake.store
        if not isinstance(store, BucketStore):
            raise InvalidSetting("LAKE_URL must name a bucket for results to be linked to")
        key, kind, name = self._file_of(known, format), CONTENT_TYPES[format], f"{query_id}.{format}"
        link = store.link(key, int(LINK_LASTS.total_seconds()), filename=name, content_type=kind)
        return Download(kind, name, link=link, expires_at=self._clock() + LINK_LASTS)

    def cancel(self, query_id: str) -> Query:
        query = self.query(query_id)
        if query.state.ended:
            return query
        self._stop(query_id)
        return self.wait(query_id, 2.0)

    def wait(self, query_id: str, seconds: float) -> Query:
        deadline = self._monotonic() + min(seconds, LONGEST_WAIT)
        pause = 0.1
        while True:
            query = self.query(query_id)
            left = deadline - self._monotonic()
            if query.state.ended or left <= 0:
                return query
            self._sleep(min(pause, left))
            pause = min(pause * 1.5, 1.0)

    def close(self) -> None:
        """Nothing runs here, and no query is started any more."""
        self._closed = True

    # --- Athena ---------------------------------------------------------------------------------------------------

    def _start(self, text: str) -> str:
        if len(text.encode()) > LONGEST:
            raise InvalidRequest(f"statement and values exceed the {LONGEST:,} bytes that Athena takes")
        group = required(self._settings.athena_workgroup, "ATHENA_WORKGROUP")
        context = {"Database": required(self._settings.glue_database, "GLUE_DATABASE")}
        with athena_errors("start a query"):
            answer = self._clients("athena").start_query_execution(
                QueryString=text, WorkGroup=group, QueryExecutionContext=context
            )
        return str(answer["QueryExecutionId"])

    def _stop(self, query_id: str) -> None:
        with athena_errors(f"stop query {query_id}"):
            self._clients("athena").stop_query_execution(QueryExecutionId=query_id)

    def _look(self, query_id: str) -> KnownQuery:
        """A query as it stands. An ended one is asked about once; one over its time is stopped."""
        if query_id in self._ended:
            return self._ended[query_id]
        known = self._execution(query_id)
        if not known.query.state.ended and self._overdue(known.query):
            self._stop(query_id)
            known = self._execution(query_id)
        if known.query.state == QueryState.SUCCEEDED:
            known = replace(known, query=self._with_result(known))
        elif known.query.state == QueryState.CANCELLED and self._overdue(known.query):
            known = replace(known, query=out_of_time(known.query, self._settings.query_seconds))
        if known.query.state.ended:
            self._ended[query_id] = known
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
        return known

    def _overdue(self, query: Query) -> bool:
        until = query.ended_at or self._clock()
        return (until - query.submitted_at).total_seconds() > self._settings.query_seconds

    def _execution(self, query_id: str) -> KnownQuery:
        """What Athena knows of a query of this lake. Raises NotFound for any other."""
        unknown = NotFound(f"there is no query {query_id}; GET /queries lists them", query_id=query_id)
        if not QUERY_ID.fullmatch(query_id):
            raise unknown
        with athena_errors(f"look at query {query_id}", missing=unknown, denied=unknown):  # another workgroup's
            execution = self._clients("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        known = read_execution(execution)
        if known is None or execution.get("WorkGroup") != self._settings.athena_workgroup:
            raise unknown
        return known

    def _listed(self, limit: int, token: str | None) -> tuple[list[dict[str, Any]], str | None]:
        group = required(self._settings.athena_workgroup, "ATHENA_WORKGROUP")
        athena = self._clients("athena")
        wrong = PageTokenInvalid("page_token is not one that this endpoint gave") if token else None
        with athena_errors("list the queries", missing=wrong):
            asked = {"NextToken": token} if token else {}
            page = athena.list_query_executions(WorkGroup=group, MaxResults=limit, **asked)
            ids = page["QueryExecutionIds"]
            found = athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"] if ids else []
        by_id = {each["QueryExecutionId"]: each for each in found}
        return [by_id[each] for each in ids if each in by_id], page.get("NextToken")

    def _results(self, query_id: str, limit: int, token: str | None) -> tuple[list[list[str | None]], str | None]:
        wrong = PageTokenInvalid("page_token is not one that this query gave") if token else None
        with athena_errors(f"read the rows of query {query_id}", missing=wrong):
            asked = {"NextToken": token} if token else {}
            page = self._clients("athena").get_query_results(QueryExecutionId=query_id, MaxResults=limit, **asked)
        texts = [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
        return texts, page.get("NextToken")

    def _with_result(self, known: KnownQuery) -> Query:
        """A succeeded query with its columns, and its rows where Athena has counted them already."""
        query_id = known.query.query_id
        with athena_errors(f"read the columns of query {query_id}"):
            page = self._clients("athena").get_query_results(QueryExecutionId=query_id, MaxResults=1)
        infos = page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        columns = tuple(
            ResultColumn(info.get("Label") or info["Name"], known.note.types.get(str(place)) or type_of(info))
            for place, info in enumerate(infos)
        )
        rows = self._rows_counted(query_id) if known.note.kind != "explain" else None
        truncated = rows is not None and rows > known.note.most
        return replace(known.query, columns=columns, rows=min(rows, known.note.most) if rows else rows,
                       truncated=truncated)  # fmt: skip

    def _rows_counted(self, query_id: str) -> int | None:
        with athena_errors(f"read the statistics of query {query_id}"):
            answer = self._clients("athena").get_query_runtime_statistics(QueryExecutionId=query_id)
        rows = answer.get("QueryRuntimeStatistics", {}).get("Rows", {}).get("OutputRows")
        return int(rows) if rows is not None else None

    def _with_rows(self, query_id: str) -> KnownQuery:
        """A query that has rows. Raises QueryFailed for one that has none, yet or for good."""
        known = self._look(query_id)
        query = known.query
        if query.state == QueryState.SUCCEEDED:
            return known
        if query.error:
            raise QueryFailed(query.error["message"], query_id=query_id, **query.error["details"])
        raise QueryFailed(f"query {query_id} is {query.state} and has no rows", query_id=query_id, state=query.state)

    def _key_of(self, location: str) -> str:
        return location.removeprefix(self._lake.store.location(""))

    def _file_of(self, known: KnownQuery, format: str) -> str:
        """The key of the result as a file of its own, made when first asked for."""
        from chalicelib.queries.athena.note import conversion

        key = self._key_of(known.location)
        target, request = conversion(key, format, known.query.columns, known.note.most)
        if self._lake.store.stat(target):
            return target
        if not self._settings.result_function:  # not on Lambda: pyarrow is here
            from chalicelib.queries.athena.conversion import convert

            return convert(self._lake, **request)
        if self._is_being_made(target):
            self._await_file(target)
        else:
            self._have_made(target, request)
        return target

    def _is_being_made(self, target: str) -> bool:
        """Whether the function is at work on a file since less than it may take."""
        mark = self._lake.store.stat(target + BEING_MADE)
        return mark is not None and mark.size > 0 and self._clock() - mark.modified < LONGEST_FILE

    def _await_file(self, target: str) -> None:
        """Wait for a file that another request has had begun. Raises FileNotReady."""
        deadline = self._monotonic() + FILE_SECONDS
        while not self._lake.store.stat(target):
            if self._monotonic() > deadline:
                raise FileNotReady("the file is still being made: ask for it again in a minute")
            self._sleep(FILE_POLL)

    def _have_made(self, target: str, request: dict[str, Any]) -> None:
        """Have the function make a file. Raises FileNotReady where it goes on for longer than a request may, and
        QueryFailed."""
        name = self._settings.result_function
        self._lake.store.write(target + BEING_MADE, b"begun")
        try:
            with lake_errors(f"have {name} make the file"):
                answer = self._clients("lambda").invoke(FunctionName=name, Payload=json.dumps(request).encode())
                outcome = json.loads(answer["Payload"].read())
        except StorageUnavailable as error:
            if error.details.get("aws_code") == UNANSWERED:
                raise FileNotReady("this file takes minutes to make: ask for it again in a minute") from error
            self._lake.store.write(target + BEING_MADE, b"")
            raise
        if "FunctionError" in answer:
            self._lake.store.write(target + BEING_MADE, b"")
            raise QueryFailed(f"the file could not be made: {outcome.get('errorMessage', outcome)}")


def repeated(error: Exception) -> bool:
    """Whether botocore had asked before, so that what is refused may be what was asked for, its answer lost."""
    return bool(getattr(error, "response", {}).get("ResponseMetadata", {}).get("RetryAttempts"))


def required(value: str, name: str) -> str:
    """A setting that a lake in a bucket needs. Raises InvalidSetting."""
    if not value:
        raise InvalidSetting(f"{name} must be set for a lake in a bucket; deploying sets it")
    return value


@contextmanager
def athena_errors(doing: str, *, missing: LakeError | None = None, denied: LakeError | None = None) -> Iterator[None]:
    """Athena's errors in the lake's words. A refused request is ``missing`` where that is the likely reason."""
    with lake_errors(doing):
        try:
            yield
        except Exception as error:
            if code_of(error) in THROTTLED:
                raise EngineBusy(f"cannot {doing} just now: Athena has too much to do; ask again soon") from error
            if denied and code_of(error) in DENIED:
                raise denied from error
            if code_of(error) == "InvalidRequestException":
                raise (missing or QueryRefused(f"Athena refuses to {doing}: {message_of(error)}")) from error
            raise


# --- reading what Athena says -------------------------------------------------------------------------------------


def read_execution(execution: dict[str, Any]) -> KnownQuery | None:
    """A query execution; None for one that the lake did not start."""
    from chalicelib.queries.athena.note import read_note

    found = read_note(execution["Query"])
    if found is None:
        return None
    sql, note = found
    status, statistics = execution["Status"], execution.get("Statistics", {})
    state = STATES[status["State"]]
    scanned = statistics.get("DataScannedInBytes")
    reused = bool(statistics.get("ResultReuseInformation", {}).get("ReusedPreviousResult"))
    queued = timedelta(milliseconds=statistics.get("QueryQueueTimeInMillis", 0))
    query = Query(
        query_id=execution["QueryExecutionId"],
        sql=sql,
        state=state,
        submitted_at=status["SubmissionDateTime"],
        started_at=None if state == QueryState.QUEUED else status["SubmissionDateTime"] + queued,
        ended_at=status.get("CompletionDateTime") if state.ended else None,
        bytes_scanned=scanned,
        cost_usd=cost(state, note.kind, scanned, reused),
        reused=reused,
        client=note.client,
        error=failure(status, note, execution["Query"]) if state == QueryState.FAILED else None,
    )
    return KnownQuery(query, execution.get("ResultConfiguration", {}).get("OutputLocation", ""), note)


def cost(state: QueryState, kind: str, scanned: int | None, reused: bool) -> float | None:
    """What Athena charges, in USD. Failed and reused queries and plans are free; cancelled ones are charged."""
    if not state.ended:
        return None
    if state == QueryState.FAILED or kind == "explain" or reused or scanned is None:
        return 0.0
    return max(scanned, LEAST_CHARGED) * USD_PER_BYTE


def failure(status: dict[str, Any], note: Note, sent: str) -> dict[str, Any]:
    """``SYNTAX_ERROR: line 1:8: Column 'x' cannot be resolved`` as the API's error, placed as written."""
    reason = status.get("StateChangeReason") or status.get("AthenaError", {}).get("ErrorMessage") or "no reason given"
    text = re.sub(r"\A[A-Z_]+: ", "", reason)
    place = POSITION.search(text)
    line, column = note.written_place(int(place[1]), int(place[2]), sent) if place else (0, 0)
    details = {"position": {"line": line, "column": column}} if place else {}
    return {"code": QueryFailed.code, "message": POSITION.sub("", text, count=1), "details": details}


def out_of_time(query: Query, seconds: float) -> Query:
    """The query as failed, because its time was over."""
    error = {"code": QueryFailed.code, "message": f"the query took longer than {seconds:g} s", "details": {}}
    return replace(query, state=QueryState.FAILED, error=error)


def type_of(info: dict[str, Any]) -> str:
    """Athena's column type by its full Trino name."""
    kind = str(info["Type"]).lower()
    if kind == "decimal":
        return f"decimal({info['Precision']},{info['Scale']})"
    return TRINO.get(kind, kind)


def is_header(texts: list[list[str | None]], known: KnownQuery) -> bool:
    """SELECT's first row repeats the names of its columns; a plan may come without."""
    if known.note.kind != "explain":
        return True
    return bool(texts) and texts[0] == [column.name for column in known.query.columns]


def typed(query: Query, texts: list[list[str | None]]) -> list[tuple[Any, ...]]:
    """Rows of texts as values, by the types of the query's columns."""
    readers = [reader(column.type) for column in query.columns]
    return [
        tuple(None if text is None else read(text) for read, text in zip(readers, row, strict=True)) for row in texts
    ]


def make_token(query_id: str, token: str, seen: int) -> str:
    """The page token of a result: whose it is, Athena's own token, and the rows before it."""
    return base64.urlsafe_b64encode(json.dumps([query_id, token, seen]).encode()).decode()


def read_token(page_token: str | None, query_id: str) -> tuple[str | None, int]:
    """Athena's own token and the rows that came before. Raises PageTokenInvalid."""
    if page_token is None:
        return None, 0
    try:
        asked, token, seen = json.loads(base64.urlsafe_b64decode(page_token.encode()))
        if asked == query_id and isinstance(token, str) and isinstance(seen, int) and seen >= 0:
            return token, seen
    except (ValueError, TypeError):  # not JSON, or not a list
        pass
    raise PageTokenInvalid("page_token is not one that this query gave", query_id=query_id)


def describe(
    name: str, known: dict[str, Any], files: dict[str, dict[str, list[ObjectInfo]]], *, with_partitions: bool = False
) -> CatalogueTable:
    """A table as its declaration describes it, with what Glue and the bucket know."""
    from chalicelib.queries.sql.types import declared

    table = PHYSICAL.get(name) or BY_NAME[name]
    columns = user_tables()[name]
    listed = [TableColumn(column.name, str(declared(column.type)), column.description) for column in columns]
    more = [each for each in known["StorageDescriptor"].get("Columns", []) if name in PHYSICAL]
    listed += [
        TableColumn(each["Name"], each["Type"], each.get("Comment", ""))
        for each in more
        if each["Name"] not in {column.name for column in columns}
    ]
    months = files.get(reads(name)[0], {})
    every = [info for infos in months.values() for info in infos]
    partitions = tuple(
        {"month": month, "rows": None, "bytes": sum(info.size for info in infos), "files": len(infos)}
        for month, infos in sorted(months.items())
    )
    return CatalogueTable(
        name=name,
        description=table.description,
        columns=tuple(listed),
        bytes=sum(info.size for info in every),
        files=len(every),
        partitions=partitions if with_partitions else (),
        newest=max((info.modified for info in every), default=None),
    )
