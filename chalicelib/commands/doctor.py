"""``doctor``: what is in order, what is not, and what to do about it."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chalicelib.clock import Clock, now, rfc3339
from chalicelib.errors import LakeError, MissingCredentials, NotFound
from chalicelib.lake import QUARANTINE, RAW, STATE, TRANSFORMED
from chalicelib.quarantine import quarantined, reasons

if TYPE_CHECKING:
    from chalicelib.wiring import Parts

Level = Literal["ok", "note", "warning", "fault"]
MARKS: dict[Level, str] = {"ok": "ok     ", "note": "       ", "warning": "warning", "fault": "FAULT  "}
INDENT = 10  # columns before what goes on below a mark and a subject
REACH_TIMEOUT = 5.0  # s
LEAST_FREE = 1_000_000_000  # bytes free on the lake's disk below which doctor warns
NAMED = 5  # keys named of many


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``remedy`` is what to do about it."""

    level: Level
    subject: str
    message: str
    remedy: str = ""

    def line(self) -> str:
        """As it is printed."""
        tail = f" -> {self.remedy}" if self.remedy else ""
        return f"{MARKS[self.level]} {self.subject}: {self.message}{tail}"


Examination = Callable[["Parts", Clock], Iterator[Finding]]


def examine(parts: Parts, clock: Clock = now, checks: Sequence[Examination] = ()) -> Iterator[Finding]:
    """Every finding, or those of ``checks``, in an order to read. A check that fails is itself a finding."""
    for check in checks or CHECKS:
        try:
            yield from check(parts, clock)
        except LakeError as error:
            yield Finding("fault", check.__name__.replace("_", " "), error.message)


