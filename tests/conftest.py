"""What holds for every test: a clean environment, and no word to another machine."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

import pytest

from tests.support import SHARED

left_out: set[str] = set()  # why tests were skipped
OURS = ("SPOTI", "LAKE_", "AWS_", "API_TOKEN", "EXTRACT_", "ATHENA_", "GLUE_", "SECRETS_", "SOURCES_", "QUERY_")


class OtherMachineContacted(AssertionError):
    """A test tried to reach something that is not this machine."""


def is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or arguments[0].family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = arguments[1][0]
    if not is_this_machine(host):
        raise OtherMachineContacted(f"a test connects to {host}")


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):
        if name.startswith(OURS):
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["AWS_CONFIG_FILE"] = os.devnull
    sys.addaudithook(stay_here)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    note_left_out(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    note_left_out(report)


def note_left_out(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        left_out.add(str(report.longrepr[2]).removeprefix("Skipped: "))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything has to run (``NOTHING_LEFT_OUT=1``), a test that was skipped is a failure; but for those that
    read what other projects recorded, which a clone does not have."""
    missing = sorted(reason for reason in left_out if SHARED.name not in reason or SHARED.exists())
    if missing and os.environ.get("NOTHING_LEFT_OUT") and not hasattr(session.config, "workerinput"):
        print("\nleft out although everything has to run:", *missing, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nobody waits for it alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)
