"""S3's answers to readers of Parquet files, straight from what moto holds.

A query over a year of months lists and reads hundreds of objects, and moto takes ten milliseconds for each; here it is
well below one. Only what Trino asks for is answered, all else is moto's.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from moto.s3.models import FakeDeleteMarker, s3_backends

if TYPE_CHECKING:
    from tests.emulator.server import Call

Answer = tuple[int, list[tuple[str, str]], bytes]
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
PAGE = 1000  # keys that S3 lists in one answer


def read(call: Call) -> Answer | None:
    """The status, headers and body for a listing or a file that is there; None leaves the request to moto."""
    bucket, _, key = urllib.parse.unquote(call.path).lstrip("/").partition("/")
    held = objects(bucket)
    if held is None:
        return None
    if not key and call.method == "GET" and call.query.get("list-type") == "2" and not call.query.get("delimiter"):
        return listing(bucket, call.query.get("prefix", ""), held)
    if key in held and call.method in ("GET", "HEAD") and not call.query:
        return file(held[key], call.headers.get("range", ""), whole=call.method == "HEAD")
    return None


def requests(call: Call) -> list[str]:
    """What S3 bills for a request: ``GET key`` (HEAD at the same price), or ``LIST prefix`` for each page of keys."""
    bucket, _, key = urllib.parse.unquote(call.path).lstrip("/").partition("/")
    if key or call.method != "GET":
        return [f"GET {key}"]
    prefix = call.query.get("prefix", "")
    found = sum(name.startswith(prefix) for name in objects(bucket) or {})
    return [f"LIST {prefix}"] * max(1, -(-found // PAGE))


def objects(bucket: str) -> dict[str, Any] | None:
    from tests.emulator.server import ACCOUNT

    found = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    if not found:
        return None
    return {key: held for key, held in found.keys.items() if not isinstance(held, FakeDeleteMarker)}


def listing(bucket: str, prefix: str, held: dict[str, Any]) -> Answer:
    entries = "".join(entry(key, held[key]) for key in sorted(held) if key.startswith(prefix))
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{entries.count('<Contents>')}</KeyCount>"
        f"<MaxKeys>1000000</MaxKeys><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    )
    return 200, [("Content-Type", "application/xml")], body.encode()


def entry(key: str, held: Any) -> str:
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{held.last_modified_ISO8601}</LastModified>"
        f"<ETag>{escape(held.etag)}</ETag><Size>{held.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def file(held: Any, asked: str, *, whole: bool) -> Answer:
    data: bytes = held.value
    headers = [("ETag", held.etag), ("Last-Modified", held.last_modified_RFC1123), ("Accept-Ranges", "bytes"),
               ("Content-Type", "application/octet-stream")]  # fmt: skip
    part = RANGE.fullmatch(asked)
    if whole or part is None:
        return 200, headers, data
    first, last = bounds(part, len(data))
    return 206, [*headers, ("Content-Range", f"bytes {first}-{last}/{len(data)}")], data[first : last + 1]


def bounds(part: re.Match[str], size: int) -> tuple[int, int]:
    """``bytes=0-99``, ``bytes=100-`` or, for the last ones, ``bytes=-100``."""
    if not part[1]:
        return max(0, size - int(part[2])), size - 1
    return int(part[1]), min(int(part[2]) if part[2] else size - 1, size - 1)
