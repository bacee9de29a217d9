"""One extraction run: take the lock, take in what a dead run left, ask for what is due, keep every answer.

What to ask is named by the readers of the declared sources (reading.py), what an answer changes is taken in by
intake.py, who may ask when is decided in running.py, and spotify/guard.py is the one gate to Spotify. A run ends when
nothing is left, or when the budget, the time or Spotify's patience is; the next one goes on exactly there.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable

from chalicelib.clock import Clock, Sleep, now
from chalicelib.errors import InvalidSetting, MissingCredentials
from chalicelib.extraction.fetching import Fetcher
from chalicelib.extraction.keeping import Keeper
from chalicelib.extraction.kinds import Source
from chalicelib.extraction.lock import RunLock, acquire_all, in_progress, name_of
from chalicelib.extraction.looking_up import LookingUp
from chalicelib.extraction.lookups import READS, ArtistLookups
from chalicelib.extraction.readers import reader_of
from chalicelib.extraction.reading import View
from chalicelib.extraction.running import Part, Run, SourceTurn
from chalicelib.extraction.separating import separate
from chalicelib.extraction.sources import chosen, load_sources
from chalicelib.extraction.state import State
from chalicelib.lake import Lake
from chalicelib.listeners import noted
from chalicelib.log import RunProgress, run_id_in_force
from chalicelib.musicbrainz.client import MusicBrainz
from chalicelib.names import artist_key
from chalicelib.runs import FAILED, SKIPPED, UNAVAILABLE, RunRecord, SourceRecord, new_run_id, save_run, start_record
from chalicelib.secrets import SecretStore
from chalicelib.settings import Settings
from chalicelib.spotify import auth
from chalicelib.spotify.client import Spotify, SpotifySession
from chalicelib.spotify.clock import SpotifyClock
from chalicelib.spotify.guard import RESERVE, Caller, Guard
from chalicelib.spotify.tokens import LOGIN, Credentials
from chalicelib.stores import open_secrets
from chalicelib.wanted import played_artists, wanted_tracks


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
    progress: RunProgress | None = None,
    secrets: SecretStore | None = None,
) -> RunRecord:
    """Extract what is due (or the named ``sources``) and answer the run's record, which is also in the lake.

    ``remaining_seconds`` says how long the run may still take (default: RUN_SECONDS from now). A run that cannot go
    on says so in its record; raised are only InvalidSetting and MissingCredentials (nothing was begun), RunInProgress
    and, after the record was written where that was possible, errors of the lake.
    """
    declared = chosen(load_sources(settings), sources)
    secrets = secrets or open_secrets(settings)
    app = auth.credentials(settings, secrets)
    remaining = remaining_seconds or deadline(settings.run_seconds)
    run_id = run_id or new_run_id(clock())
    time_of_run = SpotifyClock(clock)
    with Clients(settings, app, secrets, time_of_run, lambda user: noted(lake).label_of(user)) as clients:
        separate(lake, run_id, clock, clients.spotify_ids)
        locks, others = take(lake, run_id, clock, declared, clients)
        token = run_id_in_force.set(run_id)
        try:
            keeper = Keeper.open(lake, run_id, settings.checkpoint_answers, locks)
            keeper.recover(clock)
            guard = guard_of(settings, keeper, remaining, time_of_run, sleep, rng)
            parts = {
                whose: part_of(
                    settings, keeper, clients, guard, lock, whose, by_hand=trigger != "schedule", chosen=bool(sources)
                )
                for whose, lock in locks.items()
            }
            record = start_record(run_id, trigger, clock())
            record.authorizations = [authorization.as_json() for authorization in auth.authorizations(secrets)]
            places = places_of([source for source in declared if source.reads != READS], parts, clients, record)
            if others and not any(place.reader.calls_left(place.part.view) for place in places):
                raise in_progress(next(iter(others.values())))
            run = Run(
                lake=lake,
                keeper=keeper,
                guard=guard,
                parts=parts,
                record=record,
                places=places,
                threads=settings.concurrency,
                clock=time_of_run,
                progress=progress,
                warnings=[*warnings_of(secrets, keeper, clock), *left_to(others, keeper.lake)],
                looking_up=looking_up(settings, declared, keeper, record, remaining, time_of_run, sleep, bool(sources)),
            )
            run.let_go_of_idle()
            save_run(lake, record)
            run.go()
            return record
        finally:
            run_id_in_force.reset(token)
            for lock in locks.values():
                lock.release()


def take(
    lake: Lake, run_id: str, clock: Clock, declared: list[Source], clients: Clients
) -> tuple[dict[str | None, RunLock], dict[str | None, str]]:
    """The locks of all that the sources are about, by listener (None: the app), and the runs that hold the others.

    Raises RunInProgress where nothing is free.
    """
    wanted: list[str | None] = list(clients.spotify_ids) if any(source.user for source in declared) else []
    if not wanted or any(not source.user or source.reads in BY_ID for source in declared):
        wanted.append(None)
    by_name = {name_of(whose): whose for whose in wanted}
    taken, others = acquire_all(lake, run_id, clock, by_name)
    if not taken:
        raise in_progress(next(iter(others.values()), None))
    locks = {whose: taken[name] for name, whose in by_name.items() if name in taken}
    return locks, {by_name[name]: run for name, run in others.items()}


def left_to(others: dict[str | None, str], lake: Lake) -> list[str]:
    """What is left to runs that go on, in the words of the record."""
    known = noted(lake)
    return [
        f"{'the catalogue' if whose is None else known.label_of(whose)} is left to run {run}, which goes on"
        for whose, run in others.items()
    ]


def part_of(
    settings: Settings,
    keeper: Keeper,
    clients: Clients,
    guard: Guard,
    lock: RunLock,
    whose: str | None,
    *,
    by_hand: bool,
    chosen: bool,
) -> Part:
    """What a run does for one listener, or for the app."""
    kept = keeper.kept[whose]
    if whose is not None:
        guard = guard.beside(dict(kept.state.waits), speaks_for_all=len(clients.spotify_ids) == 1)
    view = view_of(settings, keeper, kept.state, clients, guard, by_hand=by_hand, chosen=chosen)
    return Part(whose, lock, kept, guard, Fetcher(keeper.run_id, guard, clients.of, kept.write), view)


def looking_up(
    settings: Settings,
    declared: list[Source],
    keeper: Keeper,
    record: RunRecord,
    remaining: Callable[[], float],
    clock: Clock,
    sleep: Sleep,
    chosen: bool,
) -> LookingUp | None:
    """What asks MusicBrainz, where that is wanted. Raises InvalidSetting where it is named and not set up."""
    source = next((source for source in declared if source.reads == READS), None)
    app = keeper.kept.get(None)
    if source is None or app is None or not settings.musicbrainz_contact:
        if source is not None and chosen and not settings.musicbrainz_contact:
            raise InvalidSetting(
                f"{source.name} asks MusicBrainz, which wants to know whom to write to: set MUSICBRAINZ_CONTACT"
            )
        return None
    record.sources.append(SourceRecord(source.name))
    client = MusicBrainz(
        settings.musicbrainz_url,
        settings.listenbrainz_url,
        settings.musicbrainz_contact,
        settings.musicbrainz_calls,
        remaining,
        clock,
        sleep,
    )
    played = {artist_key(name): rank for rank, name in reversed(list(enumerate(played_artists(keeper.lake))))}
    lookups = ArtistLookups(source, app.state, played)
    return LookingUp(record.run_id, keeper, app, lookups, client, record.sources[-1], clock, chosen)


def deadline(seconds: float) -> Callable[[], float]:
    """Answers the seconds that are left of so many from now."""
    ends = time.monotonic() + seconds
    return lambda: ends - time.monotonic()


def warnings_of(secrets: SecretStore, keeper: Keeper, clock: Clock) -> list[str]:
    """What the owner should know of the listeners' authorisations, and of the state."""
    authorizations = auth.authorizations(secrets)
    known = noted(keeper.lake)
    told = (each.warning(clock(), known.label_of(each.user_id)) for each in authorizations)
    warnings = [warning for warning in told if warning]
    if not authorizations:
        warnings = [not_logged_in().message]
    warnings += auth.unreadable_logins(secrets)
    for kept in keeper.kept.values():
        if kept.file.damaged:
            warnings.append(f"{kept.file.key} could not be read: everything in it is read anew")
    return warnings


