"""What holds for every test: a clean environment, and no word to another machine."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

import pytest

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nobody waits for it alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)
