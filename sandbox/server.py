"""The sandbox over HTTP/1.1: ``with Sandbox() as sandbox: …`` in tests, ``python -m sandbox`` by hand."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
import threading
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from sandbox.accounts import ALL_SCOPES, CLIENT_ID, CLIENT_SECRET, Accounts
from sandbox.caller import Caller
from sandbox.calls import Calls
from sandbox.clock import SECOND, Clock, instant
from sandbox.faults import Faults, Waits
from sandbox.musicbrainz import MusicBrainz
from sandbox.scales import Scale
from sandbox.service import Reply, Service
from sandbox.world import World

MAX_BODY = 1 << 20  # bytes


class _Handler(BaseHTTPRequestHandler):
    """Reads requests, writes replies; keeps connections open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: calls are recorded in ``/admin/calls``."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self._write(Reply(413, b"{}"))
            self.close_connection = True
            return
        body = self.rfile.read(length) if length else b""
        if self.path.startswith("/admin/") and not ipaddress.ip_address(self.client_address[0]).is_loopback:
            self._write(Reply(403, b"{}"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.service.answer(self.command, self.path, headers, body)
        delay = reply.delay + self.server.latency
        if delay:
            self.server.stopping.wait(delay)
        self._deliver(reply)

    def _deliver(self, reply: Reply) -> None:
        if reply.delivery == "reset":
            self._reset()
        elif reply.delivery == "silence":
            self.close_connection = True
        elif reply.delivery == "half":
            self._write(reply, len(reply.body) // 2)
            self.close_connection = True
        else:
            self._write(reply)

    def _write(self, reply: Reply, shown: int | None = None) -> None:
        """Head and body in one packet, so that nothing waits for an acknowledgement."""
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines.append(f"Content-Type: {reply.content_type}")
        lines.append(f"Content-Length: {len(reply.body)}")
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        clock = self.server.service.world.clock
        if not clock.frozen:  # a server whose clock stands says no time
            lines.append(f"Date: {formatdate(clock.now_ms() / SECOND, usegmt=True)}")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        try:
            self.wfile.write(head + reply.body[:shown])
        except OSError:
            self.close_connection = True  # the client has gone

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], service: Service, latency: float) -> None:
        self.service = service
        self.latency = latency
        self.stopping = threading.Event()
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may leave at any time; anything else is a fault of the sandbox and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Sandbox:
    """A running sandbox.

    ``now`` (ISO 8601 or milliseconds) sets its time, ``frozen`` stops the clock between calls of ``advance``.
    Without ``genres`` Spotify knows none of any artist, as most apps of today see it.
    """

    def __init__(
        self,
        mode: str = "development",
        seed: int = 1,
        scale: str | Scale = "small",
        now: str | int | None = None,
        frozen: bool = False,
        latency_ms: float = 0,
        rotate_refresh_tokens: bool = False,
        rate_limit_per_30s: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        genres: bool = True,
    ) -> None:
        start = instant(now) if isinstance(now, str) else now
        self.clock = Clock(start, frozen)
        self.world = World(seed, scale, self.clock)
        self.service = Service(self.world, mode, rotate_refresh_tokens, rate_limit_per_30s, genres)
        self._server = _Server((host, port), self.service, latency_ms / 1000)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self.api_url = f"{self.url}/v1/"
        self.accounts_url = self.url
        self.authorize_url = f"{self.url}/authorize"
        self.token_url = f"{self.url}/api/token"
        self.musicbrainz_url, self.listenbrainz_url = f"{self.url}/ws/2", f"{self.url}/1"
        self.images_url = self.url
        self.service.api_url = self.api_url
        self.client_id, self.client_secret = CLIENT_ID, CLIENT_SECRET
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True
        )

    @property
    def accounts(self) -> Accounts:
        return self.service.accounts

    @property
    def faults(self) -> Faults:
        return self.service.faults

    @property
    def waits(self) -> Waits:
        return self.service.waits

    @property
    def musicbrainz(self) -> MusicBrainz:
        return self.service.musicbrainz

    @property
    def calls(self) -> Calls:
        return self.service.calls

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def edit(self, op: str, **given: Any) -> dict[str, Any]:
        """Make an edit, as ``POST /admin/edit`` does."""
        return self.service.edits.apply({"op": op, **given})

    def refresh_token(self, user_id: str | None = None, scope: str = ALL_SCOPES) -> str:
        return self.accounts.refresh_token(user_id, scope)

    def access_token(self, user_id: str | None = None, scope: str = ALL_SCOPES) -> str:
        """A listener's access token (the first one's by default)."""
        return self.accounts.access_token(user_id or self.world.default_listener.id, scope)

    def caller(self, user_id: str | None = None) -> Caller:
        """A caller with a listener's access token."""
        return Caller(self.url, self.access_token(user_id))

    def expected(self, **query: str) -> dict[str, Any]:
        """The tables of ``GET /admin/expected``."""
        tables: dict[str, Any] = self._admin("/expected", query)["tables"]
        return tables

    def minimum_calls(self, **query: str) -> dict[str, Any]:
        """What ``GET /admin/minimum_calls`` answers."""
        return self._admin("/minimum_calls", query)

    def _admin(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        with self.world.lock:
            status, answer = self.service.admin.answer("GET", path, query, b"")
        if status != 200:
            raise ValueError(answer["error"])
        return answer

    def start(self) -> Sandbox:
        self._thread.start()
        return self

    def close(self) -> None:
        self._server.stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in the calling thread until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._server.stopping.set()
            self._server.server_close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
