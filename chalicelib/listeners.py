"""Whose lake it is: the listeners, the ids that Spotify and exports know them by, and what they are called.

One person can be known by several ids: Spotify's immutable account id, its user id, the user name in an export, the
name that somebody gave an import before any login. What the lake learns of them, one moment at a time, is a *note*,
and notes are raw data, so that a rebuild of the tables knows them too::

    raw/spotify/listeners/20261120T101530123Z-1a2b3c-login.json.gz

A note says of some ids which listener they mean from then on. To merge two listeners is a note that says of all ids of
one that they mean the other; to split them is a note that says the opposite. The newest note about an id counts.

``state/listeners.json`` holds all notes in one object, so that reading them costs two requests. It is written by who
writes a note; where it lacks one the notes themselves are read.
"""

from __future__ import annotations

import gzip
import re
import secrets as randomness
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote

from chalicelib.clock import Clock, now, rfc3339
from chalicelib.errors import Conflict, InvalidRequest, NotFound
from chalicelib.lake import KEPT, RAW_HISTORY, RAW_LISTENERS, STATE, Lake
from chalicelib.records import RecordKind
from chalicelib.runs import load_run, run_ids

LISTENERS_KEY = f"{STATE}listeners.json"
LOOKED_AT = 3  # runs, newest first, of which one may have just begun
LOGIN, LOGOUT, IMPORT, NAME, MERGE, SPLIT = "login", "logout", "import", "name", "merge", "split"
MOVES_PLAYS = (MERGE, SPLIT)
LONGEST_ID = 200  # characters, as a folder is named after it
LONGEST_NAME = 100  # characters


@dataclass(frozen=True, slots=True)
class ListenerNote:
    """What was learnt at one moment: ``ids`` mean the listener ``user_id``; the rest is said of ``ids[0]``.

    ``event`` is login, logout, import, name, merge or split. Times are RFC 3339, UTC.
    """

    at: str
    event: str
    user_id: str
    ids: list[str]
    given_name: str | None = None
    display_name: str | None = None
    image_url: str | None = None
    spotify_user_id: str | None = None
    account_id: str | None = None
    authorized_at: str | None = None
    authorization_ends_at: str | None = None
    known_since: str = ""


@dataclass(slots=True)
class NotedListeners:
    """All notes by their keys."""

    notes: dict[str, ListenerNote] = field(default_factory=dict)


NOTE = RecordKind(ListenerNote, "a note about a listener", "restore it from a copy, or delete it and name the listener")
NOTED = RecordKind(NotedListeners, "the list of listeners", "it is made anew from the notes", derived=True)


@dataclass(slots=True)
class Person:
    """One listener as all notes tell: the id that plays bear, and every other id that means the same person."""

    user_id: str
    ids: list[str] = field(default_factory=list)
    name: str = ""
    display_name: str | None = None
    image_url: str | None = None
    spotify_user_ids: list[str] = field(default_factory=list)
    account_id: str | None = None
    known_since: str | None = None
    authorized_at: str | None = None
    authorization_ends_at: str | None = None

    @property
    def has_logged_in(self) -> bool:
        """Whether Spotify has been asked about this listener, rather than an export alone."""
        return self.authorized_at is not None

    @property
    def label(self) -> str:
        """The name, and behind it the id where that says something else."""
        return self.name if self.name == self.user_id else f"{self.name} ({self.user_id})"


@dataclass(slots=True)
class Facts:
    """What is known of one id: of each fact what was said last."""

    user_id: str
    said: dict[str, str] = field(default_factory=dict)


