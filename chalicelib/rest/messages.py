"""HTTP requests and replies as the API sees them: reading one by its declaration, dressing the other.

Knows nothing of Chalice or HTTP servers.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from chalicelib.clock import rfc3339
from chalicelib.errors import (
    Forbidden,
    LakeError,
    NotAcceptable,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
    WaitUntil,
)
from chalicelib.rest.access import LISTENER, RUN, remedy
from chalicelib.rest.routes import JSON, NAME, Route
from chalicelib.rest.schema import RequestFault, check_body, check_query, fault, refuse
from chalicelib.settings import Settings

SOON = "1"  # s after which a client may ask again for what goes on
CURL_DEFAULT = "application/x-www-form-urlencoded"  # what curl -d says when nobody says otherwise
MOST_VALUES = 20_000  # of a body
TEXT_IN_JSON = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)  # also one that does not end: looked at once
SURROGATE = b"\\ud"  # how JSON writes halves of UTF-16 pairs


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Upload:
    """A request body that was received to disk."""

    path: Path

    def open(self) -> BinaryIO:
        """The body, to be read."""
        return self.path.open("rb")

    def __len__(self) -> int:
        return self.path.stat().st_size


def nobody_counts() -> None:
    """Where wrong codes are not counted."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Request:
    """One HTTP request to a declared route. ``scope`` is what the authorizer found; None without a token."""

    method: str
    route: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes | Upload = b""
    scope: str | None = None
    token_id: str = ""
    listener: str = ""  # whom a token of one listener is of
    request_id: str = ""
    gateway: str = ""  # API Gateway's own https address, where the request came through it
    wrong_code: Callable[[], None] = nobody_counts  # called when the code to sign in with is wrong


@dataclass(slots=True, eq=False, repr=False)
class Reply:
    """``content`` is a value (sent as JSON), text, a file, or bytes that are made while they are sent."""

    status: int
    content: Any = None
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Asked:
    """A request whose words are in order."""

    request: Request
    path: Mapping[str, str]
    query: dict[str, Any]
    body: dict[str, Any]


# --- reading a request --------------------------------------------------------------------------------------------


def require_scope(route: Route, request: Request, settings: Settings) -> None:
    """Raises Unauthorized without a token, Forbidden with one that may not do this."""
    if request.scope is None:
        raise Unauthorized(remedy(settings))
    if route.scope == RUN and request.scope != RUN:
        raise Forbidden(f"{route.method} {route.path} needs a token of scope run; this one may only read")
    if request.scope == LISTENER and not (route.of_one_listener and request.listener):
        raise Forbidden(f"{route.method} {route.path} is not for a token of one listener, which shows reports alone")


def read_request(route: Route, request: Request) -> Asked:
    """The request's values by their declarations. Raises InvalidRequest naming every fault at once."""
    require_names(request.path)
    query, faults = check_query(route.query, {} if route.open_query else request.query)
    body: dict[str, Any] = {}
    if route.body is not None and route.body_type == JSON:
        body, body_faults = read_body(route, request)
        faults += body_faults
    refuse(faults)
    return Asked(request, request.path, query, body)


def require_names(path: Mapping[str, str]) -> None:
    """Raises NotFound where a path holds what can be no name."""
    for name, value in path.items():
        if not re.fullmatch(NAME, value):
            raise NotFound(f"there is no {name} {value[:100]!r}", **{name: value[:100]})


def read_body(route: Route, request: Request) -> tuple[dict[str, Any], list[RequestFault]]:
    """The values of a JSON body, and every fault in it."""
    fields = route.body or ()
    if not request.body and not route.body_required:
        return check_body(fields, {})
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, CURL_DEFAULT):
        raise UnsupportedMediaType(f"send the body as {JSON}, not {kind[:100]}")
    if isinstance(request.body, Upload):
        raise UnsupportedMediaType(f"send the body as {JSON}")
    try:
        document = json_of(request.body)
    except UnicodeError:
        return {}, [fault("body", "", "is not text in UTF-8")]
    except (ValueError, RecursionError) as error:
        return {}, [fault("body", "", f"is not JSON: {str(error)[:200]}")]
    return check_body(fields, document)


