"""The first hour on the sandbox alone, with nothing but what the screen says: `make run`, page, and shell."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.commands.test_sandbox import checkout, running
from tests.support.browser import Visit

__all__ = ["checkout", "running"]  # fixtures
pytestmark = pytest.mark.timeout(300)
COLUMNS = 80


def typed_in_a_terminal(folder: Path, line: str) -> str:
    """What a terminal of 80 columns shows of a line typed in the folder."""
    program, *words = shlex.split(line)
    assert program == ".venv/bin/lake"
    ours, theirs = pty.openpty()
    environ = os.environ | {"COLUMNS": str(COLUMNS), "LINES": "40", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "chalicelib", *words],
        cwd=folder,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = read_all(ours, time.monotonic() + 100)
    os.close(ours)
    assert process.returncode == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def read_all(terminal: int, until: float) -> str:
    content = b""
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other side has closed it
            break
        if not part:
            break
        content += part
    return content.decode("utf-8", "replace")


def test_the_first_hour_on_the_sandbox_needs_only_what_the_screen_says(
    checkout: Path, running: tuple[int, Path], browser: Browser
) -> None:
    port, screen = running
    printed = screen.read_text()
    (address,) = re.findall(rf"^http://127\.0\.0\.1:{port}/\?code=\S+$", printed, re.MULTILINE)
    (query,) = re.findall(r"`(\.venv/bin/lake --sandbox query .*?)`", printed)
    answer = typed_in_a_terminal(checkout, query)
    (counted,) = map(int, re.findall(r"^ *(\d+) *\r?$", answer, re.MULTILINE))  # below it stands `1 row`
    visit = Visit(browser, f"http://127.0.0.1:{port}", None, timezone_id="UTC")
    page = visit.page
    page.goto(address)
    visit.settle()
    plays = visit.figure("Plays")
    page.locator("#select-period").select_option("all")
    page.wait_for_url("**period=all**")
    visit.settle()
    assert 0 < int(visit.figure("Plays").replace(",", "")) <= counted
    for name, heading in (("Year", "Year in review"), ("Listens", "Listens"), ("Library", "Library and playlists"),
                          ("Reports", "Reports"), ("SQL", "SQL"), ("Pipeline", "Pipeline")):  # fmt: skip
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        visit.settle()
        expect(page.locator("h1").first).to_have_text(heading)
        expect(page.get_by_text("null", exact=True)).to_have_count(0)
    expect(page.locator("table.runs .badge").first).to_have_text("succeeded")
    assert visit.faults == []
    visit.close()
    assert re.search(r"\d", plays)


@pytest.mark.parametrize(
    "words",
    [
        "report top_artists --set period=1y --set limit=5",
        "report year_in_review --set period=1y",
        "report listening_over_time --set period=all --set unit=year",
        "doctor",
    ],
)
def test_what_the_terminal_shows_fits_eighty_columns(checkout: Path, running: tuple[int, Path], words: str) -> None:
    shown = typed_in_a_terminal(checkout, f".venv/bin/lake --sandbox {words}")
    tables = [line for line in shown.splitlines() if "─" in line or re.match(r"^ {2,}\S", line)]
    assert shown.strip() and all(len(line) <= COLUMNS for line in tables), shown
