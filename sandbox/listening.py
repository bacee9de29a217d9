"""Everything a listener ever streamed: the one truth behind recently-played and the privacy exports."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from sandbox.catalogue import TRACK_BITS, VARIOUS_ARTISTS, Catalogue
from sandbox.clock import DAY, HOUR, MINUTE, SECOND, instant, moment_of
from sandbox.dice import Dice
from sandbox.taste import Taste

HEARD_MS = 30_000  # milliseconds from which a play shows in recently-played
LATE_RATE = 0.025  # share of plays that reach recently-played late
HOLE_RATE = 0.004  # share of plays that never reach it
MISPLACED_RATE = 0.02  # share of plays that stand one place too low in it
DAY_STARTS = 5 * HOUR  # local time; sessions may run until the same hour of the next day
KEPT_DAYS = 450

START_STAMPED_ERAS = ((instant("2024-05-01"), instant("2025-02-01")), (instant("2027-02-01"), instant("2027-08-01")))
START_STAMPED_PLATFORM = "web_player"
"""``played_at`` is the start of the play in these eras and on this platform, its end otherwise."""

PLATFORMS = ("ios", "ios", "ios", "android", "osx", "windows", "web_player", "cast_tv")
AUDIOBOOKS_FROM = instant("2023-10-01")

_WORKDAY = (4, 9, 14, 10, 8, 8, 6, 7, 7, 6, 6, 8, 12, 14, 13, 12, 10, 8, 4, 2, 1, 1, 1, 1)  # by hour, from 05:00
_WEEKEND = (1, 1, 3, 6, 10, 12, 12, 10, 9, 9, 9, 9, 10, 12, 14, 14, 13, 12, 9, 6, 4, 2, 1, 1)
_HOURS = {False: list(accumulate(_WORKDAY)), True: list(accumulate(_WEEKEND))}


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream, short ones included."""

    kind: str
    """``track``, ``episode``, ``audiobook`` or ``local``."""
    number: int
    ended_ms: int
    ms_played: int
    platform: str
    country: str
    reason_start: str
    reason_end: str
    context: str | None
    shuffle: bool
    skipped: bool
    incognito: bool
    video: bool
    synced_ms: int | None
    """For offline plays, when the device was online again."""
    visible_ms: int | None
    """When recently-played first shows it, if ever."""
    misplaced: bool

    @property
    def started_ms(self) -> int:
        return self.ended_ms - self.ms_played

    @property
    def exported_ms(self) -> int:
        """The whole second that privacy exports give: the reconnection's, for offline plays."""
        moment = self.ended_ms if self.synced_ms is None else self.synced_ms
        return moment - moment % SECOND

    @property
    def played_at_ms(self) -> int:
        """What recently-played says."""
        in_era = any(first <= self.ended_ms < last for first, last in START_STAMPED_ERAS)
        return self.started_ms if in_era or self.platform == START_STAMPED_PLATFORM else self.ended_ms


@dataclass(frozen=True, slots=True)
class _Session:
    """What the streams of one sitting have in common."""

    form: str
    platform: str
    country: str
    shuffle: bool
    incognito: bool
    synced_after: int | None
    context: str | None
    album: int


