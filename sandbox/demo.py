"""``make run``: the main job, whole, on the sandbox or, with credentials set, on the real Spotify.

Each step is the command a person would type; what it prints is what they would see. The sandbox, its lake and its
tokens are kept apart from the real ones, in ``lake-sandbox`` and ``.sandbox``; ``lake --sandbox`` is at them from any
other shell. The made-up listener has years behind them: their privacy export is written while the first run goes on,
and imported once.
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
from pathlib import Path

from chalicelib.errors import Conflict, LakeError, StorageFailed
from chalicelib.lake import RAW_HISTORY
from chalicelib.settings import COMMAND, PROJECT, SANDBOX, SANDBOX_ENVIRONMENT, SANDBOX_LAKE, Settings

REPORTS = (
    ("listening_over_time", "--set", "period=all", "--set", "unit=year"),
    ("top_artists", "--set", "period=1y", "--set", "limit=5"),
    ("year_in_review", "--set", "period=1y"),
)
SCALE = "demo"
VARIANT = "extended-2025"
EXPORT = SANDBOX / f"{VARIANT}.zip"


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
        with privacy_export() as export, sandbox():
            return run([COMMAND, "--sandbox"], options.port, serve=not options.once, export=export)
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
    with Sandbox(scale=SCALE) as spotify:
        environ = {
            "LAKE_URL": str(SANDBOX_LAKE),
            "SECRETS_URL": str(SANDBOX),
            "SPOTIFY_API_URL": spotify.api_url.rstrip("/"),
            "SPOTIFY_ACCOUNTS_URL": spotify.accounts_url.rstrip("/"),
            "SPOTIFY_IMAGES_URL": spotify.images_url,
            "MUSICBRAINZ_URL": spotify.musicbrainz_url,
            "LISTENBRAINZ_URL": spotify.listenbrainz_url,
            "SPOTIPY_CLIENT_ID": "sandbox-client",
            "SPOTIPY_CLIENT_SECRET": "sandbox-secret",
        }
        SANDBOX_ENVIRONMENT.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in environ.items()))
        log_in(environ)
        yield


def log_in(environ: Mapping[str, str]) -> None:
    """Authorise at the sandbox: its consent page says yes by itself, so fetching it is all a browser would do."""
    import requests

    from chalicelib.listeners import note_login
    from chalicelib.spotify.auth import Login, login
    from chalicelib.stores import open_lake, open_secrets

    settings = Settings.load(environ)

    def open_consent_page(address: str) -> bool:
        return requests.get(address, timeout=10).ok

    def note(made: Login) -> None:
        note_login(open_lake(settings), made.user_id, made.authorized_at, made.ends_at, made.profile)

    login(settings, open_secrets(settings), open_url=open_consent_page, tell=note)


@contextlib.contextmanager
def privacy_export() -> Iterator[subprocess.Popen[bytes] | None]:
    """What writes the listener's export, beside all else; None where the lake has it already."""
    SANDBOX.mkdir(mode=0o700, exist_ok=True)
    if (SANDBOX_LAKE / RAW_HISTORY).is_dir():
        yield None
        return
    command = [sys.executable, "-m", "sandbox.export", str(SANDBOX), "--variant", VARIANT, "--scale", SCALE]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) as writing:
        try:
            yield writing
        finally:
            writing.terminate()


def run(lake: list[str], port: int, *, serve: bool, export: subprocess.Popen[bytes] | None = None) -> int:
    """Every step in its order, and then the service. Answers the exit status of the first that fails."""
    for step in steps(export):
        if status := command(lake, step):
            return status
    if not serve:
        return 0
    typed = shlex.join(lake)
    print("What to do next, in any other shell of this folder:")
    print(f"  see the page           `{typed} open`")
    print(f'  ask this lake          `{typed} query "SELECT count(*) AS plays FROM heard WHERE play_seconds >= 30"`')
    print("  your own listening     put your Spotify app's id and secret into .env (README.md)\n")
    return command(lake, ["serve", "--port", str(port)])


def steps(export: subprocess.Popen[bytes] | None) -> Iterator[list[str]]:
    """The commands, one after another."""
    yield ["extract"]
    yield ["transform"]
    if export:
        print("Waiting for the made-up listener's privacy export of several years", flush=True)
        yield ["import-history", str(written(export).relative_to(PROJECT))]
    yield ["crawl"]
    for report in REPORTS:
        yield ["report", *report, "--format", "table"]


def written(export: subprocess.Popen[bytes]) -> Path:
    """The export's file when it is whole. Raises StorageFailed."""
    if export.wait():
        raise StorageFailed(f"the sandbox's privacy export could not be written to {SANDBOX}: see above")
    return EXPORT


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
