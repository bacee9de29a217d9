"""Artists, albums, tracks, shows and episodes: a pure function of seed and scale, made when asked for.

Everything has a number that says where it belongs: an album's number holds its artist's, a track's its album's,
an episode's its show's. Ids are made from numbers (``sandbox.ids``), so nothing needs to be listed in advance.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sandbox import names
from sandbox.clock import DAY, SECOND, instant, moment_of
from sandbox.dice import Dice
from sandbox.ids import ALPHABET, Identifiers
from sandbox.scales import Scale

V = TypeVar("V")

ALBUM_BITS = 6
TRACK_BITS = 10
EPISODE_BITS = 12
SCHEDULED_ALBUMS = 56  # an artist's numbers 56-63 are kept for albums released by hand
MOST_ALBUMS = 1 << ALBUM_BITS

VARIOUS_ARTISTS = 0
BOX_SET_ARTIST = 1  # whose first album always has more than 50 tracks

NEW_RELEASES_FROM = instant("2025-01-01")
LAST_RELEASE = instant("2040-01-01")
ALL_TIME = -(1 << 60)  # earlier than any release
EVERYTHING_BEFORE = instant("2015-06-01")  # each artist has at least one album by then

_KEPT = 60_000  # objects kept of each kind before the memory is cleared

_COUNTRIES = ("GB", "US", "DE", "SE", "FR", "BR", "NO", "NL", "JP", "TR")


@dataclass(frozen=True, slots=True)
class Artist:
    number: int
    id: str
    name: str
    genres: tuple[str, ...]
    popularity: int
    followers: int
    script: str


@dataclass(frozen=True, slots=True)
class Release:
    """An album as the schedule knows it, before its details are made."""

    at: int
    number: int
    form: str
    promotes: int | None
    """The album a single is taken from: their recordings share ISRCs."""


@dataclass(frozen=True, slots=True)
class Album:
    number: int
    id: str
    name: str
    form: str
    artists: tuple[int, ...]
    released_at: int
    release_date: str
    precision: str
    total_tracks: int
    label: str
    upc: str
    popularity: int
    promotes: int | None


@dataclass(frozen=True, slots=True)
class Track:
    number: int
    id: str
    album: int
    name: str
    artists: tuple[int, ...]
    disc_number: int
    track_number: int
    duration_ms: int
    explicit: bool
    isrc: str
    popularity: int


@dataclass(frozen=True, slots=True)
class Show:
    number: int
    id: str
    name: str
    publisher: str
    first_published: int
    every_days: int


@dataclass(frozen=True, slots=True)
class Episode:
    number: int
    id: str
    show: int
    name: str
    duration_ms: int
    published_at: int


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on the listener's own disk: Spotify knows its tags and nothing else."""

    artist: str
    album: str
    name: str
    seconds: int


def album_of(track: int) -> int:
    return track >> TRACK_BITS


def artist_of(album: int) -> int:
    return album >> ALBUM_BITS


def show_of(episode: int) -> int:
    return episode >> EPISODE_BITS


