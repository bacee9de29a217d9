"""The sandbox without its sockets: one request in, one reply out."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from sandbox import catalogue_routes, listener_routes, musicbrainz, search
from sandbox.accounts import Accounts, AuthorizeError, BadToken, TokenError
from sandbox.admin import Admin
from sandbox.api import ApiError, Request, Route
from sandbox.calls import Call, Calls
from sandbox.edits import Edits
from sandbox.faults import Fault, Faults, Wait, Waits
from sandbox.musicbrainz import MusicBrainz
from sandbox.shapes import EVERYWHERE, Shapes, encoded
from sandbox.world import View, World

MODES = ("development", "extended")
ROUTES: tuple[Route, ...] = (*catalogue_routes.ROUTES, *listener_routes.ROUTES, *search.ROUTES)
_UNKNOWN = "(unknown)"


@dataclass(slots=True)
class Reply:
    """What goes back, and how."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds to wait first."""
    delivery: str = "whole"
    """``whole``, ``reset`` (no answer, connection reset), ``silence`` (closed unanswered), ``half`` (cut short)."""


def json_reply(status: int, body: object, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, encoded(body), headers=headers or {})


def picture(colour: tuple[int, int, int]) -> bytes:
    """A PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    row = zlib.compress(bytes((0, *colour)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


class Router:
    """Finds the endpoint of a path."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._plain = {route.template: route for route in routes if "{" not in route.template}
        self._patterns = [(route.pattern, route) for route in routes if "{" in route.template]

    def find(self, path: str) -> tuple[Route, dict[str, str]] | None:
        plain = self._plain.get(path)
        if plain is not None:
            return plain, {}
        for pattern, route in self._patterns:
            found = pattern.fullmatch(path)
            if found:
                return route, found.groupdict()
        return None


class Service:
    """Answers requests to the Web API (``/v1``), the accounts service and the administrator's endpoints."""

    def __init__(
        self,
        world: World,
        mode: str = "development",
        rotate_refresh_tokens: bool = False,
        rate_limit_per_30s: int | None = None,
        genres: bool = True,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        self.world = world
        self.mode = mode
        self.api_url = "https://api.spotify.com/v1/"
        self.accounts = Accounts(world.clock, world.listeners, world.seed, rotate_refresh_tokens)
        self.faults = Faults(world.seed)
        self.waits = Waits(world.clock, rate_limit_per_30s)
        self.calls = Calls()
        self.edits = Edits(world)
        self._shapes = Shapes(world.catalogue, mode, EVERYWHERE, genres=genres)
        self.musicbrainz = MusicBrainz(world)
        self._router = Router(ROUTES)
        self.admin = Admin(self)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request; header names in lower case."""
        path, _, query = target.partition("?")
        path = path.rstrip("/") or "/"
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        if path.startswith("/image/"):
            return self._picture(method, path, query)
        if path.startswith("/admin/"):
            with self.world.lock:
                status, answer = self.admin.answer(method, path.removeprefix("/admin"), parameters, body)
            return json_reply(status, answer)
        with self.world.lock:
            if path.startswith(("/ws/2/", "/1/")):
                return self._of_musicbrainz(method, path, query, headers)
            return self._answer_and_record(method, path, query, parameters, headers, body)

    def view(self) -> View:
        """The world as it is now, in this mode."""
        return View(self.world, self.world.clock.now_ms(), self.mode)

    def request(self, path: str, query: dict[str, str] | None = None, user_id: str | None = None) -> Any:
        """The JSON an endpoint answers, without token, fault or record: a path below ``/v1``."""
        found = self._router.find("/" + path.strip("/"))
        if found is None:
            raise ApiError(404, "Service not found")
        route, names = found
        listener = self.world.listener(user_id)
        with self.world.lock:
            request = Request(
                self.view(),
                self._shapes,
                self.api_url,
                path,
                query or {},
                listener,
                frozenset((route.scope,) if route.scope else ()),
            )
            route.check(request)
            return json.loads(encoded(route.handler(request, **names)))

    def _picture(self, method: str, path: str, query: str) -> Reply:
        """A picture of one colour; one in 29 names is of a picture that is gone."""
        name = path.removeprefix("/image/")
        shade = sum(name.encode())
        status = 404 if shade % 29 == 0 else 200
        self.calls.add(Call(self.world.clock.now_ms(), method, path, query, "/image/{name}", "images", status))
        if status != 200:
            return Reply(status, b"", "text/plain")
        return Reply(200, picture((shade % 256, shade * 7 % 256, shade * 31 % 256)), "image/png")

    def _of_musicbrainz(self, method: str, path: str, query: str, headers: dict[str, str]) -> Reply:
        status, named, body = self.musicbrainz.answer(path, query, headers.get("user-agent", ""))
        template = re.sub(r"(/ws/2/artist/).+", r"\1{mbid}", path)
        self.calls.add(Call(self.world.clock.now_ms(), method, path, query, template, "musicbrainz", status))
        return Reply(status, musicbrainz.encoded(body), headers=named)

    # One call

    def _answer_and_record(
        self, method: str, path: str, query: str, parameters: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        template, group, respond = self._find(method, path, parameters, headers, body)
        user_id = self.accounts.whose(headers.get("authorization"), dict(parse_qsl(body.decode("utf-8", "replace"))))
        violated = self.waits.violated(group, user_id) if group != "accounts" else None
        target = f"{path}?{query}"
        reply = self._refuse(violated) if violated else self._strike(template, path, group, target, user_id, respond)
        answered = reply.delivery in ("whole", "half")
        status = reply.status if answered else 0
        call = Call(self.world.clock.now_ms(), method, path, query, template, group, status)
        self.calls.add(call, violation=violated is not None)
        return reply

    def _find(
        self, method: str, path: str, parameters: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[str, str, Callable[[], Reply]]:
        """Template, group and answer of a call."""
        if path == "/authorize":
            return path, "accounts", lambda: self._authorize(signed_in(headers) | parameters)
        if path == "/api/token":
            form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
            return path, "accounts", lambda: self._token(method, form, headers.get("authorization"))
        found = self._router.find(path.removeprefix("/v1")) if path.startswith("/v1/") else None
        if found is None:
            return _UNKNOWN, _UNKNOWN, lambda: json_reply(404, ApiError(404, "Service not found").body)
        route, names = found
        return route.template, route.group, lambda: self._call(method, route, names, path, parameters, headers)

    def _strike(
        self, template: str, path: str, group: str, target: str, user_id: str | None, respond: Callable[[], Reply]
    ) -> Reply:
        """Answer, unless a fault or the rate limit comes first."""
        delay = 0.0
        for fault in self.faults.striking(template, path.removeprefix("/v1"), group, target, user_id):
            if fault.kind != "slow":
                reply = self._broken(fault, group, respond)
                reply.delay += delay
                return reply
            delay += fault.seconds
        wait = self.waits.limited() if group != "accounts" else None
        reply = self._refuse(wait) if wait else respond()
        reply.delay += delay
        return reply

    def _broken(self, fault: Fault, group: str, respond: Callable[[], Reply]) -> Reply:
        if fault.kind in ("rate_limit", "quota"):
            seconds, quota = fault.retry_after or 0, fault.kind == "quota"
            return self._refuse(self.waits.start(group, seconds, quota, fault.user_id))
        if fault.kind in _ERRORS:
            status, message = _ERRORS[fault.kind]
            return json_reply(status, ApiError(status, message).body)
        if fault.kind == "server_error":
            return _server_error(fault.status)
        if fault.kind == "reset":
            return Reply(0, delivery="reset")
        if fault.kind == "timeout":
            return Reply(0, delivery="silence", delay=fault.seconds)
        if fault.kind == "html":
            return Reply(200, b"<!doctype html><title>Sign in</title><p>Welcome to this network", "text/html")
        if fault.kind == "not_json":
            return Reply(200, b"upstream connect error or disconnect/reset before headers")
        reply = respond()
        if fault.declared:
            reply.delivery = "half"
        else:
            reply.body = reply.body[: len(reply.body) // 2]
        return reply

    def _refuse(self, wait: Wait) -> Reply:
        error = ApiError(429, "Too many requests", "QUOTA_EXCEEDED") if wait.quota else _RATE_LIMITED
        return json_reply(429, error.body, {"Retry-After": str(self.waits.seconds_left(wait))})

    def _call(
        self,
        method: str,
        route: Route,
        names: dict[str, str],
        path: str,
        parameters: dict[str, str],
        headers: dict[str, str],
    ) -> Reply:
        if method != "GET":
            return json_reply(405, ApiError(405, "Method not allowed").body)
        try:
            access = self.accounts.check(headers.get("authorization"))
            user = None if access.user_id is None else self.world.listeners.get(access.user_id)
            request = Request(self.view(), self._shapes, self.api_url, path, parameters, user, access.scopes)
            route.check(request)
            return json_reply(200, route.handler(request, **names))
        except BadToken as error:
            return json_reply(401, ApiError(401, str(error)).body)
        except ApiError as error:
            return json_reply(error.status, error.body)

    def _authorize(self, parameters: dict[str, str]) -> Reply:
        try:
            return Reply(302, headers={"Location": self.accounts.authorize(parameters)})
        except AuthorizeError as error:
            return Reply(400, escape(str(error)).encode(), "text/plain; charset=utf-8")

    def _token(self, method: str, form: dict[str, str], authorization: str | None) -> Reply:
        if method != "POST":
            return json_reply(405, {"error": "invalid_request", "error_description": "POST is needed"})
        try:
            return json_reply(200, self.accounts.token(form, authorization))
        except TokenError as error:
            return json_reply(400, error.body)


_RATE_LIMITED = ApiError(429, "API rate limit exceeded")
_ERRORS = {
    "unauthorized_once": (401, "Access token missing"),
    "forbidden_once": (403, "Premium required"),
    "removed": (403, "Forbidden"),
}


def _server_error(status: int) -> Reply:
    if status == 500:
        return json_reply(500, ApiError(500, "Server error").body)
    return Reply(status, b"<html><body><h1>upstream error</h1></body></html>", "text/html")


def signed_in(headers: dict[str, str]) -> dict[str, str]:
    """Whose browser it is: Spotify's own cookie says so, here one named ``listener``."""
    cookies = dict(pair.strip().partition("=")[::2] for pair in headers.get("cookie", "").split(";"))
    return {"user_id": cookies["listener"]} if "listener" in cookies else {}
