"""What extraction knows from one run to the next, of each listener apart and of the catalogue.

::

    state/extraction/app.json             the catalogue, and what holds for the app
    state/extraction/listener-<id>.json   one listener: what was read when, how far, and what to doubt

Whoever holds the lock of one (see lock.py) reads and writes it, and nobody else: what is wrong with one listener's
login, answers or state, or how much there is of it, is of no matter to the others. A state is a function of the answers
received: every change is made by taking in an entry of its journal (an answer or a note), so that replaying a dead
run's journal over the last snapshot gives exactly what that run knew. What a listener's answers show of the catalogue
is handed over (``Shown``): it waits in the listener's state until the app's, saved first, has taken it over; to take it
over twice changes nothing.

All of it can be said again by Spotify: a damaged snapshot is as good as none, and the next run reads everything of it
anew. What earlier releases kept in one state for all is separated once (see separating.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.clock import parse_moment, parse_rfc3339, rfc3339
from chalicelib.errors import WriteConflict
from chalicelib.extraction.lock import name_of
from chalicelib.lake import STATE, Lake
from chalicelib.records import RecordKind
from chalicelib.spotify.guard import Wait

EXTRACTION = f"{STATE}extraction/"
VERSION = 3
DETAILS = ("albums", "artists", "tracks")
ALBUM_PAGES = "album-tracks:"  # in ``walks``: an album's tracks beyond those that its details show
WANTED = 0  # in ``details``: seen in an answer, not fetched yet
BELIEVED_RUNS = 3  # runs in which Spotify must say what is doubted
BELIEVED_AFTER = timedelta(days=2)  # between the first and the last of them
SLACK = timedelta(minutes=2)  # by which clocks may differ, and schedules be late


@dataclass(slots=True)
class Walk:
    """A listing begun and not ended: where its next page begins, and what its pages have shown so far."""

    started_at: str
    offset: int = 0
    after: str | None = None  # Spotify's cursor, where it pages by one
    total: int = 0  # as it was said last
    first_total: int = 0
    least_total: int = 0
    backs: int = 0  # steps back, for items that were removed meanwhile
    stepped_back: bool = False  # by the last page
    ids: list[str] = field(default_factory=list)  # in the order shown
    first: list[str] = field(default_factory=list)  # those of the first page
    last: list[str] = field(default_factory=list)  # those of the last page
    nameless: int = 0  # items without a key that could be kept
    odd: str | None = None  # what of its items is not said as it should be
    gone: int = 0  # of a playlist: entries without an item
    bare: int = 0  # of a playlist: entries that are null or bear no time
    snapshot: str | None = None  # of a playlist: the version that is read
    newest: str = ""  # of saved items: when the newest was saved
    newest_ids: list[str] = field(default_factory=list)
    new: int = 0  # of saved items: those that were not known
    met: bool = False  # whether a known one was among them


@dataclass(slots=True)
class Known:
    """What the last whole reading of a listing showed."""

    total: int = 0
    first: list[str] = field(default_factory=list)  # ids on its first page
    newest: str = ""
    newest_ids: list[str] = field(default_factory=list)
    at: str | None = None  # when all of it was read


@dataclass(slots=True)
class KnownPlaylist:
    """A playlist and which version of it has been read."""

    user: str | None = None  # whose list of playlists shows it
    snapshot: str | None = None
    owner: str | None = None
    total: int | None = 0  # None: it was not said
    collaborative: bool = False
    done: str | None = None  # the version whose items have been read
    refused: str | None = None  # the version whose items Spotify will not show
    apart: bool = False  # the playlist by itself shows no items: they have to be asked for
    empty: bool = False  # ``done`` because it was said to have no items
    gone: int | None = None  # entries without an item in the version that was read last; None before the first
    check_in: int = 0  # lists of playlists until it is read once more
    checked: str | None = None  # the version that was or is to be read once more

    @property
    def outdated(self) -> bool:
        """Whether this version's items have not been read yet, nor refused."""
        if self.snapshot == self.done:
            return self.empty and self.total != 0
        return self.snapshot != self.refused


@dataclass(slots=True)
class Doubt:
    """Something that Spotify said and that is not believed yet. It is asked again in each run."""

    why: str
    since: str
    last: str
    run_id: str
    runs: int = 1

    def believed(self, after: timedelta = BELIEVED_AFTER) -> bool:
        """Whether enough runs, far enough apart, were told the same."""
        return self.runs >= BELIEVED_RUNS and parse_rfc3339(self.last) - parse_rfc3339(self.since) >= after


