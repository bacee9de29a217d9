"""Lambda as it is deployed: the zip and its layers, unpacked, in an interpreter that sees nothing else, under the
function's own role; events retried twice and then sent to the failure destination."""

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
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emulator.rights import Need, allowed

if TYPE_CHECKING:
    from tests.emulator.server import Emulator

RETRIES = 2  # of an asynchronous event, Lambda's default
LONGEST = 110.0  # s, whatever the function's own timeout: tests must end

BOOT = r"""
import sys, json, os, time, traceback
task, layers, runtime, handler, timeout, name, memory, request_id = json.loads(sys.argv[1])
sys.path[:0] = [task, *(f"{each}/python" for each in layers)]
sys.path.append(runtime)
os.chdir(task)
class Context:
    function_name, function_version, memory_limit_in_mb, aws_request_id = name, "$LATEST", memory, request_id
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:" + name
    log_group_name, log_stream_name, identity, client_context = "/aws/lambda/" + name, "x", None, None
    end = time.time() + timeout
    def get_remaining_time_in_millis(self): return int((self.end - time.time()) * 1000)
answer = os.fdopen(os.dup(1), "w"); os.dup2(2, 1)
event = json.loads(sys.stdin.read())
try:
    module, _, function = handler.rpartition(".")
    value = getattr(__import__(module), function)(event, Context())
    answer.write(json.dumps(value)); code = 0
except BaseException as error:
    told = {"errorMessage": str(error), "errorType": type(error).__name__,
            "stackTrace": traceback.format_tb(error.__traceback__)}
    answer.write(json.dumps(told)); code = 1
answer.flush(); sys.stdout.flush(); sys.stderr.flush(); os._exit(code)
"""


@dataclass
class Outcome:
    payload: bytes
    failed: bool
    log: str


class Functions:
    def __init__(self, aws: Emulator) -> None:
        self.aws = aws
        self.folder = Path(tempfile.mkdtemp(prefix="functions-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.logs: dict[str, list[str]] = {}
        self.runs: list[tuple[str, bool]] = []
        self.failures: list[str] = []
        self.environment: dict[str, str] = {}  # added to every function's own, to point it at a sandbox
        self.paused = False  # asynchronous events are dropped: a test calls the functions itself
        self.concurrency = 1000  # executions at once of the account; a new account has 10
        self._number = 0

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, name: str) -> Any:
        from moto.awslambda.utils import get_backend

        from tests.emulator.server import ACCOUNT, REGION

        return get_backend(ACCOUNT, REGION).get_function(name)

    def call(self, name: str, event: Any) -> Outcome:
        """Run a function once and wait for it."""
        function = self.get(name)
        self._number += 1
        timeout = min(float(function.timeout), LONGEST)
        asked = [
            str(self.unpacked(function.code_bytes)),
            [str(self.layer(layer["Arn"])) for layer in function.layers],
            str(self.runtime()),
            function.handler,
            timeout,
            function.function_name,
            function.memory_size,
            f"request-{self._number}",
        ]
        command = [os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", BOOT, json.dumps(asked)]
        try:
            done = subprocess.run(
                command, input=json.dumps(event).encode(), env=self._environment(function), capture_output=True,
                timeout=timeout, check=False,
            )  # fmt: skip
            outcome = Outcome(done.stdout, done.returncode != 0, done.stderr.decode(errors="replace"))
        except subprocess.TimeoutExpired as error:
            told = {"errorMessage": f"Task timed out after {timeout:.2f} seconds"}
            outcome = Outcome(json.dumps(told).encode(), True, (error.stderr or b"").decode(errors="replace"))
        self.runs.append((function.function_name, outcome.failed))
        if outcome.failed:
            self.failures.append(f"{function.function_name}: {outcome.payload.decode()[:2000]} {outcome.log[-1000:]}")
        role = function.role.rpartition("/")[2]
        group = f"/aws/lambda/{function.function_name}"
        if allowed(self.aws, role, Need("logs:PutLogEvents", self.aws.arn("logs", f"log-group:{group}:log-stream:x"))):
            self.logs.setdefault(group, []).append(outcome.log)
        return outcome

    def send(self, name: str, event: Any) -> None:
        """An asynchronous event: in the background, tried again, and dead-lettered."""
        if not self.paused:
            self.aws.in_background(lambda: self._see_through(name, event))

    def _see_through(self, name: str, event: Any) -> None:
        function = self.get(name)
        config = function.event_invoke_config[-1].response() if function.event_invoke_config else {}
        attempts = 1 + int(config.get("MaximumRetryAttempts", RETRIES))
        outcome = self.call(name, event)
        while outcome.failed and attempts > 1:
            attempts -= 1
            outcome = self.call(name, event)
        target = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        role = function.role.rpartition("/")[2]
        if outcome.failed and target and allowed(self.aws, role, Need("sqs:SendMessage", target)):
            told = {
                "requestContext": {"condition": "RetriesExhausted", "functionArn": function.function_arn},
                "requestPayload": event,
                "responsePayload": json.loads(outcome.payload or b"{}"),
            }
            sqs = self.aws.client("sqs")
            url = sqs.get_queue_url(QueueName=target.rpartition(":")[2])["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(told))

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
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "LAMBDA_TASK_ROOT": "/var/task",
            **function.environment_vars,
            **self.environment,
        }

    def layer(self, arn: str) -> Path:
        from moto.awslambda.utils import get_backend

        from tests.emulator.server import ACCOUNT, REGION

        return self.unpacked(get_backend(ACCOUNT, REGION).layers_versions_by_arn(arn).code_bytes)

    def unpacked(self, data: bytes) -> Path:
        target = self.folder / hashlib.sha256(data).hexdigest()[:24]
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