class Catalogue:
    """What Spotify offers, at any time."""

    def __init__(self, seed: int, scale: Scale) -> None:
        self.seed = seed
        self.scale = scale
        self.ids = Identifiers(seed)
        self._artists: dict[int, Artist] = {}
        self._albums: dict[int, Album] = {}
        self._tracks: dict[int, Track] = {}
        self._schedules: dict[int, list[Release]] = {}
        self._by_hand: dict[int, Album] = {}
        self._recent: dict[int, list[int]] = {}
        self._calendar: list[tuple[int, int]] | None = None

    # Artists

    def artist(self, number: int) -> Artist:
        return _kept(self._artists, number, self._make_artist)

    def _make_artist(self, number: int) -> Artist:
        dice = Dice(self.seed, "artist", number)
        script = dice.pick(tuple(names.SCRIPTS)) if dice.chance(0.1) else "latin"
        popularity = int(dice.unit() ** 2 * 90)
        genres: list[str] = []
        if dice.chance(0.4):  # the field is deprecated and mostly empty
            genres = sorted({dice.pick(names.GENRES) for _ in range(dice.between(1, 4))})
        name = "Various Artists" if number == VARIOUS_ARTISTS else names.artist_name(dice, script)
        return Artist(
            number=number,
            id=self.ids.encode("artist", number),
            name=name,
            genres=tuple(genres),
            popularity=popularity,
            followers=int(1.14**popularity * dice.between(40, 200)),
            script=script,
        )

    def artist_number(self, artist_id: str) -> int | None:
        return self.ids.decode("artist", artist_id)

    # Albums

    def schedule(self, artist: int) -> list[Release]:
        """Everything an artist ever releases, oldest first, the future included, but for releases by hand."""
        return _kept(self._schedules, artist, self._make_schedule)

    def scheduled(self, artist: int, at: int) -> list[Release]:
        """What an artist has released by a time, oldest first, as listeners know it.

        They never choose what is released by hand, so that no edit changes what they have listened to.
        """
        releases = self.schedule(artist)
        return releases[: bisect_right(releases, at, key=_release_time)]

    def released(self, artist: int, at: int) -> list[Release]:
        """All that an artist has released by a time, oldest first."""
        releases = self.scheduled(artist, at)
        for album in self._by_hand.values():
            if artist_of(album.number) == artist and album.released_at <= at:
                insort(releases, Release(album.released_at, album.number, album.form, None), key=_release_time)
        return releases

    def discography(self, artist: int, at: int, groups: frozenset[str]) -> list[Album]:
        """Newest first, as ``/artists/{id}/albums`` has it."""
        chosen = [release for release in self.released(artist, at) if release.form in groups]
        return [self.album(release.number) for release in reversed(chosen)]

    def _make_schedule(self, artist: int) -> list[Release]:
        dice = Dice(self.seed, "discography", artist)
        times = self._release_times(dice, artist)
        forms = [self._form(dice, artist, at) for at in times]
        releases = []
        for slot, at in enumerate(times):
            leads = forms[slot] == "single" and slot + 1 < len(times) and forms[slot + 1] == "album"
            promotes = artist << ALBUM_BITS | slot + 1 if leads and dice.chance(0.6) else None
            releases.append(Release(at, artist << ALBUM_BITS | slot, forms[slot], promotes))
        return releases

    def _release_times(self, dice: Dice, artist: int) -> list[int]:
        career = instant("1962-01-01") + int(dice.unit() ** 0.5 * (EVERYTHING_BEFORE - instant("1962-01-01")))
        times = [career]
        more = int(dice.unit() * (2 * self.scale.back_albums - 1))
        times += [career + int(dice.unit() * (NEW_RELEASES_FROM - career)) for _ in range(more)]
        times += self._recent_times().get(artist, [])
        return sorted(at - at % DAY for at in times[:SCHEDULED_ALBUMS])

    def _recent_times(self) -> dict[int, list[int]]:
        """When each artist releases something from 2025 on: the whole catalogue keeps a steady pace."""
        if not self._recent:
            pace = self.scale.days_between_releases * DAY
            for turn in range(int((LAST_RELEASE - NEW_RELEASES_FROM) / pace)):
                dice = Dice(self.seed, "release", turn)
                at = NEW_RELEASES_FROM + int((turn + dice.unit()) * pace)
                self._recent.setdefault(dice.below(self.scale.artists), []).append(at)
        return self._recent

    def _form(self, dice: Dice, artist: int, at: int) -> str:
        if artist == VARIOUS_ARTISTS:
            return "compilation"
        roll = dice.unit()
        if roll < 0.36:
            return "single"
        return "compilation" if roll < 0.41 and at < NEW_RELEASES_FROM else "album"

    def album(self, number: int) -> Album:
        by_hand = self._by_hand.get(number)
        return by_hand if by_hand is not None else _kept(self._albums, number, self._make_album)

    def _make_album(self, number: int) -> Album:
        artist = artist_of(number)
        release = next(entry for entry in self.schedule(artist) if entry.number == number)
        dice = Dice(self.seed, "album", number)
        date, precision = _release_date(dice, release.at)
        guests: tuple[int, ...] = ()
        if artist != VARIOUS_ARTISTS and dice.chance(0.05):
            guests = tuple(guest for guest in (self._other_artist(dice),) if guest != artist)
        own_name = names.title(dice, self.artist(artist).script)
        return Album(
            number=number,
            id=self.ids.encode("album", number),
            name=own_name if release.promotes is None else self.track(release.promotes << TRACK_BITS).name,
            form=release.form,
            artists=(artist, *guests),
            released_at=release.at,
            release_date=date,
            precision=precision,
            total_tracks=self._track_count(dice, release),
            label=dice.pick(names.LABELS),
            upc=_upc(number),
            popularity=int(dice.unit() * (self.artist(artist).popularity + 1)),
            promotes=release.promotes,
        )

    def _track_count(self, dice: Dice, release: Release) -> int:
        if release.number == BOX_SET_ARTIST << ALBUM_BITS:
            return 64
        if release.form == "single":
            return dice.between(1, 3)
        if dice.chance(0.008):
            return dice.between(51, 130)
        return dice.between(14, 24) if release.form == "compilation" else dice.between(8, 16)

    def album_number(self, album_id: str, at: int) -> int | None:
        """The number of an album released by a time."""
        number = self.ids.decode("album", album_id)
        return number if number is not None and self._is_out(number, at) else None

    def _is_out(self, album: int, at: int) -> bool:
        """Whether an album is released by a time. What another sandbox released by hand is not."""
        if album % MOST_ALBUMS >= SCHEDULED_ALBUMS and album not in self._by_hand:
            return False
        return self.album(album).released_at <= at

    def release_by_hand(self, artist: int, at: int, name: str, tracks: int, form: str) -> Album:
        """Release an album now (an administrator's edit)."""
        slot = SCHEDULED_ALBUMS + sum(artist_of(number) == artist for number in self._by_hand)
        if slot >= MOST_ALBUMS:
            raise ValueError(f"artist {artist} has no room for another album released by hand")
        number = artist << ALBUM_BITS | slot
        album = Album(
            number=number,
            id=self.ids.encode("album", number),
            name=name,
            form=form,
            artists=(artist,),
            released_at=at,
            release_date=f"{moment_of(at):%Y-%m-%d}",
            precision="day",
            total_tracks=tracks,
            label=names.LABELS[-1],
            upc=_upc(number),
            popularity=0,
            promotes=None,
        )
        self._by_hand[number] = album
        self._calendar = None
        return album

    def released_between(self, after: int, until: int) -> list[int]:
        """Numbers of the albums released in ``(after, until]``, newest first."""
        calendar = self._all_releases()
        chosen = calendar[bisect_right(calendar, (after, 1 << 62)) : bisect_right(calendar, (until, 1 << 62))]
        return [number for _, number in reversed(chosen)]

    def _all_releases(self) -> list[tuple[int, int]]:
        if self._calendar is None:
            self._calendar = sorted(
                (release.at, release.number)
                for artist in range(self.scale.artists)
                for release in self.released(artist, LAST_RELEASE)
            )
        return self._calendar

    # Tracks

    def tracks(self, album: int) -> Iterator[Track]:
        """The tracks of an album in order."""
        first = album << TRACK_BITS
        return (self.track(first + place) for place in range(self.album(album).total_tracks))

    def track(self, number: int) -> Track:
        return _kept(self._tracks, number, self._make_track)

    def _make_track(self, number: int) -> Track:
        album = self.album(album_of(number))
        place = number & ((1 << TRACK_BITS) - 1)
        recording = self._recording(album, place, number)
        dice = Dice(self.seed, "track", recording)
        artist = artist_of(recording >> TRACK_BITS)
        artists = self._performers(dice, artist)
        half = (album.total_tracks + 1) // 2
        second_disc = album.total_tracks > 20 and place >= half
        return Track(
            number=number,
            id=self.ids.encode("track", number),
            album=album.number,
            name=names.title(dice, self.artist(artists[0]).script),
            artists=artists,
            disc_number=2 if second_disc else 1,
            track_number=place - half + 1 if second_disc else place + 1,
            duration_ms=int(dice.around(215_000, 55_000)) if dice.chance(0.97) else dice.between(20_000, 900_000),
            explicit=dice.chance(0.12),
            isrc=_isrc(recording, dice.pick(_COUNTRIES), self.album(album_of(recording)).released_at),
            popularity=int(dice.unit() * (self.artist(artist).popularity + 1)),
        )

    def _recording(self, album: Album, place: int, number: int) -> int:
        """The number of the track whose recording this is: itself, or one on the album a single leads to."""
        if album.promotes is None or place >= self.album(album.promotes).total_tracks:
            return number
        return album.promotes << TRACK_BITS | place

    def _performers(self, dice: Dice, artist: int) -> tuple[int, ...]:
        performers = [artist if artist != VARIOUS_ARTISTS else self._other_artist(dice)]
        guests = dice.unit()
        for needed in (0.86, 0.97):
            if guests > needed:
                guest = self._other_artist(dice)
                if guest not in performers:
                    performers.append(guest)
        return tuple(performers)

    def _other_artist(self, dice: Dice) -> int:
        return 1 + dice.below(self.scale.artists - 1)

    def track_number(self, track_id: str, at: int) -> tuple[int, bool] | None:
        """The number of a track released by a time, and whether the id is one that is relinked."""
        for kind in ("track", "relinked"):
            number = self.ids.decode(kind, track_id)
            if number is not None and self._is_out(album_of(number), at):
                return number, kind == "relinked"
        return None

    def is_relinked(self, track: int) -> bool:
        """Whether libraries and playlists hold this track under an older id (``linked_from``)."""
        return track * 2_654_435_761 % (1 << 32) < (1 << 32) // 60

    def relinked_id(self, track: int) -> str:
        """The older id under which a relinked track was saved."""
        return self.ids.encode("relinked", track)

    # Podcasts and local files

    def show(self, number: int) -> Show:
        dice = Dice(self.seed, "show", number)
        first = instant("2016-01-01") + dice.below(1_200) * DAY
        name = f"{dice.pick(names.ADJECTIVES)} {dice.pick(names.SHOW_TOPICS)}"
        publisher = f"{dice.pick(names.NOUNS)} Media"
        return Show(number, self.ids.encode("show", number), name, publisher, first, dice.pick((7, 7, 7, 14)))

    def show_number(self, show_id: str) -> int | None:
        return self.ids.decode("show", show_id)

    def episodes(self, show: int, at: int) -> range:
        """The numbers of a show's episodes published by a time, oldest first."""
        made = self.show(show)
        count = (at - made.first_published) // (made.every_days * DAY) + 1
        return range(show << EPISODE_BITS, (show << EPISODE_BITS) + max(0, min(count, 1 << EPISODE_BITS)))

    def episode(self, number: int) -> Episode:
        show = self.show(show_of(number))
        place = number & ((1 << EPISODE_BITS) - 1)
        dice = Dice(self.seed, "episode", number)
        return Episode(
            number=number,
            id=self.ids.encode("episode", number),
            show=show.number,
            name=f"#{place + 1}: {dice.pick(names.NOUNS)} and {dice.pick(names.NOUNS)}",
            duration_ms=dice.between(900, 5_400) * SECOND,
            published_at=show.first_published + place * show.every_days * DAY,
        )

    def episode_number(self, episode_id: str, at: int) -> int | None:
        number = self.ids.decode("episode", episode_id)
        return number if number is not None and number in self.episodes(show_of(number), at) else None

    def local_file(self, number: int) -> LocalFile:
        dice = Dice(self.seed, "local", number)
        artist = names.artist_name(dice, "latin")
        album, name = names.title(dice, "latin").strip(), names.title(dice, "latin").strip()
        return LocalFile(artist, album if dice.chance(0.8) else "", name, dice.between(40, 500))


