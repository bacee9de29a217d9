"""What keeps the lake running: systemd takes the unit, and the container runs the script that a person runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from chalicelib.commands.cli import main
from tests.support import PROJECT

UNIT = PROJECT / "always-on" / "lake.service"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze: apt install systemd")
    program = tmp_path / "lake"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "lake.service"
    unit.write_text(UNIT.read_text().replace("/opt/lake/bin/lake", str(program)).replace("%h/lake", str(tmp_path)))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", ["always-on/lake.service", "Dockerfile", "docs/always-on.md"])
def test_the_served_command_has_the_options_that_are_written(path: str) -> None:
    options = {option for parameter in main.commands["serve"].params for option in parameter.opts}
    text = (PROJECT / path).read_text(encoding="utf-8").replace('", "', " ").replace("</string><string>", " ")
    for line in (line for line in text.splitlines() if "lake serve" in line):
        words = line.split("lake serve", 1)[1].replace('"', " ").replace("]", " ").split()
        assert {word for word in words if word.startswith("--")} <= options, line


def test_the_container_publishes_the_port_on_this_computer_alone() -> None:
    service = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]["lake"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert "always-on/install /opt/lake" in (PROJECT / "Dockerfile").read_text()
