"""Lambda as it is deployed: the zip and its layers, unpacked, in an interpreter that sees nothing else, under the
function's own role; events retried twice and then sent to the failure destination.

As in Lambda an interpreter that has answered stays warm for the function's next call, until its code or its
configuration changes; each function answers a few calls at once, and events beyond that wait.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emulator.rights import Need, allowed

if TYPE_CHECKING:
    from tests.emulator.server import Emulator

RETRIES = 2  # of an asynchronous event, Lambda's default
LONGEST = 110.0  # s, whatever the function's own timeout: tests must end
KEPT_UNRESERVED = 100  # executions of an account ("Configuring reserved concurrency", Lambda's guide)
AT_ONCE = 2  # events that one function works on side by side

BOOT = r"""
import sys, json, os, time, traceback
task, layers, runtime, handler, timeout, name, memory = json.loads(sys.argv[1])
sys.path[:0] = [task, *(f"{each}/python" for each in layers)]
sys.path.append(runtime)
os.chdir(task)
class Context:
    function_name, function_version, memory_limit_in_mb = name, "$LATEST", memory
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:" + name
    log_group_name, log_stream_name, identity, client_context = "/aws/lambda/" + name, "x", None, None
    def __init__(self, request_id): self.aws_request_id, self.end = request_id, time.time() + timeout
    def get_remaining_time_in_millis(self): return int((self.end - time.time()) * 1000)
answer = os.fdopen(os.dup(1), "w"); os.dup2(2, 1)
module, _, function = handler.rpartition(".")
try: __import__(module)  # the INIT phase
except BaseException: traceback.print_exc()
for line in sys.stdin:
    event, request_id = json.loads(line)
    try:
        told = [False, json.dumps(getattr(__import__(module), function)(event, Context(request_id)))]
    except BaseException as error:
        told = [True, json.dumps({"errorMessage": str(error), "errorType": type(error).__name__,
                                  "stackTrace": traceback.format_tb(error.__traceback__)})]
    sys.stdout.flush(); sys.stderr.flush()
    answer.write(json.dumps(told) + "\n"); answer.flush()
"""


@dataclass
class Outcome:
    payload: bytes
    failed: bool
    log: str


class Throttled(Exception):
    """One execution more than the account, or the function's reservation, allows."""


@dataclass
class Inline:
    """A function that runs in this process, for tests that need no zip. ``dead_letters``: a queue's ARN."""

    handler: Callable[[Any], Any]
    dead_letters: str = ""

    def call(self, event: Any) -> Outcome:
        try:
            return Outcome(json.dumps(self.handler(event)).encode(), False, "")
        except Exception as error:
            told = {"errorMessage": str(error), "errorType": type(error).__name__}
            return Outcome(json.dumps(told).encode(), True, traceback.format_exc())


