"""A plain HTTP caller for tests and demonstrations: no retries, no opinions."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Calls one server over one connection that stays open."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 10) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout)
        self.token = token

    def get(self, path: str, **query: object) -> Answered:
        """``GET /v1/<path>``, or the path itself where it starts with a slash or is a whole address."""
        if path.startswith("http"):
            parts = urlsplit(path)
            path = f"{parts.path}?{parts.query}"
        elif not path.startswith("/"):
            path = f"/v1/{path}"
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path)

    def send(self, method: str, target: str, body: object = None, headers: dict[str, str] | None = None) -> Answered:
        """Any request; a body that is not a text is sent as JSON."""
        given = dict(headers or {})
        if self.token is not None:
            given.setdefault("Authorization", f"Bearer {self.token}")
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        self._connection.request(method, target, None if text is None else text.encode(), given)
        response = self._connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answered(response.status, named, response.read())

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
