"""The emulation's server: moto behind one WSGI door that can inject faults, count calls and check rights.

moto keeps its state in the process, so there is one Emulator at a time; entering one starts from nothing.
"""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.emulator.functions import Throttled

REGION = "eu-central-1"
ACCOUNT = "123456789012"
LAYER_ZIPS = "/zips-of-layers/"  # where the emulation's layers are to be had
QUERIED = ("iam", "sts")  # services that answer in XML to a query
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


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
    key: str = ""  # an access key whose calls alone are met; empty: anybody's
    when: Callable[[str], bool] | None = None  # asked of "service:operation", where a pattern does not say it
    hits: int = field(default=0, init=False)


@dataclass
class Call:
    """One request as the services see it. ``role`` is None for somebody with all rights."""

    service: str
    operation: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    role: str | None
    data: bytes = b""
    key: str = ""  # the caller's access key

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def body(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.data or b"{}")
        return document


class Emulator:
    """Start with ``with``; ``aws.client(service)`` has all rights; ``aws.environ`` is what a program needs.

    ``deploys``: with CloudFormation and API Gateway, which are slow to import and needed for deployments alone."""

    def __init__(self, *, deploys: bool = False) -> None:
        self.deploys = deploys
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.trace: list[str] | None = None  # when a list: every call's name, in order
        self.traced_key = ""  # an access key whose calls alone are traced; empty: everybody's
        self._takes_deployments = False
        self.clock = time.time  # that quotas of a day go by
        self.secret_versions: dict[str, list[float]] = {}  # when each secret got its versions of the last day
        self.background: list[threading.Thread] = []
        self.roles: dict[str, str] = {}  # access key -> role
        self.denied: list[str] = []
        self.used: set[tuple[str, str, str]] = set()  # role, statement and action that nothing else allowed
        self._conditional = threading.Lock()
        self._building = threading.Lock()
        self._clients: dict[tuple[str, str, int], Any] = {}
        self._session = boto3.session.Session()  # reads botocore's tables once
        self._exit = ExitStack()
        self.url = ""

    def __enter__(self) -> Emulator:
        from tests.emulator import shims
        from tests.emulator.athena import Athena
        from tests.emulator.crawler import Crawlers
        from tests.emulator.functions import Functions

        reset_state()
        self.functions, self.athena, self.crawlers = Functions(self), Athena(self), Crawlers(self)
        self._exit.callback(self.functions.close)
        self._exit.callback(self.athena.close)
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
        if self.deploys:
            self.take_deployments()
        return self

    def take_deployments(self) -> None:
        """CloudFormation and API Gateway too, which are slow to import and needed for deployments alone."""
        from tests.emulator import gateway, stacks

        if not self._takes_deployments:
            self._takes_deployments = True
            self._exit.enter_context(stacks.installed(self))
            self._exit.enter_context(gateway.installed(self))

    def __exit__(self, *_: object) -> None:
        self.settle(20)
        self._exit.close()
        reset_state()

    @property
    def environ(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION}

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"

    def link_to_layer(self, arn: str) -> str:
        return f"{self.url}{LAYER_ZIPS}{urllib.parse.quote(arn, safe='')}"

    def credentials(self, role: str, *, as_environment: bool = False) -> dict[str, str]:
        """Keys that have the rights of ``role`` and no others."""
        key = f"ASIA{role.replace('_', '-').upper()}"
        self.roles[key] = role
        held = {"aws_access_key_id": key, "aws_secret_access_key": "secret", "aws_session_token": "token"}
        return {name.upper(): value for name, value in held.items()} if as_environment else held

    @contextmanager
    def in_environment(self, **more: str) -> Iterator[None]:
        """This process's environment and clients, pointed here."""
        from chalicelib.stores.aws import forget_clients

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
        name = (service, keys["aws_access_key_id"], attempts)
        with self._building:
            if name not in self._clients:
                retries = {"mode": "standard", "total_max_attempts": attempts}
                config = Config(retries=retries, connect_timeout=5, read_timeout=30, s3={"addressing_style": "path"})
                self._clients[name] = self._session.client(
                    service, region_name=REGION, endpoint_url=self.url, config=config, **keys
                )
            return self._clients[name]

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
        call = self._read(environ)
        if call.key in self.athena.catalogues.keys:
            return self._for_trino(call, environ, start_response)
        service, name = call.service, call.operation if call.service != "s3" else f"{call.method} {call.path}"
        self.calls[f"{service}:{name.partition(' ')[0] if service == 's3' else name}"] += 1
        if self.trace is not None and self.traced_key in ("", call.key):
            self.trace.append(f"{service}:{name}")
        fault = self._due(call, name)
        if fault and fault.kind != "lost":
            return self._fail(fault, start_response, service)
        answer = (
            self._mis_signed(environ, start_response)
            or self._denied(call, start_response)
            or self._ours(call, start_response)
        )
        if answer is None and service == "s3" and ("HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ):
            with self._conditional:  # moto looks, then writes; S3 does both at once
                answer = list(self._inner(environ, start_response))
        elif answer is None:
            answer = self._inner(environ, start_response)
        if fault:
            raise ConnectionResetError("answer lost on purpose")
        return answer

    def _for_trino(self, call: Call, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """What Athena reads for a query: with the rights of whoever asked it, and no call of the lake's own."""
        from tests.emulator.athena_catalogue import Incompatible

        if refused := self._denied(call, start_response):
            return refused
        if call.service == "s3":
            return self._object_for_trino(call, environ, start_response)
        told: list[Any] = []
        body = b"".join(self._inner(environ, lambda *status: told.extend(status)))
        status, headers = told[0], [each for each in told[1] if each[0].lower() != "content-length"]
        if status.startswith("200"):
            try:
                body = self.athena.catalogues.for_trino(call, body)
            except Incompatible as reason:
                self.athena.catalogues.incompatible[self.athena.catalogues.keys[call.key]] = str(reason)
                return respond(start_response, call.service, 400, "InvalidInputException", str(reason))
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _object_for_trino(self, call: Call, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        from tests.emulator import s3_reads

        if self.athena.reads is not None:
            self.athena.reads += s3_reads.requests(call)
        found = s3_reads.read(call)
        if found is None:
            return self._inner(environ, start_response)  # type: ignore[no-any-return]
        status, headers, body = found
        start_response(f"{status} {HTTPStatus(status).phrase}", [*headers, ("Content-Length", str(len(body)))])
        return [] if call.method == "HEAD" else [body]

    def _read(self, environ: dict[str, Any]) -> Call:
        key, service, operation = signed_by(environ)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        data = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(data)
        query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        headers = {n[5:].lower().replace("_", "-"): v for n, v in environ.items() if n.startswith("HTTP_")}
        path = urllib.parse.quote(environ["PATH_INFO"].encode("latin-1"))
        return Call(service, operation, environ["REQUEST_METHOD"], path, query, headers, self.roles.get(key), data, key)

    def _mis_signed(self, environ: dict[str, Any], start_response: Any) -> list[bytes] | None:
        from tests.emulator.signatures import refusal

        refused = refusal(environ, datetime.fromtimestamp(self.clock(), UTC))
        return respond(start_response, "s3", 403, *refused) if refused else None

    def _denied(self, call: Call, start_response: Any) -> list[bytes] | None:
        from tests.emulator.rights import allowed, needs

        if call.role is None:
            return None
        for need in needs(self, call):
            if not allowed(self, call.role, need):
                told = f"{call.role} is not authorized to perform: {need.action} on resource: {need.resource}"
                self.denied.append(told)
                code = "AccessDenied" if call.service == "s3" else "AccessDeniedException"
                return respond(start_response, call.service, 403 if call.service == "s3" else 400, code, told)
        return None

    def _ours(self, call: Call, start_response: Any) -> list[bytes] | None:
        """What the emulation answers itself, in moto's place."""
        answer: tuple[int, dict[str, Any]] | None = None
        if call.path.startswith(LAYER_ZIPS):
            arn = urllib.parse.unquote(call.path.removeprefix(LAYER_ZIPS))
            return as_it_is(start_response, 200, self.functions.layer_zip(arn), "application/zip")
        if call.service == "athena":
            answer = self.athena.handle(call)
        elif call.service == "glue":
            answer = self.crawlers.handle(call)
        elif call.service == "lambda" and call.path.endswith("/invocations"):
            return self._invoke(call, start_response)
        elif call.service == "lambda" and call.path.rstrip("/").endswith("/account-settings"):
            answer = 200, {"AccountLimit": self.functions.account_limit(), "AccountUsage": {}}
        elif call.service == "lambda" and call.method == "PUT" and call.path.rstrip("/").endswith("/concurrency"):
            wanted = call.body["ReservedConcurrentExecutions"]
            refused = self.functions.refusal_to_reserve(call.path.split("/")[3], wanted)
            if refused:
                return respond(start_response, "lambda", 400, "InvalidParameterValueException", refused)
        if answer is None:
            return None
        return plain(start_response, answer[0], json.dumps(answer[1]), "application/x-amz-json-1.1")

    def _invoke(self, call: Call, start_response: Any) -> list[bytes]:
        name = urllib.parse.unquote(call.path.split("/")[3]).rpartition(":")[2]
        event = json.loads(call.data or b"{}")
        if call.headers.get("x-amz-invocation-type") == "Event":
            self.functions.send(name, event)
            return plain(start_response, 202, "", "application/json")
        try:
            outcome = self.functions.call(name, event)
        except Throttled:
            return respond(start_response, "lambda", 429, "TooManyRequestsException", "Rate Exceeded.")
        failed = [("X-Amz-Function-Error", "Unhandled")] if outcome.failed else []
        return plain(start_response, 200, outcome.payload.decode(), "application/json", failed)

    def _due(self, call: Call, name: str) -> Fault | None:
        for fault in self.faults:
            if (fault.service and fault.service != call.service) or (fault.key and fault.key != call.key):
                continue
            if fault.when and not fault.when(f"{call.service}:{name}"):
                continue
            if not re.search(fault.operation, name) or fault.hits >= fault.times + fault.skip:
                continue
            fault.hits += 1
            return fault if fault.hits > fault.skip else None
        return None

    def _fail(self, fault: Fault, start_response: Any, service: str) -> list[bytes]:
        if fault.kind == "timeout":
            time.sleep(fault.seconds)
        if fault.kind in ("timeout", "reset"):
            raise ConnectionResetError("broken on purpose")
        status, code = {
            "throttle": (503, "SlowDown") if service == "s3" else (400, "ThrottlingException"),
            "error": (500, "InternalError" if service == "s3" else "InternalServerException"),
            "denied": (403, "AccessDenied" if service in ("s3", *QUERIED) else "AccessDeniedException"),
            "missing": (404, "NoSuchKey" if service == "s3" else "ResourceNotFoundException"),
            "conflict": (409, "ConditionalRequestConflict" if service == "s3" else "ConflictException"),
        }[fault.kind]
        return respond(start_response, service, status, code, "on purpose")


class QuietHandler(MotoRequestHandler):
    """No line for each request, no traceback for a connection that was broken on purpose."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True


def signed_by(environ: dict[str, Any]) -> tuple[str, str, str]:
    """The access key, service and operation of a request."""
    scope = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:  # a presigned link
        query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
        parts = query.get("X-Amz-Credential", ["///"])[0].split("/")
        return parts[0], (parts[3] or "s3" if "X-Amz-Credential" in query else "none"), environ["REQUEST_METHOD"]
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    return scope[1], scope[2], target or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def respond(start_response: Any, service: str, status: int, code: str, message: str) -> list[bytes]:
    """An error in the service's own form."""
    extra = [("x-amzn-errortype", code)]
    if service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        return plain(start_response, status, text, "application/xml", extra)
    if service in QUERIED:
        text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></ErrorResponse>"
        return plain(start_response, status, text, "text/xml", extra)
    text = json.dumps({"__type": code, "message": message})
    return plain(start_response, status, text, "application/x-amz-json-1.1", extra)


def plain(start_response: Any, status: int, text: str, kind: str, extra: Iterable[Any] = ()) -> list[bytes]:
    return as_it_is(start_response, status, text.encode(), kind, extra)


def as_it_is(start_response: Any, status: int, data: bytes, kind: str, extra: Iterable[Any] = ()) -> list[bytes]:
    start_response(
        f"{status} {HTTPStatus(status).phrase}", [("Content-Type", kind), ("Content-Length", str(len(data))), *extra]
    )
    return [data]


def reset_state() -> None:
    from moto.moto_api._internal import moto_api_backend

    moto_api_backend.reset()