class Listening:
    """The streams of one listener, made day by day when asked for."""

    def __init__(self, catalogue: Catalogue, taste: Taste, listener: int, country: str, utc_offset: int) -> None:
        self._catalogue = catalogue
        self._taste = taste
        self._listener = listener
        self._country = country
        self._utc_offset = utc_offset * HOUR
        self._days: dict[int, tuple[Stream, ...]] = {}
        self.member_since = instant(catalogue.scale.member_since)

    def streams(self, since: int, until: int) -> Iterator[Stream]:
        """Streams that ended in ``[since, until)``, oldest first."""
        since = max(since, self.member_since)
        for day in range(self._day_of(since), self._day_of(until) + 1):
            for stream in self.day(day):
                if since <= stream.ended_ms < until:
                    yield stream

    def recently_played(self, now: int, count: int = 50) -> list[Stream]:
        """The last plays that show at that time, newest ``played_at`` first."""
        visible: list[Stream] = []
        day = self._day_of(now)
        while len(visible) < count and day >= self._day_of(self.member_since):
            shown = [s for s in self.day(day) if s.visible_ms is not None and s.visible_ms <= now]
            visible += sorted(shown, key=lambda stream: -stream.played_at_ms)
            day -= 1
        return visible[:count]

    def day(self, day: int) -> tuple[Stream, ...]:
        """The streams of one listening day (05:00 to 05:00 local time), oldest first."""
        made = self._days.get(day)
        if made is None:
            if len(self._days) >= KEPT_DAYS:
                self._days.clear()
            made = self._days[day] = tuple(self._make_day(day))
        return made

    def _day_of(self, at: int) -> int:
        return (at + self._utc_offset - DAY_STARTS) // DAY

    def _make_day(self, day: int) -> Iterator[Stream]:
        dice = Dice(self._catalogue.seed, "day", self._listener, day)
        opens = day * DAY + DAY_STARTS - self._utc_offset
        weekend = moment_of(opens + self._utc_offset).weekday() >= 5
        wanted = int(self._catalogue.scale.streams_a_day * (1.15 if weekend else 0.94) * (0.6 + 0.8 * dice.unit()))
        lengths: list[int] = []
        while sum(lengths) < wanted:
            lengths.append(min(wanted - sum(lengths), dice.between(3, 30)))
        starts = sorted(opens + self._start_hour(dice, weekend) for _ in lengths)
        at = opens
        closes = opens + DAY - MINUTE
        for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            session = Dice(self._catalogue.seed, "session", self._listener, day, number)
            for stream in self._make_session(session, max(start, at + 20 * SECOND), length):
                if stream.ended_ms >= closes:
                    return
                at = stream.ended_ms
                yield stream

    def _start_hour(self, dice: Dice, weekend: bool) -> int:
        hours = _HOURS[weekend]
        return int((bisect_right(hours, dice.unit() * hours[-1]) + dice.unit()) * HOUR)

    def _make_session(self, dice: Dice, start: int, length: int) -> Iterator[Stream]:
        session = self._plan(dice, start)
        at = start
        reason = dice.pick(("clickrow", "playbtn", "appload", "remote"))
        streams: list[Stream] = []
        for place in range(length):
            stream = self._make_stream(dice, session, place, at, reason)
            at = stream.ended_ms + (dice.between(0, 3) * SECOND if dice.chance(0.9) else dice.between(5, 400) * SECOND)
            reason = {"fwdbtn": "fwdbtn", "trackdone": "trackdone"}.get(stream.reason_end, "clickrow")
            streams.append(stream)
            if stream.ms_played < 10_000 and dice.chance(0.02):
                # the same short play again within the minute: equal rows in account data, both true
                again = replace(stream, ended_ms=stream.ended_ms + stream.ms_played + SECOND)
                streams.append(again)
                at = again.ended_ms + SECOND
        if session.synced_after is None:
            return iter(streams)
        return iter(_offline(streams, at + session.synced_after))

    def _plan(self, dice: Dice, start: int) -> _Session:
        roll = dice.unit()
        form = "podcast" if roll < 0.05 else "audiobook" if roll < 0.06 else "local" if roll < 0.07 else "music"
        if form == "audiobook" and start < AUDIOBOOKS_FROM:
            form = "music"
        album = self._taste.album(dice, start)
        kind = dice.unit()
        context: str | None = None
        if kind < 0.3:
            context = f"album:{self._catalogue.album(album).id}"
        elif kind < 0.6:
            playlist = self._listener << 12 | dice.below(self._catalogue.scale.playlists)
            context = f"playlist:{self._catalogue.ids.encode('playlist', playlist)}"
        elif kind < 0.75:
            context = f"artist:{self._catalogue.artist(self._catalogue.album(album).artists[0]).id}"
        elif kind < 0.85:
            context = "collection"
        return _Session(
            form=form,
            platform=dice.pick(PLATFORMS),
            country=self._country if dice.chance(0.96) else dice.pick(("FR", "IT", "ZZ")),
            shuffle=dice.chance(0.4),
            incognito=dice.chance(0.02),
            synced_after=dice.between(60, 20_000) * SECOND if dice.chance(0.05) else None,
            context=context,
            album=album,
        )

    def _make_stream(self, dice: Dice, session: _Session, place: int, at: int, reason: str) -> Stream:
        kind, number, duration = self._choose(dice, session, place, at)
        played, reason_end = _length(dice, duration)
        ended = at + played + dice.below(SECOND)
        return Stream(
            kind=kind,
            number=number,
            ended_ms=ended,
            ms_played=played,
            platform=session.platform,
            country=session.country,
            reason_start=reason,
            reason_end=reason_end,
            context=session.context if kind == "track" else None,
            shuffle=session.shuffle,
            skipped=reason_end == "fwdbtn",
            incognito=session.incognito,
            video=dice.chance({"track": 0.012, "episode": 0.2}.get(kind, 0.0)),
            synced_ms=None,
            visible_ms=_shown_at(dice, kind, played, ended),
            misplaced=dice.chance(MISPLACED_RATE),
        )

    def _choose(self, dice: Dice, session: _Session, place: int, at: int) -> tuple[str, int, int]:
        """Kind, number and duration of what is played next."""
        if session.form == "podcast":
            show = int(dice.unit() ** 2 * self._catalogue.scale.shows)
            episodes = self._catalogue.episodes(show, at)
            if len(episodes):
                episode = episodes[len(episodes) - 1 - int(dice.unit() ** 3 * min(40, len(episodes)))]
                return "episode", episode, self._catalogue.episode(episode).duration_ms // 8
        if session.form == "audiobook":
            return "audiobook", dice.below(6) << 8 | dice.below(24), dice.between(300, 1_500) * SECOND
        if session.form == "local":
            number = dice.below(40)
            return "local", number, self._catalogue.local_file(number).seconds * SECOND
        whole_album = session.context is not None and session.context.startswith("album")
        if whole_album and place < self._catalogue.album(session.album).total_tracks:
            track = (session.album << TRACK_BITS) + place
        elif dice.chance(0.03):
            track = dice.pick(self._catalogue.scheduled(VARIOUS_ARTISTS, at)).number << TRACK_BITS
        else:
            track = self._taste.track(dice, at)
        return "track", track, self._catalogue.track(track).duration_ms


