"""Columns of observations as NumPy arrays: what the rules of matching.py are worked out on."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


def numbers(column: Any, missing: int) -> Ints:
    """Integers, or timestamps as ms since 1970."""
    values = one_chunk(column)
    whole = pc.fill_null(values.cast(pa.int64()), missing)
    return np.asarray(whole.to_numpy(zero_copy_only=False), np.int64)


def flags(column: Any) -> Bools:
    """Booleans; false for null."""
    return np.asarray(pc.fill_null(one_chunk(column), False).to_numpy(zero_copy_only=False), np.bool_)


def codes(column: Any) -> Ints:
    """A number for each distinct value; -1 for null."""
    encoded = one_chunk(column).dictionary_encode()
    return np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False), np.int64)


def normalised_codes(column: Any) -> Ints:
    """A number for each distinct name, whatever its case, spacing and Unicode form; -1 for none."""
    encoded = one_chunk(column).dictionary_encode()
    numbers_of: dict[str, int] = {}
    same = [numbers_of.setdefault(normalised(name), len(numbers_of)) for name in encoded.dictionary.to_pylist()]
    indices = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return np.asarray(np.asarray([*same, -1], np.int64)[indices], np.int64)


def normalised(name: str) -> str:
    """A name by which two reports of one item can be compared."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def joined(*parts: Ints) -> Ints:
    """One number for each distinct combination."""
    frame = pd.DataFrame(dict(enumerate(parts)))
    return np.asarray(frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy(), np.int64)


def masked(key: Ints, by: Ints) -> Ints:
    """``key``, but -1 where ``by`` is negative."""
    return np.asarray(np.where(by < 0, -1, key), np.int64)


def one_chunk(column: Any) -> Any:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def decoded(rows: pa.Table) -> pa.Table:
    """Texts as they are instead of as dictionaries, which not everything can work with."""
    types = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in rows.schema]
    return rows.cast(pa.schema(list(zip(rows.column_names, types, strict=True))))
