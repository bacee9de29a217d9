"""Functions that DuckDB has not and SQL cannot say, in Python: what DuckDB is told of them, and what they answer.

A translation calls one by its name here, and whoever runs the translation registers it (:func:`called_in`). None of
them is called with null; what is wrong with a value is said as Trino says it. NaN that comes back is null to DuckDB.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import math
import re
import statistics
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from chalicelib.queries.sql.values import FAILURE_MARK
from chalicelib.queries.sql.zones import zone_key

MOST_COMBINED, MOST_COMBINATIONS = 5, 100_000
HASHES = ("md5", "sha1", "sha256", "sha512")
MOST_SYMBOLS = 127  # different characters of two texts whose distance is measured
SOUNDS = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "01230120022455012623010202", strict=True))
SIZES = {unit: 1024**power for power, unit in enumerate(("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"))}
SPANS = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


class Wrong(ValueError):
    """A value that the function does not take."""

    def __init__(self, message: str) -> None:
        super().__init__(FAILURE_MARK + message)


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """A function and DuckDB's types of its parameters and its result."""

    function: Callable[..., Any]
    takes: tuple[str, ...]
    gives: str


def called_in(sql: str) -> list[str]:
    """Those of FUNCTIONS that a translation calls."""
    return [name for name in dict.fromkeys(re.findall(r"\blake_\w+(?=\()", sql)) if name in FUNCTIONS]


# --- bytes


def mac(algorithm: str) -> Callable[[bytes, bytes], bytes]:
    """A keyed hash of bytes."""

    def code(data: bytes, key: bytes) -> bytes:
        if not key:
            raise Wrong("Empty key")
        return hmac.new(key, data, algorithm).digest()

    return code


def from_base32(written: str) -> bytes:
    """The bytes of a base32 text, with or without its padding."""
    bare = written.rstrip("=")
    if len(bare) % 8 in (1, 3, 6):
        raise Wrong(f"Invalid input length {len(bare)}")
    if strange := re.search("[^A-Z2-7]", bare):
        raise Wrong(f"Unrecognized character: {strange[0]}")
    return base64.b32decode(bare + "=" * (-len(bare) % 8))


def unpacked(form: str, what: str) -> Callable[[bytes], Any]:
    """A number out of its bytes, of which there must be as many as it has."""

    def number(data: bytes) -> Any:
        if len(data) != struct.calcsize(form):
            raise Wrong(f"{what} must be exactly {struct.calcsize(form)} bytes long")
        return struct.unpack(form, data)[0]

    return number


def packed(form: str) -> Callable[[Any], bytes]:
    """The bytes of a number, the most significant first."""
    return lambda number: struct.pack(form, number)


# --- text


def soundex(text: str) -> str:
    """Four signs that names of the same sound share, as Apache's commons-codec makes them."""
    letters = [letter for letter in text.upper() if letter.isalpha() and letter <= "\uffff"]
    if not letters:
        return ""
    code, last = letters[0], sound(letters[0])
    for letter in letters[1:]:
        if len(code) == 4 or letter in "HW":  # nothing between two letters of one sound
            continue
        if sound(letter) not in ("0", last):
            code += sound(letter)
        last = sound(letter)
    return f"{code:0<4}"


def sound(letter: str) -> str:
    """The digit of a letter, 0 of a vowel."""
    if letter not in SOUNDS:
        raise Wrong(f"The character is not mapped: {letter} (index={ord(letter) - ord('A')})")
    return SOUNDS[letter]


def same_symbols(one: str, other: str) -> dict[str, str]:
    """Two texts with every character exchanged for one of ASCII, equal ones for equal ones."""
    symbols = {symbol: chr(place) for place, symbol in enumerate(dict.fromkeys(one + other), 1)}
    if len(symbols) > MOST_SYMBOLS:
        raise Wrong(f"levenshtein_distance of texts with more than {MOST_SYMBOLS} different characters")
    return {"a": "".join(map(symbols.__getitem__, one)), "b": "".join(map(symbols.__getitem__, other))}


def human_readable_seconds(seconds: float) -> str:
    """``6 days, 4 hours, 42 minutes, 13 seconds``."""
    if not math.isfinite(seconds):
        raise Wrong(f"Invalid argument found: {'NaN' if math.isnan(seconds) else 'Infinity'}")
    left, parts = math.floor(abs(seconds) + 0.5), []
    for unit, length in SPANS:
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return ", ".join(parts) or "0 seconds"


