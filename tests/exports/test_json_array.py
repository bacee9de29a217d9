"""JSON arrays read a piece at a time."""

import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.exports.json_array import LONGEST_ELEMENT, NotAnArray, pieces

texts = st.text(alphabet=st.sampled_from('a{}[],:"\\ \n\u00e9'), max_size=12)
objects = st.dictionaries(texts, st.recursive(texts | st.integers() | st.none(), st.lists, max_leaves=3), max_size=4)


def read(data: bytes, block: int = 16) -> list[Any]:
    return [item for piece in pieces(io.BytesIO(data), msgspec.json.decode, block=block) for item in piece]


@pytest.mark.thorough
@given(st.lists(objects, max_size=12), st.integers(1, 60), st.sampled_from([None, 2]))
def test_an_array_reads_as_it_was_written_whatever_the_block(rows: list[Any], block: int, indent: int | None) -> None:
    assert read(json.dumps(rows, indent=indent, ensure_ascii=False).encode(), block) == rows


@given(st.lists(objects, min_size=1, max_size=6), st.integers(1, 40), st.data())
def test_an_array_that_is_cut_short_is_refused(rows: list[Any], block: int, data: st.DataObject) -> None:
    whole = json.dumps(rows).encode()
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(NotAnArray):
        read(whole[:cut], block)


@given(st.binary(max_size=60), st.integers(1, 20))
def test_any_bytes_are_read_or_refused(data: bytes, block: int) -> None:
    try:
        assert isinstance(read(data, block), list)
    except NotAnArray:
        return


@given(st.text(alphabet='[]{},"a1 ', max_size=40), st.integers(1, 20))
def test_what_is_read_is_what_json_says(text: str, block: int) -> None:
    try:
        rows = read(text.encode(), block)
    except NotAnArray:
        rows = None
    try:
        expected = json.loads(text) if text.strip() else []
    except ValueError:
        expected = None
    assert rows == (expected if isinstance(expected, list) else None)


@pytest.mark.parametrize("data", [b"", b"  \n", b"[]", b" [ ] \n", b"\xef\xbb\xbf[]", b"\xef\xbb\xbf"])
def test_nothing_is_an_empty_array(data: bytes) -> None:
    assert read(data) == []


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read(b'\xef\xbb\xbf[{"a":1}]') == [{"a": 1}]


@pytest.mark.parametrize("data", [b'{"a":1}', b'[{"a":1},]', b'[{"a":1}{"b":2}]', b'[{"a":1}] 2', b"[,]", b"%PDF-1.4"])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    for block in (1, 3, 100):
        with pytest.raises(NotAnArray):
            read(data, block)


def test_an_endless_element_is_refused_before_it_fills_the_memory() -> None:
    class Endless(io.RawIOBase):
        served = 0

        def read(self, size: int = -1) -> bytes:
            first, self.served = self.served == 0, self.served + size
            return (b'[{"a":"' if first else b"x").ljust(size, b"x")

    stream = Endless()
    with pytest.raises(NotAnArray, match="longer than"):
        list(pieces(stream, msgspec.json.decode, block=65536))  # type: ignore[arg-type]
    assert stream.served < 2 * LONGEST_ELEMENT