def python(_parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """Whether this Python is one that is tested."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    remedy = "" if supported else "use Python 3.11, 3.12 or 3.13"
    yield Finding("ok" if supported else "warning", "python", version, remedy)


def settings(parts: Parts, clock: Clock) -> Iterator[Finding]:
    """Every setting in force, and when the schedule fires next."""
    from chalicelib.schedule import next_time

    for name, shown, unit, _ in parts.settings.described():
        yield Finding("note", name, f"{shown or '(not set)'}{f' {unit}' if unit and shown else ''}")
    fires = next_time(parts.settings.extract_schedule, clock())
    yield Finding("ok", "schedule", f"the next extraction would be at {rfc3339(fires)}")


def sources(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """What is extracted."""
    from chalicelib.extraction.sources import load_sources

    found = load_sources(parts.settings)
    yield Finding("ok", "sources", f"{len(found)} sources: {', '.join(source.name for source in found)}")


def credentials(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """Whether there is a client id and secret."""
    from chalicelib.spotify.auth import credentials as find_credentials

    try:
        find_credentials(parts.settings, parts.secrets)
    except MissingCredentials as error:
        yield Finding("fault", "credentials", error.message)
        return
    yield Finding("ok", "credentials", "a client id and a client secret are there")


def reachability(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """Whether Spotify answers."""
    for name, url in (
        ("SPOTIFY_API_URL", parts.settings.spotify_api_url),
        ("SPOTIFY_ACCOUNTS_URL", parts.settings.spotify_accounts_url),
    ):
        fault = unreachable(url)
        if fault:
            yield Finding("fault", name, f"{url} does not answer: {fault}", "check the network, a proxy, the setting")
        else:
            yield Finding("ok", name, f"{url} answers")


def unreachable(url: str) -> str | None:
    """Why nobody answers HTTP at ``url``; None if anybody does, whatever the answer."""
    import requests

    try:
        requests.get(url, timeout=REACH_TIMEOUT, allow_redirects=False).close()
    except requests.RequestException as error:
        return type(error).__name__
    return None


def genres(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """Whether MusicBrainz is asked for the genres that Spotify leaves empty."""
    if parts.settings.musicbrainz_contact:
        yield Finding("ok", "genres", "MusicBrainz is asked for ids and genres (its tags: CC BY-NC-SA 3.0)")
    else:
        yield Finding("note", "genres", GENRES_OFFER)


GENRES_OFFER = (
    "Spotify leaves genres empty for most apps; set MUSICBRAINZ_CONTACT to your e-mail address, and runs look ids and "
    "genres up at MusicBrainz, whose tags are under CC BY-NC-SA 3.0 (credit it, no commercial use)"
)


def authorisations(parts: Parts, clock: Clock) -> Iterator[Finding]:
    """Who is logged in, and for how long."""
    from chalicelib.listeners import everybody
    from chalicelib.spotify.auth import authorizations

    found, known = authorizations(parts.secrets), everybody(parts.lake)
    if not found:
        yield Finding("warning", "login", "nobody is logged in: no listening is extracted", LOGIN)
    for each in found:
        who = known.label_of(each.user_id)
        warning = each.warning(clock(), who)
        ended = each.ends_at <= clock()
        if warning:
            yield Finding("fault" if ended else "warning", "login", warning, LOGIN)
        else:
            days = (clock() - each.authorized_at).days
            yield Finding("ok", "login", f"{who}, authorised {days} days ago, ends {each.ends_at:%Y-%m-%d}")


LOGIN = ".venv/bin/lake login"


def lake(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """Whether the lake can be written, and how large it is."""
    store = parts.lake.store
    probe = f"{STATE}doctor-probe"
    store.write(probe, b"")
    store.delete([probe])
    yield Finding("ok", "lake", f"{store.location('')} can be written")
    for zone in (RAW, TRANSFORMED, QUARANTINE):
        sizes = [info.size for info in store.list(zone)]
        yield Finding("note", zone.rstrip("/"), f"{len(sizes):,} objects, {sum(sizes) / 1e6:,.1f} MB")
    if not parts.settings.on_aws:
        free = shutil.disk_usage(Path(store.location(""))).free
        remedy = "" if free >= LEAST_FREE else "free some, or move the lake and set LAKE_URL"
        yield Finding("ok" if free >= LEAST_FREE else "warning", "disk", f"{free / 1e9:,.1f} GB free", remedy)


def raw_objects(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """What is not transformed, and what lies in quarantine."""
    from chalicelib.transformation.backlog import pending

    waiting = list(pending(parts.lake))
    if waiting:
        yield Finding("warning", "raw", f"{len(waiting)} not transformed: {some(waiting)}", f"{PROGRAM} transform")
    else:
        yield Finding("ok", "raw", "everything is transformed")
    held = list(reasons(parts.lake))
    if held:
        yield Finding("warning", "quarantine", f"{len(held)} could not be read", f"mend it, {PROGRAM} transform KEY")
    for reason in held[:NAMED]:
        if told := quarantined(parts.lake, reason):
            yield Finding("note", "quarantine", told.message)


def table_files(parts: Parts, clock: Clock) -> Iterator[Finding]:
    """What of the tables is damaged, gone, or of an earlier release."""
    from chalicelib.transformation.backlog import is_of_an_earlier_version, lost_files, lost_partitions
    from chalicelib.transformation.compact import damaged_files

    damaged, lost = list(damaged_files(parts.lake)), sorted(lost_partitions(parts.lake, clock))
    missing = lost_files(parts.lake, clock)
    if damaged:
        message = f"{len(damaged)} damaged files, of which queries fail: {some(damaged)}"
        yield Finding("fault", "tables", message, f"{PROGRAM} transform --all")
    if lost:
        message = f"{len(lost)} partitions are gone: {some(lost)}"
        yield Finding("fault", "tables", message, f"{PROGRAM} transform")
    if missing:
        yield Finding("fault", "tables", f"{len(missing)} files are gone: {some(missing)}", f"{PROGRAM} transform")
    if is_of_an_earlier_version(parts.lake):
        message = "an earlier release made some rows, which this one would make otherwise"
        yield Finding("warning", "tables", message, f"{PROGRAM} transform --all")
    if not damaged and not lost and not missing:
        yield Finding("ok", "tables", "every file can be read")


PROGRAM = ".venv/bin/lake"


def some(keys: list[str]) -> str:
    """The first few of many keys."""
    return ", ".join(keys[:NAMED]) + (" …" if len(keys) > NAMED else "")


def left_out(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """What is left out of every number."""
    from chalicelib.exclusions import in_force
    from chalicelib.listeners import everybody

    known = everybody(parts.lake)
    for each in in_force(parts.lake):
        yield Finding("note", "left out", each.line(known.label_of), f"{PROGRAM} take-back {each.exclusion_id}")


def newest_run(parts: Parts, clock: Clock) -> Iterator[Finding]:
    """What the newest run has to say."""
    from chalicelib import runs
    from chalicelib.listeners import everybody

    run = runs.newest_run(parts.lake, clock)
    if run is None:
        yield Finding("note", "runs", "there was no run yet", f"{PROGRAM} extract")
        return
    level: Level = "fault" if run.state == "failed" else "ok"
    said = f"; {run.error['message']}" if run.error else ""
    yield Finding(level, "run", f"{run.run_id} {run.state}: {run.calls} calls, {run.items} items{said}")
    for warning in run.warnings:
        yield Finding("warning", "run", warning)
    for source in run.sources:
        if source.error:
            yield Finding("warning", source.source, source.error["message"])
        if source.state == runs.UNAVAILABLE:
            yield Finding("note", source.source, "not read: Spotify does not offer it to this app")
        if source.left:
            until = f", not before {source.not_before}" if source.not_before else ""
            yield Finding("note", source.source, f"still to fetch: {source.left}{until}")
    known = everybody(parts.lake)
    for hole in run.holes:
        message = f"plays of {known.label_of(hole['user_id'])} from {hole['after']} to {hole['before']} may be lost"
        yield Finding("warning", "hole", message, "run more often (EXTRACT_SCHEDULE), or import the privacy export")


def files(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """Damaged files of the tables, each read whole."""
    from chalicelib.queries.engine import Examining

    engine = parts.engine
    if not isinstance(engine, Examining):
        return
    found = engine.damaged_files(thorough=True)
    for key, reason in list(found.items())[:NAMED]:
        yield Finding("fault", "files", f"{key}: {reason}", f"{PROGRAM} transform --all")
    if len(found) > NAMED:
        yield Finding("fault", "files", f"{len(found) - NAMED} more are damaged", f"{PROGRAM} transform --all")
    if not found:
        yield Finding("ok", "files", "every file of the tables can be read")


def quality(parts: Parts, _clock: Clock) -> Iterator[Finding]:
    """Failures of each check over the whole lake."""
    engine = parts.engine
    try:
        query = engine.wait(engine.start_query(FAILURES, client="doctor").query_id, 20)
        if query.state != "succeeded":
            yield Finding("warning", "quality", f"could not be read: {(query.error or {}).get('message', query.state)}")
            return
        rows = engine.rows(query.query_id, 50).rows
    except NotFound:
        rows = []
    finally:
        parts.close()
    levels: Counter[str] = Counter()
    for table, check, severity, failures, detail in rows:
        levels[severity] += 1
        level: Level = "warning" if severity in ("reject", "fail") else "note"
        remedy = "SELECT * FROM rejected_rows says more" if severity == "reject" else detail
        yield Finding(level, "quality", f"{table} {check}: {failures} failed", remedy or "")
    if not rows:
        yield Finding("ok", "quality", "no check has failed")


FAILURES = """
SELECT table_name, check_name, severity, sum(failures) AS failures, max_by(detail, observed_at) AS detail
FROM quality_results
WHERE failures > 0 GROUP BY table_name, check_name, severity ORDER BY failures DESC LIMIT 20
"""

CHECKS: tuple[Examination, ...] = (
    python,
    settings,
    sources,
    genres,
    credentials,
    reachability,
    authorisations,
    lake,
    raw_objects,
    table_files,
    left_out,
    newest_run,
    files,
    quality,
)