def parse_data_size(written: str) -> str:
    """The bytes of ``2.3MB``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(\w+)", written, re.ASCII)
    if not found or found[2] not in SIZES:
        raise Wrong(f"Invalid data size: '{written}'")
    size = int(Fraction(found[1]) * SIZES[found[2]])
    if size >= 10**38:
        raise Wrong(f"Value out of range: '{written}' ('{size}B')")
    return str(size)


# --- numbers and arrays


def normal_cdf(mean: float, deviation: float, value: float) -> float:
    """The share of a normal distribution below ``value``."""
    if not deviation > 0:
        raise Wrong("standardDeviation must be > 0")
    away = value - mean
    return 0.5 if math.isinf(deviation) else 0.5 * math.erfc(-away / deviation / math.sqrt(2))


def inverse_normal_cdf(mean: float, deviation: float, share: float) -> float:
    """The value below which a share of a normal distribution lies."""
    if not 0 < share < 1:
        raise Wrong("p must be 0 > p > 1")
    if not deviation > 0:
        raise Wrong("sd must be > 0")
    return statistics.NormalDist(mean, deviation).inv_cdf(share)


def combinations(length: int, size: int) -> list[list[int]]:
    """The places (from 1) of each way to take ``size`` of ``length`` elements, the later ones last."""
    if not 0 <= size <= MOST_COMBINED:
        raise Wrong(f"combination size must not exceed {MOST_COMBINED}: {size}" if size > 0 else "invalid size")
    if math.comb(length, size) > MOST_COMBINATIONS:
        raise Wrong("combinations exceed max size")
    return [list(one) for one in sorted(itertools.combinations(range(1, length + 1), size), key=lambda one: one[::-1])]


Vector = Sequence[float]


def vectors(measure: Callable[[Vector, Vector], float]) -> Callable[[Vector, Vector], float]:
    """A measure of two vectors, of one length."""

    def of_one_length(one: Vector, other: Vector) -> float:
        if len(one) != len(other):
            raise Wrong("The arguments must have the same length")
        return measure(one, other)

    return of_one_length


def dot_product(one: Vector, other: Vector) -> float:
    """The sum of the products."""
    return sum((left * right for left, right in zip(one, other, strict=True)), 0.0)


def euclidean_distance(one: Vector, other: Vector) -> float:
    """How far two points are from each other."""
    return math.sqrt(sum(((left - right) * (left - right) for left, right in zip(one, other, strict=True)), 0.0))


def cosine(one: Vector, other: Vector) -> float:
    """The cosine of the angle between two vectors; NaN where one has no length."""
    size = math.sqrt(dot_product(one, one)) * math.sqrt(dot_product(other, other))
    return dot_product(one, other) / size if size else math.nan


def cosine_similarity(one: Vector, other: Vector) -> float:
    """The cosine of the angle between two vectors that have a length."""
    if 0 in (dot_product(one, one), dot_product(other, other)):
        raise Wrong("Vector magnitude cannot be zero")
    return cosine(one, other)


TWO_VECTORS = ("DOUBLE[]", "DOUBLE[]")
THREE_NUMBERS = ("DOUBLE", "DOUBLE", "DOUBLE")
FLOATING, INTEGRAL = "Input floating-point value", "Input"
FUNCTIONS = {
    "lake_crc32": PythonFunction(lambda data: zlib.crc32(data), ("BLOB",), "BIGINT"),
    "lake_sha512": PythonFunction(lambda data: hashlib.sha512(data).digest(), ("BLOB",), "BLOB"),
    **{f"lake_hmac_{name}": PythonFunction(mac(name), ("BLOB", "BLOB"), "BLOB") for name in HASHES},
    "lake_from_base32": PythonFunction(from_base32, ("VARCHAR",), "BLOB"),
    "lake_to_base32": PythonFunction(lambda data: base64.b32encode(data).decode(), ("BLOB",), "VARCHAR"),
    "lake_from_ieee754_32": PythonFunction(unpacked(">f", FLOATING), ("BLOB",), "FLOAT"),
    "lake_from_ieee754_64": PythonFunction(unpacked(">d", FLOATING), ("BLOB",), "DOUBLE"),
    "lake_to_ieee754_32": PythonFunction(packed(">f"), ("FLOAT",), "BLOB"),
    "lake_to_ieee754_64": PythonFunction(packed(">d"), ("DOUBLE",), "BLOB"),
    "lake_from_big_endian_32": PythonFunction(unpacked(">i", INTEGRAL), ("BLOB",), "INTEGER"),
    "lake_from_big_endian_64": PythonFunction(unpacked(">q", INTEGRAL), ("BLOB",), "BIGINT"),
    "lake_to_big_endian_32": PythonFunction(packed(">i"), ("INTEGER",), "BLOB"),
    "lake_to_big_endian_64": PythonFunction(packed(">q"), ("BIGINT",), "BLOB"),
    "lake_from_utf8": PythonFunction(lambda data: data.decode(errors="replace"), ("BLOB",), "VARCHAR"),
    "lake_soundex": PythonFunction(soundex, ("VARCHAR",), "VARCHAR"),
    "lake_same_symbols": PythonFunction(same_symbols, ("VARCHAR", "VARCHAR"), "STRUCT(a VARCHAR, b VARCHAR)"),
    "lake_human_readable_seconds": PythonFunction(human_readable_seconds, ("DOUBLE",), "VARCHAR"),
    "lake_parse_data_size": PythonFunction(parse_data_size, ("VARCHAR",), "VARCHAR"),
    "lake_zone": PythonFunction(zone_key, ("VARCHAR",), "VARCHAR"),
    "lake_normal_cdf": PythonFunction(normal_cdf, THREE_NUMBERS, "DOUBLE"),
    "lake_inverse_normal_cdf": PythonFunction(inverse_normal_cdf, THREE_NUMBERS, "DOUBLE"),
    "lake_combinations": PythonFunction(combinations, ("BIGINT", "BIGINT"), "BIGINT[][]"),
    "lake_dot_product": PythonFunction(vectors(dot_product), TWO_VECTORS, "DOUBLE"),
    "lake_euclidean_distance": PythonFunction(vectors(euclidean_distance), TWO_VECTORS, "DOUBLE"),
    "lake_cosine": PythonFunction(cosine, TWO_VECTORS, "DOUBLE"),
    "lake_cosine_similarity": PythonFunction(vectors(cosine_similarity), TWO_VECTORS, "DOUBLE"),
}  # fmt: skip
