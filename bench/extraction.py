"""How many calls extraction makes, against the fewest possible, and how long it takes against Spotify's latency.

``python -m bench.extraction [--scale medium] [--latency-ms 50] [--concurrency 4]``

For both kinds of app: the calls of a first run beside those of an omniscient client (who knows beforehand what is
there), of a second run when nothing has changed, and the wall time of a first run beside calls x latency / concurrency.
The sandbox runs in a process of its own. Exit status 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import select
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from bench import figures
from chalicelib.clock import now
from chalicelib.extraction.extract import run_extraction
from chalicelib.lake import RAW_ANSWERS, Lake
from chalicelib.raw import unpack
from chalicelib.runs import RunRecord
from chalicelib.settings import Settings
from chalicelib.spotify.auth import ListenerTokens, credentials, listeners, login
from chalicelib.stores import open_lake
from chalicelib.stores.secrets_folder import SecretFolder

MODES = ("development", "extended")
MOST_CALLS = {"development": 1.0, "extended": 1.02}  # x the fewest, first run
MOST_TIME = 1.3  # x calls x latency / concurrency
SAMPLED = 60  # answers asked for again by a bare client


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox in a process of its own, whose world stands still."""

    url: str

    @classmethod
    @contextlib.contextmanager
    def started(cls, mode: str, scale: str, latency_ms: float) -> Iterator[Sandbox]:
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--mode", mode, "--scale", scale, "--frozen"]
        command += ["--latency-ms", str(latency_ms)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                if not select.select([process.stdout], [], [], 120)[0]:
                    raise SystemExit("the sandbox did not start within 120 s")
                yield cls(process.stdout.readline().split()[-1])
            finally:
                process.terminate()

    def admin(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/admin/{path}", timeout=60) as answer:
            document: dict[str, Any] = json.load(answer)
            return document


@dataclass(slots=True)
class Result:
    """One mode: calls and seconds."""

    mode: str
    fewest: int
    first: RunRecord
    second: RunRecord
    playlists: int
    seconds: float
    busy: float  # share of the threads' time spent waiting for Spotify
    latency: float  # s that a bare client waits for an answer
    ideal: float  # s

    @property
    def calls_ratio(self) -> float:
        return self.first.calls / self.fewest

    @property
    def time_ratio(self) -> float:
        return self.seconds / self.ideal

    @property
    def second_allowed(self) -> int:
        """One call a due source that is asked at all, plus one per 50 playlists."""
        due = [one for one in self.second.sources if one.calls and one.source != "my_playlists"]
        return len(due) + -(-self.playlists // 50)

    @property
    def holds(self) -> bool:
        return (
            self.first.state == self.second.state == "succeeded"
            and self.calls_ratio <= MOST_CALLS[self.mode]
            and self.second.calls <= self.second_allowed
            and self.time_ratio <= MOST_TIME
        )


def measure(mode: str, options: argparse.Namespace) -> Result:
    with Sandbox.started(mode, options.scale, options.latency_ms) as sandbox, tempfile.TemporaryDirectory() as folder:
        settings = settings_for(sandbox, Path(folder), options.concurrency)
        secrets = SecretFolder(Path(folder) / "secrets")
        login(settings, secrets, open_url=lambda url: requests.get(url, timeout=10).ok)
        lake = open_lake(settings)
        began = time.monotonic()
        first = run_extraction(settings, lake, secrets=secrets, trigger="schedule")
        seconds = time.monotonic() - began

        def later() -> datetime:
            return now() + timedelta(hours=1)

        second = run_extraction(settings, lake, secrets=secrets, trigger="schedule", clock=later)
        latency = bare_latency(settings, secrets, lake)
        return Result(
            mode=mode,
            fewest=sandbox.admin("minimum_calls")["total"],
            first=first,
            second=second,
            playlists=next(one.items for one in first.sources if one.source == "my_playlists"),
            seconds=seconds,
            busy=waited(lake, first.run_id) / (seconds * options.concurrency),
            latency=latency,
            ideal=first.calls * latency / options.concurrency,
        )


def waited(lake: Lake, run_id: str) -> float:
    """Seconds from request to answer, over all answers of a run."""
    answers = (answer for info in lake.store.list(RAW_ANSWERS) for answer in unpack(lake.store.open(info.key)))
    times = (
        (answer.received_at - answer.requested_at).total_seconds() for answer in answers if answer.run_id == run_id
    )
    return sum(times)


def bare_latency(settings: Settings, secrets: SecretFolder, lake: Lake) -> float:
    """Mean seconds that a bare client waits, one call at a time, for a sample of the answers that extraction read.

    More than the sandbox's latency: it also has to make the answer, and not only on an idle machine.
    """
    addresses = [
        (f"{settings.spotify_api_url}/{answer.endpoint}", answer.params)
        for info in lake.store.list(RAW_ANSWERS)
        for answer in unpack(lake.store.open(info.key))
    ]
    (listener,) = listeners(secrets)
    tokens = ListenerTokens(settings, credentials(settings, secrets), secrets, listener.user_id)
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {tokens.get_access_token()}"
        sample = addresses[:: max(1, len(addresses) // SAMPLED)]
        began = time.monotonic()
        for address, params in sample:
            session.get(address, params=params, timeout=30).raise_for_status()
        return (time.monotonic() - began) / len(sample)


def settings_for(sandbox: Sandbox, folder: Path, concurrency: int) -> Settings:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return replace(
        Settings(),
        lake_url=str(folder / "lake"),
        secrets_url=str(folder / "secrets"),
        spotipy_client_id="sandbox-client",
        spotipy_client_secret="sandbox-secret",
        spotipy_redirect_uri=f"http://127.0.0.1:{port}/callback",
        spotify_api_url=f"{sandbox.url}/v1",
        spotify_accounts_url=sandbox.url,
        calls_per_run=1_000_000,
        run_seconds=3_600.0,
        concurrency=concurrency,
    )


def report(result: Result, options: argparse.Namespace) -> None:
    first, second = result.first, result.second
    print(f"{result.mode} mode, {options.scale} listener")
    ratio = f"{result.calls_ratio:.3f} x (bar {MOST_CALLS[result.mode]})"
    print(f"  first run    {first.calls:6,} calls, {result.fewest:,} at least: {ratio}")
    asked = ", ".join(f"{one.source} {one.calls}" for one in second.sources if one.calls)
    print(f"  second run   {second.calls:6,} calls, {result.second_allowed} allowed ({asked})")
    nominal = result.seconds / (first.calls * options.latency_ms / 1000 / options.concurrency)
    print(f"  latency      {result.latency * 1000:6.0f} ms as a bare client meets it, {options.latency_ms:g} ms set")
    print(f"  wall time    {result.seconds:6.1f} s for {first.calls:,} calls, {options.concurrency} at once")
    print(f"               {result.time_ratio:.2f} x calls x latency / concurrency (bar {MOST_TIME})")
    print(f"               {nominal:.2f} x with the latency that is set")
    print(f"  threads      {result.busy:6.0%} of their time waiting for Spotify")
    print(f"  answers      {first.bytes / 1e6:6.1f} MB, {first.items:,} items, {first.retries} retries")
    print(f"  bars         {'held' if result.holds else 'MISSED'}", flush=True)


def told(results: list[Result], concurrency: int) -> dict[str, tuple[str, str]]:
    """The figures, of each kind of app."""

    def each(figure: Callable[[Result], str]) -> str:
        return "; ".join(f"{result.mode} {figure(result)}" for result in results)

    names = figures.MEASURED["extraction"]
    columns = (
        (each(lambda one: f"{one.first.calls:,}"), each(lambda one: f"{one.fewest:,}")),
        (each(lambda one: f"{one.second.calls:,}"), ""),
        (
            each(lambda one: f"{one.seconds:.0f} s"),
            each(lambda one: f"{one.first.calls * one.latency:.0f} s") + f" ({concurrency} at once here)",
        ),
    )
    return dict(zip(names, columns, strict=True))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.extraction", description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", default="medium", choices=("small", "medium", "large"))
    parser.add_argument("--latency-ms", type=float, default=50.0, help="what Spotify takes to answer (default 50)")
    parser.add_argument("--concurrency", type=int, default=4, help="calls under way at once (default 4)")
    parser.add_argument("--mode", choices=MODES, action="append", help="default: both")
    options = parser.parse_args(arguments)
    logging.getLogger("chalicelib").setLevel(logging.ERROR)
    results = []
    for mode in options.mode or MODES:
        results.append(measure(mode, options))
        report(results[-1], options)
    if sorted(result.mode for result in results) == sorted(MODES):
        usual = vars(options) == vars(parser.parse_args([]))
        figures.tell("extraction", told(results, options.concurrency), usual=usual)
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