def not_logged_in() -> MissingCredentials:
    """What is wrong while nobody has logged in."""
    return MissingCredentials(f"nobody has logged in, so no listener's own data is read: {LOGIN}")


def guard_of(
    settings: Settings,
    keeper: Keeper,
    remaining: Callable[[], float],
    clock: SpotifyClock,
    sleep: Sleep,
    rng: Callable[[], float],
) -> Guard:
    """The app's gate of a run, with the waits that earlier runs were told of."""
    app = keeper.kept.get(None)
    return Guard(
        budget=settings.calls_per_run,
        longest_wait=settings.longest_wait,
        call_timeout=settings.call_timeout,
        remaining=remaining,
        reserve=min(RESERVE, remaining() / 5),
        clock=clock,
        sleep=sleep,
        rng=rng,
        most_at_once=max(1, settings.concurrency - 1),
        waits=dict(app.state.waits) if app else {},
    )


def view_of(
    settings: Settings, keeper: Keeper, state: State, clients: Clients, guard: Guard, *, by_hand: bool, chosen: bool
) -> View:
    """What the readers of a part see."""
    return View(
        state=state,
        now=guard.clock(),
        refresh_after=settings.refresh_after,
        listeners=clients.spotify_ids,
        forced_mode=None if settings.spotify_mode == "auto" else settings.spotify_mode,
        by_hand=by_hand,
        chosen=chosen,
        wanted_tracks=wanted_tracks(keeper.lake) if state.whose is None else [],
        may_ask=lambda endpoint: guard.closed(endpoint) is None,
        beside={whose: kept.state for whose, kept in keeper.kept.items() if whose is not None},
    )


