"""What a listener wants left out of every number: artists, tracks, shows, playlists, times (sleep, children, a party).

Each decision is an object of its own below ``raw/exclusions/``, written once; taking one back is another decision about
the same exclusion. They are rows of the table ``exclusions``, which the view ``heard`` goes by, and with it every
report: nothing is deleted, and ``plays`` has everything.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from chalicelib.clock import Clock, epoch_ms, now, parse_moment, parse_rfc3339, rfc3339
from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.lake import RAW, Lake
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.records import RecordKind
from chalicelib.tables import EXCLUSIONS

RAW_EXCLUSIONS = f"{RAW}exclusions/"
NEEDED = {  # what each kind of exclusion says
    "artist": ("artist_name",),
    "track": ("artist_name", "item_name"),
    "show": ("artist_name",),
    "playlist": ("context_uri",),
    "period": ("from_at", "to_at"),
}


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

    def __str__(self) -> str:
        said = " ".join(str(value) for name in NEEDED[self.kind] if (value := getattr(self, name)))
        return f"{self.exclusion_id} {self.kind}: {said}{f', of {self.user_id}' if self.user_id else ''}"


EXCLUSION = RecordKind(Exclusion, "what is left out", "delete it, and leave it out again")


def leave_out(
    lake: Lake, kind: str, what: Mapping[str, str | None], *, user_id: str | None = None, clock: Clock = now
) -> Exclusion:
    """Leave something out from now on; answers what was decided. Raises InvalidRequest for what names nothing."""
    said = {name: value for name, value in what.items() if value}
    missing = [name for name in NEEDED[kind] if name not in said]
    if missing or said.keys() - set(NEEDED[kind]):
        raise InvalidRequest(f"to leave out a {kind}, name its {' and '.join(NEEDED[kind])}, and nothing else")
    if kind == "period" and not parse_rfc3339(said["from_at"]) < parse_rfc3339(said["to_at"]):
        raise InvalidRequest("a period that is left out must begin before it ends")
    begun = Exclusion(secrets.token_hex(4), kind, rfc3339(clock()), user_id=user_id)
    named: dict[str, Any] = {**said}
    return decided(lake, replace(begun, **named))


def take_back(lake: Lake, exclusion_id: str, *, clock: Clock = now) -> Exclusion:
    """Let something count again that was left out. Raises NotFound."""
    known = {each.exclusion_id: each for each in in_force(lake)}
    if exclusion_id not in known:
        raise NotFound(f"nothing is left out as {exclusion_id}; `lake leave-out` lists what is", id=exclusion_id)
    return decided(lake, replace(known[exclusion_id], is_active=False, decided_at=rfc3339(clock())))


def decided(lake: Lake, exclusion: Exclusion) -> Exclusion:
    """Keep a decision, and put it into the table."""
    moment = parse_rfc3339(exclusion.decided_at)
    lake.create(f"{RAW_EXCLUSIONS}{moment:%Y%m%dT%H%M%S%fZ}-{exclusion.exclusion_id}.json", EXCLUSION.encode(exclusion))
    write_decision(lake, exclusion)
    return exclusion


def decisions(lake: Lake) -> Iterator[Exclusion]:
    """Every decision, oldest first."""
    for info in lake.store.list(RAW_EXCLUSIONS):
        found = EXCLUSION.read(lake.store, info.key)
        if found:
            yield found


def in_force(lake: Lake) -> list[Exclusion]:
    """What is left out now."""
    newest = {each.exclusion_id: each for each in decisions(lake)}
    return [each for each in newest.values() if each.is_active]


def write_decision(lake: Lake, exclusion: Exclusion) -> list[str]:
    """A decision as a row of ``exclusions`` in the generation that ``lake`` works on; answers the key."""
    row = asdict(exclusion) | {
        name: None if (moment := parse_moment(getattr(exclusion, name))) is None else epoch_ms(moment)
        for name in ("decided_at", "from_at", "to_at")
    }
    schema = arrow_schema(EXCLUSIONS)
    rows = pa.Table.from_arrays([pa.array([row[field.name]], field.type) for field in schema], schema=schema)
    name = f"exclusion-{exclusion.exclusion_id}-{row['decided_at']}"
    return write_table(lake, lake.generation(), EXCLUSIONS, rows, name)


def write_decisions(lake: Lake) -> None:
    """Every decision, as after a rebuild."""
    for exclusion in decisions(lake):
        write_decision(lake, exclusion)
