"""Chalice's local HTTP server with its rough edges taken off.

What API Gateway does on AWS is done here: gzip, a bound on the size of a request, refusals in the one error shape.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from chalice.app import CORSConfig
from chalice.local import ChaliceRequestHandler, LocalGatewayException, RouteMatcher, ThreadedHTTPServer

from chalicelib import __version__
from chalicelib.rest.gateway import MappedFile, SpooledBody

LARGEST_REQUEST = 10_000_000  # bytes: API Gateway's own limit; uploads of exports have none
LONGEST_LINE = 65_536  # bytes of a chunk's header
WORTH_COMPRESSING = 1_024  # bytes
COMPRESSIBLE = ("application/json", "text/", "image/svg+xml")
COMPRESSION_LEVEL = 4  # half the time of 6 for 5 % more bytes
UPLOAD = re.compile(r"/imports/[^/]+")
log = logging.getLogger(__name__)


class RequestRefused(Exception):
    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


class Server(ThreadedHTTPServer):
    request_queue_size = 256  # connections that may wait to be accepted

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that went away is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            log.exception("a connection failed")


class Handler(ChaliceRequestHandler):
    server_version = f"spotify-lake/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 65_536  # headers and body leave in one packet
    timeout = 75  # s an idle connection is kept

    def _generic_handle(self) -> None:
        self._compressed = False
        with tempfile.TemporaryDirectory(prefix="upload-") if self._is_upload() else nullcontext() as folder:
            try:
                self._require_route()
                body = self._read_body(Path(folder) if folder else None)
                self._reply(body)
            except LocalGatewayException as refusal:
                self._refuse_gateway(refusal)
            except RequestRefused as refusal:
                self.close_connection = True  # what is left of the request was not read
                self._refuse(refusal.status, refusal.code, str(refusal), refusal.headers)
            except ConnectionError:
                raise
            except Exception:
                log.exception("%s %s failed", self.command, self._shown_path())
                self.close_connection = True
                self._refuse(500, "internal_error", "something went wrong here; the log says more", {})

    # fmt: off
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = _generic_handle  # noqa: N815
    # fmt: on

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[[], None]:
            """Any other method too, so that its sender is told which there are."""
            if name.startswith("do_"):
                return self._generic_handle
            raise AttributeError(name)

    # --- the request ----------------------------------------------------------------------------------------------

    def _require_route(self) -> None:
        """404 and 405 in words; Chalice's gateway would say 403 as API Gateway does."""
        routes = self.local_gateway._app_object.routes
        try:
            matched = RouteMatcher(list(routes)).match_route(self.path)
        except ValueError:
            raise RequestRefused(404, "not_found", f"there is nothing at {self._shown_path()[:200]}") from None
        if self.command not in routes[matched.route] and self.command not in ("OPTIONS", "HEAD"):
            allowed = ", ".join(sorted(routes[matched.route]))
            raise RequestRefused(
                405, "method_not_allowed", f"{matched.route} takes {allowed}, not {self.command}", Allow=allowed
            )

    def _is_upload(self) -> bool:
        return self.command == "PUT" and UPLOAD.fullmatch(urlsplit(self.path).path) is not None

    def _read_body(self, folder: Path | None) -> Any:
        """Bytes, or for an upload a file on disk. Raises RequestRefused."""
        if folder is None:
            return b"".join(self._pieces(LARGEST_REQUEST))
        path = folder / "body"
        with path.open("wb") as target:
            for piece in self._pieces(None):
                target.write(piece)
        return SpooledBody(path)

    def _pieces(self, most: int | None) -> Any:
        """The body in pieces, by its length or in chunks."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            yield from self._chunks(most)
            return
        left = self._content_length()
        if most is not None and left > most:
            raise RequestRefused(413, "request_too_large", f"a request may hold {most} bytes, not {left}")
        while left > 0:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:
                raise RequestRefused(400, "invalid_request", "the body is shorter than its Content-Length")
            left -= len(piece)
            yield piece

    def _content_length(self) -> int:
        text = self.headers.get("content-length", "0").strip()
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise RequestRefused(400, "invalid_request", "Content-Length is not a number")
        return int(text)

    def _chunks(self, most: int | None) -> Any:
        total = 0
        while True:
            line = self.rfile.readline(LONGEST_LINE).partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", line):
                raise RequestRefused(400, "invalid_request", "a chunk has no length")
            size = int(line, 16)
            if size == 0:
                while self.rfile.readline(LONGEST_LINE).strip():
                    pass
                return
            total += size
            if most is not None and total > most:
                raise RequestRefused(413, "request_too_large", f"a request may hold {most} bytes")
            while size > 0:
                piece = self.rfile.read(min(size, 1 << 20))
                if not piece:
                    raise RequestRefused(400, "invalid_request", "the body ends within a chunk")
                size -= len(piece)
                yield piece
            self.rfile.readline(LONGEST_LINE)

    # --- the reply ------------------------------------------------------------------------------------------------

    def _reply(self, body: Any) -> None:
        method = "GET" if self.command == "HEAD" else self.command
        response = self.local_gateway.handle_request(
            method=method, path=self.path, headers=dict(self.headers), body=body or None
        )
        headers = {**response["headers"], **response["multiValueHeaders"]}
        content = response["body"]
        if isinstance(content, MappedFile):
            self._send_file(response["statusCode"], headers, content.path)
        else:
            self._send(response["statusCode"], headers, (content or "").encode())

    def _send(self, status: int, headers: dict[str, Any], body: bytes) -> None:
        kind = headers.get("Content-Type", "")
        if kind.startswith(COMPRESSIBLE):
            headers["Vary"] = "Accept-Encoding"
            if len(body) >= WORTH_COMPRESSING and self._takes_gzip():
                body = gzip.compress(body, COMPRESSION_LEVEL, mtime=0)
                headers["Content-Encoding"] = "gzip"
        self._send_head(status, headers, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, status: int, headers: dict[str, Any], path: Path) -> None:
        with path.open("rb") as source:
            self._send_head(status, headers, path.stat().st_size)
            if self.command != "HEAD":
                shutil.copyfileobj(source, self.wfile, 1 << 20)

    def _send_head(self, status: int, headers: dict[str, Any], length: int) -> None:
        self.send_response(status)
        if status not in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT):
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self._send_headers(headers)

    def _takes_gzip(self) -> bool:
        for part in self.headers.get("accept-encoding", "").lower().split(","):
            name, _, quality = part.strip().partition(";")
            if name.strip() in ("gzip", "*") and not re.fullmatch(r"\s*q=0(\.0*)?\s*", quality):
                return True
        return False

    # --- refusals -------------------------------------------------------------------------------------------------

    def _refuse_gateway(self, refusal: LocalGatewayException) -> None:
        """What Chalice's gateway refuses, in the one error shape; the authorizer's own words are that already."""
        body = refusal.body or b""
        if body.startswith(b'{"error"'):
            self._send(refusal.CODE, {**refusal.headers, **self._cors_headers()}, body)
        elif refusal.CODE == 401:
            headers = {"WWW-Authenticate": 'Bearer realm="lake"'}
            message = "send 'Authorization: Bearer TOKEN'; `.venv/bin/lake token show` gives one"
            self._refuse(401, "unauthorized", message, headers)
        else:
            self._refuse(refusal.CODE, "forbidden", "the gateway refuses this request", {})

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str]) -> None:
        body = json.dumps({"error": {"code": code, "message": message, "details": {}}}).encode()
        dressed = {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Request-Id": str(uuid4()),
            "X-Content-Type-Options": "nosniff",
            **headers,
            **self._cors_headers(),
        }
        self._send(status, dressed, body)

    def _cors_headers(self) -> dict[str, str]:
        """A browser may read a refusal too, if it may read the answer."""
        cors = self.local_gateway._app_object.api.cors
        return cors.get_access_control_headers() if isinstance(cors, CORSConfig) else {}

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the HTTP parser refuses."""
        self.close_connection = True
        self.request_version = self.protocol_version  # of a line that was no request it is not known
        self._refuse(code, "invalid_request", message or HTTPStatus(code).phrase, {})

    # --- the log --------------------------------------------------------------------------------------------------

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        status = code.value if isinstance(code, HTTPStatus) else code
        log.debug("%s %s %s", getattr(self, "command", "-"), self._shown_path(), status)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def _shown_path(self) -> str:
        """The path without its query, which may hold a token."""
        return urlsplit(getattr(self, "path", "")).path
