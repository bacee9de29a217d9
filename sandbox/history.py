"""Rows of privacy exports: one stream, in the shape of each era."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox import names
from sandbox.catalogue import Catalogue, album_of
from sandbox.clock import SECOND, instant, moment_of, to_milliseconds, to_seconds
from sandbox.dice import Dice
from sandbox.listener import Listener
from sandbox.listening import Stream

Row = dict[str, Any]

UNKNOWN_ARTIST, UNKNOWN_TRACK = "Unknown Artist", "Unknown Track"
NAMELESS_RATE = 0.004  # rows of account data that lack a name
SKIPPED_KNOWN_FROM = instant("2022-01-01")  # before it, ``skipped`` is null in older exports

_PLATFORMS_BEFORE_2023 = {
    "ios": "iOS 14.4 (iPhone12,1)",
    "android": "Android OS 10 API 29 (samsung, SM-G973F)",
    "osx": "OS X 11.2.3 [x86 8]",
    "windows": "Windows 10 (10.0.19042; x64)",
    "web_player": "web_player windows 10;chrome 87.0.4280.88;desktop",
    "cast_tv": "Partner google cast_tv;Chromecast;;",
}


@dataclass(frozen=True, slots=True)
class Listen:
    """A true listen, as far as any export could tell it."""

    ts: str
    """The second that extended exports give."""
    kind: str
    """``track``, ``episode``, ``audiobook`` or ``unknown`` (content that exports leave null)."""
    ms_played: int
    uri: str | None
    name: str | None
    artist: str | None
    """The show of an episode, the book of a chapter."""
    album: str | None
    api_played_at: str | None
    """``played_at`` of recently-played, for the listens that show there."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was heard, in the words of exports."""

    kind: str
    uri: str | None
    name: str | None
    artist: str | None
    album: str | None


class History:
    """Makes rows of one listener's streams."""

    def __init__(self, catalogue: Catalogue, listener: Listener) -> None:
        self._catalogue = catalogue
        self.listener = listener

    def content(self, stream: Stream) -> Content:
        catalogue = self._catalogue
        if stream.kind == "track":
            track = catalogue.track(stream.number)
            artist = catalogue.artist(track.artists[0]).name
            return Content(
                "track", f"spotify:track:{track.id}", track.name, artist, catalogue.album(album_of(track.number)).name
            )
        if stream.kind == "episode":
            episode = catalogue.episode(stream.number)
            show = catalogue.show(episode.show).name
            return Content("episode", f"spotify:episode:{episode.id}", episode.name, show, None)
        if stream.kind == "audiobook":
            book, chapter = divmod(stream.number, 256)
            title = f"The {names.ADJECTIVES[book * 7]} {names.NOUNS[book * 11]}"
            chapter_id = catalogue.ids.encode("chapter", stream.number)
            return Content("audiobook", f"spotify:episode:{chapter_id}", f"Chapter {chapter + 1}", title, None)
        return Content("unknown", None, None, None, None)

    def listen(self, stream: Stream) -> Listen:
        content = self.content(stream)
        return Listen(
            ts=to_seconds(stream.exported_ms),
            kind=content.kind,
            ms_played=stream.ms_played,
            uri=content.uri,
            name=content.name,
            artist=content.artist,
            album=content.album,
            api_played_at=None if stream.visible_ms is None else to_milliseconds(stream.played_at_ms),
        )

    # Extended streaming history

    def extended_row(self, stream: Stream, era: str) -> Row:
        """A row of an extended export downloaded in that era: ``2020``, ``2021``, ``2023``, ``2024`` or ``2025``."""
        content = self.content(stream)
        dice = Dice("row", stream.ended_ms, stream.number)
        row: Row = {"ts": to_seconds(stream.exported_ms)}
        if era < "2024":
            row["username"] = self.listener.id
        row |= {
            "platform": _PLATFORMS_BEFORE_2023[stream.platform] if era < "2023" else stream.platform,
            "ms_played": stream.ms_played,
            "conn_country": stream.country,
        }
        address = f"203.0.113.{dice.below(256)}" if dice.chance(0.95) else None
        if era < "2024":
            row |= {"ip_addr_decrypted": address, "user_agent_decrypted": "unknown"}
        else:
            row["ip_addr"] = address
        if era == "2020":
            row |= {"city": "Sampletown", "region": "00", "metro_code": None, "longitude": 0.1, "latitude": 51.5}
        row |= self._names(content, era)
        row |= {
            "reason_start": stream.reason_start if dice.chance(0.99) else None,
            "reason_end": stream.reason_end,
            "shuffle": stream.shuffle,
            "skipped": None if era < "2023" and stream.ended_ms < SKIPPED_KNOWN_FROM else stream.skipped,
            "offline": stream.synced_ms is not None if dice.chance(0.995) else None,
            "offline_timestamp": _offline_timestamp(dice, stream, era),
            "incognito_mode": stream.incognito,
        }
        return row

    def _names(self, content: Content, era: str) -> Row:
        track, episode = content.kind == "track", content.kind == "episode"
        row: Row = {
            "master_metadata_track_name": content.name if track else None,
            "master_metadata_album_artist_name": content.artist if track else None,
            "master_metadata_album_album_name": content.album if track else None,
        }
        if era != "2020":
            row["spotify_track_uri"] = content.uri if track else None
        row |= {
            "episode_name": content.name if episode else None,
            "episode_show_name": content.artist if episode else None,
        }
        if era != "2020":
            row["spotify_episode_uri"] = content.uri if episode else None
        if era >= "2025":
            row |= self._book(content)
            if content.kind == "audiobook" and content.name in ("Chapter 1", "Chapter 2"):
                row["spotify_episode_uri"] = content.uri  # a chapter can carry an episode-like URI
        return row

    def _book(self, content: Content) -> Row:
        book = content.artist if content.kind == "audiobook" else None
        book_id = self._catalogue.ids.encode("book", len(book)) if book else None
        return {
            "audiobook_title": book,
            "audiobook_uri": f"spotify:show:{book_id}" if book else None,
            "audiobook_chapter_uri": content.uri if book else None,
            "audiobook_chapter_title": content.name if book else None,
        }

    # Account data

    def account_row(self, stream: Stream, split: bool) -> Row:
        """A row of account data; ``split``: podcasts and audiobooks have files of their own (since 2024)."""
        content = self.content(stream)
        end, played = f"{moment_of(stream.exported_ms):%Y-%m-%d %H:%M}", stream.ms_played
        if split and content.kind == "episode":
            return {
                "endTime": end,
                "podcastName": content.artist,
                "episodeName": content.name,
                "msPlayed": played,
            }
        if split and content.kind == "audiobook":
            return {
                "endTime": end,
                "audiobookName": content.artist,
                "chapterName": content.name,
                "authorName": "A. N. Author",
                "msPlayed": played,
            }
        row: Row = {
            "endTime": end,
            "artistName": content.artist or UNKNOWN_ARTIST,
            "trackName": content.name or UNKNOWN_TRACK,
            "msPlayed": played,
        }
        dice = Dice("nameless", stream.ended_ms)
        if dice.chance(NAMELESS_RATE):
            del row[dice.pick(("artistName", "trackName"))]
        return row


def _offline_timestamp(dice: Dice, stream: Stream, era: str) -> int | None:
    """When an offline play really happened: milliseconds, then seconds, and sometimes a small number."""
    if stream.synced_ms is None:
        return None if era >= "2024" else 0
    if dice.chance(0.05):
        return dice.below(100)
    return stream.ended_ms if era < "2023" else stream.ended_ms // SECOND