def _kept(made: dict[int, V], number: int, make: Callable[[int], V]) -> V:
    found = made.get(number)
    if found is None:
        if len(made) >= _KEPT:
            made.clear()
        found = made[number] = make(number)
    return found


def _release_time(release: Release) -> int:
    return release.at


def _release_date(dice: Dice, at: int) -> tuple[str, str]:
    """The date as given and its precision: coarse for a few of the older albums."""
    roll = dice.unit()
    moment = moment_of(at)
    if at < NEW_RELEASES_FROM:
        if roll < 0.02:
            return "0000", "year"
        if roll < 0.12:
            return f"{moment:%Y}", "year"
        if roll < 0.17:
            return f"{moment:%Y-%m}", "month"
    return f"{moment:%Y-%m-%d}", "day"


def _upc(album: int) -> str:
    """A 12-digit code with its check digit."""
    digits = f"{8_000_000_000_0 + album:011d}"
    odd, even = sum(map(int, digits[::2])), sum(map(int, digits[1::2]))
    return f"{digits}{-(odd * 3 + even) % 10}"


def _isrc(recording: int, country: str, released_at: int) -> str:
    """An ISRC that holds the recording's number: country, registrant (3), year (2), designation (5)."""
    registrant, designation = divmod(recording, 100_000)
    letters = ""
    for _ in range(3):
        registrant, rest = divmod(registrant, 36)
        letters = ALPHABET[rest].upper() + letters
    return f"{country}{letters}{moment_of(released_at).year % 100:02d}{designation:05d}"
