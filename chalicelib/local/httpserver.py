"""The API over HTTP on this computer: Tornado's HTTP/1.1 in front of ``Api.handle``.

One thread reads and writes all connections, so a slow client costs a file descriptor and nothing else. The head of a
request is judged before any of its body is read: framing, host, route, token, size. Only then does the body
come in, to memory or, for an upload, piece by piece to disk. Answers are made in threads, so many at once for each
caller. What API Gateway does on AWS is done here: gzip, a bound on the size of a request, one error shape for all.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import logging
import os
import re
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from tornado import httputil
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import add_accept_handler

from chalicelib import __version__
from chalicelib.errors import (
    Conflict,
    InvalidRequest,
    LakeError,
    MethodNotAllowed,
    MisdirectedRequest,
    NotFound,
    RequestTimeout,
    RequestTooLarge,
    StorageFailed,
)
from chalicelib.files import scratch_folder
from chalicelib.local.bounds import Bodies, Bounds, Connections, Doorkeeper, Turns, Uploads
from chalicelib.queries.engine import Chunks
from chalicelib.rest.access import Token
from chalicelib.rest.api import Api
from chalicelib.rest.messages import Reply, Request, Upload, dress, error_reply
from chalicelib.rest.routes import JSON, Route, methods_at, route_at

BACKLOG = 256  # connections that may wait to be accepted
WORTH_COMPRESSING = 1_024  # bytes
COMPRESSIBLE = ("application/json", "text/", "image/svg+xml")
COMPRESSION_LEVEL = 4  # half the time of 6 for 5 % more bytes
PIECE = 1 << 20  # bytes of a file read or written at once
LOOK_EVERY = 1.0  # s between two looks whether a file that is being sent is still there
PAUSE = 0.02  # s between two looks whether a file that is written has grown
LINGER = 1.0  # s a refused client may go on sending, so that it can read why
MOST_LINGERED = 1 << 20  # bytes of that
TORNADO_REFUSES = b"HTTP/1.1 400 Bad Request\r\n\r\n"  # all it says where what came is no HTTP
HALF_CLOSED = 0.2  # s after the end of what a client sends in which its last request is taken up
CLOSES_WITHIN = 5.0  # s in which the requests under way are answered when the server stops
log = logging.getLogger(__name__)
T = TypeVar("T")


# --- the server ---------------------------------------------------------------------------------------------------


class HttpServer:
    """Listens from when it is made; serves between ``start`` and ``stop``.

    ``hosts`` are the names that a request's Host may have; None: any. Raises Conflict when the address is taken.
    """

    def __init__(
        self,
        api: Callable[[], Api],
        doorkeeper: Doorkeeper,
        *,
        host: str,
        port: int,
        hosts: frozenset[str] | None = None,
        cors: Mapping[str, str] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.api = api
        self.doorkeeper = doorkeeper
        self.hosts = hosts
        self.cors = dict(cors or {})
        self.bounds = bounds or Bounds()
        self.connections = Connections.allowed(self.bounds.connections)
        self.turns = Turns(self.bounds.requests_of_caller)
        self.uploads = Uploads(self.bounds.uploads, self.bounds.uploads_of_caller)
        self.bodies = Bodies(self.bounds.bodies_bytes, self.bounds.bodies_bytes_of_caller)
        self.exchanges: set[Exchange] = set()
        self._listening = listening_socket(host, port)
        self._threads = ThreadPoolExecutor(self.bounds.threads, thread_name_prefix="request")
        self._open_threads = ThreadPoolExecutor(8, thread_name_prefix="page")  # for what needs no token
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listening.getsockname()[1])

    def start(self) -> None:
        """Serve in the background."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Answer what is under way, within seconds, and close."""
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._listening.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._open_threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, work: Callable[[], T], *, opened: bool = False) -> T:
        """What ``work`` answers; ``opened``: in a thread of those that no caller with a token can take."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._open_threads if opened else self._threads, work)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        stop_accepting = add_accept_handler(self._listening, self._accept)
        self._started.set()
        await self._stopping.wait()
        stop_accepting()
        if pending := [each.answering for each in self.exchanges if each.answering is not None]:
            await asyncio.wait(pending, timeout=CLOSES_WITHIN)
        for connection in self.connections.all():
            connection.close()

    def _accept(self, accepted: socket.socket, address: Any) -> None:
        caller = str(address[0])
        stream = Stream(accepted, max_buffer_size=4 * PIECE)
        stream.set_nodelay(True)
        self.connections.opened(stream, caller)
        bounds = self.bounds
        parameters = HTTP1ConnectionParameters(
            max_header_size=4 * bounds.head_bytes,  # above head_bytes it is refused in words, above this without
            header_timeout=bounds.header_seconds,
            max_body_size=10**15,  # judged by its route
        )
        connection = HTTP1ServerConnection(stream, parameters, caller)
        connection.start_serving(Connection(self, stream, caller))


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound to the address. Raises Conflict."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"port {port} is in use: choose another with --port", port=port) from error
        raise Conflict(f"cannot listen on {host}:{port}: {error.strerror or error}", port=port) from error
    listening.setblocking(False)
    return listening


class Stream(IOStream):
    """A connection. It says in the one error shape what Tornado refuses by itself, and a client that has ended what it
    sends (a half-closed connection, over which Tornado gives up) still gets its answer."""

    answering = False  # a request that has come whole, or is refused
    answered = False  # the request that is being read
    half_closed = False  # nothing more comes

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """As IOStream's; notes the end of what the client sends."""
        read = super().read_from_fd(buf)
        self.half_closed = self.half_closed or read == 0
        return read

    def close(self, exc_info: Any = False) -> None:
        """Close; but at the end of what the client sends only when nothing is left to answer."""
        if self.half_closed and not self._ending and exc_info is False:
            self._ending = True
            self.io_loop.update_handler(self.fileno(), IOLoop.ERROR | (IOLoop.WRITE if self.writing() else 0))
            self.io_loop.call_later(HALF_CLOSED, self._close_idle)
        elif not (self._ending and self.answering):
            super().close(exc_info)

    def _close_idle(self) -> None:
        if not self.answering:
            super().close()

    _ending = False

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        """As IOStream's; see the class."""
        if data == TORNADO_REFUSES:
            data = b"" if self.answered else malformed_request()
        return super().write(data)


