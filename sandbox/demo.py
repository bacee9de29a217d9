"""``make run``: the main job, whole, on the sandbox or, with credentials set, on the real Spotify.

Each step is the command a person would type; what it prints is what they would see. The sandbox, its lake and its
tokens are kept apart from the real ones, in ``lake-sandbox`` and ``.sandbox``; ``lake --sandbox`` is at them from any
other shell.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping

from chalicelib.errors import Conflict, LakeError
from chalicelib.settings import COMMAND, PROJECT, SANDBOX, SANDBOX_ENVIRONMENT, SANDBOX_LAKE, Settings

REPORTS = (
    ("top_artists", "--set", "period=all", "--set", "limit=5"),
    ("top_tracks", "--set", "period=all", "--set", "limit=5"),
    ("listening_over_time", "--set", "period=3m", "--set", "unit=week"),
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port of the API and dashboard (default 8000)")
    parser.add_argument("--once", action="store_true", help="stop after the reports instead of serving")
    options = parser.parse_args(arguments)
    try:
        if not options.once:
            require_free(options.port)
        settings = Settings.load()
        if settings.spotipy_client_id and settings.spotipy_client_secret:
            return own_account(settings, options.port, serve=not options.once)
        with sandbox():
            return run([COMMAND, "--sandbox"], options.port, serve=not options.once)
    except LakeError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_status


def require_free(port: int) -> None:
    """Raises Conflict before any work is done for a page that could not be shown."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Conflict(f"port {port} is in use: choose another, as in `make run PORT={port + 1}`") from None


def own_account(settings: Settings, port: int, *, serve: bool) -> int:
    """On the real Spotify, after a login if nobody has logged in yet."""
    from chalicelib.spotify.auth import authorizations
    from chalicelib.stores import open_secrets

    print("Using the real Spotify: SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET are set.\n")
    if not authorizations(open_secrets(settings)):
        if not sys.stdin.isatty():
            print(f"Nobody has logged in yet: `{COMMAND} login` first, then `make run` again.", file=sys.stderr)
            return 78
        if status := command([COMMAND], ["login"]):
            return status
    return run([COMMAND], port, serve=serve)


@contextlib.contextmanager
def sandbox() -> Iterator[None]:
    """A sandbox Spotify with a login made; while it runs, ``lake --sandbox`` is at it and at its lake."""
    from sandbox.server import Sandbox

    print("No SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET: using a sandbox Spotify with a made-up listener.\n")
    with Sandbox() as spotify:
        environ = {
            "LAKE_URL": str(SANDBOX_LAKE),
            "SECRETS_URL": str(SANDBOX),
            "SPOTIFY_API_URL": spotify.api_url.rstrip("/"),
            "SPOTIFY_ACCOUNTS_URL": spotify.accounts_url.rstrip("/"),
            "SPOTIPY_CLIENT_ID": "sandbox-client",
            "SPOTIPY_CLIENT_SECRET": "sandbox-secret",
        }
        SANDBOX.mkdir(mode=0o700, exist_ok=True)
        SANDBOX_ENVIRONMENT.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in environ.items()))
        log_in(environ)
        yield


def log_in(environ: Mapping[str, str]) -> None:
    """Authorise at the sandbox: its consent page says yes by itself, so fetching it is all a browser would do."""
    import requests

    from chalicelib.spotify.auth import login
    from chalicelib.stores import open_secrets

    settings = Settings.load(environ)

    def open_consent_page(address: str) -> bool:
        return requests.get(address, timeout=10).ok

    login(settings, open_secrets(settings), open_url=open_consent_page)


def run(lake: list[str], port: int, *, serve: bool) -> int:
    steps = [["extract"], ["transform"], ["crawl"], *(["report", *report, "--format", "table"] for report in REPORTS)]
    for step in steps:
        status = command(lake, step)
        if status:
            return status
    if not serve:
        return 0
    print("What to do next: open the address below (it signs one browser in, once);")
    print(f"in another shell of this folder, `{shlex.join(lake)} open` opens it again,")
    print(f'and `{shlex.join(lake)} query "SELECT count(*) FROM plays"` asks the same lake.\n')
    return command(lake, ["serve", "--port", str(port)])


def command(lake: list[str], arguments: list[str]) -> int:
    """Run one command of the lake as a person would; CTRL-C reaches it and is its to answer."""
    print(f"$ {shlex.join([*lake, *arguments])}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "chalicelib", *lake[1:], *arguments], cwd=PROJECT)
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