class KnownListeners:
    """Every listener that the notes tell of, by any id."""

    def __init__(self, notes: Iterable[ListenerNote] = ()) -> None:
        self._facts: dict[str, Facts] = {}
        for note in notes:
            self._take(note)

    def add(self, user_id: str, **facts: str) -> None:
        """Somebody whom the lake knows from elsewhere, too; what notes say comes first."""
        known = self._facts.setdefault(user_id, Facts(user_id))
        known.said = {**facts, **known.said}

    def _take(self, note: ListenerNote) -> None:
        for place, each in enumerate(note.ids):
            facts = self._facts.setdefault(each, Facts(note.user_id))
            facts.user_id = note.user_id
            if place == 0:
                facts.said |= {name: value for name in FACTS if (value := getattr(note, name))}

    def listener_of(self, some_id: str) -> str:
        """The listener that an id means; the id itself where nobody has said."""
        known = self._facts.get(some_id)
        return known.user_id if known else some_id

    def moved(self) -> dict[str, str]:
        """The ids that mean a listener of another id."""
        return {each: facts.user_id for each, facts in self._facts.items() if facts.user_id != each}

    def ids_of(self, user_id: str) -> list[str]:
        """Every id that means the listener, its own first."""
        others = sorted(each for each, facts in self._facts.items() if facts.user_id == user_id and each != user_id)
        return [user_id, *others]

    def people(self) -> list[Person]:
        """All listeners, by name."""
        found = sorted({facts.user_id for facts in self._facts.values()})
        return sorted(map(self.person, found), key=lambda person: (person.name.lower(), person.user_id))

    def person(self, user_id: str) -> Person:
        """A listener, of whom little is known where there is no note."""
        ids = self.ids_of(user_id)
        facts = [self._facts[each].said for each in ids if each in self._facts]
        return Person(
            user_id=user_id,
            ids=ids,
            name=first_said(facts, "given_name") or first_said(facts, "display_name") or user_id,
            display_name=first_said(facts, "display_name"),
            image_url=first_said(facts, "image_url"),
            spotify_user_ids=sorted({said["spotify_user_id"] for said in facts if "spotify_user_id" in said}),
            account_id=first_said(facts, "account_id"),
            known_since=min((said["known_since"] for said in facts if "known_since" in said), default=None),
            authorized_at=max((said["authorized_at"] for said in facts if "authorized_at" in said), default=None),
            authorization_ends_at=max(
                (said["authorization_ends_at"] for said in facts if "authorization_ends_at" in said), default=None
            ),
        )

    def label_of(self, some_id: str) -> str:
        """The name with the id behind it."""
        return self.person(self.listener_of(some_id)).label

    def find(self, text: str) -> Person | None:
        """Who is meant by an id or, where no id is just so, by a name, capitals or not.

        Raises InvalidRequest where several are.
        """
        if text in self._facts:
            return self.person(self.listener_of(text))
        wanted = text.strip().casefold()
        named = [
            person for person in self.people() if wanted in {each.casefold() for each in (person.name, *person.ids)}
        ]
        if len(named) > 1:
            ids = ", ".join(person.user_id for person in named)
            raise InvalidRequest(f"{text!r} is the name of several listeners ({ids}): say the id")
        return named[0] if named else None

    def get(self, text: str) -> Person:
        """As :meth:`find`. Raises NotFound, which names those there are."""
        person = self.find(text)
        if person is None:
            there = ", ".join(person.label for person in self.people()) or "nobody yet"
            raise NotFound(f"there is no listener {text!r}; there are: {there}", listener=text)
        return person

    def perhaps(self, person: Person) -> list[Person]:
        """Others who may be the same as somebody who has logged in: known from imports alone. Those first of whom an
        export says so, or who bear the same name."""
        if not person.has_logged_in:
            return []
        others = [one for one in self.people() if one.user_id != person.user_id and not one.has_logged_in]
        return sorted(others, key=lambda one: (not is_alike(one, person), one.name.casefold()))


FACTS = (
    "given_name",
    "display_name",
    "image_url",
    "spotify_user_id",
    "account_id",
    "authorized_at",
    "authorization_ends_at",
    "known_since",
)


def first_said(facts: Iterable[dict[str, str]], name: str) -> str | None:
    """A fact as it is said of the listener's own id or, failing that, of the least other id of which it is."""
    return next((said[name] for said in facts if name in said), None)


def is_alike(one: Person, other: Person) -> bool:
    """Whether what is known of two listeners speaks for their being one person."""
    if set(one.spotify_user_ids) & set(other.spotify_user_ids):
        return True
    names = {one.name.casefold(), *(each.casefold() for each in one.ids)}
    return bool(names & {other.name.casefold(), *(each.casefold() for each in other.ids)})


# --- reading ------------------------------------------------------------------------------------------------------


def noted(lake: Lake) -> KnownListeners:
    """Every listener whom notes tell of."""
    notes = stored(lake).notes
    return KnownListeners(notes[key] for key in sorted(notes))