def malformed_request() -> bytes:
    """The whole answer to what is no HTTP request."""
    refusal = error_reply(InvalidRequest("this is not a request of HTTP/1.1"))
    reply = dress(refusal, Request("GET", "", request_id=str(uuid4())))
    body = str(reply.content).encode()
    headers = {"Content-Type": JSON, **reply.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = ["HTTP/1.1 400 Bad Request", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Connection(httputil.HTTPServerConnectionDelegate):
    """One connection: an exchange for each request on it."""

    def __init__(self, server: HttpServer, stream: Stream, address: str) -> None:
        self._server, self._stream, self._address = server, stream, address

    def start_request(self, _server_conn: object, request_conn: httputil.HTTPConnection) -> Exchange:
        """The exchange that the next request begins."""
        return Exchange(self._server, self._stream, self._address, request_conn)

    def on_close(self, _server_conn: object) -> None:
        """The connection is no more."""
        self._server.connections.closed(self._stream)


# --- one request --------------------------------------------------------------------------------------------------


class Exchange(httputil.HTTPMessageDelegate):
    """One request and its answer. All but what is said to be in a thread happens on the event loop."""

    def __init__(self, server: HttpServer, stream: Stream, address: str, connection: httputil.HTTPConnection) -> None:
        self._server, self._stream, self._connection = server, stream, connection
        assert isinstance(connection, HTTP1Connection)
        self._address = address
        self._request_id = str(uuid4())
        self._method = self._target = ""
        self._headers: dict[str, str] = {}
        self._route: Route | None = None
        self._path: dict[str, str] = {}
        self._token: Token | None = None
        self._body = bytearray()
        self._spool: UploadSpool | None = None
        self._held = ExitStack()  # until the exchange ends
        self._refused = self._ended = False
        self._lingered = 0
        self._timer: asyncio.TimerHandle | None = None
        self.answering: asyncio.Task[None] | None = None

    # --- Tornado's calls ------------------------------------------------------------------------------------------

    async def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> None:
        """Judge the head; what is refused is answered before its body."""
        assert isinstance(start_line, httputil.RequestStartLine)
        self._stream.answered = False
        self._server.connections.busy(self._stream)
        self._server.exchanges.add(self)
        self._method, self._target = start_line.method, start_line.path
        self._headers = {name.lower(): value for name, value in headers.items()}
        try:
            self._judge_framing(headers)
            self._judge_host()
            self._find_route()
            if self._has_body():
                self._start_timer()
                self._token = self._at_hand() or await self._server.in_thread(self._recognise)
                self._judge_size()
                if self._is_upload():
                    self._held.enter_context(self._server.uploads.one_of(self._token.token_id if self._token else ""))
                    self._spool = await self._server.in_thread(UploadSpool)
        except Exception as error:
            await self._refuse(error)

    async def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body, or pass it over when the request is refused."""
        if self._refused:
            self._linger_on(len(chunk))
        elif self._spool is not None:
            try:
                await self._server.in_thread(lambda: self._write(chunk))
            except Exception as error:
                await self._refuse(error)
        else:
            try:
                self._keep(chunk)
            except LakeError as error:
                await self._refuse(error)

    def finish(self) -> None:
        """The request has come whole: answer it."""
        self._stop_timer()
        if self._refused:
            self._end(close=True)
        else:
            self._stream.answering = True
            self.answering = asyncio.ensure_future(self._answer())

    def on_connection_close(self) -> None:
        """The client has gone."""
        self._end()

    # --- judging the head -----------------------------------------------------------------------------------------

    def _judge_framing(self, headers: httputil.HTTPHeaders) -> None:
        """What two readers could read differently is refused. Raises InvalidRequest."""
        lengths, codings = headers.get_list("Content-Length"), headers.get_list("Transfer-Encoding")
        if len(lengths) > 1 or (lengths and not re.fullmatch(r"[0-9]{1,15}", lengths[0].strip())):
            raise InvalidRequest("Content-Length must be given once, as a number")
        if codings and (lengths or [each.strip().lower() for each in codings] != ["chunked"]):
            raise InvalidRequest("Transfer-Encoding must be chunked, without a Content-Length")
        if len(headers.get_list("Host")) > 1:
            raise InvalidRequest("Host must be given once")
        size = len(self._target) + sum(len(name) + len(value) for name, value in headers.get_all())
        if size > self._server.bounds.head_bytes:
            raise InvalidRequest(f"the head of a request may hold {self._server.bounds.head_bytes} bytes, not {size}")

    def _judge_host(self) -> None:
        """On a loopback address only its own names are answered for, so that no foreign page reaches it by a name of
        its own. Raises MisdirectedRequest."""
        host = self._headers.get("host")
        if self._server.hosts is not None and host is not None and host_name(host) not in self._server.hosts:
            raise MisdirectedRequest(
                f"this service does not answer for the host {host[:100]!r}; behind a proxy, name it in PUBLIC_URL"
            )

    def _find_route(self) -> None:
        """Raises NotFound, MethodNotAllowed."""
        path = urlsplit(self._target).path
        methods = methods_at(path)
        if not methods:
            raise NotFound(f"there is nothing at {path[:200]}")
        if self._method == "OPTIONS":
            return
        found = route_at("GET" if self._method == "HEAD" else self._method, path)
        if found is None:
            allowed = ", ".join(methods)
            raise MethodNotAllowed(f"{path[:200]} takes {allowed}, not {self._method}", allowed)
        self._route, segments = found
        self._path = {name: unquote(value) for name, value in segments.items()}

    def _has_body(self) -> bool:
        return "transfer-encoding" in self._headers or self._headers.get("content-length", "0").strip("0 ") != ""

    def _is_upload(self) -> bool:
        return self._route is not None and self._route.body is not None and self._route.body_type != JSON

    def _judge_size(self) -> None:
        if not self._is_upload():
            self._require_small(int(self._headers.get("content-length", 0)))

    def _require_small(self, size: int) -> None:
        """Raises RequestTooLarge for a body of more bytes than its route takes."""
        bounds = self._server.bounds
        most = bounds.open_bytes if self._route is None or self._route.scope is None else bounds.request_bytes
        if size > most:
            raise RequestTooLarge(f"a request may hold {most:,} bytes")

    def _at_hand(self) -> Token | None:
        """The token where that takes no time: most requests save a turn of another thread."""
        if self._route is None or self._route.scope is None:
            return None
        return self._server.doorkeeper.at_hand(self._headers.get("authorization", ""))

    def _recognise(self) -> Token | None:
        """In a thread. The token that the route needs; None where it needs none. Raises Unauthorized."""
        if self._route is None or self._route.scope is None:
            return None
        return self._server.doorkeeper.recognise(self._headers.get("authorization", ""), self._address)

    # --- the body -------------------------------------------------------------------------------------------------

    def _keep(self, chunk: bytes) -> None:
        """Hold a piece of the body in memory. Raises RequestTooLarge, UploadsBusy."""
        self._require_small(len(self._body) + len(chunk))
        caller = self._token.token_id if self._token else self._address
        self._held.callback(self._server.bodies.give, caller, len(chunk))
        self._server.bodies.take(caller, len(chunk))
        self._body += chunk

    def _start_timer(self) -> None:
        bounds = self._server.bounds
        seconds = bounds.upload_seconds if self._is_upload() else bounds.body_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._too_slow, seconds)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _too_slow(self, seconds: float) -> None:
        error = RequestTimeout(f"the body did not come within {seconds:g} s")
        self.answering = asyncio.ensure_future(self._refuse(error))

    def _write(self, chunk: bytes) -> None:
        """In a thread."""
        assert self._spool is not None
        self._spool.write(chunk)

    # --- answering ------------------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        caller = self._headers.get("authorization") or self._address
        opened = self._route is None or self._route.scope is None
        try:
            async with self._server.turns.of(caller):
                await self._send(await self._server.in_thread(self._reply, opened=opened))
        except StreamClosedError:
            pass  # a client that went away is no error
        except LakeError as error:
            log.warning("%s %s broke off: %s", self._method, urlsplit(self._target).path, error.message)
            self._stream.close()
        except Exception:
            log.exception("%s %s failed", self._method, urlsplit(self._target).path)
            self._stream.close()
        self._end()

    def _reply(self) -> Outgoing:
        """In a thread."""
        try:
            if self._route is None:
                return self._answer_of(self._options())
            if self._token is None:
                self._token = self._recognise()
            return self._answer_of(self._server.api().handle(self._request(self._route)))
        except Exception as error:
            return self._answer_of(self._refusal(error))

    def _request(self, route: Route) -> Request:
        query = parse_qs(urlsplit(self._target).query, keep_blank_values=True)
        return Request(
            method=route.method,
            route=route.path,
            path=self._path,
            query=query,
            headers=self._headers,
            body=self._spool.upload() if self._spool else bytes(self._body),
            scope=self._token.scope if self._token else None,
            token_id=self._token.token_id if self._token else "",
            listener=(self._token.listener or "") if self._token else "",
            request_id=self._request_id,
            wrong_code=lambda: self._server.doorkeeper.wrong(self._address),
        )

    def _options(self) -> Reply:
        methods = ", ".join([*methods_at(urlsplit(self._target).path), "OPTIONS"])
        allowed = {"Access-Control-Allow-Methods": methods} if self._server.cors else {}
        reply = Reply(200, "", headers={"Allow": methods, **allowed})
        return dress(reply, Request("OPTIONS", "", request_id=self._request_id))

    def _answer_of(self, reply: Reply) -> Outgoing:
        """In a thread: the bytes, or the open file, that a reply is."""
        headers = {"Content-Type": reply.content_type, **reply.headers, **self._server.cors}
        if isinstance(reply.content, Path):
            stream = reply.content.open("rb")
            self._held.callback(stream.close)
            size = os.fstat(stream.fileno()).st_size
            return Outgoing(reply.status, headers, iter(lambda: stream.read(PIECE), b""), size, stream)
        if isinstance(reply.content, Iterator):
            if isinstance(reply.content, Chunks):
                self._held.callback(reply.content.close)
            return Outgoing(reply.status, headers, reply.content, None)
        body = (reply.content or "").encode()
        if reply.content_type.startswith(COMPRESSIBLE):
            headers["Vary"] = ", ".join(filter(None, [headers.get("Vary"), "Accept-Encoding"]))
            if len(body) >= WORTH_COMPRESSING and takes_gzip(self._headers.get("accept-encoding", "")):
                body = gzip.compress(body, COMPRESSION_LEVEL, mtime=0)
                headers["Content-Encoding"] = "gzip"
        return Outgoing(reply.status, headers, body, len(body))

    async def _send(self, answer: Outgoing, *, close: bool = False) -> None:
        """Raises StreamClosedError when the client has gone, or takes nothing more."""
        log.debug("%s %s %s", self._method, urlsplit(self._target).path, answer.status)
        self._stream.answered = True
        headers = httputil.HTTPHeaders({"Server": f"spotify-lake/{__version__}", "Date": formatdate(usegmt=True)})
        headers.update(answer.headers)
        if answer.status not in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT) and answer.size is not None:
            headers["Content-Length"] = str(answer.size)
        if close:
            headers["Connection"] = "close"
        status = httputil.ResponseStartLine("HTTP/1.1", answer.status, HTTPStatus(answer.status).phrase)
        if isinstance(answer.body, bytes):
            body = b"" if self._method == "HEAD" or answer.status == HTTPStatus.NOT_MODIFIED else answer.body
            await self._taken(self._connection.write_headers(status, headers, body))
            return
        await self._taken(self._connection.write_headers(status, headers))
        if self._method != "HEAD":
            await self._send_pieces(answer.body, answer)

    async def _send_pieces(self, pieces: Iterator[bytes], answer: Outgoing) -> None:
        """An empty piece is one that is not there yet. Where one fails the connection breaks off."""
        while (piece := await self._server.in_thread(lambda: next(pieces, None))) is not None:
            if not piece:
                await asyncio.sleep(PAUSE)
                if self._stream.closed():
                    raise StreamClosedError
                continue
            await self._taken(self._connection.write(piece), answer.is_deleted)

    async def _taken(self, written: Awaitable[None], is_deleted: Callable[[], bool] = lambda: False) -> None:
        """Wait until the client has taken what was written, within the time it has for that, and no longer than there
        is what is being sent."""
        taken, left = asyncio.ensure_future(written), self._server.bounds.write_seconds
        while not (await asyncio.wait({taken}, timeout=min(left, LOOK_EVERY)))[0] or is_deleted():
            left -= LOOK_EVERY
            if left <= 0 or is_deleted():
                self._stream.close()
                taken.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # as it was closed
                raise StreamClosedError
        taken.result()

    # --- refusing -------------------------------------------------------------------------------------------------

    async def _refuse(self, error: Exception) -> None:
        """Say why, and read no more than a little of what still comes."""
        if self._refused or self._ended:
            return
        self._refused = self._stream.answering = True
        self._body.clear()
        self._stop_timer()
        with suppress(StreamClosedError):
            await self._send(self._answer_of(self._refusal(error)), close=True)
        self._timer = asyncio.get_running_loop().call_later(LINGER, self._end)

    def _refusal(self, error: Exception) -> Reply:
        if not isinstance(error, LakeError):
            log.error("%s %s failed", self._method, urlsplit(self._target).path, exc_info=error)
            error = LakeError(f"something went wrong here; the log says more under {self._request_id}")
        reply = error_reply(error)
        if isinstance(error, MethodNotAllowed):
            reply.headers["Allow"] = error.allowed
        return dress(reply, Request(self._method, "", request_id=self._request_id))

    def _linger_on(self, size: int) -> None:
        self._lingered += size
        if self._lingered > MOST_LINGERED:
            self._end()

    def _end(self, *, close: bool = False) -> None:
        """Whatever happened, the exchange holds nothing any more."""
        if self._ended:
            return
        self._ended = True
        self._stream.answering = False
        self._stop_timer()
        self._held.close()
        if self._spool is not None:
            self._spool.close()
        self._server.exchanges.discard(self)
        self._server.connections.idle(self._stream)
        with suppress(StreamClosedError, httputil.HTTPOutputError):
            self._connection.finish()
        if close or self._stream.half_closed:
            self._stream.close()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A reply as it leaves: its body whole or in pieces, its size in bytes where that is known before, and the file
    that the pieces are of."""

    status: int
    headers: dict[str, str]
    body: bytes | Iterator[bytes]
    size: int | None
    file: BinaryIO | None = None

    def is_deleted(self) -> bool:
        """Whether the file was deleted: until it is closed it takes room on the disk that others were promised, and a
        client may read as slowly as it likes."""
        return self.file is not None and not self.file.closed and not os.fstat(self.file.fileno()).st_nlink


class UploadSpool:
    """An upload on disk, in a folder of its own that goes with it."""

    def __init__(self) -> None:
        self._scratch = ExitStack()
        try:
            self._folder = self._scratch.enter_context(scratch_folder())
            self._stream = (self._folder / "body").open("wb")
        except OSError as error:
            raise StorageFailed(f"the upload cannot be kept: {error.strerror} in {tempfile.gettempdir()}") from error

    def write(self, piece: bytes) -> None:
        """Raises StorageFailed."""
        try:
            self._stream.write(piece)
        except OSError as error:
            raise StorageFailed(f"the upload cannot be kept: {error.strerror} in {self._folder.parent}") from error

    def upload(self) -> Upload:
        """What has come, as a request's body."""
        self._stream.close()
        return Upload(self._folder / "body")

    def close(self) -> None:
        """Delete what has come."""
        with suppress(OSError):
            self._stream.close()
        self._scratch.close()


def host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    return re.sub(r":[0-9]*$", "", host.strip()).strip("[]").lower()


def takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` header takes gzip."""
    for part in accepted.lower().split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip() in ("gzip", "*") and not re.fullmatch(r"\s*q=0(\.0*)?\s*", quality):
            return True
    return False
