"""`make run` and the shell beside it: what is printed can be typed, and every command is at one lake."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chalicelib.reports import catalogue
from sandbox.server import Sandbox
from tests.support.guides import blocks, type_in
from tests.support.newcomer import Newcomer, checked_out
from tests.support.server import eventually, free_port
from tests.support.terminal import shown_of

pytestmark = pytest.mark.timeout(600)
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


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder of its own, so that no lake of a person's is touched."""
    return checked_out(tmp_path_factory.mktemp("checkout"))


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
        assert eventually(lambda: "?code=" in screen.read_text(), 240), screen.read_text()
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


@pytest.mark.thorough
def test_the_tables_of_the_demo_are_read_without_a_key(running: tuple[int, Path]) -> None:
    """Years, names and words: no weekday by its number, no moment to the millisecond, no cell with nothing in it."""
    tables = dict(printed_tables(running[1].read_text()))
    years, artists, review = (tables[title] for title in ("Listening over time", "Top artists", "Year in review"))
    assert all(re.match(r"20\d\d-01-01(  +[\d.]+){4}$", row) for row in years), years
    assert all(re.match(r"\d  +[^\d\s].*?  +\d+ ", row) for row in artists), artists
    kinds = [re.split(r"  +", row)[0] for row in review]
    assert len(kinds) > 8 and all(re.search("[a-z]{3}", kind) for kind in kinds), review
    assert not re.search(r"T\d\d:\d\d|weekday +\d|\bnull\b", "\n".join([*years, *artists, *review]))


def printed_tables(screen: str) -> Iterator[tuple[str, list[str]]]:
    """The title and the rows of each table that a terminal shows."""
    for title, rows in re.findall(r"^(\S.*?) *\n *\n.*\n *─+ *\n((?: +\S.*\n)+)", screen, re.MULTILINE):
        yield title, [row.strip() for row in rows.splitlines()]


@pytest.fixture(scope="module")
def spotify() -> Iterator[Sandbox]:
    """A stand-in for Spotify, to which a person's own credentials lead."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def newcomer(tmp_path: Path, spotify: Sandbox) -> Newcomer:
    """Somebody who has filled in their credentials, and has not logged in."""
    somebody = Newcomer(checked_out(tmp_path), spotify)
    somebody.has_credentials()
    somebody.environ["CALLS_PER_RUN"] = "5"
    return somebody


@pytest.mark.thorough
def test_make_run_with_credentials_offers_the_login_before_anything_else(newcomer: Newcomer) -> None:
    screen = shown_of([sys.executable, "-m", "sandbox.demo", "--once"], newcomer.folder, (), newcomer.environ)
    commands = re.findall(r"^\$ \.venv/bin/lake (\S+)", screen, re.MULTILINE)
    assert commands == ["login", "extract", "transform", "crawl", "report", "report", "report"]
    assert newcomer.counted("SELECT count(*) AS plays FROM plays") > 0


def test_make_run_without_a_terminal_says_to_log_in_and_does_nothing(newcomer: Newcomer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--once"],
        cwd=newcomer.folder, env={**os.environ, **newcomer.environ}, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 78 and "`.venv/bin/lake login` first" in done.stderr
    assert "$ " not in done.stdout and not (newcomer.folder / "lake").exists()


def test_a_port_in_use_is_said_before_anything_is_done(checkout: Path, running: tuple[int, Path]) -> None:
    command = [sys.executable, "-m", "sandbox.demo", "--port", str(running[0])]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and done.stdout == "" and "PORT=" in done.stderr


@pytest.mark.thorough
def test_an_answer_from_an_empty_lake_says_so(checkout: Path, running: tuple[int, Path]) -> None:
    done = shell(checkout, ".venv/bin/lake query 'SELECT count(*) FROM plays'")
    assert done.returncode == 0 and "is empty" in done.stderr and "--sandbox" in done.stderr
