"""`make` where nothing is installed yet and nothing can be fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT
from tests.support.server import free_port

NEEDED = ("Makefile", "pyproject.toml", "constraints.txt", "requirements.txt", "requirements-layers.txt",
          "requirements-local.txt")  # fmt: skip
CONFIGURED = ("PIP_", "UV_", "MAKE", "MFLAGS", "VIRTUAL_ENV")


@pytest.mark.thorough
def test_a_first_setup_without_a_network_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    for name in NEEDED:
        shutil.copy(PROJECT / name, tmp_path)
    nowhere = f"http://127.0.0.1:{free_port()}/simple"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(CONFIGURED)}
    environ |= {"PIP_INDEX_URL": nowhere, "UV_DEFAULT_INDEX": nowhere, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        ["make", "run", f"PYTHON={sys.executable}"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    told, *more = done.stderr.splitlines()
    assert (
        told == "the package index could not be reached or lacks a package: is there a network? .venv/pip.log says more"
    )
    assert [line for line in more if not line.startswith("make: *** ")] == []
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Making", "Installing"]
    assert "No matching distribution found" in (tmp_path / ".venv" / "pip.log").read_text()
