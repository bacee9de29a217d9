"""The emulation's server: moto behind one WSGI door that can inject faults, count calls and check rights.

moto keeps its state in the process, so there is one Emulator at a time; entering one starts from nothing.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

REGION = "eu-central-1"
ACCOUNT = "123456789012"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
STATUS = {200: "200 OK", 400: "400 Bad Request", 403: "403 Forbidden", 404: "404 Not Found", 409: "409 Conflict"}


@dataclass
class Fault:
    """What the next matching calls answer. ``kind``: throttle, error, timeout, denied, missing, conflict, lost, reset.

    ``lost`` carries the call out and then breaks the connection instead of answering.
    """

    kind: str
    service: str = ""  # as in the credential scope: s3, athena, glue…; empty: any
    operation: str = ""  # regular expression on "PUT /bucket/key" or on the operation's name
    times: int = 1
    skip: int = 0
    seconds: float = 0.0  # of a timeout
    hits: int = field(default=0, init=False)


class Emulator:
    """Start with ``with``; ``aws.client(service)`` has all rights; ``aws.environ`` is what a program needs."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.trace: list[str] | None = None  # when a list: every call's name, in order
        self.background: list[threading.Thread] = []
        self._conditional = threading.Lock()
        self._exit = ExitStack()
        self.url = ""

    def __enter__(self) -> Emulator:
        from tests.emulator import shims

        reset_state()
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=QuietHandler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self._exit.callback(thread.join)
        self._exit.callback(self._server.server_close)
        self._exit.callback(self._server.shutdown)
        self._exit.enter_context(shims.installed(self))
        return self

    def __exit__(self, *_: object) -> None:
        self.settle(20)
        self._exit.close()
        reset_state()

    @property
    def environ(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}

    @contextmanager
    def in_environment(self, **more: str) -> Iterator[None]:
        """This process's environment and clients, pointed here."""
        from chalicelib.aws import forget_clients

        changed = {**self.environ, **more}
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        forget_clients()
        boto3.DEFAULT_SESSION = None
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
            forget_clients()
            boto3.DEFAULT_SESSION = None

    def client(self, service: str, credentials: dict[str, str] | None = None, *, attempts: int = 1) -> Any:
        """A client with all rights, or with those of ``credentials`` (see :meth:`role`)."""
        keys = credentials or {name.lower(): value for name, value in KEYS.items()}
        session = boto3.session.Session(region_name=REGION, **keys)
        retries = {"mode": "standard", "total_max_attempts": attempts}
        config = Config(retries=retries, connect_timeout=5, read_timeout=30, s3={"addressing_style": "path"})
        return session.client(service, endpoint_url=self.url, config=config)

    def inject(self, kind: str, service: str = "", operation: str = "", **more: Any) -> Fault:
        fault = Fault(kind, service, operation, **more)
        self.faults.append(fault)
        return fault

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until everything that was started in the background (asynchronous functions, queries) has ended."""
        deadline = time.monotonic() + seconds
        while self.background and time.monotonic() < deadline:
            thread = self.background[0]
            thread.join(max(0.0, deadline - time.monotonic()))
            if not thread.is_alive():
                self.background.remove(thread)

    def in_background(self, work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self.background.append(thread)
        thread.start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        service, name = named(environ)
        self.calls[f"{service}:{name.partition(' ')[0] if service == 's3' else name}"] += 1
        if self.trace is not None:
            self.trace.append(f"{service}:{name}")
        fault = self._due(service, name)
        if fault and fault.kind != "lost":
            return self._fail(fault, environ, start_response, service)
        if service == "s3" and ("HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ):
            with self._conditional:  # moto looks, then writes; S3 does both at once
                answer = list(self._inner(environ, start_response))
        else:
            answer = self._inner(environ, start_response)
        if fault:
            raise ConnectionResetError("answer lost on purpose")
        return answer

    def _due(self, service: str, name: str) -> Fault | None:
        for fault in self.faults:
            if fault.service and fault.service != service:
                continue
            if not re.search(fault.operation, name) or fault.hits >= fault.times + fault.skip:
                continue
            fault.hits += 1
            return fault if fault.hits > fault.skip else None
        return None

    def _fail(self, fault: Fault, environ: dict[str, Any], start_response: Any, service: str) -> list[bytes]:
        drain(environ)
        if fault.kind == "timeout":
            time.sleep(fault.seconds)
        if fault.kind in ("timeout", "reset"):
            raise ConnectionResetError("broken on purpose")
        status, code = {
            "throttle": (503, "SlowDown") if service == "s3" else (400, "ThrottlingException"),
            "error": (500, "InternalError" if service == "s3" else "InternalServerException"),
            "denied": (403, "AccessDenied" if service == "s3" else "AccessDeniedException"),
            "missing": (404, "NoSuchKey" if service == "s3" else "ResourceNotFoundException"),
            "conflict": (409, "ConditionalRequestConflict" if service == "s3" else "ConflictException"),
        }[fault.kind]
        if service == "s3":
            body, content = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>", "application/xml"
        else:
            body, content = f'{{"__type":"{code}","message":"on purpose"}}', "application/x-amz-json-1.1"
        headers = [("Content-Type", content), ("Content-Length", str(len(body))), ("x-amzn-errortype", code)]
        start_response(STATUS.get(status, f"{status} Error"), headers)
        return [body.encode()]


class QuietHandler(MotoRequestHandler):
    """No line for each request, no traceback for a connection that was broken on purpose."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True


def named(environ: dict[str, Any]) -> tuple[str, str]:
    """The service that a request is signed for, and its operation's name (or method and path)."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    service = scope[1] if scope else "s3" if "X-Amz-Signature" in environ.get("QUERY_STRING", "") else "none"
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    return service, target or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def drain(environ: dict[str, Any]) -> None:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length:
        environ["wsgi.input"].read(length)


def reset_state() -> None:
    from moto.moto_api._internal import moto_api_backend

    moto_api_backend.reset()
