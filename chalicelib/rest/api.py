"""Requests in, replies out: what each endpoint of routes.py does.

Knows nothing of Chalice or HTTP servers. ``Api.handle`` checks the token's scope, its rate and the request's words,
then calls the method named like the route; errors become the one error shape.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode

from chalicelib.clock import Clock, now
from chalicelib.errors import (
    Conflict,
    InvalidRequest,
    LakeError,
    NotFound,
    PageTokenInvalid,
    QueryFailed,
    RunInProgress,
    Unauthorized,
)
from chalicelib.exports import announced
from chalicelib.extraction import starting
from chalicelib.extraction.lock import holder_of
from chalicelib.extraction.starting import Worker
from chalicelib.lake import QUARANTINE, REPORTS, Lake
from chalicelib.quarantine import quarantined, reasons
from chalicelib.queries.engine import Engine, Query, QueryState, RowPage
from chalicelib.rest import assets
from chalicelib.rest.access import Access
from chalicelib.rest.health import Health
from chalicelib.rest.limits import RateLimit
from chalicelib.rest.messages import (
    SOON,
    Asked,
    Reply,
    Request,
    as_json,
    cached,
    dress,
    error_reply,
    read_request,
    require_scope,
    single_values,
    wanted_type,
)
from chalicelib.rest.replies import Deleted, Session
from chalicelib.rest.routes import BY_ADDRESS, CSV, JSON, LONGEST_WAIT, NAME, Route
from chalicelib.runs import RunRecord, load_run, new_run_id, run_ids
from chalicelib.settings import Settings
from chalicelib.transforms import DoneNote, done_note

KEY = r"[^\x00-\x1f]{1,500}"  # of an object below a zone
LARGEST_PAGE = 5_000_000  # bytes of one answer: Lambda's limit is 6 MB, API Gateway's 10 MB

log = logging.getLogger(__name__)


class Api:
    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        engine: Callable[[], Engine],
        worker: Callable[[], Worker],
        access: Callable[[], Access],
        clock: Clock = now,
    ) -> None:
        self._settings = settings
        self._lake = lake
        self._engine = engine
        self._worker = worker
        self._access = access
        self._clock = clock
        self._limit = RateLimit(settings.requests_per_minute)
        self._health = Health(settings, lake, clock)

    def handle(self, request: Request) -> Reply:
        """The reply to a request, whatever happens."""
        try:
            reply = self._answer(BY_ADDRESS[request.method, request.route], request)
        except LakeError as error:
            reply = error_reply(error)
        except Exception:
            log.exception("request %s failed: %s %s", request.request_id, request.method, request.route)
            fault = LakeError(f"something went wrong here; the log says more under {request.request_id}")
            reply = error_reply(fault)
        return dress(reply, request)

    def _answer(self, route: Route, request: Request) -> Reply:
        if route.scope is not None:
            require_scope(route, request, on_aws=self._settings.on_aws)
            self._limit.take(request.token_id)
        asked = read_request(route, request)
        answer: Callable[[Asked], Reply] = getattr(self, route.name)
        return answer(asked)

    # --- the page and the service ---------------------------------------------------------------------------------

    def dashboard(self, _: Asked) -> Reply:
        reply = self._file("index.html")
        bucket = self._settings.bucket
        policy = assets.page_policy(self._settings.show_images, bucket, os.environ.get("AWS_REGION", ""))
        reply.headers["Content-Security-Policy"] = policy
        return reply

    def asset(self, asked: Asked) -> Reply:
        return self._file(asked.path["name"])

    def asset_below(self, asked: Asked) -> Reply:
        return self._file(f"{asked.path['name']}/{asked.path['below']}")

    def _file(self, name: str) -> Reply:
        found = assets.asset(name)
        headers = {"ETag": f'W/"{found.etag}"', "Cache-Control": "no-cache"}
        return Reply(200, found.text, found.content_type, headers)

    def health(self, _: Asked) -> Reply:
        return Reply(200, self._health.report())

    def openapi(self, _: Asked) -> Reply:
        from chalicelib.rest.openapi import document

        return cached(Reply(200, document()), "public, max-age=300")

    # --- signing in -----------------------------------------------------------------------------------------------

    def sign_in(self, asked: Asked) -> Reply:
        try:
            session, token = self._access().sign_in(asked.body["code"])
        except Unauthorized:
            asked.request.wrong_code()
            raise
        return Reply(201, Session(session.token_id, session.scope, session.expires_at, token))

    def stay_signed_in(self, asked: Asked) -> Reply:
        session = self._access().stay(asked.request.token_id)
        return Reply(200, Session(session.token_id, session.scope, session.expires_at))

    def sign_out(self, asked: Asked) -> Reply:
        self._access().end_session(asked.request.token_id)
        return Reply(200, Deleted(asked.request.token_id))

    # --- runs -----------------------------------------------------------------------------------------------------

    def start_run(self, asked: Asked) -> Reply:
        from chalicelib.extraction.sources import chosen, load_sources

        chosen(load_sources(self._settings), asked.body["sources"])  # an unknown one is refused at once
        self._refuse_second_run()
        run_id = new_run_id(self._clock())
        record = starting.accept(self._lake, run_id, self._clock)
        try:
            self._worker().start(run_id, asked.body["sources"])
        except LakeError as error:
            starting.note_failure(self._lake, run_id, error.message)
            raise
        return Reply(202, record, headers={"Location": f"/runs/{run_id}"})

    def _refuse_second_run(self) -> None:
        going_on = holder_of(self._lake, self._clock())
        if going_on:
            raise RunInProgress(f"run {going_on} is going on; wait for it to end", run_id=going_on)

    def list_runs(self, asked: Asked) -> Reply:
        names, following = page_of(run_ids(self._lake, token_of(asked, NAME), self._clock), asked.query["limit"])
        runs = [record.as_json() for name in names if (record := self._readable(name))]
        for run in runs:
            for source in run["sources"]:
                del source["raw_keys"]
        return Reply(200, {"runs": runs, "next_page_token": following})

    def _readable(self, run_id: str) -> RunRecord | None:
        """A listed run; None where what bears its name is no record, as when a person left a file there."""
        try:
            return load_run(self._lake, run_id)
        except NotFound as error:
            log.warning("left out of the list: %s", error.message)
            return None

    def get_run(self, asked: Asked) -> Reply:
        run_id = asked.path["run_id"]
        try:
            record = load_run(self._lake, run_id).as_json()
        except NotFound:
            accepted = starting.accepted_run(self._lake, run_id, self._clock)
            if accepted is None:
                raise
            return Reply(200, accepted, headers={"Retry-After": SOON})
        keys = [key for source in record["sources"] for key in source["raw_keys"]]
        notes = self._transformed(keys)
        record["to_transform"] = [key for key in keys if key not in notes]
        record["quarantined"] = [as_json(note.quarantined) for note in notes.values() if note.quarantined]
        return Reply(200, record)

    def _transformed(self, keys: list[str]) -> dict[str, DoneNote]:
        """What is noted of those of ``keys`` that the tables in force have, or that lie in quarantine."""
        generation = self._lake.generation()
        return {key: note for key in keys if (note := done_note(self._lake, generation, key))}

    def list_quarantine(self, asked: Asked) -> Reply:
        """Of each kind the newest first, as the keys have it."""
        found = {info.key.removeprefix(QUARANTINE): info for info in reasons(self._lake)}
        token = token_of(asked, KEY)
        listed = (name for name in sorted(found, reverse=True) if token is None or name < token)
        names, following = page_of(listed, asked.query["limit"])
        held = [told for name in names if (told := quarantined(self._lake, found[name]))]
        return Reply(200, as_json({"objects": held, "next_page_token": following}))

    # --- catalogue ------------------------------------------------------------------------------------------------

    def start_crawl(self, _: Asked) -> Reply:
        return Reply(202, self._engine().start_crawl(), headers={"Location": "/crawls/latest"})

    def latest_crawl(self, _: Asked) -> Reply:
        crawl = self._engine().latest_crawl()
        if crawl is None:
            raise NotFound("nothing has been crawled yet: POST /crawls")
        return Reply(200, crawl)

    def list_tables(self, _: Asked) -> Reply:
        tables = as_json(self._engine().tables())
        for table in tables:
            del table["partitions"]
        return cached(Reply(200, {"tables": tables}))

    def get_table(self, asked: Asked) -> Reply:
        return cached(Reply(200, self._engine().table(asked.path["name"])))

    # --- queries --------------------------------------------------------------------------------------------------

    def start_query(self, asked: Asked) -> Reply:
        body = asked.body
        query = self._engine().start_query(
            body["sql"], body["parameters"], client=asked.request.token_id, max_rows=body["max_rows"]
        )
        return Reply(202, query, headers={"Location": f"/queries/{query.query_id}"})

    def list_queries(self, asked: Asked) -> Reply:
        queries, following = self._engine().queries(asked.query["limit"], asked.query["page_token"])
        return Reply(200, {"queries": queries, "next_page_token": following})

    def get_query(self, asked: Asked) -> Reply:
        query = self._waited_for(asked)
        return Reply(200, query, headers={} if query.state.ended else {"Retry-After": SOON})

    def cancel_query(self, asked: Asked) -> Reply:
        return Reply(200, self._engine().cancel(asked.path["query_id"]))

    def query_rows(self, asked: Asked) -> Reply:
        wanted = wanted_type(asked.request, JSON, CSV)
        query = require_result(self._waited_for(asked))
        return self._rows_reply(query, asked.query["limit"], asked.query["page_token"], wanted)

    def download(self, asked: Asked) -> Reply:
        query = require_result(self._engine().query(asked.path["query_id"]))
        found = self._engine().download(query.query_id, asked.query["format"], client=asked.request.token_id)
        if found.link:
            return Reply(302, None, headers={"Location": found.link, "Cache-Control": "no-store"})
        headers = {"Content-Disposition": f'attachment; filename="{found.filename}"', "Cache-Control": "private"}
        return Reply(200, found.path or found.chunks, found.content_type, headers)

    def _waited_for(self, asked: Asked) -> Query:
        query_id, seconds = asked.path["query_id"], asked.query["wait"]
        return self._engine().wait(query_id, seconds) if seconds else self._engine().query(query_id)

    def _rows_reply(self, query: Query, limit: int, page_token: str | None, wanted: str) -> Reply:
        """A page of rows, made smaller until it fits one answer."""
        while True:
            page = self._engine().rows(query.query_id, limit, page_token)
            text = page_text(page, wanted, first=page_token is None)
            size = size_sent(text)
            if size <= LARGEST_PAGE:
                break
            if limit == 1:
                raise QueryFailed("a row of this result is too large for a page: GET its download instead")
            limit = max(1, min(limit // 2, limit * LARGEST_PAGE // size))
        reply = Reply(200, text, wanted if wanted == JSON else "text/csv; charset=utf-8; header=present")
        if wanted == CSV:
            reply.headers |= csv_headers(query, page, limit)
        return cached(reply, "private, max-age=300")

    # --- reports --------------------------------------------------------------------------------------------------

    def list_reports(self, _: Asked) -> Reply:
        from chalicelib.reports.catalogue import reports

        return cached(Reply(200, {"reports": [report.as_json() for report in reports(self._lake)]}))

    def run_report(self, asked: Asked) -> Reply:
        from chalicelib.reports import catalogue

        wanted = wanted_type(asked.request, JSON, CSV)
        report = catalogue.report(asked.path["name"], self._lake)
        values = single_values(asked.request.query)
        done = catalogue.run(
            self._engine(), report, values, wait=LONGEST_WAIT, client=asked.request.token_id, clock=self._clock
        )
        location = {"Location": f"/queries/{done.query.query_id}"}
        if done.page is None:
            return Reply(202, done.query, headers=location)
        if wanted == CSV:
            reply = Reply(200, page_text(done.page, CSV, first=True), "text/csv; charset=utf-8; header=present")
            reply.headers |= csv_headers(done.query, done.page, len(done.page.rows))
            return cached(reply)
        content = {
            "report": report.as_json(),
            "values": done.values,
            "sql": report.sql,
            "query_id": done.query.query_id,
            **rows_json(done.page),
        }
        return cached(Reply(200, content))

    def save_report(self, asked: Asked) -> Reply:
        from chalicelib.reports.catalogue import parse_report

        name, text = asked.path["name"], asked.body["sql"]
        try:
            report = parse_report(name, text, built_in=False)
        except ValueError as error:
            raise InvalidRequest(f"report {name}: {error}", report=name) from None
        self._check_report(report)
        key = own_report_key(name)
        status = 200 if self._lake.store.stat(key) else 201
        self._lake.store.write(key, text.encode(), content_type="application/sql")
        return Reply(status, report.as_json())

    def _check_report(self, report: Any) -> None:
        """The guard's word on the report's SQL, before it is saved."""
        from chalicelib.reports.catalogue import bind

        ready = bind(report, {}, clock=self._clock)
        self._engine().check(ready.sql, ready.bound)

    def delete_report(self, asked: Asked) -> Reply:
        name = asked.path["name"]
        key = own_report_key(name)
        if self._lake.store.stat(key) is None:
            raise NotFound(f"there is no report {name} of your own in this lake", report=name)
        self._lake.store.delete([key])
        return Reply(200, {"deleted": name})

    # --- imports --------------------------------------------------------------------------------------------------

    def start_import(self, asked: Asked) -> Reply:
        record = announced.announce(
            self._settings, self._lake, asked.body["filename"], asked.body["user_id"], clock=self._clock
        )
        return Reply(201, record, headers={"Location": f"/imports/{record['import_id']}"})

    def get_import(self, asked: Asked) -> Reply:
        return Reply(200, announced.look_up(self._lake, asked.path["import_id"]))

    def upload_import(self, asked: Asked) -> Reply:
        if self._settings.on_aws:  # API Gateway would make text of it
            raise InvalidRequest("on AWS the file goes to the link that POST /imports answers")
        record = announced.receive(self._lake, asked.path["import_id"], asked.request.body, clock=self._clock)
        return Reply(202, record, headers={"Location": f"/imports/{record['import_id']}"})


def require_result(query: Query) -> Query:
    """The query, if it has rows. Raises Conflict while it has none yet, QueryFailed if it never will."""
    if query.state == QueryState.SUCCEEDED:
        return query
    if query.state == QueryState.FAILED:
        error = query.error or {}
        raise QueryFailed(error.get("message", "the query failed"), query_id=query.query_id, **error.get("details", {}))
    remedy = "ask again with wait=10" if not query.state.ended else "start it again"
    raise Conflict(f"query {query.query_id} is {query.state}: {remedy}", query_id=query.query_id, state=query.state)


def rows_json(page: RowPage) -> dict[str, Any]:
    from chalicelib.queries.rendering import plain_rows

    return {
        "columns": [{"name": column.name, "type": column.type} for column in page.columns],
        "rows": plain_rows(page.rows),
        "next_page_token": page.next_page_token,
        "truncated": page.truncated,
    }


def page_text(page: RowPage, wanted: str, *, first: bool) -> str:
    if wanted == JSON:
        return json.dumps(rows_json(page), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    from chalicelib.queries.rendering import csv_lines

    header = [[column.name for column in page.columns]] if first else []
    return csv_lines([*header, *page.rows])


def size_sent(text: str) -> int:
    """Bytes that a body takes where it leaves a function: as a JSON string in UTF-8."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def csv_headers(query: Query, page: RowPage, limit: int) -> dict[str, str]:
    """What JSON says in its body: the next page, and whether the result was cut."""
    headers = {"X-Truncated": str(page.truncated).lower()}
    if page.next_page_token:
        following = urlencode({"limit": max(1, limit), "page_token": page.next_page_token})
        headers["X-Next-Page-Token"] = page.next_page_token
        headers["Link"] = f'</queries/{quote(query.query_id)}/rows?{following}>; rel="next"'
    return headers


def token_of(asked: Asked, pattern: str) -> str | None:
    """The page token, which is the last name of the page before. Raises PageTokenInvalid unless it may be one."""
    token: str | None = asked.query["page_token"]
    if token is not None and not re.fullmatch(pattern, token):
        raise PageTokenInvalid("page_token is not one that this endpoint gave")
    return token


def page_of(names: Iterator[str], limit: int) -> tuple[list[str], str | None]:
    """The first names, and the token that goes on behind them."""
    found = list(islice(names, limit + 1))
    return found[:limit], found[limit - 1] if len(found) > limit else None


def own_report_key(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise InvalidRequest("a report's name is a small letter, then small letters, digits and _", name=name)
    return f"{REPORTS}{name}.sql"
