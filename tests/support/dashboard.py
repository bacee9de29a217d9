"""A served lake that a sandbox Spotify and a privacy export fill, for the dashboard's tests and pictures."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from sandbox import export
from sandbox.server import Sandbox
from sandbox.world import World
from tests.support.server import PROJECT, LakeServer, environment, eventually, free_port

BEHIND = timedelta(hours=40)  # the sandbox's time starts before ours, so that it can advance within the past
STEP = timedelta(hours=3)
GUEST, GUEST_SEED = "guest", 11  # a second listener of other taste, of the last year only
BETWEEN = "\x1e"
COMMANDS = f"""
import json, sys
from chalicelib.commands.cli import main
for words in json.load(sys.stdin):
    main.main(words, standalone_mode=False)
    print({BETWEEN!r}, end="", flush=True)
"""


@dataclass
class Filled:
    """A served lake with a run and an export in it."""

    server: LakeServer
    sandbox: Sandbox
    environ: dict[str, str]
    folder: Path

    def command(self, *arguments: str) -> str:
        """What a command of the lake prints."""
        done = subprocess.run(
            [sys.executable, "-m", "chalicelib", *arguments],
            env=environment(self.folder, self.environ),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def report(self, name: str, **values: object) -> list[dict[str, Any]]:
        """A report's rows, by the command line."""
        given = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        return rows_of(json.loads(self.command("report", name, *given, "--format", "json")))

    def reports(self, asked: Sequence[tuple[str, Mapping[str, object]]]) -> list[list[dict[str, Any]]]:
        """The rows of several reports by the command line, in one process that runs one command after another."""
        given = [[part for key, value in values.items() for part in ("--set", f"{key}={value}")] for _, values in asked]
        commands = [["report", name, *parts, "--format", "json"] for (name, _), parts in zip(asked, given, strict=True)]
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS],
            env=environment(self.folder, self.environ),
            cwd=PROJECT,
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(part) for part in done.stdout.split(BETWEEN)[:-1]]

    def number(self, sql: str) -> int:
        return int(self.server.rows(sql)[0][0])

    def listen(self) -> None:
        """Let hours pass at the sandbox until its listener has played something more: people sleep."""
        newest = lambda: max(key[1] for key in self.sandbox.expected(keys="true")["plays"]["keys"])  # noqa: E731
        before = newest()
        for _ in range(BEHIND // STEP):
            self.sandbox.advance(STEP.total_seconds())
            if newest() > before:
                return
        raise AssertionError(f"nothing was played within {BEHIND}")

    def run_to_end(self) -> None:
        self.await_run(self.start_run())

    def start_run(self) -> str:
        started_run = self.server.post("/runs", json={})
        assert started_run.status_code == 202, started_run.text
        return str(started_run.json()["run_id"])

    def await_run(self, run_id: str) -> None:
        assert eventually(lambda: self.ended(run_id), 60), self.server.get(f"/runs/{run_id}").text

    def ended(self, run_id: str) -> bool:
        run = self.server.get(f"/runs/{run_id}").json()
        return run["state"] not in ("queued", "running") and not run.get("to_transform")

    def export(self, world: World | None = None, **period: str) -> Path:
        """A privacy export of the sandbox's listener, or of another world's."""
        folder = self.folder / f"export-{time.monotonic_ns()}"
        folder.mkdir()
        return export.write(folder, world or self.sandbox.world, "extended-2025", **period).path  # type: ignore[arg-type]

    def send_import(self, path: Path, listener: str | None = None) -> str:
        body = {"filename": path.name} | ({"user_id": listener} if listener else {})
        announced = self.server.post("/imports", json=body).json()
        sent = self.server.put(f"/imports/{announced['import_id']}", data=path.read_bytes())
        assert sent.status_code == 202, sent.text
        return str(announced["import_id"])

    def await_import(self, import_id: str) -> None:
        state = lambda: self.server.get(f"/imports/{import_id}").json()  # noqa: E731
        assert eventually(lambda: state()["state"] in ("succeeded", "failed"), 60)
        assert state()["state"] == "succeeded", state()


def rows_of(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, list):
        return document
    names = [column["name"] for column in document["columns"]]
    return [dict(zip(names, row, strict=True)) for row in document["rows"]]


@contextmanager
def filled_lake(folder: Path, *, since: str, until: str, **options: Any) -> Iterator[Filled]:
    """A lake in ``folder`` with one run and two listeners' exports in it, served; ``options`` are the sandbox's."""
    behind = (datetime.now(UTC) - BEHIND).isoformat()
    with Sandbox(now=behind, **options) as sandbox, served(folder, sandbox) as filled:
        run_id = filled.start_run()  # all three at once: each waits for files to have stopped growing
        own = filled.send_import(filled.export(since=since, until=until))
        other = World(seed=GUEST_SEED, scale="small")
        guests = filled.send_import(filled.export(other, since=f"{until[:4]}-01-01", until=until), GUEST)
        filled.await_run(run_id)
        filled.await_import(own)
        filled.await_import(guests)
        assert filled.server.post("/crawls", json={}).status_code == 202
        yield filled


@contextmanager
def served(folder: Path, sandbox: Sandbox, more: Mapping[str, str] | None = None) -> Iterator[Filled]:
    """A lake whose listener has logged in at the sandbox; nothing has run yet. ``more`` are settings."""
    from chalicelib.settings import Settings
    from chalicelib.spotify.auth import login
    from chalicelib.stores import open_secrets

    environ = {
        "SECRETS_URL": str(folder / "secrets"),
        "SPOTIFY_API_URL": sandbox.api_url.rstrip("/"),
        "SPOTIFY_ACCOUNTS_URL": sandbox.accounts_url.rstrip("/"),
        "SPOTIPY_CLIENT_ID": sandbox.client_id,
        "SPOTIPY_CLIENT_SECRET": sandbox.client_secret,
        "SPOTIPY_REDIRECT_URI": f"http://127.0.0.1:{free_port()}/callback",
        "REQUESTS_PER_MINUTE": "100000",
        **(more or {}),
    }
    settings = Settings.load(environ, None)
    login(settings, open_secrets(settings), open_url=lambda address: requests.get(address, timeout=10).ok)
    with LakeServer(folder, environ) as server:
        yield Filled(server, sandbox, environ, folder)
