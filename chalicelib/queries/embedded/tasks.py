"""What the engine asks of its processes, and what they answer. All of it crosses a socket, pickled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.queries.engine import ResultColumn
from chalicelib.settings import Settings


@dataclass(frozen=True, slots=True)
class Start:
    """What a process is told first.

    ``memory`` are the bytes that it may hold beside what it holds when it is ready: when ``modules`` are imported
    and, where it has a ``database``, that is open. The database spills to ``scratch``.
    """

    settings: Settings
    modules: tuple[str, ...]
    memory: int
    database: bool = False
    scratch: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """May ``sql`` run? Answers a Verdict, or raises QueryRefused."""

    sql: str
    parameters: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A statement that may run. ``statement`` is what another process needs to run it, with its parameters; ``digest``
    names what it is: text and translation. ``any_values`` of the parameters' types give the same verdict."""

    sql: str
    columns: tuple[ResultColumn, ...]
    tables: tuple[str, ...]
    volatile: bool
    digest: str
    statement: bytes
    any_values: bool


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Write the rows of a Verdict's statement to ``path``; answers TaskOutcome. ``granted`` bytes may be written
    unasked."""

    statement: bytes
    parameters: tuple[Any, ...]
    path: str
    most_rows: int
    most_bytes: int
    granted: int


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What a query came to."""

    scanned: int
    rows: int
    bytes: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class WriteCsv:
    """Write a result as CSV to ``path``; answers its bytes."""

    result: str
    path: str
    columns: Sequence[ResultColumn]
    most_bytes: int
    granted: int


@dataclass(frozen=True, slots=True)
class LookAt:
    """Get ready to read tables; answers None."""

    tables: Sequence[str]


@dataclass(frozen=True, slots=True)
class DescribeTables:
    """What the files are that the tables have; ``before`` is the last answer."""

    before: dict[str, Any]


Task = Judge | RunQuery | WriteCsv | LookAt | DescribeTables


# --- from the engine, while a task goes on


@dataclass(frozen=True, slots=True)
class Grant:
    """``bytes`` more may be written; none are left where that is 0."""

    bytes: int


# --- from the process


@dataclass(frozen=True, slots=True)
class MoreBytes:
    """So many bytes more are needed for what is being written; ``liked`` would save asking again."""

    least: int
    liked: int


@dataclass(frozen=True, slots=True)
class Done:
    """A task's answer. ``worn`` says that the process holds more memory than it began with: end it."""

    value: Any
    worn: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A task's failure; ``trace`` is for the log where the fault is ours."""

    error: Exception
    trace: str = ""
    worn: bool = False
