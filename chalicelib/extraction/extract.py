"""One extraction run: take the lock, take in what a dead run left, ask for what is due, keep every answer.

What to ask is named by the readers of the declared sources (reading.py), what an answer changes is taken in by
intake.py, who may ask when is decided in running.py, and spotify/guard.py is the one gate to Spotify. A run ends when
nothing is left, or when the budget, the time or Spotify's patience is; the next one goes on exactly there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime

from chalicelib.clock import Clock, Sleep, now, parse_duration
from chalicelib.errors import MissingCredentials
from chalicelib.extraction.fetching import Fetcher
from chalicelib.extraction.keeping import Keeper
from chalicelib.extraction.lock import RunLock, holder_of
from chalicelib.extraction.readers import reader_of
from chalicelib.extraction.reading import View
from chalicelib.extraction.running import Place, Run
from chalicelib.extraction.sources import Source, chosen, load_sources
from chalicelib.extraction.state import wanted_tracks
from chalicelib.lake import Lake
from chalicelib.log import Progress, run_id_in_force
from chalicelib.runs import FAILED, UNAVAILABLE, RunRecord, SourceRecord, new_run_id, save_run, start_record
from chalicelib.secrets import SecretStore
from chalicelib.settings import Settings
from chalicelib.spotify import auth
from chalicelib.spotify.client import Session, Spotify
from chalicelib.spotify.guard import RESERVE, Caller, Guard
from chalicelib.spotify.tokens import LOGIN, Credentials
from chalicelib.stores import open_secrets


def run_extraction(
    settings: Settings,
    lake: Lake,
    *,
    run_id: str | None = None,
    trigger: str = "command",
    sources: list[str] | None = None,
    remaining_seconds: Callable[[], float] | None = None,
    clock: Clock = now,
    sleep: Sleep = time.sleep,
    rng: Callable[[], float] = random.random,
    progress: Progress | None = None,
    secrets: SecretStore | None = None,
) -> RunRecord:
    """Extract what is due (or the named ``sources``) and answer the run's record, which is also in the lake.

    ``remaining_seconds`` says how long the run may still take (default: RUN_SECONDS from now). A run that cannot go
    on says so in its record; raised are only InvalidSetting and MissingCredentials (nothing was begun), RunInProgress
    and, after the record was written where that was possible, errors of the lake.
    """
    declared = chosen(load_sources(settings), sources)
    refresh_after = parse_duration(settings.refresh_after)
    secrets = secrets or open_secrets(settings)
    app = auth.credentials(settings, secrets)
    remaining = remaining_seconds or deadline(settings.run_seconds)
    run_id = run_id or new_run_id(clock())
    lock = RunLock.acquire(lake, run_id, clock)
    token = run_id_in_force.set(run_id)
    try:
        record = start_record(run_id, trigger, clock())
        record.warnings = warnings_of(secrets, clock)
        record.authorizations = [authorization.as_json() for authorization in auth.authorizations(secrets)]
        keeper = Keeper.open(lake, run_id, settings.checkpoint_answers)
        keeper.recover(clock)
        save_run(lake, record)
        waits = keeper.state.waits(clock())
        guard = guard_of(settings, remaining, clock, sleep, rng, waits)
        with Clients(settings, app, secrets, clock) as clients:
            view = View(
                state=keeper.state,
                now=clock(),
                run_started=clock(),
                refresh_after=refresh_after,
                listeners=clients.spotify_ids,
                forced_mode=None if settings.spotify_mode == "auto" else settings.spotify_mode,
                by_hand=trigger != "schedule",
                chosen=bool(sources),
                wanted_tracks=wanted_tracks(lake),
            )
            places = places_of(declared, view, record)
            fetcher = Fetcher(run_id, guard, clients.of, keeper.write)
            Run(lake, lock, keeper, guard, fetcher, view, record, places, settings.concurrency, clock, progress).go()
        return record
    finally:
        run_id_in_force.reset(token)
        lock.release()


def running(lake: Lake, clock: Clock = now) -> str | None:
    """The id of the run that is going on, if one is."""
    return holder_of(lake, clock())


def deadline(seconds: float) -> Callable[[], float]:
    ends = time.monotonic() + seconds
    return lambda: ends - time.monotonic()


def warnings_of(secrets: SecretStore, clock: Clock) -> list[str]:
    """What the owner should know of the listeners' authorisations."""
    authorizations = auth.authorizations(secrets)
    if not authorizations:
        return [not_logged_in().message]
    warnings = (authorization.warning(clock()) for authorization in authorizations)
    return [warning for warning in warnings if warning]


def not_logged_in() -> MissingCredentials:
    return MissingCredentials(f"nobody has logged in, so no listener's own data is read: {LOGIN}")


def guard_of(
    settings: Settings,
    remaining: Callable[[], float],
    clock: Clock,
    sleep: Sleep,
    rng: Callable[[], float],
    waits: dict[str, datetime],
) -> Guard:
    return Guard(
        budget=settings.calls_per_run,
        longest_wait=settings.longest_wait,
        call_timeout=settings.call_timeout,
        remaining=remaining,
        reserve=min(RESERVE, remaining() / 5),
        clock=clock,
        sleep=sleep,
        rng=rng,
        not_before=waits,
    )


def places_of(declared: list[Source], view: View, record: RunRecord) -> list[Place]:
    """A reader for each source that this app may use and, where it is about a listener, for each of them."""
    places: list[Place] = []
    for source in declared:
        users: list[str | None] = list(view.listeners) if source.user else [None]
        if view.forced_mode and view.forced_mode not in source.modes:
            record.sources.append(SourceRecord(source.name, state=UNAVAILABLE))
        elif not users:
            error = not_logged_in().as_json()["error"]
            record.sources.append(SourceRecord(source.name, state=FAILED, error=error))
        else:
            for user in users:
                record.sources.append(SourceRecord(source.name, user_id=user))
                places.append(Place(len(places), reader_of(source, user), record.sources[-1]))
    return places


class Clients:
    """Spotify as the app and as each listener sees it, over one pool of connections."""

    def __init__(self, settings: Settings, app: Credentials, secrets: SecretStore, clock: Clock) -> None:
        self._session = Session(settings.concurrency)
        api_url = settings.spotify_api_url
        self._app: Caller = Spotify(api_url, auth.AppTokens(settings, app, clock=clock), self._session, clock)
        listeners = auth.listeners(secrets)
        self.spotify_ids = {listener.user_id: listener.spotify_id for listener in listeners}
        self._listeners: dict[str, Caller] = {
            user_id: Spotify(
                api_url, auth.ListenerTokens(settings, app, secrets, user_id, clock=clock), self._session, clock
            )
            for user_id in self.spotify_ids
        }

    def of(self, user: str | None) -> Caller:
        return self._app if user is None else self._listeners[user]

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
