"""Which reader reads a declared source."""

from __future__ import annotations

from chalicelib.extraction import catalogue_readers, library_readers  # noqa: F401 (they register themselves)
from chalicelib.extraction.kinds import READERS, Source
from chalicelib.extraction.reading import Reader


def reader_of(source: Source, user: str | None) -> Reader:
    """The reader of ``source``, for a listener where it is about one."""
    reader: Reader = READERS[source.reads](source, user)
    return reader