@dataclass(slots=True)
class ArtistLookup:
    """How far the search for an artist of Spotify's at MusicBrainz is. Times are seconds since 1970."""

    mbid: str | None = None
    asked: str = ""  # link, isrc or name: by what it was asked for last
    at: int = 0
    genres_at: int = 0  # when its genres were read
    missing: bool = False  # ListenBrainz does not know the MBID: it was merged, or deleted


@dataclass(slots=True)
class Shown:
    """What a listener's answers show of the catalogue, for the app's state to take over. ``details`` are when each
    thing was read whole (seconds since 1970), or WANTED; ``pages`` of albums longer than what was shown, when their
    reading began, how many tracks were shown, and of how many."""

    mode: str | None = None
    details: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> id
    pages: dict[str, tuple[str, int, int]] = field(default_factory=dict)  # by album
    names: dict[str, str] = field(default_factory=dict)  # by artist
    isrcs: dict[str, str] = field(default_factory=dict)  # by artist
    followed: dict[str, list[str]] = field(default_factory=dict)  # user -> artist ids

    def add(self, more: Shown) -> None:
        """Take in what another answer shows."""
        self.mode = more.mode or self.mode
        for kind, ids in more.details.items():
            known = self.details.setdefault(kind, {})
            known.update((item_id, max(at, known.get(item_id, WANTED))) for item_id, at in ids.items())
        self.pages.update(more.pages)
        self.names.update(more.names)
        self.isrcs.update((artist, code) for artist, code in more.isrcs.items() if artist not in self.isrcs)
        self.followed.update(more.followed)


@dataclass(slots=True)
class Absorbed:
    """The segment of the journal that was last taken in, and the raw objects, by source, that it became."""

    run: str = ""
    segment: int = 0
    keys: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """Of a listener (``whose``), or of the app (None). Times are RFC 3339 UTC but for ``details`` (seconds since
    1970); they are Spotify's, see spotify/clock.py."""

    version: int = VERSION
    whose: str | None = None
    mode: str | None = None  # development or extended, as the answers' shape says
    waits: dict[str, Wait] = field(default_factory=dict)  # endpoint group -> until when it may not be called
    removed: dict[str, str] = field(default_factory=dict)  # endpoint -> when it was believed not to be for this app
    done: dict[str, str] = field(default_factory=dict)  # "source|user" -> when it was last read
    walks: dict[str, Walk] = field(default_factory=dict)  # by listing
    known: dict[str, Known] = field(default_factory=dict)  # by listing
    doubts: dict[str, Doubt] = field(default_factory=dict)  # by listing, "album:ID" or "endpoint:albums"
    plays: dict[str, str] = field(default_factory=dict)  # user -> end of the newest known play
    playlists: dict[str, KnownPlaylist] = field(default_factory=dict)  # by id
    followed: dict[str, list[str]] = field(default_factory=dict)  # user -> artist ids
    details: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> id -> when it was read, or WANTED
    absorbed: Absorbed = field(default_factory=Absorbed)
    limits: dict[str, int] = field(default_factory=dict)  # endpoint -> the page size that Spotify insisted on
    names: dict[str, str] = field(default_factory=dict)  # artist id -> name
    isrcs: dict[str, str] = field(default_factory=dict)  # artist id -> code of a track that names it first
    lookups: dict[str, ArtistLookup] = field(default_factory=dict)  # artist id -> what MusicBrainz said of it
    shown: Shown = field(default_factory=Shown)  # of a listener: what the app's state has not taken over yet

    def __post_init__(self) -> None:
        for kind in DETAILS:
            self.details.setdefault(kind, {})

    def want(self, kind: str, ids: Iterable[str]) -> list[str]:
        """Note ids whose details nobody has read yet; answers those that are new."""
        known = self.details[kind]
        fresh = [item_id for item_id in dict.fromkeys(ids) if item_id not in known]
        known.update(dict.fromkeys(fresh, WANTED))
        return fresh

    def have(self, kind: str, ids: Iterable[str], moment: datetime) -> None:
        """Note that details were read at ``moment``."""
        for item_id in ids:
            self.details[kind][item_id] = int(moment.timestamp())
            self.doubts.pop(detail_key(kind, item_id), None)

    def show(self, shown: Shown) -> None:
        """Take in what an answer shows of the catalogue: here, or for the app's state to take over. The mode it shows
        decides what is asked for the listener, too."""
        if self.whose is None:
            self.take_over(shown)
        else:
            self.mode = shown.mode or self.mode
            self.shown.add(shown)

    def take_over(self, shown: Shown) -> bool:
        """Take in what was shown of the catalogue; answers whether anything of it was not known. Safe to repeat."""
        before = (self.mode, len(self.names), len(self.isrcs), sum(map(len, self.details.values())), len(self.walks))
        self.mode = shown.mode or self.mode
        self.names.update(shown.names)
        self.isrcs.update((artist, code) for artist, code in shown.isrcs.items() if artist not in self.isrcs)
        for album_id, (started_at, listed, total) in shown.pages.items():
            if self.details["albums"].get(album_id, WANTED) == WANTED:
                self.walks[f"{ALBUM_PAGES}{album_id}"] = Walk(
                    started_at, listed, total=total, first_total=total, least_total=total
                )
        news = self._read_whole(shown)
        for user, artists in shown.followed.items():
            news |= self.followed.get(user) != artists
            self.followed[user] = artists
        after = (self.mode, len(self.names), len(self.isrcs), sum(map(len, self.details.values())), len(self.walks))
        return news or before != after

    def _read_whole(self, shown: Shown) -> bool:
        news = False
        for kind, ids in shown.details.items():
            known = self.details[kind]
            for item_id, at in ids.items():
                if at > known.setdefault(item_id, WANTED):
                    known[item_id], news = at, True
                    self.doubts.pop(detail_key(kind, item_id), None)
        return news

    def finished(self, source: str, user: str | None, moment: datetime) -> None:
        """Note that a source was read at ``moment``, for a listener where it is about one."""
        self.done[done_key(source, user)] = rfc3339(moment)

    def last_done(self, source: str, user: str | None) -> datetime | None:
        """When a source was last read."""
        return parse_moment(self.done.get(done_key(source, user)))

    def doubt(self, key: str, why: str, run_id: str, moment: datetime) -> Doubt:
        """Note that what was said of ``key`` is not believed yet; answers what has been said so far."""
        doubt = self.doubts.get(key)
        if doubt is None or parse_rfc3339(doubt.since) > moment + SLACK:  # noted by a clock that was ahead
            doubt = self.doubts[key] = Doubt(why, rfc3339(moment), rfc3339(moment), run_id)
        elif doubt.run_id != run_id:
            doubt.runs, doubt.run_id = doubt.runs + 1, run_id
        doubt.why, doubt.last = why, rfc3339(moment)
        return doubt

    def trust(self, key: str) -> None:
        """Note that there is nothing to doubt of ``key`` any more."""
        self.doubts.pop(key, None)


