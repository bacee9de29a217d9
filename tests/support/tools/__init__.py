"""Tools of other people, installed apart by ``make tools``: what a user has, and nothing that was written here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support import PROJECT

NODE = PROJECT / "build" / "tools" / "node"
JAVA = PROJECT / "build" / "tools" / "java"
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


def path_with(environment: str = "tools") -> str:
    """A ``PATH`` on which that environment's commands come first."""
    return f"{python(environment).parent}{os.pathsep}{os.environ['PATH']}"


def node_modules() -> Path:
    """Where Node's packages lie. Skips the test that asks where there are none."""
    if not (NODE / "complete").exists():
        pytest.skip(ABSENT)
    return NODE / "node_modules"


def r() -> str:
    """R's command for programs. Skips the test that asks where there is none."""
    found = shutil.which("Rscript")
    if found is None:
        pytest.skip("no R: on Debian and Ubuntu, apt install r-base-core")
    return found


def sqlline() -> list[str]:
    """The command of a client that knows databases by JDBC alone, with DuckDB's driver. Skips where there is none."""
    if not (JAVA / "complete").exists() or shutil.which("java") is None:
        pytest.skip(ABSENT)
    return ["java", "-cp", os.pathsep.join(map(str, sorted(JAVA.glob("*.jar")))), "sqlline.SqlLine", "--silent=true"]
