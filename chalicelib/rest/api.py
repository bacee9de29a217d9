"""Requests in, replies out: what each endpoint of routes.py does.

Knows nothing of Chalice or HTTP servers. ``Api.handle`` checks the token's scope, its rate and the request's words,
then calls the method named like the route; errors become the one error shape.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from chalicelib import exclusions, images, listeners
from chalicelib.clock import Clock, Sleep, now
from chalicelib.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    LakeError,
    NotFound,
    QueryFailed,
    StorageFailed,
    StorageUnavailable,
    Unauthorized,
)
from chalicelib.exports import announced
from chalicelib.exports.announced import AnnouncedImport
from chalicelib.extraction import starting
from chalicelib.extraction.lock import holders, in_progress, name_of
from chalicelib.extraction.starting import AcceptedRun, Worker
from chalicelib.lake import QUARANTINE, REPORTS, Lake, Linking
from chalicelib.listeners import KnownListeners, Person, everybody, noted
from chalicelib.quarantine import quarantined, reasons
from chalicelib.queries.engine import Engine, Examining, Query, QueryState, RowPage, failure_of
from chalicelib.rest import assets, paging
from chalicelib.rest.access import LISTENER, RUN, Access, until_day
from chalicelib.rest.health import Health
from chalicelib.rest.invitations import SOMEBODY, base_address, share_address
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
from chalicelib.rest.replies import (
    BrowserSession,
    Deleted,
    ExclusionList,
    ImageList,
    Import,
    InvitationList,
    ListedReport,
    ListedRun,
    ListenerList,
    ListenerShown,
    QuarantineList,
    QueryList,
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
    members,
    of,
)
from chalicelib.rest.routes import BY_ADDRESS, CSV, JSON, LONGEST_WAIT, NAME, Route
from chalicelib.rest.sql_requests import RequestedSql, addressed_sql, requested_sql
from chalicelib.runs import RunRecord, complete_at, load_run, new_run_id, newest_run, run_ids
from chalicelib.settings import Settings
from chalicelib.transforms import DoneNote, done_note

if TYPE_CHECKING:
    from chalicelib.reports.catalogue import Report
    from chalicelib.rest.invitations import Invitation, Invitations
    from chalicelib.spotify.auth import Login

KEY = r"[^\x00-\x1f]{1,500}"  # of an object below a zone
HTML_TEXT = "text/html; charset=utf-8"
JOIN_COOKIE = "lake_join"
CSV_WITH_HEADER = "text/csv; charset=utf-8; header=present"
LINK_SECONDS = 900  # for which a link to a picture works
LOOKS, LOOK_EVERY = 30, 0.1  # times a decision is looked for in the tables, s between two of them
LARGEST_PAGE = 5_000_000  # bytes of one answer: Lambda's limit is 6 MB, API Gateway's 10 MB

log = logging.getLogger(__name__)


class Api:
    """One method for each route of routes.py, of the route's name."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        engine: Callable[[], Engine],
        worker: Callable[[], Worker],
        access: Callable[[], Access],
        clock: Clock = now,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._settings = settings
        self._lake = lake
        self._engine = engine
        self._worker = worker
        self._access = access
        self._lake_seen = False
        self._clock, self._sleep = clock, sleep
        self._limit = RateLimit(settings.requests_per_minute)
        self._health = Health(settings, lake, clock, damaged=self._damaged)

    def handle(self, request: Request) -> Reply:
        """The reply to a request, whatever happens."""
        try:
            reply = self._answer(BY_ADDRESS[request.method, request.route], request)
        except LakeError as error:
            reply = error_reply(error)
        except OSError as error:
            log.error("request %s: %s", request.request_id, error)
            reply = error_reply(StorageFailed(f"the disk refuses: {error.strerror or error}"))
        except Exception:
            log.exception("request %s failed: %s %s", request.request_id, request.method, request.route)
            fault = LakeError(f"something went wrong here; the log says more under {request.request_id}")
            reply = error_reply(fault)
        return dress(reply, request)

    def _answer(self, route: Route, request: Request) -> Reply:
        if route.scope is not None:
            require_scope(route, request, self._settings)
            self._limit.take(request.token_id)
        asked = read_request(route, request)
        if route.scope is not None:
            self._require_lake()
        answer: Callable[[Asked], Reply] = getattr(self, route.name)
        return answer(asked)

    def _require_lake(self) -> None:
        """A folder that was there and is not (a disk that was unplugged) is neither taken for an empty lake nor made
        anew. Raises StorageUnavailable."""
        if self._settings.on_aws:
            return
        folder = Path(self._lake.store.location(""))
        seen = self._lake_seen  # of before the look: another thread may make the folder meanwhile
        there = folder.is_dir()
        if seen and not there:
            raise StorageUnavailable(f"the lake's folder {folder} is not there any more: put it back, or start again")
        if there:
            self._lake_seen = True

    # --- the page and the service ---------------------------------------------------------------------------------

    def dashboard(self, _: Asked) -> Reply:
        """The page, with what it may load."""
        reply = self._file("index.html")
        bucket = self._settings.bucket
        shown = self._settings.show_images
        policy = assets.page_policy(shown != "false", bucket, os.environ.get("AWS_REGION", ""))
        reply.headers["X-Show-Images"] = shown
        reply.headers["Content-Security-Policy"] = policy
        return reply

    def asset(self, asked: Asked) -> Reply:
        """A file of the page."""
        return self._file(asked.path["name"])

    def asset_below(self, asked: Asked) -> Reply:
        """A file of the page, one folder down."""
        return self._file(f"{asked.path['name']}/{asked.path['below']}")

    def _file(self, name: str) -> Reply:
        found = assets.asset(name)
        kept = "public, max-age=31536000, immutable" if found.lasting else "no-cache"
        headers = {"ETag": f'W/"{found.etag}"', "Cache-Control": kept}
        return Reply(200, found.text, found.content_type, headers)

    def _damaged(self) -> dict[str, str]:
        engine = self._engine()
        return engine.damaged_files() if isinstance(engine, Examining) else {}

    def health(self, _: Asked) -> Reply:
        """Alive, and what the owner should know."""
        return Reply(200, self._health.report())

    def openapi(self, _: Asked) -> Reply:
        """The description of this API."""
        from chalicelib.rest.openapi import document

        return cached(Reply(200, document()), "public, max-age=300")

    # --- signing in -----------------------------------------------------------------------------------------------

    def sign_in(self, asked: Asked) -> Reply:
        """A browser's token for the code of the printed address."""
        try:
            session, token = self._access().sign_in(asked.body["code"])
        except Unauthorized:
            asked.request.wrong_code()
            raise
        return Reply(201, BrowserSession(session.token_id, session.scope, session.expires_at, token))

    def signed_in(self, asked: Asked) -> Reply:
        """What the token may."""
        only = self._listener(asked)
        name = everybody(self._lake).person(only).name if only else None
        return Reply(200, SignedIn(str(asked.request.scope), only, name))

    def stay_signed_in(self, asked: Asked) -> Reply:
        """Let this browser's token last."""
        session = self._access().stay(asked.request.token_id)
        return Reply(200, BrowserSession(session.token_id, session.scope, session.expires_at))

    def sign_out(self, asked: Asked) -> Reply:
        """End this browser's session."""
        self._access().end_session(asked.request.token_id)
        return Reply(200, Deleted(asked.request.token_id))

    # --- runs -----------------------------------------------------------------------------------------------------

    def start_run(self, asked: Asked) -> Reply:
        """Have a run begin, unless one goes on for every listener already."""
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
        held = holders(self._lake, self._clock())
        if not held:
            return
        newest = newest_run(self._lake, self._clock)
        listeners = {name_of(each["user_id"]) for each in newest.authorizations} if newest else set()
        if not listeners - held.keys():
            raise in_progress(next(iter(held.values())))

    def list_runs(self, asked: Asked) -> Reply:
        """Runs, the one that began last first."""
        names, following = page_of(
            run_ids(self._lake, paging.place("list_runs", asked, NAME), self._clock), asked.query["limit"]
        )
        records = [record for name in names if (record := self._readable(name))]
        runs = [ListedRun.of(record, self._complete_at(record)) for record in records]
        return Reply(200, RunList(runs, paging.token("list_runs", following)))

    def _complete_at(self, record: RunRecord) -> datetime | None:
        return complete_at(record, self._settings.calls_per_run, self._settings.extract_schedule)

    def _readable(self, run_id: str) -> RunRecord | None:
        """A listed run; None where what bears its name is no record, as when a person left a file there."""
        try:
            return load_run(self._lake, run_id)
        except NotFound as error:
            log.warning("left out of the list: %s", error.message)
            return None

    def get_run(self, asked: Asked) -> Reply:
        """One run, also one that was asked for and has not begun."""
        run_id = asked.path["run_id"]
        try:
            record = load_run(self._lake, run_id)
        except NotFound:
            accepted = starting.accepted_run(self._lake, run_id, self._clock)
            if accepted is None:
                raise
            return Reply(200, RunDetail(**members(AcceptedRun, accepted)), headers={"Retry-After": SOON})
        keys = list(dict.fromkeys(key for source in record.sources for key in source.raw_keys))  # some share one
        notes = self._transformed(keys)
        untransformed = [key for key in keys if key not in notes]
        quarantined = [note.quarantined for note in notes.values() if note.quarantined]
        detail = RunDetail(**members(RunRecord, record), to_transform=untransformed, quarantined=quarantined)
        return Reply(200, detail)

    def _transformed(self, keys: list[str]) -> dict[str, DoneNote]:
        """What is noted of those of ``keys`` that the tables in force have, or that lie in quarantine."""
        generation = self._lake.generation()
        return {key: note for key in keys if (note := done_note(self._lake, generation, key))}

    def list_quarantine(self, asked: Asked) -> Reply:
        """Of each kind the newest first, as the keys have it."""
        found = {info.key.removeprefix(QUARANTINE): info for info in reasons(self._lake)}
        token = paging.place("list_quarantine", asked, KEY)
        listed = (name for name in sorted(found, reverse=True) if token is None or name < token)
        names, following = page_of(listed, asked.query["limit"])
        held = [told for name in names if (told := quarantined(self._lake, found[name]))]
        return Reply(200, QuarantineList(held, paging.token("list_quarantine", following)))

    # --- catalogue ------------------------------------------------------------------------------------------------

    def start_crawl(self, _: Asked) -> Reply:
        """Have the catalogue looked through."""
        return Reply(202, self._engine().start_crawl(), headers={"Location": "/crawls/latest"})

    def latest_crawl(self, _: Asked) -> Reply:
        """The newest crawl."""
        crawl = self._engine().latest_crawl()
        if crawl is None:
            raise NotFound("nothing has been crawled yet: POST /crawls")
        return Reply(200, crawl)

    def list_tables(self, _: Asked) -> Reply:
        """The catalogue."""
        return cached(Reply(200, TableList.of(self._engine().tables())))

    def get_table(self, asked: Asked) -> Reply:
        """One table of it."""
        return cached(Reply(200, self._engine().table(asked.path["name"])))

    # --- queries --------------------------------------------------------------------------------------------------

    def start_query(self, asked: Asked) -> Reply:
        """Have SQL judged and queued."""
        body = asked.body
        query = self._started(asked, requested_sql(body["sql"], body["parameters"], body["sort"]), body["max_rows"])
        if asked.query["wait"]:
            query = self._engine().wait(query.query_id, asked.query["wait"])
        if not asked.query["wait"] or not query.state.ended:
            return goes_on(query)
        return self._rows_reply(require_result(query), asked.query["limit"], None, JSON, with_query=True)

    def _started(self, asked: Asked, wanted: RequestedSql, max_rows: int | None = None) -> Query:
        """The one way in which a request's SQL reaches the engine."""
        client = asked.request.token_id
        try:
            return self._engine().start_query(wanted.sql, wanted.parameters, client=client, max_rows=max_rows)
        except LakeError as error:
            raise wanted.placed(error) from None

    def sql(self, asked: Asked) -> Reply:
        """The first rows of SQL in the address, or where they will be."""
        wanted = wanted_type(asked.request, JSON, CSV)
        query = self._ended_sql(asked)
        if not query.state.ended:
            return goes_on(query)
        excel = asked.query["csv"] == "excel"
        return self._rows_reply(require_result(query), asked.query["limit"], None, wanted, excel=excel, with_query=True)

    def sql_csv(self, asked: Asked) -> Reply:
        """All rows of SQL in the address as CSV, or where they will be."""
        return self._sql_file(asked, "csv", excel=asked.query["csv"] == "excel")

    def sql_parquet(self, asked: Asked) -> Reply:
        """All rows of SQL in the address as Parquet, or where they will be."""
        return self._sql_file(asked, "parquet")

    def sql_json(self, asked: Asked) -> Reply:
        """All rows of SQL in the address, an object each, or where they will be."""
        query = self._ended_sql(asked, asked.query["limit"])
        if not query.state.ended:
            return goes_on(query)
        from chalicelib.queries.rendering import with_local_times

        found = self._engine().all_rows(require_result(query).query_id, bounded=True)
        pieces = json_objects(with_local_times(page, query.sql) for page in found)
        if self._settings.on_aws:
            return Reply(200, within_one_answer(pieces), JSON)
        return Reply(200, pieces, JSON)

    def _sql_file(self, asked: Asked, format: str, *, excel: bool = False) -> Reply:
        query = self._ended_sql(asked, asked.query["limit"])
        if not query.state.ended:
            return goes_on(query)
        return self._file_reply(require_result(query), format, asked.request.token_id, excel=excel)

    def _ended_sql(self, asked: Asked, max_rows: int | None = None) -> Query:
        """The query of SQL in the address, when it has ended or the wait is over."""
        query = self._started(asked, addressed_sql(asked), max_rows)
        return self._engine().wait(query.query_id, asked.query["wait"])

    def list_queries(self, asked: Asked) -> Reply:
        """Queries, newest first: for a token that only reads, those that it asked."""
        client = None if asked.request.scope == RUN else asked.request.token_id
        place = paging.place("list_queries", asked)
        queries, following = self._engine().queries(asked.query["limit"], place, client=client)
        return Reply(200, QueryList(queries, paging.token("list_queries", following)))

    def get_query(self, asked: Asked) -> Reply:
        """A query, when it has ended or the wait is over."""
        query = self._waited_for(asked)
        return Reply(200, query, headers={} if query.state.ended else {"Retry-After": SOON})

    def cancel_query(self, asked: Asked) -> Reply:
        """End a query."""
        query = self._asked_for(asked)
        return Reply(200, query if query.state.ended else self._engine().cancel(query.query_id))

    def query_rows(self, asked: Asked) -> Reply:
        """A page of a result."""
        wanted = wanted_type(asked.request, JSON, CSV)
        query = require_result(self._waited_for(asked))
        place = paging.place("query_rows", asked)
        return self._rows_reply(query, asked.query["limit"], place, wanted, excel=asked.query["csv"] == "excel")

    def download(self, asked: Asked) -> Reply:
        """A whole result, here or behind a link."""
        query = require_result(self._asked_for(asked))
        excel = asked.query["csv"] == "excel"
        return self._file_reply(query, asked.query["format"], asked.request.token_id, excel=excel)

    def _file_reply(self, query: Query, format: str, client: str, *, excel: bool) -> Reply:
        if excel and format == "csv":
            return self._download_for_excel(query)
        found = self._engine().download(query.query_id, format, client=client)
        if found.link:
            return Reply(302, None, headers={"Location": found.link, "Cache-Control": "no-store"})
        headers = {"Content-Disposition": f'attachment; filename="{found.filename}"', "Cache-Control": "private"}
        return Reply(200, found.path or found.chunks, found.content_type, headers)

    def _download_for_excel(self, query: Query) -> Reply:
        """The whole result, written while it is sent."""
        if self._settings.on_aws:
            raise InvalidRequest("on AWS a file is as Athena wrote it: page through /rows with csv=excel instead")
        from chalicelib.queries.rendering import with_local_times

        found = self._engine().all_rows(query.query_id, bounded=True)
        pages = (with_local_times(page, query.sql) for page in found)
        headers = {"Content-Disposition": f'attachment; filename="{query.query_id}.csv"', "Cache-Control": "private"}
        return Reply(200, csv_pages(pages), CSV_WITH_HEADER, headers)

    def _waited_for(self, asked: Asked) -> Query:
        query, seconds = self._asked_for(asked), asked.query["wait"]
        return self._engine().wait(query.query_id, seconds) if seconds and not query.state.ended else query

    def _asked_for(self, asked: Asked) -> Query:
        """The query in the path. Raises NotFound for one that is nothing to this token: to one that only reads, what
        another token asked; to one of a listener, what is not narrowed to that listener."""
        from chalicelib.reports.own import is_own

        query_id, request = asked.path["query_id"], asked.request
        query = self._engine().query(query_id)
        listener = self._listener(asked)
        shown = is_own(query.sql, listener) if listener else request.scope == RUN or query.client == request.token_id
        if not shown:
            raise NotFound(f"there is no query {query_id}; GET /queries lists them", query_id=query_id)
        return query

    def _rows_reply(
        self,
        query: Query,
        limit: int,
        place: str | None,
        wanted: str,
        *,
        excel: bool = False,
        with_query: bool = False,
    ) -> Reply:
        """A page of rows, made smaller until it fits one answer."""
        from chalicelib.queries.rendering import with_local_times

        while True:
            page = with_local_times(self._engine().rows(query.query_id, limit, place), query.sql)
            text = page_text(page, wanted, query if with_query else None, first=place is None, excel=excel)
            size = size_sent(text)
            if size <= LARGEST_PAGE:
                break
            if limit == 1:
                raise QueryFailed("a row of this result is too large for a page: GET its download instead")
            limit = max(1, min(limit // 2, limit * LARGEST_PAGE // size))
        reply = Reply(200, text, wanted if wanted == JSON else CSV_WITH_HEADER)
        if wanted == CSV:
            reply.headers |= csv_headers(query, page, limit, excel=excel)
        if with_query:  # who asks again wants to know what is so then
            reply.headers["Location"] = f"/queries/{query.query_id}"
            return reply
        return cached(reply, "private, max-age=300")

    def assistant(self, asked: Asked) -> Reply:
        """A message of the Model Context Protocol."""
        from chalicelib.rest.assistant import answer_message

        answer = answer_message(asked.body, asked.request, self.handle)
        return Reply(202, None) if answer is None else Reply(200, answer)

    # --- reports --------------------------------------------------------------------------------------------------

    def list_reports(self, asked: Asked) -> Reply:
        """Built-in reports and the owner's; for a token of one listener those that it may run."""
        from chalicelib.reports.catalogue import QUESTIONS, reports
        from chalicelib.reports.own import may_be_own

        shown = [report for report in reports(self._lake) if asked.request.scope != LISTENER or may_be_own(report)]
        return cached(Reply(200, ReportList([listed(report) for report in shown], list(QUESTIONS))))

    def run_report(self, asked: Asked) -> Reply:
        """A report's rows, or where they will be."""
        from chalicelib.queries.rendering import with_local_times
        from chalicelib.reports import catalogue

        wanted = wanted_type(asked.request, JSON, CSV)
        report = catalogue.report(asked.path["name"], self._lake)
        values = single_values(asked.request.query)
        excel = values.pop("csv", "rfc4180") == "excel"
        done = catalogue.run(
            self._engine(),
            report,
            values,
            wait=LONGEST_WAIT,
            client=asked.request.token_id,
            clock=self._clock,
            only=self._listener(asked),
        )
        location = {"Location": f"/queries/{done.query.query_id}"}
        if done.page is None:
            return Reply(202, done.query, headers=location)
        page = with_local_times(done.page, report.sql)
        if wanted == CSV:
            reply = Reply(200, page_text(page, CSV, first=True, excel=excel), CSV_WITH_HEADER)
            reply.headers |= csv_headers(done.query, page, len(page.rows), excel=excel)
            return cached(reply)
        rows = vars(rows_of(page))
        return cached(Reply(200, ReportRows(listed(report), done.values, report.sql, done.query.query_id, **rows)))

    def _listener(self, asked: Asked) -> str | None:
        """Whom a token of one listener means by now; None for any other token."""
        return noted(self._lake).listener_of(asked.request.listener) if asked.request.scope == LISTENER else None

    def save_report(self, asked: Asked) -> Reply:
        """Keep a report of the owner's, after the guard has seen it."""
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
        return Reply(status, listed(report))

    def _check_report(self, report: Any) -> None:
        """The guard's word on the report's SQL, before it is saved; the chart may only use columns that it answers."""
        from chalicelib.reports.catalogue import bind, require_axes

        ready = bind(report, {}, clock=self._clock)
        require_axes(report, [column.name for column in self._engine().check(ready.sql, ready.bound)])

    def delete_report(self, asked: Asked) -> Reply:
        """Delete a report of the owner's."""
        name = asked.path["name"]
        key = own_report_key(name)
        if self._lake.store.stat(key) is None:
            raise NotFound(f"there is no report {name} of your own in this lake", report=name)
        self._lake.store.delete([key])
        return Reply(200, Deleted(name))

    # --- listeners ------------------------------------------------------------------------------------------------

    def list_listeners(self, asked: Asked) -> Reply:
        """Everybody; for a token of one listener that one."""
        known, only = everybody(self._lake), self._listener(asked)
        people = [known.person(only)] if only else known.people()
        return Reply(200, ListenerList([shown(known, person, alone=bool(only)) for person in people]))

    def rename_listener(self, asked: Asked) -> Reply:
        """Give a name."""
        person, _ = listeners.rename(self._lake, asked.body["listener"], asked.body["name"], self._clock)
        return self._person(person)

    def merge_listeners(self, asked: Asked) -> Reply:
        """Say that two are one. The tables follow when the note's event is handled."""
        person, _ = listeners.merge(self._lake, asked.body["listener"], asked.body["into"], self._clock)
        return self._person(person)

    def split_listener(self, asked: Asked) -> Reply:
        """Take a merge back."""
        person, _ = listeners.split(self._lake, asked.query["listener"], self._clock)
        return self._person(person)

    def _person(self, person: Person) -> Reply:
        return Reply(200, shown(everybody(self._lake), person))

    def invite(self, asked: Asked) -> Reply:
        """A link for somebody new, or for a listener to renew; who has a token of one listener may renew their own."""
        only = self._listener(asked)
        if asked.request.scope != RUN and not only:
            raise Forbidden("POST /invitations needs a token of scope run; this one may only read")
        renews = only or asked.body["listener"]
        person = everybody(self._lake).get(renews) if renews else None
        name = person.name if person else listeners.require_name(asked.body["name"] or SOMEBODY)
        address = self._address(asked.request)
        made, code = self._invitations().invite(name, person.user_id if person else None)
        return Reply(201, of(ShownInvitation, made, url=f"{address}/join?{urlencode({'invitation': code})}"))

    def list_invitations(self, _: Asked) -> Reply:
        """Those that can still be taken."""
        return Reply(200, InvitationList([of(ShownInvitation, each) for each in self._invitations().open_ones()]))

    def withdraw_invitation(self, asked: Asked) -> Reply:
        """Take one back."""
        return Reply(200, Deleted(self._invitations().withdraw(asked.path["invitation_id"]).invitation_id))

    def join(self, asked: Asked) -> Reply:
        """On to Spotify's page, with a cookie that tells this browser when it comes back."""
        try:
            address = self._address(asked.request)
            page, cookie = self._invitations().begin(asked.query["invitation"], f"{address}/callback")
        except LakeError as error:
            if isinstance(error, Unauthorized):
                asked.request.wrong_code()
            return told_to_a_person(error, asked.request)
        secure = "; Secure" if address.startswith("https:") else ""
        kept = f"{JOIN_COOKIE}={cookie}; Path=/; Max-Age=900; HttpOnly; SameSite=Lax{secure}"
        return Reply(302, None, headers={"Location": page, "Cache-Control": "no-store", "Set-Cookie": kept})

    def spotify_callback(self, asked: Asked) -> Reply:
        """Log in who comes back from Spotify's page."""
        logins: list[Login] = []
        known = everybody(self._lake)
        try:
            values = single_values(asked.request.query)
            address = self._address(asked.request)
            invitation = self._invitations().finish(
                values.get("state", ""),
                cookie_of(asked.request.headers.get("cookie", ""), JOIN_COOKIE),
                values.get("code", ""),
                f"{address}/callback",
                known=known,
                tell=logins.append,
            )
        except LakeError as error:
            if isinstance(error, Unauthorized):
                asked.request.wrong_code()
            return told_to_a_person(error, asked.request)
        person = self._joined(invitation, logins[0])
        words = f"{person.name} is logged in until {logins[0].ends_at:%Y-%m-%d}. You can close this window."
        return Reply(200, html_page(words), HTML_TEXT)

    def _joined(self, invitation: Invitation, login: Login) -> Person:
        """Note who has taken an invitation; a listener of the invitation's name who is known from imports alone is the
        same person, for the owner has said so."""
        listeners.note_login(self._lake, login.user_id, login.authorized_at, login.ends_at, login.profile, self._clock)
        known = everybody(self._lake)
        person = known.person(known.listener_of(login.user_id))
        if invitation.listener or invitation.name in (SOMEBODY, person.name):
            return person
        with suppress(LakeError):  # a name that others bear by now stays theirs
            other = known.find(invitation.name)
            if other and not other.has_logged_in:
                listeners.merge(self._lake, other.user_id, person.user_id, self._clock)
            return listeners.rename(self._lake, person.user_id, invitation.name, self._clock)[0]
        return person

    def _address(self, request: Request) -> str:
        """Where Spotify can send a browser back to. Raises InvalidRequest."""
        return base_address(self._settings, request.headers.get("host", ""), request.gateway)

    def _invitations(self) -> Invitations:
        from chalicelib.rest.invitations import Invitations

        return Invitations(self._settings, self._access().secrets, self._clock)

    # --- tokens of one listener -----------------------------------------------------------------------------------

    def share(self, asked: Asked) -> Reply:
        """A token of one listener, and the link that opens the page with it."""
        person = everybody(self._lake).get(asked.body["listener"])
        lifetime = until_day(day_of(asked.body["until"]), self._clock()) if asked.body["until"] else None
        kept, token = self._access().add(asked.body["name"], LISTENER, lifetime, person.user_id)
        address = share_address(self._settings, asked.request.headers.get("host", ""), token, asked.request.gateway)
        return Reply(201, of(Share, kept, token=token, url=address))

    def list_shares(self, _: Asked) -> Reply:
        """Those that are let in now."""
        return Reply(200, ShareList([of(Share, each) for each in self._access().accepted() if each.listener]))

    def revoke_share(self, asked: Asked) -> Reply:
        """Take one back; other tokens are not this route's to take."""
        token_id = asked.path["token_id"]
        if not any(each.token_id == token_id and each.listener for each in self._access().tokens()):
            raise NotFound(f"there is no token {token_id} of one listener", token_id=token_id)
        return Reply(200, Deleted(self._access().revoke(token_id).token_id))

    # --- pictures -------------------------------------------------------------------------------------------------

    def list_images(self, _: Asked) -> Reply:
        """Of which pictures there are copies."""
        kept = [name for name, size in images.kept_images(self._lake).items() if size]
        return cached(Reply(200, ImageList(kept)))

    def image(self, asked: Asked) -> Reply:
        """A copy: here as it is, on AWS behind a link."""
        name = asked.path["name"]
        kind = images.require_kept(self._lake, name)
        store, key = self._lake.store, images.image_key(name)
        if isinstance(store, Linking):
            link = store.link(key, LINK_SECONDS, filename=name, content_type=kind)
            return Reply(302, None, headers={"Location": link, "Cache-Control": "no-store"})
        headers = {"ETag": f'"{name}"', "Cache-Control": "private, max-age=31536000, immutable"}
        return Reply(200, Path(store.location(key)), kind, headers)

    # --- what is left out -----------------------------------------------------------------------------------------

    def list_exclusions(self, asked: Asked) -> Reply:
        """What is left out now; for a token of one listener what changes that listener's numbers, and no name that
        somebody else may have left out for everybody."""
        keys = {each.exclusion_id: key for key, each in exclusions.decisions(self._lake)}
        left = exclusions.in_force(self._lake)
        if only := self._listener(asked):
            left = [each if each.user_id else each.nameless() for each in left if each.user_id in (None, only)]
        done = self._transformed([keys[each.exclusion_id] for each in left])
        shown = [of(ShownExclusion, each, in_force=keys[each.exclusion_id] in done) for each in left]
        return Reply(200, ExclusionList(shown))

    def leave_out(self, asked: Asked) -> Reply:
        """Leave something out, or find that it is."""
        what = {name: value for name, value in asked.body.items() if name not in ("kind", "listener")}
        left, key = exclusions.leave_out(
            self._lake, asked.body["kind"], what, listener=asked.body["listener"], clock=self._clock
        )
        if key is None:
            return Reply(200, of(ShownExclusion, left, in_force=True))
        counted = of(ShownExclusion, left, in_force=self._is_transformed(key))
        return Reply(201, counted, headers={"Location": "/exclusions"})

    def take_back(self, asked: Asked) -> Reply:
        """Let something count again."""
        taken, key = exclusions.take_back(self._lake, asked.path["exclusion_id"], clock=self._clock)
        return Reply(200, of(ShownExclusion, taken, in_force=self._is_transformed(key)))

    def _is_transformed(self, key: str) -> bool:
        """Whether the tables have a raw object, which this has just written, within a few seconds."""
        for _ in range(LOOKS):
            if self._transformed([key]):
                return True
            self._sleep(LOOK_EVERY)
        return False

    # --- imports --------------------------------------------------------------------------------------------------

    def start_import(self, asked: Asked) -> Reply:
        """Announce an export."""
        record, upload = announced.announce(
            self._settings,
            self._lake,
            asked.body["filename"],
            asked.body["user_id"],
            asked.body["bytes"],
            new_listener=asked.body["new_listener"],
            clock=self._clock,
        )
        target = UploadTarget(**upload)
        return Reply(201, imported(record, upload=target), headers={"Location": f"/imports/{record.import_id}"})

    def get_import(self, asked: Asked) -> Reply:
        """How far an import has come."""
        record, summary, error = announced.look_up(self._lake, asked.path["import_id"])
        return Reply(200, imported(record, summary=summary, error=error))

    def upload_import(self, asked: Asked) -> Reply:
        """Take the file of an announced import."""
        if self._settings.on_aws:  # API Gateway would make text of it
            raise InvalidRequest("on AWS the file goes to the link that POST /imports answers")
        record = announced.receive(self._lake, asked.path["import_id"], asked.request.body, clock=self._clock)
        return Reply(202, imported(record), headers={"Location": f"/imports/{record.import_id}"})


def shown(known: KnownListeners, person: Person, *, alone: bool = False) -> ListenerShown:
    """A listener as the API shows it; ``alone``: without a word of others."""
    may_be = [] if alone else [other.user_id for other in known.perhaps(person)]
    return of(ListenerShown, person, may_be=may_be)


def told_to_a_person(error: LakeError, request: Request) -> Reply:
    """An error as a page where a browser asks for one."""
    reply = error_reply(error)
    if "text/html" in request.headers.get("accept", ""):
        reply.content, reply.content_type = html_page(error.message), HTML_TEXT
    return reply


def html_page(words: str) -> str:
    """A page that says one thing."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Listening lake</title><h1>Listening lake</h1><p>{escape(words)}</p>"
    )


def cookie_of(header: str, name: str) -> str:
    """A cookie's value; empty where the browser sends none."""
    pairs = (piece.strip().partition("=") for piece in header.split(";"))
    return next((value for key, _, value in pairs if key == name), "")


def day_of(text: str) -> date:
    """A day of the calendar. Raises InvalidRequest."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a day such as 2027-01-31") from None


def imported(record: AnnouncedImport, **more: Any) -> Import:
    """An import as the API shows it."""
    return Import(**members(AnnouncedImport, record), **more)


def require_result(query: Query) -> Query:
    """The query, if it has rows. Raises Conflict while it has none yet, what it failed with if it never will."""
    if query.state == QueryState.SUCCEEDED:
        return query
    if query.state == QueryState.FAILED:
        raise failure_of(query)
    remedy = "ask again with wait=10" if not query.state.ended else "start it again"
    raise Conflict(f"query {query.query_id} is {query.state}: {remedy}", query_id=query.query_id, state=query.state)


def listed(report: Report) -> ListedReport:
    """A report as the API shows it."""
    return ListedReport(
        report.name,
        report.title,
        report.description,
        report.question,
        report.chart,
        report.built_in,
        report.fault,
        [parameter.as_json() for parameter in report.parameters],
    )


def rows_of(page: RowPage) -> Rows:
    """A page of a result as JSON has it."""
    from chalicelib.queries.rendering import plain_rows

    token = paging.token("query_rows", page.next_page_token)
    return Rows(list(page.columns), plain_rows(page.rows), token, page.truncated)


def goes_on(query: Query) -> Reply:
    """A query that has not ended, and where to look for its end."""
    return Reply(202, query, headers={"Location": f"/queries/{query.query_id}"})


def page_text(page: RowPage, wanted: str, query: Query | None = None, *, first: bool, excel: bool = False) -> str:
    """A page of a result as JSON, beside its ``query`` if there is one, or as CSV; ``first``: with the columns' names
    above."""
    if wanted == JSON:
        shown = {"query": as_json(query)} if query else {}
        content = shown | vars(rows_of(page)) | {"columns": as_json(page.columns)}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    from chalicelib.queries.rendering import csv_lines

    header = [[column.name for column in page.columns]] if first else []
    return csv_lines([*header, *page.rows], excel=excel)


def csv_pages(pages: Iterator[RowPage]) -> Iterator[bytes]:
    """A whole result as CSV for spreadsheets."""
    for place, page in enumerate(pages):
        yield page_text(page, CSV, first=place == 0, excel=True).encode("utf-8", "surrogatepass")


def json_objects(pages: Iterator[RowPage]) -> Iterator[bytes]:
    """A whole result as a JSON array, an object for each row. Of columns of one name the last counts."""
    from chalicelib.queries.rendering import plain

    before = "["
    for page in pages:
        names = [column.name for column in page.columns]
        lines = [dict(zip(names, map(plain, row), strict=True)) for row in page.rows]
        texts = [json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for line in lines]
        if texts:
            yield (before + ",\n".join(texts)).encode("utf-8", "surrogatepass")
            before = ",\n"
    yield b"[]" if before == "[" else b"]"


def within_one_answer(pieces: Iterator[bytes]) -> str:
    """All of it as text. Raises QueryFailed where that is more than an answer on AWS may hold."""
    held = b""
    for piece in pieces:
        held += piece
        if len(held) > LARGEST_PAGE:
            raise QueryFailed("the result is too large for one answer: give a limit, or GET /sql.parquet instead")
    return held.decode("utf-8", "surrogatepass")


def size_sent(text: str) -> int:
    """Bytes that a body takes where it leaves a function: as a JSON string in UTF-8."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def csv_headers(query: Query, page: RowPage, limit: int, *, excel: bool = False) -> dict[str, str]:
    """What JSON says in its body: the next page, and whether the result was cut."""
    headers = {"X-Truncated": str(page.truncated).lower()}
    if token := paging.token("query_rows", page.next_page_token):
        following = {"limit": max(1, limit), "page_token": token, **({"csv": "excel"} if excel else {})}
        headers["X-Next-Page-Token"] = token
        headers["Link"] = f'</queries/{quote(query.query_id)}/rows?{urlencode(following)}>; rel="next"'
    return headers


def page_of(names: Iterator[str], limit: int) -> tuple[list[str], str | None]:
    """The first names, and the token that goes on behind them."""
    found = list(islice(names, limit + 1))
    return found[:limit], found[limit - 1] if len(found) > limit else None


def own_report_key(name: str) -> str:
    """Where a report of the owner's lies. Raises InvalidRequest unless the name may be one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise InvalidRequest("a report's name is a small letter, then small letters, digits and _", name=name)
    return f"{REPORTS}{name}.sql"
