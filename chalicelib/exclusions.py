"""What a listener wants left out of every number: artists, tracks, shows, playlists, times (sleep, children, a party).

Each decision is a raw object of its own, written once; taking one back is another decision about the same exclusion::

    raw/spotify/exclusions/20261120T101530123456Z-1a2b3c4d.json.gz

They are rows of the table ``exclusions``, which the view ``heard`` goes by, and with it every report: nothing is
deleted, and ``plays`` has everything.
"""

from __future__ import annotations

import gzip
import re
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from chalicelib.clock import Clock, epoch_ms, now, parse_moment, parse_rfc3339, rfc3339
from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.lake import RAW_EXCLUSIONS, Lake
from chalicelib.listeners import everybody
from chalicelib.records import RecordKind
from chalicelib.settings import COMMAND

NEEDED = {  # what each kind of exclusion says
    "artist": ("artist_name",),
    "track": ("artist_name", "item_name"),
    "show": ("artist_name",),
    "playlist": ("context_uri",),
    "period": ("from_at", "to_at"),
}
TIMES = ("decided_at", "from_at", "to_at")
LONGEST = 500  # characters of a name
PLAYLIST = re.compile(
    r"(?:https://open\.spotify\.com/(?:intl-[a-z-]+/)?playlist/|spotify:playlist:)([0-9A-Za-z]{22})\b.*"
)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One decision. ``user_id`` is whose listening it is about, everybody's without; times are RFC 3339."""

    exclusion_id: str
    kind: str
    decided_at: str
    artist_name: str | None = None
    item_name: str | None = None
    context_uri: str | None = None
    from_at: str | None = None
    to_at: str | None = None
    user_id: str | None = None
    is_active: bool = True

    def line(self, called: Callable[[str], str]) -> str:
        """As it is printed; ``called`` says what a listener is called."""
        said = " ".join(str(value) for name in NEEDED.get(self.kind, ()) if (value := getattr(self, name)))
        return f"{self.exclusion_id} {self.kind}: {said}{f', of {called(self.user_id)}' if self.user_id else ''}"

    def nameless(self) -> Exclusion:
        """The same without what it names."""
        return replace(self, artist_name=None, item_name=None, context_uri=None, from_at=None, to_at=None)

    @property
    def what(self) -> tuple[Any, ...]:
        """What it leaves out, in any case of letters."""
        names = (str(getattr(self, name)).casefold() for name in NEEDED.get(self.kind, ()))
        return (self.kind, self.user_id, *names)


EXCLUSION = RecordKind(Exclusion, "what is left out", "delete it, and leave it out again")


def leave_out(
    lake: Lake, kind: str, what: Mapping[str, str | None], *, listener: str | None = None, clock: Clock = now
) -> tuple[Exclusion, str | None]:
    """Leave something out from now on, of a listener (an id or a name) or of everybody.

    Answers what was decided and the key of the raw object that says so; no key where it is left out already. Raises
    InvalidRequest for what names nothing, NotFound for a listener whom nobody knows.
    """
    said = require_named(kind, {name: value.strip() for name, value in what.items() if value and value.strip()})
    user_id = everybody(lake).get(listener).user_id if listener else None
    wanted = replace(Exclusion(secrets.token_hex(4), kind, rfc3339(clock()), user_id=user_id), **said)
    there = next((each for each in in_force(lake) if each.what == wanted.what), None)
    return (there, None) if there else (wanted, keep(lake, wanted))


def require_named(kind: str, said: dict[str, str]) -> dict[str, Any]:
    """What an exclusion says, in one form. Raises InvalidRequest."""
    if kind not in NEEDED:
        raise InvalidRequest(f"{kind!r} cannot be left out; these can: {', '.join(NEEDED)}")
    if said.keys() != set(NEEDED[kind]):
        raise InvalidRequest(f"to leave out a {kind}, name its {' and '.join(NEEDED[kind])}, and nothing else")
    if any(len(value) > LONGEST for value in said.values()):
        raise InvalidRequest(f"what is left out is named in at most {LONGEST} characters")
    if kind == "playlist":
        found = PLAYLIST.fullmatch(said["context_uri"])
        if not found:
            raise InvalidRequest("a playlist is named by its link, or as spotify:playlist:…")
        return {"context_uri": f"spotify:playlist:{found[1]}"}
    if kind == "period":
        begin, end = (require_moment(said[name]) for name in NEEDED["period"])
        if not parse_rfc3339(begin) < parse_rfc3339(end):
            raise InvalidRequest("a period that is left out must begin before it ends")
        return {"from_at": begin, "to_at": end}
    return dict(said)


def require_moment(text: str) -> str:
    """A moment in UTC. Raises InvalidRequest."""
    try:
        return rfc3339(parse_rfc3339(text))
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{text!r} is not a moment such as 2026-01-31T20:00:00Z") from None


def take_back(lake: Lake, exclusion_id: str, *, clock: Clock = now) -> tuple[Exclusion, str]:
    """Let something count again that was left out; answers the decision and its key. Raises NotFound."""
    known = {each.exclusion_id: each for each in in_force(lake)}
    if exclusion_id not in known:
        raise NotFound(f"nothing is left out as {exclusion_id}; `{COMMAND} leave-out` lists what is", id=exclusion_id)
    left_at = parse_rfc3339(known[exclusion_id].decided_at)
    later = max(clock(), left_at + timedelta(milliseconds=1))  # also where the clock was turned back
    taken = replace(known[exclusion_id], is_active=False, decided_at=rfc3339(later))
    return taken, keep(lake, taken)


def keep(lake: Lake, exclusion: Exclusion) -> str:
    """Write a decision down; answers the key."""
    key = f"{RAW_EXCLUSIONS}{parse_rfc3339(exclusion.decided_at):%Y%m%dT%H%M%S%fZ}-{exclusion.exclusion_id}.json.gz"
    content = gzip.compress(EXCLUSION.encode(exclusion), mtime=0)
    lake.store.write(key, content, content_type="application/gzip")
    return key


def in_force(lake: Lake) -> list[Exclusion]:
    """What is left out now, the oldest decision first."""
    newest = {each.exclusion_id: each for _, each in decisions(lake)}
    return [each for each in newest.values() if each.is_active]


def decisions(lake: Lake) -> Iterator[tuple[str, Exclusion]]:
    """Every decision with its key, oldest first. Raises RecordDamaged."""
    for info in lake.store.list(RAW_EXCLUSIONS):
        if info.key.endswith(".gz"):
            yield info.key, decode_exclusion(info.key, lake.store.read(info.key))


def decode_exclusion(key: str, content: bytes) -> Exclusion:
    """The decision that an object is. Raises RecordDamaged."""
    try:
        return EXCLUSION.decode(key, gzip.decompress(content))
    except (OSError, EOFError, zlib.error):
        return EXCLUSION.decode(key, b"")


def row_of(exclusion: Exclusion) -> dict[str, Any]:
    """A decision as a row of ``exclusions``, times in milliseconds. Raises ValueError for a time that is none."""
    times = {name: parse_moment(getattr(exclusion, name)) for name in TIMES}
    return asdict(exclusion) | {name: None if moment is None else epoch_ms(moment) for name, moment in times.items()}
