"""A served lake in a process of its own, for tests that speak HTTP."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from filelock import FileLock

from chalicelib.rest.access import Access
from chalicelib.settings import Settings
from chalicelib.stores import open_secrets
from tests.support import PROJECT

if TYPE_CHECKING:
    from sandbox.server import Sandbox

STARTS_WITHIN = 30.0  # s


class LakeServer:
    """``python -m chalicelib serve`` (or ``command``) on a free port; its lake and secrets lie in ``folder``."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = ("-m", "chalicelib", "serve", "--port", "0"),
    ) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self._errors = (folder / "serve.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment(folder, environ or {}),
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.printed = self._first_line()  # the address to open, with a code that works once
        parts = urlsplit(self.printed)
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.token = self._sign_in(parse_qs(parts.query)["code"][0])
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.token}"

    def __enter__(self) -> LakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """An address to open, with a code of its own."""
        settings = Settings(lake_url=str(self.lake), secrets_url=str(self.folder / "secrets"))
        return f"{self.url}/?code={Access(settings, open_secrets(settings)).new_code()}"

    def _sign_in(self, code: str) -> str:
        """A session's token, for the code of the address that was printed."""
        answer = requests.post(f"{self.url}/session", json={"code": code}, timeout=30)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def stop(self) -> int:
        """End it as an operator would; answers its exit status."""
        self.session.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        if not self._errors.closed:
            self._errors.close()
        return status

    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    def pid(self) -> int:
        return self._process.pid

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=60, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=60, **options)

    def put(self, path: str, **options: Any) -> requests.Response:
        return self.session.put(self.url + path, timeout=60, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.session.delete(self.url + path, timeout=60, **options)

    def rows(self, sql: str, *parameters: Any) -> list[list[Any]]:
        """The rows of a query, by the API."""
        started = self.post("/queries", json={"sql": sql, "parameters": list(parameters)})
        assert started.status_code == 202, started.text
        answer = self.get(f"{started.headers['Location']}/rows", params={"wait": 20, "limit": 10_000})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["rows"])

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], STARTS_WITHIN)
        line = self._process.stdout.readline().strip() if ready else ""
        if not line.startswith("http"):
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"serve did not start: {line} {self.log()}")
        return line


def environment(folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process whose lake and secrets lie in ``folder``, and nothing else of ours."""
    return {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "error",
        "LAKE_URL": str(folder / "lake"),
        "SECRETS_URL": str(folder / "secrets"),
        "EXTRACT_SCHEDULE": "rate(1 day)",
        **extra,
    }


def eventually(check: Any, seconds: float = 20.0) -> Any:
    """What ``check`` answers once that is true; the last answer when time is up."""
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.1)


@contextmanager
def sandboxed(folder: Path, **options: Any) -> Iterator[dict[str, str]]:
    """A sandbox Spotify and the environment that points at it, its listener logged in."""
    from sandbox.server import Sandbox

    with Sandbox(**options) as sandbox:
        yield logged_in(folder, sandbox)


def logged_in(folder: Path, sandbox: Sandbox) -> dict[str, str]:
    """The environment that points at a sandbox, whose listener logs in."""
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
    }
    settings = Settings.load(environ, None)
    login(settings, open_secrets(settings), open_url=lambda address: requests.get(address, timeout=10).ok)
    return environ


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def filled(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder of its own with a filled lake; the lake is made once for all tests of all workers, then copied."""
    shared = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    original = shared / "filled-lake"
    with FileLock(f"{original}.lock"):
        if not (original / "lake").exists():
            original.mkdir(exist_ok=True)
            fill(original)
    folder = factory.mktemp(name)
    shutil.copytree(original, folder, dirs_exist_ok=True)
    return folder


def fill(folder: Path, **options: Any) -> None:
    """Extract a sandbox listener into the lake in ``folder`` and transform it, by the commands a person types."""
    with sandboxed(folder, **options) as spotify:
        for command in ("extract", "transform"):
            done = subprocess.run(
                [sys.executable, "-m", "chalicelib", command],
                cwd=folder,
                env=environment(folder, spotify),
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
