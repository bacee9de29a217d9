"""Tools of other people, installed apart by ``make tools``: what a user has, and nothing that was written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import PROJECT

NODE = PROJECT / "build" / "tools" / "node"
ABSENT = "no other people's tools to ask: make tools"


def python(environment: str = "tools") -> Path:
    """The Python of ``.venv-tools`` or ``.venv-dbt``. Skips the test that asks where there is none."""
    found = PROJECT / f".venv-{environment}" / "bin" / "python"
    if not (found.parents[1] / "complete").exists():
        pytest.skip(ABSENT)
    return found


def script(name: str, environment: str = "tools") -> Path:
    """A command of that environment."""
    return python(environment).with_name(name)


def node_modules() -> Path:
    """Where Node's packages lie. Skips the test that asks where there are none."""
    if not (NODE / "complete").exists():
        pytest.skip(ABSENT)
    return NODE / "node_modules"