class Warm:
    """One interpreter of a function. Answers one event at a time; ends with its first timeout."""

    def __init__(self, asked: list[Any], environment: dict[str, str], log: Path) -> None:
        self._log = log.open("w+b")
        command = [os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", BOOT, json.dumps(asked)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )

    def call(self, event: Any, request_id: str, timeout: float) -> Outcome:
        assert self._process.stdin and self._process.stdout
        before = self._log.seek(0, os.SEEK_END)
        late = threading.Timer(timeout, self._process.kill)
        late.start()
        try:
            self._process.stdin.write(json.dumps([event, request_id]).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        self._log.seek(before)
        log = self._log.read().decode(errors="replace")
        if not line:
            self.close()
            told = {"errorMessage": f"Task timed out after {timeout:.2f} seconds, or its interpreter died"}
            return Outcome(json.dumps(told).encode(), True, log)
        failed, payload = json.loads(line)
        return Outcome(payload.encode(), failed, log)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream:
                stream.close()


class Functions:
    def __init__(self, aws: Emulator) -> None:
        self.aws = aws
        self.folder = Path(tempfile.mkdtemp(prefix="functions-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.logs: dict[str, list[str]] = {}
        self.runs: list[tuple[str, bool]] = []
        self.failures: list[str] = []
        self.given_up: list[str] = []  # a function's name for each event whose last call failed
        self.environment: dict[str, str] = {}  # added to every function's own, to point it at a sandbox
        self.paused = False  # asynchronous events are dropped: a test calls the functions itself
        self.slower = 1.0  # times that a function may take longer than Lambda lets it: where many begin at once
        self.concurrency = 1000  # executions at once of the account; a new account has 10
        self.running: Counter[str] = Counter()  # executions under way, by function
        self.most_at_once = 0
        self.throttled: list[str] = []  # a function's name for each call that was one too many
        self.cold_starts = 0
        self.inline: dict[str, Inline] = {}
        self.held: list[tuple[str, Any]] | None = None  # when a list: events wait here for deliver()
        self._number = 0
        self._lock = threading.Lock()
        self._digests: dict[int, tuple[bytes, str]] = {}  # by id(); holds the bytes, so that no id is given twice
        self._idle: dict[str, list[tuple[str, Warm]]] = defaultdict(list)
        self._slots: dict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(AT_ONCE))

    def close(self) -> None:
        self.cool_down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cool_down(self) -> None:
        """End every warm interpreter, so that the next call of each function starts cold."""
        with self._lock:
            idle = [warm for each in self._idle.values() for _, warm in each]
            self._idle.clear()
        for warm in idle:
            warm.close()

    def account_limit(self) -> dict[str, int]:
        """As GetAccountSettings tells it."""
        unreserved = self.concurrency - sum(self._reserved().values())
        return {"ConcurrentExecutions": self.concurrency, "UnreservedConcurrentExecutions": unreserved}

    def refusal_to_reserve(self, name: str, wanted: int) -> str | None:
        """Lambda keeps 100 executions without a reservation, or all of an account that has no more."""
        kept = min(self.concurrency, KEPT_UNRESERVED)
        others = sum(reserved for function, reserved in self._reserved().items() if function != name)
        if self.concurrency - others - wanted < kept:
            return (
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution"
                f" below its minimum value of [{kept}]."
            )
        return None

    def _reserved(self) -> dict[str, int]:
        from moto.awslambda.utils import get_backend

        from tests.emulator.server import ACCOUNT, REGION

        return {
            function.function_name: int(function.reserved_concurrency)
            for function in get_backend(ACCOUNT, REGION).list_functions()
            if function.reserved_concurrency
        }

    def get(self, name: str) -> Any:
        from moto.awslambda.utils import get_backend

        from tests.emulator.server import ACCOUNT, REGION

        return get_backend(ACCOUNT, REGION).get_function(name)

    def call(self, name: str, event: Any) -> Outcome:
        """Run a function once and wait for it. Raises Throttled when the account, or what the function has reserved,
        allows no more at once."""
        with self._running(name):
            return self._run(name, event)

    @contextmanager
    def _running(self, name: str) -> Iterator[None]:
        reserved = {} if name in self.inline else self._reserved()
        own = reserved.get(name)
        with self._lock:
            shared = sum(count for each, count in self.running.items() if each not in reserved)
            at_once = self.running[name] if own is not None else shared
            if at_once >= (own if own is not None else self.concurrency - sum(reserved.values())):
                self.throttled.append(name)
                raise Throttled(name)
            self.running[name] += 1
            self.most_at_once = max(self.most_at_once, sum(self.running.values()))
        try:
            yield
        finally:
            with self._lock:
                self.running[name] -= 1

    def _run(self, name: str, event: Any) -> Outcome:
        if name in self.inline:
            return self._note(name, self.inline[name].call(event))
        function = self.get(name)
        timeout = min(float(function.timeout) * self.slower, LONGEST)
        configured, warm, request_id = self._take(function, timeout)
        outcome = warm.call(event, request_id, timeout)
        with self._lock:
            if warm.alive:
                self._idle[function.function_name].append((configured, warm))
        self._note(function.function_name, outcome)
        role = function.role.rpartition("/")[2]
        group = f"/aws/lambda/{function.function_name}"
        stream = self.aws.arn("logs", f"log-group:{group}:log-stream:x")
        if all(allowed(self.aws, role, Need(f"logs:{do}", stream)) for do in ("CreateLogStream", "PutLogEvents")):
            self.logs.setdefault(group, []).append(outcome.log)
        return outcome

    def _note(self, name: str, outcome: Outcome) -> Outcome:
        with self._lock:
            self.runs.append((name, outcome.failed))
            if outcome.failed:
                self.failures.append(f"{name}: {outcome.payload.decode()[:2000]} {outcome.log[-1000:]}")
        return outcome

    def _take(self, function: Any, timeout: float) -> tuple[str, Warm, str]:
        """An interpreter with the function's code and configuration as they are now, warm if there is one."""
        asked = [
            str(self.unpacked(function.code_bytes)),
            [str(self.layer(layer["Arn"])) for layer in function.layers],
            str(self.runtime()),
            function.handler,
            timeout,
            function.function_name,
            function.memory_size,
        ]
        environment = self._environment(function)
        configured = json.dumps([asked, environment], sort_keys=True)
        with self._lock:
            self._number += 1
            idle = self._idle[function.function_name]
            old = [warm for known, warm in idle if known != configured or not warm.alive]
            fit = [each for each in idle if each[1] not in old]
            warm = fit.pop()[1] if fit else None
            self._idle[function.function_name] = fit
            number = self._number
            self.cold_starts += warm is None
        for each in old:
            each.close()
        return configured, warm or Warm(asked, environment, self.folder / f"log-{number}"), f"request-{number}"

    def send(self, name: str, event: Any) -> None:
        """An asynchronous event: in the background, tried again, and dead-lettered."""
        if self.held is not None:
            self.held.append((name, event))
        elif not self.paused:
            self.aws.in_background(lambda: self.see_through(name, event))

    def deliver(self) -> None:
        """See the held events through, one after another, and those that they cause."""
        while self.held:
            self.see_through(*self.held.pop(0))

    def see_through(self, name: str, event: Any) -> Outcome:
        """One asynchronous event as Lambda treats it: up to three calls, then the failure destination."""
        attempts, target, role = self._fate(name)
        with self._slots[name]:
            outcome = self._in_turn(name, event)
            while outcome.failed and attempts > 1:
                attempts -= 1
                outcome = self._in_turn(name, event)
        if outcome.failed:
            self.given_up.append(name)
        if outcome.failed and target and (role is None or allowed(self.aws, role, Need("sqs:SendMessage", target))):
            told = {
                "requestContext": {"condition": "RetriesExhausted", "functionArn": name},
                "requestPayload": event,
                "responsePayload": json.loads(outcome.payload or b"{}"),
            }
            sqs = self.aws.client("sqs")
            url = sqs.get_queue_url(QueueName=target.rpartition(":")[2])["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(told))
        return outcome

    def _in_turn(self, name: str, event: Any) -> Outcome:
        """A throttled event stays in its queue for up to six hours; that is no attempt."""
        while True:
            try:
                return self.call(name, event)
            except Throttled:
                time.sleep(0.02)

    def _fate(self, name: str) -> tuple[int, str, str | None]:
        """How often an event is tried, where it goes then, and whose right that is."""
        if name in self.inline:
            return 1 + RETRIES, self.inline[name].dead_letters, None
        function = self.get(name)
        config = function.event_invoke_config[-1].response() if function.event_invoke_config else {}
        target = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
        return 1 + int(config.get("MaximumRetryAttempts", RETRIES)), target, function.role.rpartition("/")[2]

    def _environment(self, function: Any) -> dict[str, str]:
        role = function.role.rpartition("/")[2]
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            **self.aws.environ,
            **self.aws.credentials(role, as_environment=True),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "_HANDLER": function.handler,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "LAMBDA_TASK_ROOT": "/var/task",
            **function.environment_vars,
            **self.environment,
        }

    def layer(self, arn: str) -> Path:
        return self.unpacked(self.layer_zip(arn))

    def layer_version(self, arn: str) -> Any:
        from moto.awslambda.utils import get_backend

        from tests.emulator.server import ACCOUNT, REGION

        return get_backend(ACCOUNT, REGION).layers_versions_by_arn(arn)

    def layer_zip(self, arn: str) -> bytes:
        data: bytes = self.layer_version(arn).code_bytes
        return data

    def unpacked(self, data: bytes) -> Path:
        with self._lock:
            known = self._digests.setdefault(id(data), (data, hashlib.sha256(data).hexdigest()[:24]))
        target = self.folder / known[1]
        if not target.is_dir():
            scratch = Path(tempfile.mkdtemp(dir=self.folder))
            zipfile.ZipFile(io.BytesIO(data)).extractall(scratch)
            if target.is_dir():
                shutil.rmtree(scratch)
            else:
                scratch.rename(target)
        return target

    def runtime(self) -> Path:
        from deploy.package import runtime_folder

        target = self.folder / "runtime"
        return target if target.is_dir() else runtime_folder(target)
