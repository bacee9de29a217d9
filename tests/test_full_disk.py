"""A disk that is really full: each command and request says so in one line, and goes on when there is room again.

The lake lies on a small file system of its own. Where this user may not mount one, that is said and nothing is run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.server import Sandbox
from tests.support.listening import extended_row, write_export
from tests.support.server import LakeServer, environment, eventually, logged_in
from tests.support.small_disk import small_disk

SIZE = 40_000_000  # bytes of the file system
REPORT = '-- title = "Mine"\n-- description = "One"\nSELECT 1 AS one'
PLAYS = "SELECT count(*) AS n FROM plays"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", SIZE) as folder:
        yield folder


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(frozen=True) as running:
        yield running


@pytest.fixture
def spotify(tmp_path: Path, disk: Path, sandbox: Sandbox) -> dict[str, str]:
    return {**logged_in(tmp_path, sandbox), "LAKE_URL": str(disk / "lake"), "LOG_LEVEL": "WARNING"}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    rows = [
        extended_row(f"2024-03-{1 + n % 28:02}T{n % 24:02}:00:00Z", 40_000 + n, "abcdef"[n % 6]) for n in range(600)
    ]
    return write_export(tmp_path / "Streaming_History_Audio_2024.json", rows)


def fill_up(disk: Path) -> None:
    """Leave no byte."""
    with suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
        while True:
            filler.write(bytes(65_536))
    with suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
        while True:
            filler.write(b"\0")


def says_full(message: str) -> bool:
    return "no space left" in message.lower() or "is full" in message


def make_room(disk: Path) -> None:
    (disk / "filler").unlink()


def command(folder: Path, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chalicelib", *arguments],
        cwd=folder, env=environment(folder, environ), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.thorough
def test_each_command_says_that_the_disk_is_full_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path, spotify: dict[str, str], export: Path
) -> None:
    lake = lambda *arguments: command(tmp_path, spotify, *arguments)  # noqa: E731
    for arguments in (
        ("extract",),
        ("transform",),
        ("import-history", "--user", "me", str(export)),
        ("transform", "--all"),
        ("query", PLAYS, "--format", "csv"),
        ("crawl",),
    ):
        fill_up(disk)
        done = lake(*arguments)
        assert done.returncode == 73, (arguments, done.stdout, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line]
        assert lines[-1].startswith("error: ") and says_full(lines[-1]), (arguments, done.stderr)
        assert len(lines) <= 2 and all(map(says_full, lines)), (arguments, done.stderr)
        make_room(disk)
        done = lake(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert int(lake("query", PLAYS, "--format", "csv").stdout.split()[-1]) >= 600


@pytest.mark.thorough
def test_the_service_says_that_the_disk_is_full_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path, spotify: dict[str, str], export: Path
) -> None:
    assert command(tmp_path, spotify, "extract").returncode == 0
    with LakeServer(tmp_path, spotify) as server:
        assert eventually(lambda: server.rows("SELECT count(*) FROM tracks") != [[0]], 60)

        def upload() -> requests.Response:
            announced = server.post("/imports", json={"filename": export.name, "user_id": "me"})
            if announced.status_code != 201:
                return announced
            return server.put(f"/{announced.json()['upload']['url']}", data=export.read_bytes())

        acts: dict[str, Callable[[], Any]] = {
            "query": lambda: server.post("/queries", json={"sql": f"SELECT {os.urandom(3)[0]}, count(*) FROM plays"}),
            "run": lambda: server.post("/runs"),
            "import": upload,
            "crawl": lambda: server.post("/crawls"),
            "report": lambda: server.put("/reports/mine", json={"sql": REPORT}),
        }
        fill_up(disk)
        for name, act in acts.items():
            answer = act()
            if name == "query" and answer.status_code == 202:
                answer = server.get(f"{answer.headers['Location']}/rows", params={"wait": 20})
            assert answer.status_code >= 500, (name, answer.text)
            error = answer.json()["error"]
            assert error["code"] == "storage_failed" and says_full(error["message"]), (name, error)
        assert server.get("/health").status_code == 200
        assert eventually(lambda: any("nearly full" in each for each in server.get("/health").json()["warnings"]), 20)
        make_room(disk)
        for name, act in acts.items():
            assert act().ok, name
        assert eventually(lambda: server.rows(PLAYS)[0][0] >= 600, 60)
        runs = lambda: server.get("/runs").json()["runs"]  # noqa: E731
        assert eventually(lambda: runs() and runs()[0]["ended_at"], 120)
        assert runs()[0]["state"] in ("succeeded", "partial"), runs()[0]
    assert "Traceback" not in server.log(), server.log()
