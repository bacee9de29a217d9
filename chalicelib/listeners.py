"""Whose lake it is: the listeners who have logged in, as the lake itself knows them.

Their secrets say it too, but most functions on AWS may not read those. A login notes it (``state/listeners.json``), and
the record of every run names those whose authorisations it had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from chalicelib.lake import STATE, Lake
from chalicelib.records import RecordKind
from chalicelib.runs import load_run, run_ids

LISTENERS_KEY = f"{STATE}listeners.json"
LOOKED_AT = 3  # runs, newest first, of which one may have just begun


@dataclass(slots=True)
class Listeners:
    """User ids of those who have logged in."""

    user_ids: list[str] = field(default_factory=list)


LISTENERS = RecordKind(Listeners, "the list of listeners", "the next login writes it anew", derived=True)


def note_listeners(lake: Lake, user_ids: Iterable[str]) -> None:
    """Note who has logged in."""
    LISTENERS.write(lake.store, LISTENERS_KEY, Listeners(sorted(user_ids)))


def known_listeners(lake: Lake) -> list[str]:
    """User ids of those who have logged in, sorted; none where nobody has, or where no run has been since."""
    noted = LISTENERS.read(lake.store, LISTENERS_KEY)
    found = set(noted.user_ids if noted else ())
    for run_id in islice(run_ids(lake), LOOKED_AT):
        found |= {each["user_id"] for each in load_run(lake, run_id).authorizations}
    return sorted(found)