def json_of(body: bytes) -> Any:
    """What a body says. Nothing else goes on in this process while it is read: many values are refused before that.

    Raises UnicodeError for what is no text, half a surrogate pair included; ValueError, RecursionError for no JSON.
    """
    outside, texts = TEXT_IN_JSON.subn(b"", body, MOST_VALUES + 1)
    if max(texts, sum(map(outside.count, (b",", b"[", b"{")))) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES} values")
    document = json.loads(body.decode("utf-8-sig"), parse_constant=no_constant, parse_float=finite)
    if SURROGATE in body.lower():
        json.dumps(document, ensure_ascii=False).encode()
    return document


def no_constant(name: str) -> None:
    """Raises ValueError: NaN and infinities are no JSON."""
    raise ValueError(f"{name} is not JSON")


def finite(digits: str) -> float:
    """Raises ValueError: a number beyond a double's would be an infinity."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


def single_values(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Query parameters given once each. Raises InvalidRequest."""
    refuse([fault("query", name, "is given more than once") for name, texts in query.items() if len(texts) > 1])
    return {name: texts[0] for name, texts in query.items()}


def wanted_type(request: Request, *offered: str) -> str:
    """Which of the offered types the client likes best. Raises NotAcceptable."""
    liked = request.headers.get("accept", "*/*")
    ranked = sorted(parse_accept(liked), key=lambda entry: -entry[1])
    for pattern, quality in ranked:
        for kind in offered:
            if quality > 0 and pattern in (kind, "*/*", kind.partition("/")[0] + "/*"):
                return kind
    raise NotAcceptable(f"this endpoint answers {' or '.join(offered)}, not {liked[:100]}")


def parse_accept(text: str) -> list[tuple[str, float]]:
    """The types of an ``Accept`` header with their qualities."""
    entries = []
    for part in text.split(","):
        kind, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            entries.append((kind, float(quality)))
        except ValueError:
            entries.append((kind, 1.0))
    return entries


# --- making a reply -----------------------------------------------------------------------------------------------


def error_reply(error: LakeError) -> Reply:
    """An error in the one shape, with the headers that go with it."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="lake"'
    if isinstance(error, WaitUntil):
        headers["Retry-After"] = str(math.ceil(error.details.get("retry_after", 60)))
    elif error.status == 503:
        headers["Retry-After"] = SOON
    return Reply(error.status, error.as_json(), headers=headers)


def dress(reply: Reply, request: Request) -> Reply:
    """The headers every reply has, the text of its content, and 304 for a client that has it already."""
    if not isinstance(reply.content, str | Path | Iterator | None):
        reply.content = json_text(reply.content)
    reply.headers.setdefault("Cache-Control", "no-store")
    reply.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    reply.headers |= {
        "X-Request-Id": request.request_id,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    etag = reply.headers.get("ETag")
    held = request.headers.get("if-none-match", "")
    if etag and reply.status == 200 and (etag in held or held.strip() == "*"):
        return Reply(304, None, reply.content_type, reply.headers)
    return reply


def cached(reply: Reply, policy: str = "private, no-cache") -> Reply:
    """Let the client keep the reply and ask whether it is still the same."""
    if not isinstance(reply.content, str):
        reply.content = json_text(reply.content)
    reply.headers["ETag"] = f'W/"{hashlib.sha256(reply.content.encode()).hexdigest()[:20]}"'
    reply.headers["Cache-Control"] = policy
    return reply


def json_text(content: Any) -> str:
    """A value as JSON."""
    return json.dumps(as_json(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def as_json(value: Any) -> Any:
    """Dataclasses, times and enumerations as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Enum):
        return value.value
    return value
