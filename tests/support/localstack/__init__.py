"""LocalStack: a second emulation of AWS, by other hands, which checks what the first does not.

It checks the signatures of links, keeps S3's promises of conditional writes, and has a CloudFormation, IAM, SSM and
Secrets Manager of its own; it has no Glue, Athena or Budgets. ``make localstack`` installs it beside the project's
environment; :func:`running` starts one for a test process.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.stores.aws import configured
from tests.support import PROJECT

FOLDER = PROJECT / "build" / "localstack"
SUPERVISOR = FOLDER / "venv" / "bin" / "localstack-supervisor"
FIRST_ANSWER = 120.0  # s: a service is loaded when it is first asked
PATIENCE = 180.0  # s until it is ready
REGION = "eu-central-1"
ACCOUNT = "000000000000"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def needed() -> None:
    """Skip the test that asks where there is no LocalStack; fail it where there has to be one."""
    if not SUPERVISOR.is_file():
        (pytest.fail if os.environ.get("LOCALSTACK") == "required" else pytest.skip)("no LocalStack: make localstack")


class LocalStack:
    """One that runs. ``client`` is boto3's, as the lake configures it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str, **more: Any) -> Any:
        config = more.pop("config", None) or configured(service, read_timeout=FIRST_ANSWER)
        return boto3.session.Session(region_name=REGION).client(
            service, endpoint_url=self.url, config=config, **{**KEYS, **more}
        )


@contextmanager
def running(folder: Path) -> Iterator[LocalStack]:
    """One of its own on a free port, gone when the block ends. ``folder`` takes what it writes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "FILESYSTEM_ROOT": str(folder / "root"),
        "GATEWAY_LISTEN": f"127.0.0.1:{port}", "GATEWAY_SERVER": "hypercorn", "USE_SSL": "0",
        "SERVICES": "s3,cloudformation,iam,ssm,secretsmanager,sts", "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "LOCALSTACK_ACKNOWLEDGE_ACCOUNT_REQUIREMENT": "1", "ACTIVATE_PRO": "0", "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1", "DNS_ADDRESS": "0",
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(SUPERVISOR)], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/_localstack/health", process, folder / "log")
        yield LocalStack(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder / "root", ignore_errors=True)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"LocalStack does not start; the end of its log:\n{log.read_text(errors='replace')[-2000:]}")
