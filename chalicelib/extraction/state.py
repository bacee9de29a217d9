"""What extraction knows from one run to the next: ``state/extraction.json``.

It is a function of the answers received: every change is made by taking in an entry of the journal (an answer or a
note), so that replaying a dead run's journal over the last snapshot gives exactly what that run knew.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from chalicelib.clock import parse_moment, parse_rfc3339, rfc3339
from chalicelib.errors import WriteConflict
from chalicelib.lake import STATE, Lake

STATE_NAME = "extraction.json"
WANTED_TRACKS = "wanted-tracks.json"
VERSION = 1
DETAILS = ("albums", "artists", "tracks")
NOT_STORED = ("queues",)
WANTED = 0  # in ``details``: seen in an answer, not fetched yet


@dataclass(slots=True)
class State:
    """Plain JSON values; times are RFC 3339 UTC but for ``details`` (seconds since 1970)."""

    version: int = VERSION
    mode: str | None = None  # development or extended, as the answers' shape says
    not_before: dict[str, str] = field(default_factory=dict)  # endpoint group -> when Spotify lets us come back
    removed: dict[str, str] = field(default_factory=dict)  # endpoint -> when Spotify said that it is not for this app
    done: dict[str, str] = field(default_factory=dict)  # "source|user" -> when it was last read
    walks: dict[str, dict[str, Any]] = field(default_factory=dict)  # listings begun and not ended, by listing
    known: dict[str, dict[str, Any]] = field(default_factory=dict)  # what the last reading of a listing showed
    plays: dict[str, str] = field(default_factory=dict)  # user -> end of the newest known play
    playlists: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> snapshot, total, owner, user, done
    followed: dict[str, list[str]] = field(default_factory=dict)  # user -> artist ids
    details: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> id -> when it was read, or WANTED
    album_pages: dict[str, int] = field(default_factory=dict)  # album -> offset of its next page of tracks
    parts: dict[str, Any] = field(default_factory=dict)  # {"run", "sources": {source: raw objects written}}
    absorbed: dict[str, Any] = field(default_factory=dict)  # {"run", "segment"} of the journal, last taken in
    limits: dict[str, int] = field(default_factory=dict)  # endpoint -> the page size that Spotify insisted on
    queues: dict[str, deque[str]] = field(default_factory=dict)  # not stored: what is WANTED, in order

    def __post_init__(self) -> None:
        for kind in DETAILS:
            known = self.details.setdefault(kind, {})
            self.queues[kind] = deque(item_id for item_id, read_at in known.items() if read_at == WANTED)

    def want(self, kind: str, ids: Iterable[str]) -> list[str]:
        """Note ids whose details nobody has read yet; answers those that are new."""
        known = self.details[kind]
        fresh = [item_id for item_id in dict.fromkeys(ids) if item_id not in known]
        known.update(dict.fromkeys(fresh, WANTED))
        self.queues[kind].extend(fresh)
        return fresh

    def have(self, kind: str, ids: Iterable[str], moment: datetime) -> None:
        """Note that details were read at ``moment``."""
        self.details[kind].update(dict.fromkeys(ids, int(moment.timestamp())))

    def finished(self, source: str, user: str | None, moment: datetime) -> None:
        self.done[done_key(source, user)] = rfc3339(moment)

    def last_done(self, source: str, user: str | None) -> datetime | None:
        return parse_moment(self.done.get(done_key(source, user)))

    def waits(self, moment: datetime) -> dict[str, datetime]:
        """Endpoint groups that may not be called yet, and when they may."""
        times = {group: parse_rfc3339(text) for group, text in self.not_before.items()}
        return {group: time for group, time in times.items() if time > moment}


STORED = tuple(declared.name for declared in fields(State) if declared.name not in NOT_STORED)


def done_key(source: str, user: str | None) -> str:
    return f"{source}|{user or ''}"


@dataclass(slots=True)
class StateFile:
    """The snapshot in the lake. A save by anyone else since it was read is a WriteConflict: the lock was lost."""

    lake: Lake
    state: State
    etag: str | None

    @classmethod
    def load(cls, lake: Lake) -> StateFile:
        document, etag = lake.read_state(STATE_NAME)
        values: dict[str, Any] = {name: (document or {})[name] for name in STORED if name in (document or {})}
        return cls(lake, State(**values), etag)

    def save(self) -> None:
        data = json.dumps({name: getattr(self.state, name) for name in STORED}, separators=(",", ":")).encode()
        try:
            self.etag = self.lake.store.replace(STATE + STATE_NAME, data, if_match=self.etag)
        except WriteConflict as error:
            raise WriteConflict("another run has saved its state: this one has lost the lock and stops") from error


def wanted_tracks(lake: Lake) -> list[str]:
    """Track ids that an imported history asks for, most played first (``state/wanted-tracks.json``)."""
    document, _ = lake.read_state(WANTED_TRACKS)
    rows: Any = (document or {}).get("tracks", [])
    return [str(row[0]) for row in rows]
