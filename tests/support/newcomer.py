"""Somebody who has read the README and what it leads to, and types what that and the screen say."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import PROJECT
from tests.support.server import free_port
from tests.support.terminal import LONGEST, shown_of, typed_in_a_terminal

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from sandbox.listener import Listener
    from sandbox.server import Sandbox
    from tests.support.browser import Visit

RUNS = ("app.py", "pyproject.toml", "chalicelib", "sandbox")  # of the project, what its commands need
DEPLOYS = ("deploy", ".chalice", "constraints.txt", "requirements.txt", "requirements-layers.txt")
AGREES = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=30).read()"


def checked_out(folder: Path, names: Collection[str] = RUNS) -> Path:
    """The folder, with the project in it."""
    for name in names:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


class Newcomer:
    """Somebody in a folder of the project. ``pages`` of docs/ are what the README has led them to."""

    def __init__(self, folder: Path, spotify: Sandbox, pages: Collection[str] = ("friends.md",)) -> None:
        self.folder = folder
        self.spotify = spotify
        texts = (PROJECT / "README.md", *(PROJECT / "docs" / page for page in pages))
        self.read = "".join(path.read_text("utf-8") for path in texts)
        agrees = folder / "agrees.py"  # the browser, in which they agree to what Spotify asks
        agrees.write_text(AGREES)
        self.environ = {
            "SPOTIFY_API_URL": spotify.api_url.rstrip("/"),
            "SPOTIFY_ACCOUNTS_URL": spotify.accounts_url.rstrip("/"),
            "SPOTIPY_REDIRECT_URI": f"http://127.0.0.1:{free_port()}/callback",
            "BROWSER": f"{shlex.quote(sys.executable)} {shlex.quote(str(agrees))} %s",
        }

    def types(self, line: str, *answers: tuple[str, str]) -> str:
        """A line whose command somebody has told them of, for the sandbox's lake or for their own."""
        command = re.match(r"\.venv/bin/lake ([a-z-]+(?: list| rename| merge| add)?)", line)
        told = [f".venv/bin/lake {own}{command[1]}" for own in ("", "--sandbox ")] if command else []
        assert any(each in self.read for each in told), line
        shown = typed_in_a_terminal(self.folder, line, answers, self.environ)
        self.read += shown
        return shown

    def deploys(self, line: str, longest: float = LONGEST) -> str:
        """``python -m deploy …``, as docs/deploy.md has it."""
        program, *words = shlex.split(line)
        assert program == "python" and " ".join([program, *words[:3]]) in self.read, line
        shown = shown_of([sys.executable, *words], self.folder, (), self.environ, longest)
        self.read += shown
        return shown

    def has_credentials(self) -> None:
        """What the README says of the Spotify app."""
        assert "SPOTIPY_CLIENT_ID=...\n" in self.read
        keys = {"SPOTIPY_CLIENT_ID": self.spotify.client_id, "SPOTIPY_CLIENT_SECRET": self.spotify.client_secret}
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))

    def counted(self, sql: str) -> int:
        """The one number that a query answers."""
        answer = self.types(f".venv/bin/lake query {shlex.quote(sql)}")
        (number,) = map(int, re.findall(r"^ *(\d+) *\r?$", answer, re.MULTILINE))
        return number

    @contextmanager
    def served(self, browser: Browser) -> Iterator[Visit]:
        """The page that the printed address opens."""
        from playwright.sync_api import expect

        from tests.support.browser import BUSY, Visit

        assert ".venv/bin/lake serve" in self.read
        port = free_port()
        with (self.folder / "serve.log").open("w") as errors:
            serving = subprocess.Popen(
                [sys.executable, "-m", "chalicelib", "serve", "--port", str(port)],
                cwd=self.folder, env={**os.environ, **self.environ}, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        try:
            assert serving.stdout and select.select([serving.stdout], [], [], 60)[0]
            visit = Visit(browser, f"http://127.0.0.1:{port}", None, timezone_id="UTC")
            visit.page.goto(serving.stdout.readline().strip())
            expect(visit.page.locator(BUSY)).to_have_count(0, timeout=60_000)  # the first page of a service just begun
            visit.settle()
            yield visit
            visit.close()
        finally:
            serving.terminate()
            serving.wait(30)
            if serving.stdout:
                serving.stdout.close()


def agreed(browser: Browser, spotify: Sandbox, friend: Listener, link: str) -> str:
    """What a friend reads who opens the link in their own browser and agrees."""
    context = browser.new_context(ignore_https_errors=True)
    context.add_cookies([{"name": "listener", "value": friend.id, "url": spotify.url}])
    page = context.new_page()
    page.goto(link, timeout=120_000)
    words = page.locator("body").inner_text()
    context.close()
    return words


def go_to(visit: Visit, name: str) -> None:
    """A page, by its link."""
    visit.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
    visit.settle()
