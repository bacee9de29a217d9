"""DuckDB's failures as a person should read them: no path of this computer, nothing of the translation.

Where a file of the lake is at fault it is named, with the command that heals it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence

from chalicelib.errors import LakeError, QueryFailed, StorageFailed
from chalicelib.queries.embedded.damage import damaged, found_damaged
from chalicelib.queries.embedded.limits import OUT_OF_MEMORY
from chalicelib.queries.embedded.listing import File
from chalicelib.queries.embedded.results import ResultTooLarge
from chalicelib.queries.sql.values import FAILURE_MARK

LONGEST = 2_000  # characters of a message
OUT_OF_SPILL = "the query spills more to disk than it may; narrow it, or raise QUERY_MEMORY"
DISK_FULL = "the disk that the lake lies on is full: free some space, then ask again"
INSIDE = "the engine cannot run this statement; the log says more"
VALUES = ("ConversionException", "OutOfRangeException", "InvalidInputException", "ConstraintException", "DataError")


def failure(error: Exception, files: Sequence[File] = ()) -> LakeError:
    """What becomes of a query that read ``files`` and failed with ``error``."""
    if isinstance(error, LakeError):
        return error
    if isinstance(error, ResultTooLarge):
        return QueryFailed(f"a row of the result: {error}; narrow the query, or raise the setting")
    if isinstance(error, MemoryError):
        return QueryFailed(OUT_OF_MEMORY)
    if is_full(error):
        return StorageFailed(DISK_FULL)
    message = re.split(r"\n\s*LINE \d+:", said(error))[0].strip()
    if FAILURE_MARK in message:
        return QueryFailed(message.partition(FAILURE_MARK)[2].removesuffix("' to INT32")[:LONGEST])
    for pattern, reworded in REWORDED:
        if re.search(pattern, message):
            return QueryFailed(reworded)
    if broken := found_damaged(files, thorough=not is_of_values(error)):
        return damaged(broken)
    return in_words(error, message)


def said(error: Exception) -> str:
    """DuckDB's words, which may end within a character: then Python's error has them, and says nothing of them."""
    return error.object.decode("utf-8", "replace") if isinstance(error, UnicodeDecodeError) else str(error)


def in_words(error: Exception, message: str) -> LakeError:
    """Faults of values are DuckDB's to describe; all others speak of the translation or of this computer."""
    if not is_of_values(error):
        return Inside(f"{type(error).__name__}: {message}")
    message = re.sub(r"^\w[\w ]* Error: ", "", message)
    return QueryFailed(re.sub(r"(?<![\w.])/(?:[^\s'\":,]+/)+[^\s'\":,]*", "…", message)[:LONGEST])


def is_of_values(error: Exception) -> bool:
    """Whether the values of the statement are at fault, not a file or the translation."""
    return isinstance(error, UnicodeDecodeError) or any(kind.__name__ in VALUES for kind in type(error).__mro__)


def is_full(error: Exception) -> bool:
    """Whether an error says that the disk is full."""
    number = getattr(error, "errno", None)
    return number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


class Inside(QueryFailed):
    """A failure that says nothing to who asked; ``inside`` is for the log."""

    def __init__(self, inside: str) -> None:
        super().__init__(INSIDE)
        self.inside = inside

    def __reduce__(self) -> tuple[Callable[[str], Inside], tuple[str]]:
        return Inside, (self.inside,)


REWORDED: tuple[tuple[str, str], ...] = (
    (r"(?i)max_temp_directory_size|failed to offload", OUT_OF_SPILL),
    (r"(?i)^out of memory|bad_alloc|malloc of size|realloc of size|allocation fail", OUT_OF_MEMORY),
    (r"Division by zero", "Division by zero"),
    (r"More than one row returned by a subquery", "a subquery that stands for a value has returned more than one row"),
)
