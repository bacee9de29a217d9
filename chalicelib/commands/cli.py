"""The command line: every command ends with exit status 0, or another one and one clear line on stderr."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from chalicelib import __version__
from chalicelib.commands.layout import folded, print_lines, print_table
from chalicelib.commands.people import ask_whose, listeners, note_who_logged_in, take_in
from chalicelib.commands.printing import FORMATS, ProgressBar, show
from chalicelib.errors import CrawlInProgress, InvalidRequest, InvalidSetting, LakeError, QueryFailed, StorageFailed
from chalicelib.local.memory import use_one_heap, use_system_allocator
from chalicelib.local.signals import when_ended
from chalicelib.log import set_up
from chalicelib.rest.access import LOCAL_ID, SETTING_ID
from chalicelib.settings import COMMAND, SANDBOX_ENVIRONMENT, sandbox_environment

if TYPE_CHECKING:
    from chalicelib.commands.opening import Snippet
    from chalicelib.exports.importing import ImportSummary
    from chalicelib.lake import Lake
    from chalicelib.queries.engine import Crawl, Engine, Query
    from chalicelib.reports.catalogue import Report
    from chalicelib.wiring import Parts

STOP = "chalicelib.stop"  # where click keeps it
INDENT = 4  # columns before what goes on of a line
CRAWL_POLL = 0.1  # s between two looks at a crawl
CRAWL_PATIENCE = 600.0  # s that another crawl may take to end


class Shared:
    """What commands share; made when first needed. ``sandbox`` is whether the lake is that of `make run`."""

    def __init__(self, stop: Stop, *, sandbox: bool) -> None:
        self.stop = stop
        self.sandbox = sandbox

    @cached_property
    def parts(self) -> Parts:
        """What this lake's commands work with."""
        from chalicelib.wiring import Parts

        if self.sandbox:  # also for the app that is served, and for the processes that it starts
            os.environ.update(sandbox_environment())
        return Parts()


# --- being stopped ------------------------------------------------------------------------------------------------

GOES_ON: dict[str | None, str] = {  # what is kept when a command is stopped, and how to go on
    "extract": "every answer that came is kept; `{lake} extract` goes on from there",
    "transform": "every raw object is transformed or not begun; `{lake} transform` goes on from there",
    "import-history": "nothing of the file counts yet; the same command imports it whole",
    "compact": "the tables answer as before; `{lake} compact` goes on",
    "copy": "what was copied is kept; the same command goes on from there",
    "crawl": "the catalogue is as it was; `{lake} crawl` begins again",
    "login": "nobody was logged in; `{lake} login` begins again",
}
REBUILD_GOES_ON = "the tables that were there stay in force; `{lake} transform --all` builds them anew"


class Stop:
    """Ends a command on SIGINT, SIGTERM, SIGHUP: a word at once, then as from CTRL-C, then what is kept and what next.

    A run is asked instead to end as when its time is over. A second signal does not wait for what is under way. Writes
    are seen whole or not at all: it loses nothing either.
    """

    def __init__(self) -> None:
        self.number = 0  # of the first signal
        self.signals = 0
        self._asks = False

    def ends(self, remaining: Callable[[], float]) -> Callable[[], float]:
        """The seconds that remain; none after a signal, which then interrupts nothing."""
        self._asks = True
        return lambda: 0.0 if self.number else remaining()

    def listen(self) -> None:
        """Take the signals that end a command."""
        when_ended(self._stop)

    def _stop(self, number: int, _frame: object) -> None:
        self.signals += 1
        if self.signals > 2:
            return  # the second ends what is under way; more of them would end that ending
        if not self.number:
            self.number = number
            with suppress(OSError):  # a terminal that was closed; not echo: a signal may come within one
                os.write(sys.stderr.fileno(), b"stopping (again: at once)\n")
            if self._asks:
                return
        raise KeyboardInterrupt

    def exit_status(self) -> int:
        """As shells say it of a process that a signal ended."""
        return 128 + self.number

    def last_words(self, context: click.Context) -> str:
        """What is kept, and how to go on."""
        words = GOES_ON.get(context.invoked_subcommand, "nothing was changed")
        if context.invoked_subcommand == "transform" and "--all" in sys.argv:
            words = REBUILD_GOES_ON
        lake = f"{COMMAND} --sandbox" if context.params.get("sandbox") else COMMAND
        return f"stopped: {words.format(lake=lake)}"


