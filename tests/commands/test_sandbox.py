"""`make run` and the shell beside it: what is printed can be typed, and every command is at one lake."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chalicelib.reports import catalogue
from tests.support import PROJECT
from tests.support.guides import blocks, type_in
from tests.support.server import eventually, free_port

pytestmark = pytest.mark.timeout(300)
NEEDS_A_NAME = {
    "dashboard_item", "dashboard_item_details", "dashboard_item_hours", "dashboard_item_months", "dashboard_item_tops",
    "dashboard_playlist", "dashboard_ranks", "dashboard_genre", "dashboard_genre_months", "dashboard_genre_tops",
}  # fmt: skip
#: Of two listeners, of two runs, of silences and faults, of what somebody left out, and of genres, which Spotify does
#: not tell any more.
OF_OTHER_LAKES = {
    "compare_listeners", "dashboard_playlist_changes", "listening_holes", "dashboard_holes", "dashboard_quality",
    "dashboard_rejected", "left_out", "genres",
}  # fmt: skip
COPIED = ("app.py", "pyproject.toml", "chalicelib", "sandbox")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder of its own, so that no lake of a person's is touched."""
    return checked_out(tmp_path_factory.mktemp("checkout"))


def checked_out(folder: Path) -> Path:
    """The folder, with the project in it."""
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def shell(checkout: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line as it stands on the screen, typed in another shell of the folder."""
    program, *arguments = shlex.split(line)
    assert program == ".venv/bin/lake"
    command = [sys.executable, "-m", "chalicelib", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def running(checkout: Path) -> Iterator[tuple[int, Path]]:
    """`make run`, whole, on a free port; what it prints goes to a file."""
    port, screen = free_port(), checkout / "screen"
    with screen.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.demo", "--port", str(port)],
            cwd=checkout, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        assert eventually(lambda: "?code=" in screen.read_text(), 110), screen.read_text()
        yield port, screen
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_without_a_sandbox_it_says_how_to_make_one(checkout: Path) -> None:
    done = shell(checkout, ".venv/bin/lake --sandbox query 'SELECT 1'")
    assert done.returncode == 2 and "make run" in done.stderr


@pytest.mark.thorough
def test_the_shell_beside_make_run_is_at_its_lake_and_its_service(checkout: Path, running: tuple[int, Path]) -> None:
    port, screen = running
    printed = screen.read_text()
    token = shell(checkout, ".venv/bin/lake --sandbox token show").stdout.strip()
    asked_with = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"http://127.0.0.1:{port}/reports", headers=asked_with, timeout=30).status_code == 200
    (query,) = re.findall(r"`(\.venv/bin/lake --sandbox query .*?)`", printed)
    assert int(shell(checkout, query).stdout.split()[-1]) > 40_000  # listens of at least 30 seconds
    assert "this computer" in shell(checkout, ".venv/bin/lake --sandbox token list").stdout
    assert f"127.0.0.1:{port}/?code=" in shell(checkout, ".venv/bin/lake --sandbox open --print").stdout
    remedy = shell(checkout, ".venv/bin/lake --sandbox take-back nothing").stderr
    assert "`.venv/bin/lake --sandbox leave-out` lists" in remedy  # of this lake, not of the person's own
    commands = re.findall(r"^\$ (\.venv/bin/lake --sandbox .*)$", printed, re.MULTILINE)
    assert [command.split()[2] for command in commands] == [
        "extract", "transform", "import-history", "crawl", "report", "report", "report", "serve",
    ]  # fmt: skip
    for command in commands[:-1]:
        assert shell(checkout, command).returncode == 0, command


@pytest.mark.thorough
def test_the_first_hour_goes_as_it_is_written(checkout: Path, running: tuple[int, Path]) -> None:
    port, _ = running
    for text in blocks("first-hour.md"):
        assert type_in(checkout, text.replace(":8000", f":{port}"), os.environ), text
    hours = (checkout / "hours.csv").read_text().splitlines()
    assert hours[0] == "hour_of_day,plays,hours" and 20 < len(hours) <= 25


@pytest.mark.thorough
def test_the_demo_is_a_life_that_every_report_has_something_to_say_about(
    checkout: Path, running: tuple[int, Path]
) -> None:
    port, screen = running
    token = shell(checkout, ".venv/bin/lake --sandbox token show").stdout.strip()
    years = re.findall(r"^  (20\d\d)-01-01", screen.read_text(), re.MULTILINE)
    assert len(years) >= 4 and years == [str(int(years[0]) + at) for at in range(len(years))]

    def told(name: str, **values: str) -> list[list[str]]:
        answer = requests.get(
            f"http://127.0.0.1:{port}/reports/{name}",
            params=values, headers={"Authorization": f"Bearer {token}"}, timeout=60,
        )  # fmt: skip
        assert answer.status_code == 200, name
        rows: list[list[str]] = answer.json()["rows"]
        return rows

    asked = [report.name for report in catalogue.built_in_reports() if report.name not in NEEDS_A_NAME | OF_OTHER_LAKES]
    assert [name for name in asked if not told(name)] == []
    artist = told("top_artists")[0][1]
    assert told("dashboard_ranks", artist=artist) and told("dashboard_item_hours", kind="artist", artist=artist)
    assert any(told("dashboard_playlist", playlist=playlist) for playlist, *_ in told("dashboard_playlists"))


def test_a_port_in_use_is_said_before_anything_is_done(checkout: Path, running: tuple[int, Path]) -> None:
    command = [sys.executable, "-m", "sandbox.demo", "--port", str(running[0])]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and done.stdout == "" and "PORT=" in done.stderr


@pytest.mark.thorough
def test_an_answer_from_an_empty_lake_says_so(checkout: Path, running: tuple[int, Path]) -> None:
    done = shell(checkout, ".venv/bin/lake query 'SELECT count(*) FROM plays'")
    assert done.returncode == 0 and "is empty" in done.stderr and "--sandbox" in done.stderr
