"""The parts that the handlers share, opened when first needed: settings, lake, secrets, access, engine, worker, API."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.log import set_up
from chalicelib.settings import PROJECT, Settings

if TYPE_CHECKING:
    from chalicelib.extraction.starting import Worker
    from chalicelib.lake import Lake
    from chalicelib.queries.engine import Engine
    from chalicelib.rest.access import Access
    from chalicelib.rest.api import Api
    from chalicelib.secrets import SecretStore

T = TypeVar("T")
FIRST_PAGE = ("plays", "tracks")  # the tables that it reads


class Parts:
    """One of each part, for all threads of a process. Nothing is read or opened before it is asked for."""

    def __init__(self, environ: Mapping[str, str] | None = None, env_file: Path | None = PROJECT / ".env") -> None:
        self._environ = environ
        self._env_file = env_file
        self._opened: dict[str, Any] = {}
        self._locks: dict[str, threading.RLock] = {}  # one each: who needs the lake does not wait for the engine
        self._lock = threading.Lock()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._once("settings", self._load_settings)

    @property
    def lake(self) -> Lake:
        """The lake that LAKE_URL names."""
        from chalicelib.stores import open_lake

        return self._once("lake", lambda: open_lake(self.settings))

    @property
    def secrets(self) -> SecretStore:
        """The store that SECRETS_URL names."""
        from chalicelib.stores import open_secrets

        return self._once("secrets", lambda: open_secrets(self.settings))

    @property
    def access(self) -> Access:
        """Who may ask: tokens and their scopes."""
        from chalicelib.rest.access import Access

        return self._once("access", lambda: Access(self.settings, self.secrets))

    @property
    def api(self) -> Api:
        """Requests in, replies out."""
        return self._once("api", self._make_api)

    @property
    def engine(self) -> Engine:
        """The query engine that goes with the lake."""
        return self._once("engine", lambda: open_engine(self.settings, self.lake))

    @property
    def worker(self) -> Worker:
        """What starts runs, crawls and imports in the background."""
        from chalicelib.extraction.starting import open_worker

        return self._once("worker", lambda: open_worker(self.settings, self.lake))

    def register(self, keys: Iterable[str] | None) -> None:
        """Tell the catalogue of files of the tables that were written; of every file there is with None."""
        if self.settings.glue_database:
            from chalicelib.queries.athena.glue import register

            register(self.settings, self.lake, keys)

    def forget_empty_partitions(self) -> None:
        """Have the catalogue name no partition without files."""
        if self.settings.glue_database:
            from chalicelib.queries.athena.glue import forget_empty

            forget_empty(self.settings, self.lake)

    def warm_up(self) -> None:
        """Make and load what the dashboard's first page needs, before anybody opens it."""
        from chalicelib.queries.engine import Warming
        from chalicelib.reports.catalogue import reports

        _ = self.api
        for name in ("chalicelib.queries.rendering", "chalicelib.reports.own"):
            import_module(name)
        reports(self.lake)
        engine = self.engine
        if isinstance(engine, Warming):
            engine.warm_up(FIRST_PAGE)

    def close(self) -> None:
        """End what goes on in the background."""
        for name in ("worker", "engine"):
            with self._lock_of(name):
                if name in self._opened:
                    self._opened.pop(name).close()

    def _make_api(self) -> Api:
        from chalicelib.rest.api import Api

        return Api(
            self.settings,
            self.lake,
            engine=lambda: self.engine,
            worker=lambda: self.worker,
            access=lambda: self.access,
        )

    def _load_settings(self) -> Settings:
        settings = Settings.load(self._environ, self._env_file)
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:  # elsewhere the command line has set up the log
            set_up(settings.log_level, secrets=(settings.api_token, settings.spotipy_client_secret))
        return settings

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._opened:
            with self._lock_of(name):
                if name not in self._opened:
                    self._opened[name] = make()
        opened: T = self._opened[name]
        return opened

    def _lock_of(self, name: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(name, threading.RLock())


def open_engine(settings: Settings, lake: Lake) -> Engine:
    """The engine that goes with ``LAKE_URL``. Starts nothing until it is asked something."""
    if settings.on_aws:
        from chalicelib.queries.athena.engine import AthenaEngine

        return AthenaEngine(settings, lake)
    from chalicelib.queries.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(settings, lake)
