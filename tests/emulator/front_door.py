"""The address of a deployed API as browsers reach it: https, and the gateway behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.emulator.gateway import Api

STAGE = "/api"
WORDS = ("Accept", "Content-Type", "Cookie", "Host", "If-None-Match", "Origin", "Referer", "User-Agent")


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def opened(api: Api) -> Iterator[str]:
    """While it is open, a browser with this argument finds the API under its own name. Its certificate is made up."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        told = api(
            environ["REQUEST_METHOD"],
            environ["REQUEST_URI"].removeprefix(STAGE) or "/",
            body_of(environ),
            environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ") or None,
            **headers_of(environ),
        )
        data = told.body.encode()
        headers = [(name, value) for name, value in told.headers.items() if name != "content-length"]
        start_response(
            f"{told.status} {HTTPStatus(told.status).phrase}", [*headers, ("Content-Length", str(len(data)))]
        )
        return [data]

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet, ssl_context="adhoc")
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"--host-resolver-rules=MAP {api.host} 127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def body_of(environ: dict[str, Any]) -> str | None:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return environ["wsgi.input"].read(length).decode() if length else None


def headers_of(environ: dict[str, Any]) -> dict[str, str]:
    """Those of the request's headers that the lake may read."""
    found = {name: environ.get(name.upper().replace("-", "_")) or environ.get(f"HTTP_{name.upper().replace('-', '_')}")
             for name in WORDS}  # fmt: skip
    return {name: value for name, value in found.items() if value}
