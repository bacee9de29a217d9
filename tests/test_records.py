"""records.py: what is written is read again, and what is damaged is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import RecordDamaged, WriteConflict
from chalicelib.records import RecordKind
from chalicelib.stores.folder import FolderStore
from tests.support import PROJECT

KEY = "state/thing.json"
DAMAGED = [
    b"",
    b"\n",
    b"\0" * 40,
    b'{"name": "a", "coun',
    bytes(range(128, 256)),
    b"[]",
    b"{}",
    b"null",
    b'"text"',
    b"7",
]


@dataclass(slots=True)
class Part:
    at: datetime
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    count: int
    parts: list[Part] = field(default_factory=list)
    pairs: dict[str, tuple[int, str]] = field(default_factory=dict)


THING = RecordKind(Thing, "a thing", "delete it")
DERIVED = RecordKind(Thing, "a thing", "nothing is lost", derived=True)


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path)


def test_there_is_none_before_one_is_written(store):
    assert THING.read(store, KEY) is None
    assert THING.read_version(store, KEY) == (None, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)
texts = st.text(st.characters(codec=None))  # half a UTF-16 pair is a character to Python
parts = st.builds(
    Part,
    st.datetimes(timezones=st.just(UTC)),
    st.dictionaries(texts, json_values),
)


@pytest.mark.thorough
@given(
    st.builds(
        Thing,
        texts,
        st.integers(-(2**63), 2**63 - 1),
        st.lists(parts, max_size=3),
        st.dictionaries(st.text(), st.tuples(st.integers(-9, 9), texts), max_size=3),
    )
)
def test_what_is_written_is_read_again(record):
    assert THING.decode(KEY, THING.encode(record)) == record


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", "utf-16"])
def test_what_an_editor_saved_with_a_byte_order_mark_is_read(mark):
    content = b'{"name":"\xc3\xa9","count":3}'
    marked = content.decode().encode(mark) if isinstance(mark, str) else mark + content
    assert THING.decode(KEY, marked) == Thing("é", 3)


def test_members_of_a_newer_release_are_passed_over():
    assert THING.decode(KEY, b'{"name":"a","count":3,"later":[1]}') == Thing("a", 3)


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_is_named_with_its_remedy(store, content):
    store.write(KEY, content)
    for read in (THING.read, THING.read_version):
        with pytest.raises(RecordDamaged, match=rf"^{KEY} cannot be read as a thing \([^\n]+\): delete it$") as caught:
            read(store, KEY)
        assert caught.value.details == {"key": KEY}


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_that_can_be_derived_is_as_good_as_none_and_is_logged(store, caplog, content):
    etag = store.write(KEY, content)
    assert DERIVED.read(store, KEY) is None
    assert DERIVED.read_version(store, KEY) == (None, etag)
    assert [record.message.startswith(f"{KEY} cannot be read as a thing") for record in caplog.records] == [True] * 2


def test_a_conditional_write_goes_by_the_version_that_was_read(store):
    first = THING.replace(store, KEY, Thing("a", 1), if_match=None)
    assert THING.read_version(store, KEY) == (Thing("a", 1), first)
    THING.write(store, KEY, Thing("bb", 22))
    with pytest.raises(WriteConflict):
        THING.replace(store, KEY, Thing("c", 3), if_match=first)


def test_importing_it_imports_no_msgspec():
    program = "import sys; import chalicelib.records; print('msgspec' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