def _length(dice: Dice, duration: int) -> tuple[int, str]:
    """Milliseconds played and why it ended: about a third are skipped within 30 seconds."""
    roll = dice.unit()
    if roll < 0.015:
        return 0, "fwdbtn"
    if roll < 0.28:
        return dice.between(400, 29_000), "fwdbtn"
    if roll < 0.36:
        return int(duration * dice.unit()), dice.pick(("fwdbtn", "backbtn", "clickrow"))
    if roll < 0.40:
        return int(duration * dice.unit()), dice.pick(("endplay", "logout", "unexpected-exit", ""))
    if roll < 0.41:
        return duration + dice.between(1_000, 90_000), "trackdone"  # can exceed the track's length
    return duration, "trackdone"


def _shown_at(dice: Dice, kind: str, played: int, ended: int) -> int | None:
    """When recently-played shows a play: short ones and podcasts never, a few late, a few not at all."""
    roll, late = dice.unit(), dice.unit()
    if kind != "track" or played < HEARD_MS or roll < HOLE_RATE:
        return None
    if roll < HOLE_RATE + LATE_RATE:
        return ended + 20 * MINUTE + int(late * 4 * HOUR)
    return ended + 2 * SECOND + int(late * 4 * SECOND)


def _offline(streams: list[Stream], synced: int) -> Iterator[Stream]:
    """Offline plays all carry the second of reconnection, and leave a hole in recently-played.

    No two get the same track and length, so that (ts, uri, ms_played) still tells them apart.
    """
    seen: set[tuple[str, int, int]] = set()
    for stream in streams:
        played = stream.ms_played
        number = 0 if stream.kind == "local" else stream.number  # local files have no URI to tell them apart
        while (stream.kind, number, played) in seen:
            played += 1
        seen.add((stream.kind, number, played))
        yield replace(stream, ms_played=played, synced_ms=synced, visible_ms=None)
