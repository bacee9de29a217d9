"""The command line: every command ends with exit status 0, or another one and one clear line on stderr."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chalicelib import __version__
from chalicelib.commands.printing import FORMATS, Progress, print_table, show
from chalicelib.errors import InvalidRequest, LakeError, QueryFailed
from chalicelib.log import set_up

if TYPE_CHECKING:
    from chalicelib.queries.engine import Crawl, Engine, Query
    from chalicelib.wiring import Parts

INTERRUPTED = 130
CRAWL_POLL = 0.1  # s between two looks at a crawl


class Shared:
    """What commands share; made when first needed."""

    @cached_property
    def parts(self) -> Parts:
        from chalicelib.wiring import Parts

        return Parts()


class LakeGroup(click.Group):
    """Turns the lake's errors into one line and an exit status; ``--debug`` shows where they came from."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except LakeError as error:
            if context.params.get("debug"):
                raise
            click.echo(f"error: {error.message}", err=True)
            raise SystemExit(error.exit_status) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except Exception as error:
            if context.params.get("debug"):
                raise
            click.echo(f"error: {type(error).__name__}: {error} (--debug shows where)", err=True)
            raise SystemExit(1) from None


@click.group(cls=LakeGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show tracebacks and debug logs.")
@click.version_option(__version__, prog_name="lake")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """A music-analytics lake: extract, transform, query and look at your Spotify data."""
    set_up("WARNING")
    logging.getLogger("chalicelib").setLevel("DEBUG" if debug else "WARNING")
    context.obj = Shared()


# --- serving ------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--plain-http", is_flag=True, help="With --host: let tokens cross the network readable.")
@click.pass_obj
def serve(shared: Shared, port: int, host: str, plain_http: bool) -> None:
    """Serve the API and the dashboard; the schedule fires and new raw objects are transformed."""
    give_memory_back()
    from chalicelib.local.serve import serve as serve_app

    logging.getLogger("chalicelib").setLevel(shared.parts.settings.log_level)
    serve_app(shared.parts.settings, host, port, say=lambda text: click.echo(text), plain_http=plain_http)


def give_memory_back() -> None:
    """Have Arrow, which is not loaded yet, allocate as the system does: its own way keeps twice what imports need."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


# --- filling the lake ---------------------------------------------------------------------------------------------


@main.command()
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--run-id", hidden=True)
@click.option("--trigger", hidden=True, default="command", type=click.Choice(["command", "api", "schedule"]))
@click.pass_obj
def extract(shared: Shared, sources: tuple[str, ...], run_id: str | None, trigger: str) -> None:
    """Extract what is due from Spotify into the raw zone: one run, now."""
    from chalicelib.extraction.extract import run_extraction

    parts = shared.parts
    with Progress("extract") as progress:
        record = run_extraction(
            parts.settings,
            parts.lake,
            run_id=run_id,
            trigger=trigger,
            sources=list(sources) or None,
            progress=lambda event: progress(event.calls, event.calls + event.left, event.source),
        )
    click.echo(f"run {record.run_id} {record.state}: {record.calls} calls, {record.items} items")
    for source in record.sources:
        if source.left:
            click.echo(f"  {source.source}: still to fetch: {source.left}")
    for warning in record.warnings:
        click.echo(f"  warning: {warning}", err=True)
    if record.state == "failed":
        error = record.error or {}
        click.echo(f"error: {error.get('message', 'the run failed')}", err=True)
        raise SystemExit(1)


@main.command("import-history")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--user", "user_id", help="The listener; the one who logged in without it.")
@click.pass_obj
def import_history(shared: Shared, paths: tuple[Path, ...], user_id: str | None) -> None:
    """Import a Spotify privacy export: zip, folder or JSON files."""
    give_memory_back()
    from chalicelib.exports.importing import import_export

    parts = shared.parts
    for path in paths:
        with Progress(path.name) as progress:
            summary = import_export(parts.lake, parts.settings, path, user_id, progress=progress)
        click.echo(str(summary))


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
    with Progress("transform") as progress:
        if everything:
            with closing(parts.engine) as engine:
                remote = remote_transform(parts.settings)
                generation = pipeline.rebuild(parts.lake, engine.publish, since, progress, remote)
            click.echo(f"every table is rebuilt: generation {generation}")
        elif keys:
            for key in keys:
                report = pipeline.transform_key(parts.lake, key, again=True)
                click.echo(f"{key}: {report.state}, {sum(report.built.rows.values())} rows")
        else:
            handled = pipeline.catch_up(parts.lake, parts.settings, progress).objects
            click.echo(f"{handled} raw objects transformed")


@main.command()
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.pass_obj
def compact(shared: Shared, tables: tuple[str, ...]) -> None:
    """Merge small Parquet files."""
    from chalicelib.transformation.compact import compact as merge

    with Progress("compact") as progress:
        merged = merge(shared.parts.lake, list(tables) or None, progress=progress)
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
    crawled = engine.start_crawl()
    while crawled.state == "running":
        time.sleep(CRAWL_POLL)
        crawled = engine.latest_crawl() or crawled
    return crawled


# --- asking -------------------------------------------------------------------------------------------------------


@main.command()
@click.argument("sql")
@click.option("--format", "shape", type=click.Choice(FORMATS), help="Default: table on a terminal, csv in a pipe.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of stdout.")
@click.pass_obj
def query(shared: Shared, sql: str, shape: str | None, output: Path | None) -> None:
    """Run SQL in Athena's dialect."""
    with closing(shared.parts.engine) as engine:
        started = engine.start_query(sql, client="command line")
        show(engine, ended(engine, started), shape, output)


@main.command()
@click.argument("name", required=False)
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE", help="A parameter; may be repeated.")
@click.option("--format", "shape", type=click.Choice(FORMATS), help="Default: table on a terminal, csv in a pipe.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of stdout.")
@click.pass_obj
def report(shared: Shared, name: str | None, values: tuple[str, ...], shape: str | None, output: Path | None) -> None:
    """List the saved reports, or run one."""
    from chalicelib.reports import catalogue

    if name is None:
        list_reports(catalogue.reports(shared.parts.lake))
        return
    wanted = catalogue.report(name, shared.parts.lake)
    ready = catalogue.bind(wanted, assignments(values))
    with closing(shared.parts.engine) as engine:
        started = engine.start_query(ready.sql, ready.bound, client="command line")
        show(engine, ended(engine, started), shape, output, title=wanted.title)


def list_reports(found: Iterable[Any]) -> None:
    rows = [(each.name, each.title, ", ".join(p.name for p in each.parameters)) for each in found]
    print_table(("report", "title", "parameters"), rows)


def assignments(values: Sequence[str]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise InvalidRequest(f"--set {wrong[0]}: write --set key=value")
    return {name: value for name, _, value in pairs}


def ended(engine: Engine, started: Query) -> Query:
    """The query when it has ended. Raises QueryFailed if that is no success."""
    done = started
    while not done.state.ended:
        done = engine.wait(started.query_id, 10)
    if done.error or done.state != "succeeded":
        raise QueryFailed((done.error or {}).get("message", f"the query was {done.state}"))
    return done


# --- accounts, tokens, health -------------------------------------------------------------------------------------


@main.command()
@click.pass_obj
def login(shared: Shared) -> None:
    """Authorise a Spotify account and keep its refresh token."""
    import webbrowser

    from chalicelib.spotify.auth import login as authorise

    def show_page(url: str) -> None:
        click.echo(f"Agree on Spotify's page. If no browser shows it, open it on this computer:\n{url}", err=True)
        webbrowser.open(url)

    parts = shared.parts
    user_id = authorise(parts.settings, parts.secrets, open_url=show_page)
    click.echo(f"{user_id} is logged in")


@main.group()
def token() -> None:
    """The API's tokens: show this computer's, add, list, revoke."""


@token.command("show")
@click.pass_obj
def show_token(shared: Shared) -> None:
    """Print the token of this computer (made when there is none)."""
    click.echo(shared.parts.access.local_token())


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


@token.command("list")
@click.pass_obj
def list_tokens(shared: Shared) -> None:
    """List the tokens (not what they are)."""
    rows = [
        (each.token_id, each.name, each.scope, each.created_at, each.expires_at or "never")
        for each in shared.parts.access.tokens()
    ]
    print_table(("id", "name", "scope", "created", "expires"), rows)


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
    from chalicelib.commands.doctor import examine

    faults = 0
    for finding in examine(shared.parts):
        faults += finding.level == "fault"
        click.echo(finding.line())
    if faults:
        raise SystemExit(1)