def places_of(
    declared: list[Source], parts: dict[str | None, Part], clients: Clients, record: RunRecord
) -> list[SourceTurn]:
    """A reader for each source that this app may use and, where it is about a listener, for each of them."""
    places: list[SourceTurn] = []
    listeners = in_turn(list(clients.spotify_ids), record.run_id)
    forced = next(iter(parts.values())).view.forced_mode
    by_id = any(source.reads == "playlists" and source.params["ids"] for source in declared)
    for source in declared:
        whose: list[str | None] = [*listeners] if source.user else [None]
        if forced and forced not in source.modes:
            record.sources.append(SourceRecord(source.name, state=UNAVAILABLE))
            continue
        if not whose:
            error = not_logged_in().as_json()["error"]
            record.sources.append(SourceRecord(source.name, state=FAILED, error=error))
        if source.reads in BY_ID and by_id:
            whose.append(None)
        for user in whose:
            record.sources.append(SourceRecord(source.name, user_id=user))
            if part := parts.get(user):
                places.append(SourceTurn(len(places), reader_of(source, user), record.sources[-1], part))
            else:
                record.sources[-1].state = SKIPPED  # left to the run that holds its lock
    return places


BY_ID = ("playlist_items",)  # what listeners list, and what is read by id whoever lists it


def in_turn(listeners: list[str], run_id: str) -> list[str]:
    """The listeners in an order in which each begins as often as the others: what a run's budget does not reach is
    not always the same ones', and who has a thousand playlists keeps nobody waiting for more than a few runs."""
    first = zlib.crc32(run_id.encode()) % max(1, len(listeners))
    return listeners[first:] + listeners[:first]


class Clients:
    """Spotify as the app and as each listener sees it, over one pool of connections."""

    def __init__(
        self,
        settings: Settings,
        app: Credentials,
        secrets: SecretStore,
        clock: SpotifyClock,
        called: Callable[[str], str] = str,
    ) -> None:
        self._session = SpotifySession(settings.concurrency)
        api_url = settings.spotify_api_url
        self._app: Caller = Spotify(api_url, auth.AppTokens(settings, app, clock=clock), self._session, clock)
        listeners = auth.listeners(secrets)
        self.spotify_ids = {listener.user_id: listener.spotify_id for listener in listeners}
        self._listeners: dict[str, Caller] = {
            user_id: Spotify(
                api_url,
                auth.ListenerTokens(settings, app, secrets, user_id, clock=clock, called=called),
                self._session,
                clock,
            )
            for user_id in self.spotify_ids
        }

    def of(self, user: str | None) -> Caller:
        """A listener's view of Spotify, or the app's own (None)."""
        return self._app if user is None else self._listeners[user]

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
