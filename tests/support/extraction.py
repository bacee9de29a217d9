"""A sandbox Spotify, a lake and a logged-in listener, for tests of extraction."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from chalicelib.clock import parse_rfc3339
from chalicelib.extraction.extract import run_extraction
from chalicelib.lake import RAW_ANSWERS, Lake
from chalicelib.raw import Answer, unpack
from chalicelib.runs import RunRecord
from chalicelib.settings import Settings
from chalicelib.spotify import auth
from chalicelib.spotify.auth import SCOPES
from chalicelib.stores import open_lake
from chalicelib.stores.secrets_folder import SecretFolder
from sandbox.scales import Scale
from sandbox.server import Sandbox

START = "2026-11-20T12:00:00Z"


class Clock:
    """Goes on like a real one, from the sandbox's time, and further with ``advance``."""

    def __init__(self, start: str = START) -> None:
        self._start = parse_rfc3339(start)
        self._began = time.monotonic()
        self._added = timedelta(0)

    def __call__(self) -> datetime:
        return self._start + self._added + timedelta(seconds=time.monotonic() - self._began)

    def advance(self, **by: float) -> None:
        self._added += timedelta(**by)


class World:
    """What an extraction test works with. The sandbox's time stands still but for :meth:`advance`."""

    def __init__(self, folder: Path, sandbox: Sandbox, **settings: Any) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.clock = Clock()
        self.settings = replace(
            Settings(
                lake_url=str(folder / "lake"),
                secrets_url=str(folder / "secrets"),
                spotipy_client_id=sandbox.client_id,
                spotipy_client_secret=sandbox.client_secret,
                spotify_api_url=sandbox.api_url.rstrip("/"),
                spotify_accounts_url=sandbox.accounts_url,
                calls_per_run=100_000,
            ),
            **settings,
        )
        self.secrets = SecretFolder(folder / "secrets")
        self.lake: Lake = open_lake(self.settings)

    def log_in(self, user_id: str | None = None) -> str:
        """Store a listener's authorisation, given now; answers the user id."""
        listener = self.sandbox.world.listener(user_id)
        assert listener is not None
        moment = self.clock()
        reply = {
            "access_token": self.sandbox.access_token(listener.id),
            "refresh_token": self.sandbox.refresh_token(listener.id, " ".join(SCOPES)),
            "scope": " ".join(SCOPES),
            "expires_in": 3600,
        }
        return auth.remember(self.settings, self.secrets, reply, moment, self.clock)

    @property
    def listeners(self) -> dict[str, str]:
        """Who is logged in: Spotify's id of each, by user id."""
        return {listener.user_id: listener.spotify_id for listener in auth.listeners(self.secrets)}

    def run(self, **given: Any) -> RunRecord:
        """One extraction, its calls counted anew by the sandbox."""
        self.sandbox.calls.clear()
        settings = replace(self.settings, **given.pop("settings", {}))
        options: dict[str, Any] = {"trigger": "schedule", "clock": self.clock, **given}
        return run_extraction(settings, self.lake, secrets=self.secrets, **options)

    def advance(self, **by: float) -> None:
        """Let time pass, here and at Spotify."""
        self.clock.advance(**by)
        self.sandbox.advance(timedelta(**by).total_seconds())

    def calls(self) -> Counter[str]:
        """Calls of the last run by endpoint, as the sandbox saw them."""
        seen = self.sandbox.calls.by_endpoint
        return Counter({name.removeprefix("GET /"): count for name, count in seen.items() if name.startswith("GET ")})

    def answers(self) -> Iterator[Answer]:
        return answers_of(self.lake)


@contextmanager
def world(folder: Path, *, mode: str = "development", scale: str | Scale = "small", **settings: Any) -> Iterator[World]:
    """A sandbox with one listener logged in and an empty lake."""
    latency, frozen = settings.pop("latency_ms", 0), settings.pop("frozen", True)
    options = {name: settings.pop(name) for name in ("rate_limit_per_30s", "rotate_refresh_tokens") if name in settings}
    with Sandbox(mode=mode, scale=scale, now=START, frozen=frozen, latency_ms=latency, **options) as sandbox:
        made = World(folder, sandbox, **settings)
        made.log_in()
        made.sandbox.calls.clear()
        yield made


def answers_of(lake: Lake) -> Iterator[Answer]:
    """Every answer in the raw zone, in the order of their keys."""
    for info in lake.store.list(RAW_ANSWERS):
        with lake.store.open(info.key) as stream:
            yield from unpack(stream)


def contents(lake: Lake) -> Counter[tuple[Any, ...]]:
    """What the raw zone says, whenever, by whichever run and in whatever batches it was asked."""
    return Counter(said for answer in answers_of(lake) for said in sayings(answer))


def sayings(answer: Answer) -> Iterator[tuple[Any, ...]]:
    body = re.sub(rb"http://127\.0\.0\.1:\d+", b"", answer.body)
    if "ids" in answer.params:
        for item in json.loads(body)[answer.endpoint]:
            yield answer.source, answer.endpoint, json.dumps(item)
    else:
        yield answer.source, answer.endpoint, json.dumps(answer.params, sort_keys=True), answer.status, body


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def get(url: str) -> bool:
    """What a browser would do with the sandbox's consent page."""
    return requests.get(url, timeout=10).ok
