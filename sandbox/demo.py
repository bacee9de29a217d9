"""``make run``: the main job, whole, on the sandbox or, with credentials set, on the real Spotify.

Each step is the command a person would type; what it prints is what they would see. The sandbox, its lake and its
tokens are kept apart from the real ones, in ``lake-sandbox`` and ``.sandbox``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from chalicelib.errors import LakeError
from chalicelib.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
REPORTS = (("top_artists",), ("listening_by_hour_and_weekday",), ("new_since_last_run", "--set", "limit=10"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port of the API and dashboard (default 8000)")
    parser.add_argument("--once", action="store_true", help="stop after the reports instead of serving")
    options = parser.parse_args(arguments)
    try:
        with spotify() as environ:
            return run(environ, options.port, serve=not options.once)
    except LakeError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_status


@contextlib.contextmanager
def spotify() -> Iterator[Mapping[str, str]]:
    """The environment for the commands: the person's own, or one that points at a sandbox with a login made."""
    settings = Settings.load()
    if settings.spotipy_client_id and settings.spotipy_client_secret:
        print("Using the real Spotify: SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET are set.\n")
        yield os.environ
        return
    from sandbox.server import Sandbox

    print("No SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET: using a sandbox Spotify with a made-up listener.\n")
    with Sandbox() as sandbox:
        environ = {
            **os.environ,
            "LAKE_URL": str(PROJECT / "lake-sandbox"),
            "SECRETS_URL": str(PROJECT / ".sandbox"),
            "SPOTIFY_API_URL": sandbox.api_url.rstrip("/"),
            "SPOTIFY_ACCOUNTS_URL": sandbox.accounts_url.rstrip("/"),
            "SPOTIPY_CLIENT_ID": "sandbox-client",
            "SPOTIPY_CLIENT_SECRET": "sandbox-secret",
        }
        log_in(environ)
        yield environ


def log_in(environ: Mapping[str, str]) -> None:
    """Authorise at the sandbox: its consent page says yes by itself, so fetching it is all a browser would do."""
    import requests

    from chalicelib.spotify.auth import login
    from chalicelib.stores import open_secrets

    settings = Settings.load(environ)

    def open_consent_page(address: str) -> bool:
        return requests.get(address, timeout=10).ok

    login(settings, open_secrets(settings), open_url=open_consent_page)


def run(environ: Mapping[str, str], port: int, *, serve: bool) -> int:
    steps = [["extract"], ["transform"], ["crawl"], *(["report", *report, "--format", "table"] for report in REPORTS)]
    for step in steps:
        status = command(step, environ)
        if status:
            return status
    return command(["serve", "--port", str(port)], environ) if serve else 0


def command(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run one command of the lake as a person would; CTRL-C reaches it and is its to answer."""
    print(f"$ .venv/bin/lake {shlex.join(arguments)}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "chalicelib", *arguments], env=dict(environ), cwd=PROJECT)
    with stopping_with(process):
        status = process.wait()
    print(flush=True)
    return status


@contextlib.contextmanager
def stopping_with(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand SIGTERM on to the command, and leave CTRL-C, which the terminal sends to both, to it."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
