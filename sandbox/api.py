"""Requests to the Web API: parameters, errors, pages and routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from sandbox.ids import well_formed
from sandbox.listener import Listener
from sandbox.shapes import Json, Shapes
from sandbox.world import View

T = TypeVar("T")

MAX_PAGE = 50  # items, Web API changelog of February 2026
DEFAULT_PAGE = 20  # items, OpenAPI document of 2026-05-30


class ApiError(Exception):
    """An answer of the Web API other than 200: ``{"error": {"status", "message", "reason"?}}``."""

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.reason = reason

    @property
    def body(self) -> Json:
        error: Json = {"status": self.status, "message": self.message}
        if self.reason is not None:
            error["reason"] = self.reason
        return {"error": error}


def not_found() -> ApiError:
    return ApiError(404, "Resource not found")


def forbidden() -> ApiError:
    return ApiError(403, "Forbidden")


@dataclass(frozen=True, slots=True)
class Request:
    """One call, its token already checked."""

    view: View
    shapes: Shapes
    api_url: str
    path: str
    query: dict[str, str]
    user: Listener | None = None
    scopes: frozenset[str] = frozenset()

    @property
    def listener(self) -> Listener:
        if self.user is None:
            raise ApiError(401, "Valid user authentication required")
        return self.user

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole-number parameter within bounds, else ``400 Invalid <name>``."""
        text = self.query.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,15}", text) or not low <= int(text) <= high:
            raise ApiError(400, f"Invalid {name}")
        return int(text)

    def limit(self, highest: int = MAX_PAGE, default: int = DEFAULT_PAGE) -> int:
        return self.whole("limit", default, 1, highest)

    def offset(self, highest: int = 10**9) -> int:
        return self.whole("offset", 0, 0, highest)

    def required(self, name: str) -> str:
        text = self.query.get(name)
        if not text:
            raise ApiError(400, f"Missing required field: {name}")
        return text

    def ids(self, most: int) -> list[str]:
        """The ``ids`` of a batch, in the order asked for."""
        ids = self.required("ids").split(",")
        if len(ids) > most:
            raise ApiError(400, f"Too many ids requested: at most {most}")
        if not all(map(well_formed, ids)):
            raise ApiError(400, "invalid id")
        return ids

    def url(self, path: str, **query: object) -> str:
        """A link into the sandbox."""
        given = {name: value for name, value in query.items() if value is not None}
        return f"{self.api_url}{path.lstrip('/')}" + (f"?{urlencode(given, safe=',:')}" if given else "")


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list a page shows."""

    offset: int
    limit: int

    def of(self, items: Sequence[T]) -> Sequence[T]:
        return items[self.offset : self.offset + self.limit]


def window(request: Request, highest: int = MAX_PAGE, default: int = DEFAULT_PAGE) -> Window:
    return Window(request.offset(), request.limit(highest, default))


def page(request: Request, path: str, shown: Window, total: int, items: Sequence[object], **query: object) -> Json:
    """A page by offset, linked to its neighbours."""
    limit, offset = shown.limit, shown.offset
    following = offset + limit if offset + limit < total else None
    return {
        "href": request.url(path, offset=offset, limit=limit, **query),
        "limit": limit,
        "next": None if following is None else request.url(path, offset=following, limit=limit, **query),
        "offset": offset,
        "previous": request.url(path, offset=max(0, offset - limit), limit=limit, **query) if offset else None,
        "total": total,
        "items": items,
    }


def known(id_: str, decode: Callable[[str], T | None]) -> T:
    """What an id in a path stands for: 400 where malformed, 404 where unknown."""
    if not well_formed(id_):
        raise ApiError(400, "Invalid base62 id")
    found = decode(id_)
    if found is None:
        raise not_found()
    return found


Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint: where it is, what it needs, what answers."""

    template: str
    group: str
    """The group whose quota its calls count against in development mode."""
    handler: Handler
    user: bool = False
    scope: str | None = None
    extended_only: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template))

    def check(self, request: Request) -> None:
        """Refuse what mode, token or scope do not allow."""
        if self.extended_only and not request.view.extended:
            raise forbidden()
        if self.user and request.listener and self.scope is not None and self.scope not in request.scopes:
            raise ApiError(403, "Insufficient client scope")