class LakeGroup(click.Group):
    """Turns the lake's errors into one line and an exit status; ``--debug`` shows where they came from."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; whatever it raises becomes a line and a status."""
        stop = context.meta[STOP] = Stop()
        stop.listen()
        try:
            answer = super().invoke(context)
            if stop.number:
                raise KeyboardInterrupt
            return answer
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (KeyboardInterrupt, Exception) as error:
            if stop.number:  # whatever it became where it interrupted: a lock that is no longer held, half a page
                stop.signals += 2
                with suppress(OSError):
                    click.echo(stop.last_words(context), err=True)
                raise SystemExit(stop.exit_status()) from None
            if isinstance(error, BrokenPipeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise SystemExit(1) from None
            if context.params.get("debug"):
                raise
            click.echo(f"error: {as_typed(message_of(error), sandbox=context.params.get('sandbox'))}", err=True)
            raise SystemExit(status_of(error)) from None


def as_typed(message: str, *, sandbox: bool | None) -> str:
    """A message whose remedies can be typed: at the sandbox's lake every command is one of ``--sandbox``."""
    return re.sub(rf"{re.escape(COMMAND)}(?! --sandbox)", f"{COMMAND} --sandbox", message) if sandbox else message


def message_of(error: BaseException) -> str:
    """The one line that says what went wrong and what to do about it."""
    if isinstance(error, LakeError):
        return error.message
    if isinstance(error, OSError):
        return told_by_the_system(error)
    return f"{type(error).__name__}: {error} (--debug shows where)"


def status_of(error: BaseException) -> int:
    """The exit status that goes with an error."""
    if isinstance(error, LakeError):
        return error.exit_status
    return StorageFailed.exit_status if isinstance(error, OSError) else 1


def told_by_the_system(error: OSError) -> str:
    """What the operating system refuses, with the file and what to do about it."""
    where = f" ({error.filename})" if error.filename else ""
    remedies = {
        errno.ENOSPC: "free some space on that disk, then give the command again",
        errno.EDQUOT: "your quota on that disk is used up: free some, then give the command again",
        errno.EACCES: "make it readable and writable for you",
        errno.EROFS: "the disk is read-only: choose another LAKE_URL",
    }
    remedy = remedies.get(error.errno or 0, "--debug shows where")
    return f"{error.strerror or error}{where}: {remedy}"


@click.group(cls=LakeGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--sandbox", is_flag=True, help="On the lake of `make run`, with its made-up listener.")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug logs.")
@click.version_option(__version__, prog_name="lake")
@click.pass_context
def main(context: click.Context, sandbox: bool, debug: bool) -> None:
    """A music-analytics lake: extract, transform, query and look at your Spotify data."""
    set_up("WARNING")
    logging.getLogger("chalicelib").setLevel("DEBUG" if debug else "WARNING")
    context.obj = Shared(context.meta[STOP], sandbox=sandbox)


# --- serving ------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--plain-http", is_flag=True, help="With --host: let tokens cross the network readable.")
@click.pass_obj
def serve(shared: Shared, port: int, host: str, plain_http: bool) -> None:
    """Serve the API and the dashboard; the schedule fires and new raw objects are transformed."""
    use_system_allocator()
    use_one_heap()
    from chalicelib.local.serve import serve as serve_app

    logging.getLogger("chalicelib").setLevel(shared.parts.settings.log_level)
    renew_duckdb_files(shared.parts)
    serve_app(shared.parts.settings, host, port, say=lambda text: click.echo(text), plain_http=plain_http)
    end_at_once()


def end_at_once() -> NoReturn:
    """End well, as it is. The interpreter's own way would abort the process where a thread is within Arrow just then;
    what a thread was doing is begun again by the next service, as after a kill."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


# --- filling the lake ---------------------------------------------------------------------------------------------


@main.command()
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--run-id", hidden=True)
@click.option("--trigger", hidden=True, default="command", type=click.Choice(["command", "api", "schedule"]))
@click.pass_obj
def extract(shared: Shared, sources: tuple[str, ...], run_id: str | None, trigger: str) -> None:
    """Extract what is due from Spotify into the raw zone: one run, now."""
    from chalicelib.extraction.extract import deadline, run_extraction
    from chalicelib.runs import complete_at, plays_are_complete

    parts = shared.parts
    with ProgressBar("extract") as progress:
        record = run_extraction(
            parts.settings,
            parts.lake,
            run_id=run_id,
            trigger=trigger,
            sources=list(sources) or None,
            remaining_seconds=shared.stop.ends(deadline(parts.settings.run_seconds)),
            progress=lambda event: progress(event.calls, min(event.calls + event.left, event.budget), event.source),
        )
    click.echo(f"run {record.run_id} {record.state}: {record.calls} calls, {record.items} items")
    for source in record.sources:
        if source.left:
            click.echo(f"  {source.source}: still to fetch: {source.left}")
    if moment := complete_at(record, parts.settings.calls_per_run, parts.settings.extract_schedule):
        plays = "the plays are complete; " if plays_are_complete(record) else ""
        click.echo(f"  {plays}with a run each time of the schedule the rest is by {moment:%d %B %Y, %H:%M} UTC")
    for warning in record.warnings:
        click.echo(f"  warning: {warning}", err=True)
    if record.state == "failed":
        error = record.error or {}
        click.echo(f"error: {error.get('message', 'the run failed')}", err=True)
        raise SystemExit(1)


@main.command("import-history")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--user", metavar="NAME", help="Whose it is: a listener's name or id, or the name of somebody new.")
@click.pass_obj
def import_history(shared: Shared, paths: tuple[Path, ...], user: str | None) -> None:
    """Import a Spotify privacy export, or a history of Last.fm or ListenBrainz: zip, folder or files."""
    from chalicelib.listeners import everybody

    use_system_allocator()
    parts = shared.parts
    for path in paths:
        summary = import_path(parts, path, user)
        parts.register(summary.written)
        if summary.note:
            take_in(parts, summary.note)
        click.echo(f"imported for {everybody(parts.lake).label_of(summary.user_id)}")
        for line in str(summary).splitlines():
            click.echo(folded(line, INDENT))


def import_path(parts: Parts, path: Path, user: str | None) -> ImportSummary:
    """Import one export; in a terminal whose it is, is asked where that is not clear."""
    from chalicelib.exports.importing import import_export

    try:
        with ProgressBar(path.name) as progress:
            return import_export(parts.lake, parts.settings, path, user, progress=progress)
    except InvalidRequest as error:
        if user or "known" not in error.details or not sys.stdin.isatty():
            raise
        click.echo(error.message.partition("? ")[2].partition(":")[0], err=True)
        return import_path(parts, path, ask_whose(error.details["known"], error.details["owner"], parts))


@main.command("leave-out")
@click.option("--artist", "artist", metavar="NAME", help="An artist's tracks.")
@click.option("--track", "track", nargs=2, metavar="ARTIST TITLE", help="One track.")
@click.option("--show", "podcast", metavar="NAME", help="A podcast's episodes, or an author's books.")
@click.option("--playlist", "playlist", metavar="URI", help="What was played from a playlist (spotify:playlist:…).")
@click.option("--period", "period", nargs=2, metavar="FROM TO", help="A time, RFC 3339, as 2026-01-31T20:00:00Z.")
@click.option("--user", "user_id", metavar="NAME", help="Of this listener alone; of everybody without it.")
@click.pass_obj
def leave_out(
    shared: Shared,
    artist: str | None,
    track: tuple[str, str] | None,
    podcast: str | None,
    playlist: str | None,
    period: tuple[str, str] | None,
    user_id: str | None,
) -> None:
    """Leave something out of every number, reversibly; without options, list what is left out."""
    from chalicelib import exclusions
    from chalicelib.listeners import everybody

    wanted: list[tuple[str, dict[str, str | None]]] = []
    wanted += [("artist", {"artist_name": artist})] if artist else []
    wanted += [("track", {"artist_name": track[0], "item_name": track[1]})] if track else []
    wanted += [("show", {"artist_name": podcast})] if podcast else []
    wanted += [("playlist", {"context_uri": playlist})] if playlist else []
    wanted += [("period", {"from_at": period[0], "to_at": period[1]})] if period else []
    for kind, what in wanted:
        _, key = exclusions.leave_out(shared.parts.lake, kind, what, listener=user_id)
        if key:
            take_in(shared.parts, key)
    known = everybody(shared.parts.lake)
    for each in exclusions.in_force(shared.parts.lake):
        click.echo(each.line(known.label_of))


@main.command("take-back")
@click.argument("exclusion_id", metavar="ID")
@click.pass_obj
def take_back(shared: Shared, exclusion_id: str) -> None:
    """Let something count again that was left out; `leave-out` lists the ids."""
    from chalicelib import exclusions

    _, key = exclusions.take_back(shared.parts.lake, exclusion_id)
    take_in(shared.parts, key)


@main.command()
@click.argument("path", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE")
@click.option(
    "--format", "form", type=click.Choice(["listenbrainz", "lastfm"]), default="listenbrainz", help="Whose form."
)
@click.option("--user", "user_id", metavar="NAME", help="The listener, by name or id; needed where there are several.")
@click.option("--counted", is_flag=True, help="Only what ListenBrainz counts: music, half of it or four minutes.")
@click.pass_obj
def export(shared: Shared, path: Path, form: str, user_id: str | None, counted: bool) -> None:
    """Write every listen to a zip for ListenBrainz (and back into a lake), or to a CSV for Last.fm's scrobblers.

    Last.fm drops what is older than 14 days, whoever sends it.
    """
    from chalicelib.exports.leaving import write_listens

    click.echo(str(write_listens(shared.parts.lake, path, form, user_id, counted=counted)))


@main.command()
@click.option("--most", type=click.IntRange(1, 20_000), default=500, show_default=True, help="Calls to the image host.")
@click.pass_obj
def images(shared: Shared, most: int) -> None:
    """Keep small copies of covers and artists' pictures, of what is listened to most first.

    Each is asked of Spotify's image host once; then the page shows them and nothing leaves this lake for them.
    """
    from chalicelib.extraction.pictures import keep_pictures
    from chalicelib.queries.engine import failure_of

    parts = shared.parts
    query = parts.engine.wait(parts.engine.start_query(PICTURES, (), client="command").query_id, 60.0)
    if query.error:
        raise failure_of(query)
    links = (row[0] for page in parts.engine.all_rows(query.query_id) for row in page.rows)
    with ProgressBar("pictures") as progress:
        kept = keep_pictures(
            parts.lake, parts.settings.spotify_images_url, links, most, progress=lambda done: progress(done, most, "")
        )
    click.echo(str(kept))


#: Links of pictures of albums and artists, of what was listened to most first.
PICTURES = """
WITH links AS (
    SELECT albums.image_url AS link, heard.ms AS ms
    FROM heard
    JOIN tracks ON tracks.track_id = heard.item_id
    JOIN albums ON albums.album_id = tracks.album_id
    UNION ALL
    SELECT artists.image_url, heard.ms
    FROM heard
    JOIN artists ON lower(artists.name) = lower(heard.artist_name)
    WHERE heard.item_type = 'track'
)
SELECT link FROM links WHERE link IS NOT NULL GROUP BY link ORDER BY sum(ms) DESC, link"""


@main.command()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "everything", is_flag=True, help="Rebuild every table from raw.")
@click.option("--since", metavar="DATE", help="With --all: take older days over as they are (YYYY-MM-DD).")
@click.pass_obj
def transform(shared: Shared, keys: tuple[str, ...], everything: bool, since: str | None) -> None:
    """Transform raw objects: those named, or those not transformed yet, or --all."""
    from chalicelib import pipeline
    from chalicelib.transformation.remote import remote_transform

    if everything and keys:
        raise click.UsageError("name keys or say --all, not both")
    if since and not everything:
        raise click.UsageError("--since goes with --all")
    parts = shared.parts
    with ProgressBar("transform") as progress:
        if everything:
            with closing(parts.engine) as engine:
                remote = remote_transform(parts.settings)
                generation = pipeline.rebuild(parts.lake, engine.publish, since, progress, remote)
            click.echo(f"every table is rebuilt: generation {generation}")
        elif keys:
            for key in keys:
                report = pipeline.transform_key(parts.lake, key, again=True)
                parts.register(report.files)
                click.echo(f"{key}: {report.state}, {sum(report.built.rows.values())} rows")
        else:
            caught_up = pipeline.catch_up(parts.lake, parts.settings, progress)
            parts.register(caught_up.files)
            click.echo(f"{caught_up.objects} raw objects transformed")
    renew_duckdb_files(parts)


@main.command()
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.pass_obj
def compact(shared: Shared, tables: tuple[str, ...]) -> None:
    """Merge small Parquet files."""
    from chalicelib.pipeline import tidy

    parts = shared.parts
    parts.register(None)  # before what an earlier call has merged or copied is deleted where it was
    with ProgressBar("compact") as progress:
        merged = tidy(parts.lake, list(tables) or None, progress=progress)
    parts.register(None)
    parts.forget_empty_partitions()
    click.echo(str(merged))


@main.command()
@click.pass_obj
def crawl(shared: Shared) -> None:
    """Refresh the catalogue and say what changed."""
    with closing(shared.parts.engine) as engine:
        crawled = ended_crawl(engine)
    if crawled.state != "succeeded":
        raise QueryFailed(f"the crawl failed: {crawled.error}")
    for change in crawled.changes:
        rest = ", ".join(f"{name} {value}" for name, value in change.items() if name not in ("change", "table"))
        click.echo(f"{change['change'].replace('_', ' ')}: {change.get('table', '')} ({rest})")
    click.echo(f"crawl {crawled.state}: {len(crawled.changes)} changes")


def ended_crawl(engine: Engine) -> Crawl:
    """Crawl as soon as none goes on, such as the service's own, and answer the crawl when it has ended.

    Raises CrawlInProgress where another does not end.
    """
    patience = time.monotonic() + CRAWL_PATIENCE
    while True:
        try:
            crawled = engine.start_crawl()
            break
        except CrawlInProgress:
            if time.monotonic() > patience:
                raise
            time.sleep(CRAWL_POLL)
    while crawled.state == "running":
        time.sleep(CRAWL_POLL)
        crawled = engine.latest_crawl() or crawled
    return crawled


@main.command()
@click.argument("target", metavar="FOLDER | s3://BUCKET/PREFIX")
@click.option("--from", "source", metavar="FOLDER | s3://…", help="Copy that lake here instead of LAKE_URL's.")
@click.pass_obj
def copy(shared: Shared, target: str, source: str | None) -> None:
    """Copy a lake to another place, each object read back and compared; interrupted, it goes on where it was.

    The lake may be in use: the copy is what it was at one moment. Logins and tokens (SECRETS_URL) are not part of it.
    """
    from chalicelib.clock import now
    from chalicelib.commands.copying import copy_lake
    from chalicelib.extraction.lock import holder_of
    from chalicelib.stores import open_lake

    settings = shared.parts.settings
    lakes = [open_lake(replace(settings, lake_url=url)) for url in (source or settings.lake_url, target)]
    if run := holder_of(lakes[1], now()):
        raise InvalidRequest(f"run {run} is going on in the lake to copy to: copy when it has ended")
    with ProgressBar("copy") as progress:
        click.echo(str(copy_lake(lakes[0], lakes[1], progress)))
    if target.rstrip("/") == settings.lake_url.rstrip("/"):
        shared.parts.register(None)


# --- asking -------------------------------------------------------------------------------------------------------


@main.command()
@click.argument("sql", required=False, metavar="[SQL | FILE.sql | -]")
@click.option(
    "--format",
    "shape",
    type=click.Choice(FORMATS),
    help="Default: a table on a terminal (records where it is too narrow), csv in a pipe.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of stdout.")
@click.pass_obj
def query(shared: Shared, sql: str | None, shape: str | None, output: Path | None) -> None:
    """Run SQL in Athena's dialect: as it stands there, of a file, or from a pipe."""
    text = statement(sql)
    with closing(shared.parts.engine) as engine:
        started = engine.start_query(text, client="command line")
        show(engine, ended(engine, started), shape, output)
    if reads_a_table(text):
        say_if_empty(shared.parts)


def reads_a_table(sql: str) -> bool:
    """Whether a statement names a table of the lake."""
    from chalicelib.tables import TABLES

    return not {table.name for table in TABLES}.isdisjoint(re.findall(r"\w+", sql.lower()))


def reports_that_begin(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of reports, for a shell that completes one."""
    from chalicelib.reports.catalogue import built_in_reports

    return [each.name for each in built_in_reports() if each.name.startswith(begun)]


@main.command()
@click.argument("name", required=False, shell_complete=reports_that_begin)
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE", help="A parameter; may be repeated.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(FORMATS),
    help="Default: a table on a terminal (records where it is too narrow), csv in a pipe.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of stdout.")
@click.pass_obj
def report(shared: Shared, name: str | None, values: tuple[str, ...], shape: str | None, output: Path | None) -> None:
    """List the saved reports, or run one."""
    from chalicelib.reports import catalogue

    if name is None:
        list_reports(catalogue.reports(shared.parts.lake), shared.parts.settings.command)
        return
    wanted = catalogue.report(name, shared.parts.lake)
    ready = catalogue.bind(wanted, with_ids(wanted, assignments(values), shared.parts.lake))
    with closing(shared.parts.engine) as engine:
        started = engine.start_query(ready.sql, ready.bound, client="command line")
        show(engine, ended(engine, started), shape, output, title=wanted.title)
    say_if_empty(shared.parts)


def with_ids(wanted: Report, values: dict[str, str], lake: Lake) -> dict[str, str]:
    """A report's values, with the id of each listener who is said by name. Raises InvalidRequest where several are."""
    from chalicelib.listeners import everybody

    said = {each.name: values[each.name] for each in wanted.parameters if each.type == "user" and values.get(each.name)}
    if not said:
        return values
    known = everybody(lake)
    return values | {name: person.user_id for name, text in said.items() if (person := known.find(text))}


def statement(given: str | None) -> str:
    """The SQL that is meant: a file of that name, standard input for ``-`` or in a pipe, else the text itself. Raises
    InvalidRequest."""
    if given is None and sys.stdin.isatty():
        raise InvalidRequest("no SQL is given: write it behind `query`, name a file of it, or pipe it in")
    if given is None or given == "-":
        return sys.stdin.read()
    if not re.fullmatch(r"[^\n;]+\.sql", given):
        return given
    try:
        return Path(given).read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InvalidRequest(
            f"{given} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        ) from None


def say_if_empty(parts: Parts) -> None:
    """That an answer is from an empty lake, so that nobody takes it for a fact."""
    from chalicelib.lake import TRANSFORMED

    if next(iter(parts.lake.store.list(TRANSFORMED)), None) is not None:
        return
    command = parts.settings.command
    remedy = f"`{command} extract` and `{command} transform` fill it, or `{command} import-history` with an export"
    if SANDBOX_ENVIRONMENT.is_file() and command == COMMAND:
        remedy += f"; the lake of `make run` is at `{COMMAND} --sandbox`"
    click.echo(f"the lake at {parts.settings.lake_url} is empty: {remedy}", err=True)


def list_reports(found: Sequence[Report], command: str) -> None:
    """Print a line for each report, those that answer one question together."""
    from chalicelib.reports.catalogue import QUESTIONS

    of_question = {title: [each for each in found if each.built_in and each.question == title] for title in QUESTIONS}
    groups = {
        "Your own": [each for each in found if not each.built_in],
        **of_question,
        "Behind the dashboard's pages": [each for each in found if each.built_in and each.question is None],
    }
    for title, group in groups.items():
        if group:
            click.echo(title)
            print_lines((each.name, report_line(each)) for each in group)
    click.echo(f"`{command} report NAME --set KEY=VALUE` runs one")


def report_line(report: Report) -> str:
    """A report's title and parameters, or why it cannot be run."""
    if report.fault:
        return report.fault
    names = ", ".join(parameter.name for parameter in report.parameters)
    return f"{report.title} ({names})" if names else report.title


def assignments(values: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE`` options by name. Raises InvalidRequest."""
    pairs = [value.partition("=") for value in values]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise InvalidRequest(f"--set {wrong[0]}: write --set key=value")
    return {name: value for name, _, value in pairs}


def ended(engine: Engine, started: Query) -> Query:
    """The query when it has ended. Raises QueryFailed or StorageFailed if that is no success."""
    done = started
    while not done.state.ended:
        done = engine.wait(started.query_id, 10)
    if done.error or done.state != "succeeded":
        from chalicelib.queries.engine import failure_of

        raise failure_of(done)
    return done


@main.command("open")
@click.option("--port", type=click.IntRange(1, 65535), help="Of `lake serve` or `chalice local`.")
@click.option("--print", "only_print", is_flag=True, help="Print the address instead of opening it.")
@click.pass_obj
def open_page(shared: Shared, port: int | None, only_print: bool) -> None:
    """Open the dashboard of the service that runs here, signed in; the address works once, for ten minutes."""
    import webbrowser

    from chalicelib.local.serve import PORT, page_address, served_at

    parts = shared.parts
    address = page_address(
        parts, f"http://127.0.0.1:{port}/" if port else served_at(parts) or f"http://127.0.0.1:{PORT}/"
    )
    click.echo(address)
    if not only_print:
        webbrowser.open(address)


@main.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--absolute/--relative",
    default=True,
    show_default=True,
    help="Whether the file finds the lake by its whole path, or from the folder in which the file lies.",
)
@click.option("--print", "print_lines", is_flag=True, help="Print what to paste into other tools.")
@click.pass_obj
def duckdb(shared: Shared, file: Path | None, absolute: bool, print_lines: bool) -> None:
    """Write a DuckDB file of the tables and reports, for other tools; on AWS --print says how they reach Athena."""
    from chalicelib.commands import opening

    parts = shared.parts
    if parts.settings.on_aws:
        if not print_lines or file is not None:
            raise InvalidRequest(f"a lake on AWS is read through Athena: `{COMMAND} duckdb --print` says how")
        print_snippets(opening.athena_snippets(parts.settings, aws_region()))
        return
    from chalicelib.queries.embedded.duckdb_file import default_path, write_duckdb

    path = (file or default_path(parts.lake)).absolute()
    write_duckdb(parts.lake, path, relative=not absolute)
    if print_lines:
        print_snippets(opening.duckdb_snippets(path))
    else:
        click.echo(f"{path} ({'from any folder' if absolute else 'to be opened from its folder'}, read-only)")


@main.command()
@click.pass_obj
def mcp(shared: Shared) -> None:
    """Speak the Model Context Protocol on stdin and stdout: the lake for an assistant, read-only."""
    from chalicelib.commands.assistant import serve_stdio

    serve_stdio(shared.parts.api)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options and reports."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "lake", "_LAKE_COMPLETE").source())


def aws_region() -> str:
    """The region that AWS's own settings name. Raises InvalidSetting."""
    import boto3

    from chalicelib.stores.aws import region

    found = region() or boto3.session.Session().region_name
    if not found:
        raise InvalidSetting("no region is set: AWS_REGION=eu-west-1, or a region in ~/.aws/config")
    return found


def print_snippets(snippets: Iterable[Snippet]) -> None:
    """Print what to paste, under the name of each tool."""
    for each in snippets:
        click.echo(f"# {each.tool}\n{each.lines}\n")


def renew_duckdb_files(parts: Parts) -> None:
    """Write the lake's DuckDB files anew where this release, or a saved report, makes them others."""
    if parts.settings.on_aws:
        return
    from chalicelib.queries.embedded.duckdb_file import keep_current

    for path in keep_current(parts.lake):
        click.echo(f"{path} is written anew", err=True)


# --- accounts, tokens, health -------------------------------------------------------------------------------------


@main.command()
@click.pass_obj
def login(shared: Shared) -> None:
    """Authorise a Spotify account and keep its refresh token."""
    import webbrowser

    from chalicelib.listeners import everybody
    from chalicelib.spotify.auth import login as authorise

    def show_page(url: str) -> None:
        click.echo(f"Agree on Spotify's page. If no browser shows it, open it on this computer:\n{url}", err=True)
        webbrowser.open(url)

    parts = shared.parts
    authorise(
        parts.settings,
        parts.secrets,
        open_url=show_page,
        tell=lambda login: note_who_logged_in(parts, login),
        called=everybody(parts.lake).label_of,
    )


main.add_command(listeners)


@main.command()
@click.argument("name")
@click.pass_obj
def invite(shared: Shared, name: str) -> None:
    """Print a link with which NAME can log in to this lake on a device of their own; it works once, for a week."""
    from urllib.parse import urlencode

    from chalicelib.listeners import everybody
    from chalicelib.rest.invitations import Invitations, base_address

    parts = shared.parts
    address = base_address(parts.settings, host_of_service(parts))
    person = everybody(parts.lake).find(name)
    renews = person.user_id if person and person.has_logged_in else None
    made, code = Invitations(parts.settings, parts.secrets).invite(name, renews)
    click.echo(f"{address}/join?{urlencode({'invitation': code})}")
    click.echo(
        f"for {name}, until {made.expires_at[:10]}. At https://developer.spotify.com/dashboard the app must know"
        f" {address}/callback as a redirect URI and the account under User Management.",
        err=True,
    )


def host_of_service(parts: Parts) -> str:
    """Host and port of the service that runs here, or would."""
    from urllib.parse import urlsplit

    from chalicelib.local.serve import PORT, served_at

    return urlsplit(served_at(parts) or f"http://127.0.0.1:{PORT}/").netloc


@main.group()
def token() -> None:
    """The API's tokens: show this computer's, add, list, revoke."""


@token.command("show")
@click.pass_obj
def show_token(shared: Shared) -> None:
    """Print the token of this computer (made when there is none)."""
    access = shared.parts.access
    new = not any(each.token_id in (LOCAL_ID, SETTING_ID) for each in access.accepted())
    click.echo(access.local_token())
    if new:
        ways = f"`{COMMAND} token list` shows it, `{COMMAND} token revoke local` takes it back"
        click.echo(as_typed(f"made just now for this computer: {ways}", sandbox=shared.sandbox), err=True)


@token.command("add")
@click.option("--name", required=True, help="Whom or what it is for.")
@click.option("--scope", type=click.Choice(["read", "run"]), default="read", show_default=True)
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; never without it.")
@click.pass_obj
def add_token(shared: Shared, name: str, scope: str, days: int | None) -> None:
    """Make a token and print it, this once."""
    kept, made = shared.parts.access.add(name, scope, timedelta(days=days) if days else None)
    click.echo(made)
    click.echo(f"token {kept.token_id} ({scope}, {name}): it is not shown again", err=True)


@token.command("create")
@click.option("--listener", required=True, metavar="NAME", help="Whose pages and reports it shows; nobody else's.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Its last day (UTC); without end if not said.")
@click.option("--name", default="share", show_default=True, help="Whom or what it is for.")
@click.pass_obj
def create_token(shared: Shared, listener: str, until: datetime | None, name: str) -> None:
    """Make a token of one listener and print a link that opens the page with it, this once."""
    from chalicelib.clock import now
    from chalicelib.listeners import everybody
    from chalicelib.rest.access import LISTENER, until_day
    from chalicelib.rest.invitations import share_address

    parts = shared.parts
    person = everybody(parts.lake).get(listener)
    lifetime = until_day(until.date(), now()) if until else None
    kept, made = parts.access.add(name, LISTENER, lifetime, person.user_id)
    click.echo(share_address(parts.settings, host_of_service(parts), made))
    click.echo(f"token {kept.token_id} ({person.label} alone, {name}): it is not shown again", err=True)


@token.command("list")
@click.pass_obj
def list_tokens(shared: Shared) -> None:
    """List every token that is let in: browsers', this computer's, API_TOKEN (not what they are)."""
    rows = [
        (one.token_id, one.name, one.scope, one.listener or "everybody", one.created_at, one.expires_at or "never")
        for one in shared.parts.access.accepted()
    ]
    print_table(("id", "name", "scope", "of", "created", "expires"), rows)


@token.command("revoke")
@click.argument("token_id")
@click.pass_obj
def revoke_token(shared: Shared, token_id: str) -> None:
    """Take a token back."""
    revoked = shared.parts.access.revoke(token_id)
    click.echo(f"token {revoked.token_id} ({revoked.name}) is revoked")


@main.command()
@click.pass_obj
def doctor(shared: Shared) -> None:
    """Check settings, credentials, reachability and sizes; say what to do about each fault."""
    from chalicelib.commands import doctor as examination

    faults = 0
    for finding in examination.examine(shared.parts):
        faults += finding.level == "fault"
        click.echo(folded(as_typed(finding.line(), sandbox=shared.sandbox), examination.INDENT))
    if faults:
        raise SystemExit(1)