def done_key(source: str, user: str | None) -> str:
    """Where ``State.done`` has a source."""
    return f"{source}|{user or ''}"


def detail_key(kind: str, item_id: str) -> str:
    """The listing that the details of one thing are: ``album:ID``."""
    return f"{kind.removesuffix('s')}:{item_id}"


def endpoint_key(template: str) -> str:
    """Where ``State.doubts`` has an endpoint that Spotify said is not for this app."""
    return f"endpoint:{template}"


STATE_FILE = RecordKind(State, "the state of extraction", "the next run reads everything anew", derived=True)


def state_key(whose: str | None) -> str:
    """Where the state of a listener or of the app lies."""
    return f"{EXTRACTION}{name_of(whose)}.json"


def can_be(state: State) -> bool:
    """Whether what a state says can be used: all its times can be read, and no reading stands before its first item."""
    times = [
        *state.done.values(),
        *state.plays.values(),
        *state.removed.values(),
        *(text for wait in state.waits.values() for text in (wait.since, wait.until)),
        *(text for doubt in state.doubts.values() for text in (doubt.since, doubt.last)),
        *(known.at for known in state.known.values() if known.at),
        *(walk.started_at for walk in state.walks.values() if walk.started_at),
    ]
    try:
        for text in times:
            parse_rfc3339(text)
    except ValueError:
        return False
    return all(walk.offset >= 0 and walk.total >= 0 for walk in state.walks.values())


@dataclass(slots=True)
class StateFile:
    """A snapshot in the lake. A save by anyone else since it was read is a WriteConflict: the lock was lost."""

    lake: Lake
    state: State
    etag: str | None
    damaged: bool = False  # what was there could not be read

    @classmethod
    def load(cls, lake: Lake, whose: str | None = None) -> StateFile:
        """A listener's state in the lake, or the app's; an empty one where there is none, or a damaged one."""
        state, etag = STATE_FILE.read_version(lake.store, state_key(whose))
        if state is not None and not can_be(state):
            state = None
        if state is not None:
            state.whose = whose
        return cls(lake, state or State(whose=whose), etag, damaged=state is None and etag is not None)

    @property
    def key(self) -> str:
        """Where it lies."""
        return state_key(self.state.whose)

    def save(self) -> None:
        """Write the snapshot. Raises WriteConflict."""
        try:
            self.etag = STATE_FILE.replace(self.lake.store, self.key, self.state, if_match=self.etag)
        except WriteConflict as error:
            raise WriteConflict("another run has saved its state: this one has lost the lock and stops") from error