def everybody(lake: Lake) -> KnownListeners:
    """Every listener, those too of whom there is no note: who was logged in at one of the last runs, whose exports are
    kept."""
    known = noted(lake)
    for run_id in islice(run_ids(lake), LOOKED_AT):
        for each in load_run(lake, run_id).authorizations:
            times = {"authorized_at": each.get("authorized_at", run_id), "authorization_ends_at": each.get("ends_at")}
            known.add(each["user_id"], **{name: str(value) for name, value in times.items() if value})
    for user_id in listeners_kept(lake):
        known.add(user_id)
    return known


def listeners_kept(lake: Lake) -> set[str]:
    """Whose exports are kept."""
    keys = (info.key for info in lake.store.list(RAW_HISTORY))
    return {unquote(match[1]) for key in keys if (match := KEPT.fullmatch(key))}


def known_listeners(lake: Lake) -> list[str]:
    """Listeners who have logged in, sorted by id; none where nobody has, or where no run has been since."""
    return sorted(person.user_id for person in everybody(lake).people() if person.has_logged_in)


def stored(lake: Lake) -> NotedListeners:
    """All notes, from the one object that holds them as far as it does."""
    kept = NOTED.read(lake.store, LISTENERS_KEY) or NotedListeners()
    keys = [info.key for info in lake.store.list(RAW_LISTENERS) if info.key.endswith(".gz")]
    return NotedListeners({key: kept.notes.get(key) or read_note(lake, key) for key in keys})


def read_note(lake: Lake, key: str) -> ListenerNote:
    """One note. Raises NotFound, RecordDamaged."""
    return decode_note(key, lake.store.read(key))


def decode_note(key: str, content: bytes) -> ListenerNote:
    """The note that an object is. Raises RecordDamaged."""
    try:
        return NOTE.decode(key, gzip.decompress(content))
    except (OSError, EOFError, zlib.error):
        return NOTE.decode(key, b"")


# --- noting -------------------------------------------------------------------------------------------------------


def note(lake: Lake, event: str, user_id: str, ids: Iterable[str], *, clock: Clock = now, **facts: Any) -> str:
    """Note something of a listener; answers the note's key."""
    moment = clock()
    known = everybody(lake)
    told = ListenerNote(rfc3339(moment), event, user_id, list(dict.fromkeys(ids)), **facts)
    if event in (LOGIN, IMPORT) and known.person(user_id).known_since is None:
        told = replace(told, known_since=told.at)
    key = note_key(moment, event)
    lake.store.write(key, gzip.compress(NOTE.encode(told), mtime=0), content_type="application/gzip")
    NOTED.write(lake.store, LISTENERS_KEY, stored(lake))
    return key


def note_key(moment: datetime, event: str) -> str:
    """Where a note lies: notes sort by their time."""
    time = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")
    return f"{RAW_LISTENERS}{time}Z-{randomness.token_hex(3)}-{event}.json.gz"


def event_of(key: str) -> str:
    """What a note is about, from its key."""
    return key.removesuffix(".json.gz").rpartition("-")[2] if key.startswith(RAW_LISTENERS) else ""


def note_login(
    lake: Lake, user_id: str, authorized_at: datetime, ends_at: datetime, profile: dict[str, Any], clock: Clock = now
) -> str:
    """Note that a listener has logged in, with what ``/me`` tells of the account: its names, picture and ids."""
    account, spotify = text_of(profile.get("account_id")), text_of(profile.get("id"))
    listener = noted(lake).listener_of(user_id)
    return note(
        lake,
        LOGIN,
        listener,
        filter(None, (user_id, account, spotify)),
        clock=clock,
        display_name=plain_name(profile.get("display_name")),
        image_url=largest_image(profile.get("images")),
        spotify_user_id=spotify,
        account_id=account,
        authorized_at=rfc3339(authorized_at),
        authorization_ends_at=rfc3339(ends_at),
    )


def note_logout(lake: Lake, user_id: str, clock: Clock = now) -> str:
    """Note that a listener's authorisation ends now; answers the note's key."""
    return note(lake, LOGOUT, user_id, [user_id], clock=clock, authorization_ends_at=rfc3339(clock()))


def rename(lake: Lake, text: str, name: str, clock: Clock = now) -> tuple[Person, str]:
    """Give a listener a name; answers the listener and the note's key. Raises NotFound, InvalidRequest, Conflict."""
    known = everybody(lake)
    person = known.get(text)
    given = require_name(name)
    bearer = known.find(given)
    if bearer and bearer.user_id != person.user_id:
        raise Conflict(f"{given} is another listener's name or id ({bearer.label}): choose another", name=given)
    key = note(lake, NAME, person.user_id, [person.user_id], given_name=given, clock=clock)
    return everybody(lake).person(person.user_id), key


def merge(lake: Lake, text: str, into: str, clock: Clock = now) -> tuple[Person, str]:
    """Say that two listeners are one person: all ids of the first mean the second from now on.

    Answers that listener and the note's key. Raises NotFound, InvalidRequest.
    """
    known = everybody(lake)
    one, other = known.get(text), known.get(into)
    if one.user_id == other.user_id:
        raise InvalidRequest(f"{text} and {into} are one listener already: {other.label}")
    key = note(lake, MERGE, other.user_id, one.ids, clock=clock)
    return everybody(lake).person(other.user_id), key


def split(lake: Lake, text: str, clock: Clock = now) -> tuple[Person, str]:
    """Take back the last merge of the listener who had the id ``text``; answers that listener and the note's key.

    Raises NotFound where no merge is left to take back.
    """
    known = everybody(lake)
    notes = stored(lake).notes
    for merged in (notes[key] for key in sorted(notes, reverse=True)):
        first = merged.ids[0]
        if merged.event == MERGE and first == text and known.listener_of(first) == known.listener_of(merged.user_id):
            key = note(lake, SPLIT, first, merged.ids, clock=clock)
            return everybody(lake).person(first), key
    merged_ids = sorted(known.moved().keys() & {one.ids[0] for one in notes.values() if one.event == MERGE})
    there = ", ".join(merged_ids) or "nobody was merged"
    raise NotFound(f"no listener {text!r} was merged into another; merged were: {there}", listener=text)


def note_import(lake: Lake, user_id: str, name: str = "", spotify_user_id: str = "", clock: Clock = now) -> str | None:
    """Note what an import tells of its listener, if that is news: a name that is no id, the user name in the export.

    Answers the note's key, or None.
    """
    person = everybody(lake).person(user_id)
    given = name if name not in (person.name, user_id) else ""
    spotify = spotify_user_id if spotify_user_id not in (*person.spotify_user_ids, *person.ids) else ""
    if person.has_logged_in or not (given or spotify):
        return None
    facts = {"given_name": given or None, "spotify_user_id": spotify or None}
    return note(lake, IMPORT, person.user_id, [person.user_id], clock=clock, **facts)


def newcomer(lake: Lake, name: str) -> str:
    """The id that a new listener of that name gets. Raises InvalidRequest where the name is taken."""
    given = require_name(name)
    if bearer := everybody(lake).find(given):
        raise InvalidRequest(f"there is a listener {bearer.label} already: name somebody else", name=given)
    return new_id(given) if given.startswith(".") or len(quote(given, safe="")) > LONGEST_ID else given


def new_id(name: str) -> str:
    """An id for a name after which no folder can be named."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "listener"
    return f"{plain[:60]}-{blake2b(name.encode(), digest_size=3).hexdigest()}"


def require_name(name: str) -> str:
    """A name as it is kept. Raises InvalidRequest for one that says nothing or is too long."""
    given = plain_name(name)
    if not given or len(given) > LONGEST_NAME:
        raise InvalidRequest(f"a listener's name has 1 to {LONGEST_NAME} characters, not {name[:200]!r}")
    return given


def plain_name(name: Any) -> str | None:
    """A name in one line without characters that steer a terminal; None where there is none."""
    if not isinstance(name, str):
        return None
    return " ".join("".join(char if char.isprintable() else " " for char in name).split()) or None


def text_of(value: Any) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None


def largest_image(images: Any) -> str | None:
    """The address of the largest of a profile's pictures."""
    there = [each for each in images if isinstance(each, dict)] if isinstance(images, list) else []
    usable = [each for each in there if str(each.get("url", "")).startswith("https://")]
    return max(usable, key=lambda each: each.get("width") or 0)["url"] if usable else None


def rows_of(told: ListenerNote) -> Iterator[dict[str, Any]]:
    """A note as rows of ``listener_ids``: one for each id, the first with what is said of it."""
    for place, each in enumerate(told.ids):
        facts = {name: getattr(told, name) for name in FACTS} if place == 0 else {}
        yield {"id": each, "user_id": told.user_id, "observed_at": told.at, **facts}
