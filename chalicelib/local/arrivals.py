"""Sends the Chalice app's S3 events for objects that arrive in a lake in a folder.

A run's objects appear whole, by renaming; what a person copies in grows, and is sent when it has stopped growing.
Objects that arrived while nobody watched are sent at the start.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from chalice.app import Chalice, S3EventConfig
from chalice.local import LambdaContext

from chalicelib.clock import now, rfc3339
from chalicelib.errors import CrawlInProgress, LakeError
from chalicelib.handlers import LOCAL_BUCKET
from chalicelib.lake import RAW, RAW_EXCLUSIONS, RAW_LISTENERS, TRANSFORMED, Lake, ObjectInfo, is_whole
from chalicelib.local.memory import return_freed
from chalicelib.pipeline import lately_unhandled, unhandled
from chalicelib.wiring import Parts

LOOK_EVERY = 300  # ms between two looks at files that may still grow
LOOK_AT_ALL = 60.0  # s between two looks at everything that was never handled
LOOK_AFTER_FAILURE = 10.0  # s
YOUNG = 600.0  # s a new folder is looked into without being told to
QUIET = timedelta(seconds=5)  # without an arrival, after which the catalogue is refreshed
WHOLE = (RAW_LISTENERS, RAW_EXCLUSIONS)  # what lies there the lake alone writes, at once, and somebody waits for it
STILL = 1.5  # s without a change after which a file is taken to be whole
SENT_KEPT = 10_000  # objects whose last event is remembered
log = logging.getLogger(__name__)


class Arrivals(threading.Thread):
    """One thread; events are handled one after another, in the order of their keys."""

    def __init__(
        self,
        app: Chalice,
        parts: Parts,
        monotonic: Callable[[], float] = time.monotonic,
        catch_up: Callable[[Lake], Iterable[str]] = unhandled,
        catch_up_again: Callable[[Lake], Iterable[str]] = lately_unhandled,
    ) -> None:
        super().__init__(name="arrivals", daemon=True)
        self._app = app
        self._parts = parts
        self._monotonic = monotonic
        self._left, self._left_lately = catch_up, catch_up_again
        self._stopped = threading.Event()
        self._sources = [source for source in app.event_sources if isinstance(source, S3EventConfig)]
        self._folder = watched_folder(parts.lake, self._sources)
        self._growing: dict[str, tuple[ObjectInfo, float]] = {}
        self._sent: dict[str, ObjectInfo] = {}
        self._young: dict[Path, float] = {}
        self._look_again = float("-inf")
        self._arrived: datetime | None = None

    def run(self) -> None:
        """Send events until it is stopped."""
        for changed in self._changes(self._folder):  # by now the folder is watched: nothing falls between
            try:
                self._look(changed)
            except (LakeError, OSError) as error:  # a full disk, a folder that went
                log.error("new files cannot be looked at; again in %g s: %s", LOOK_AFTER_FAILURE, error)
                self._look_again = self._monotonic() + LOOK_AFTER_FAILURE

    def _look(self, changed: list[Path]) -> None:
        if self._monotonic() >= self._look_again:
            self._catch_up()
            self._note_written()
            self._left = self._left_lately  # from now on this folder is watched
            self._look_again = self._monotonic() + LOOK_AT_ALL
        for path in (*changed, *self._young_folders()):
            self._note(self._folder, path)
        self._send_whole()
        self._refresh_catalogue()

    def _refresh_catalogue(self) -> None:
        """Have the catalogue tell what has arrived, once nothing has for a while and nobody else has asked for it."""
        if self._arrived is None or self._growing or now() - self._arrived < QUIET:
            return
        last = self._parts.engine.latest_crawl()
        if last is None or last.started_at < self._arrived:
            try:
                self._parts.engine.start_crawl()
            except CrawlInProgress:  # it may have begun too early: again at the next look
                return
        self._arrived = None
        return_freed()

    def _note_written(self) -> None:
        """That commands in other shells have written tables since the catalogue was refreshed last."""
        newest = max((info.modified for info in self._parts.lake.store.list(TRANSFORMED)), default=None)
        last = self._parts.engine.latest_crawl()
        if newest and (last is None or last.started_at < newest):
            self._arrived = self._arrived or now()

    def _changes(self, folder: Path) -> Iterator[list[Path]]:
        """What was added or changed, every LOOK_EVERY; nothing where the system cannot watch so many folders."""
        from watchfiles import Change, watch

        if link := linked_folder(folder):  # the system would watch all that lies behind it
            yield from self._looks(f"{link} is a link, which the lake does not follow: remove it, and serve anew")
            return
        watched = watch(
            folder, watch_filter=None, step=50, debounce=200, rust_timeout=LOOK_EVERY,
            yield_on_timeout=True, stop_event=self._stopped, raise_interrupt=False,
        )  # fmt: skip
        try:
            for changes in watched:
                yield [Path(name) for kind, name in changes if kind != Change.deleted]
        except (OSError, RuntimeError) as error:
            yield from self._looks(error)

    def _looks(self, why: object) -> Iterator[list[Path]]:
        """Times to look where the system tells of nothing."""
        log.warning("new files are found every %s s only: %s", LOOK_AT_ALL, why)
        while not self._stopped.wait(LOOK_EVERY / 1000):
            yield []

    def _young_folders(self) -> Iterator[Path]:
        """Folders made a while ago: the system may have missed what was put into them at once."""
        for path, until in list(self._young.items()):
            if self._monotonic() > until:
                del self._young[path]
            elif path.is_dir():
                yield path

    def stop(self) -> None:
        """End after the event under way."""
        self._stopped.set()

    def _catch_up(self) -> None:
        """Send what was never handled, but once only: a handler that fails is the schedule's to call again."""
        for key in self._left(self._parts.lake):
            if self._stopped.is_set():
                return
            info = self._parts.lake.store.stat(key)
            if info is None or self._sent.get(key) == info:
                continue
            if (now() - info.modified).total_seconds() > STILL:
                self._send(key)
            else:
                self._growing.setdefault(key, (info, self._monotonic()))

    def _note(self, folder: Path, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            self._young.setdefault(path, self._monotonic() + YOUNG)
        for file in files_in(path):
            key = RAW + file.relative_to(folder).as_posix()
            info = self._parts.lake.store.stat(key)
            known = self._growing[key][0] if key in self._growing else self._sent.get(key)
            if info is not None and info != known and self._source_of(key):
                self._growing[key] = (info, self._monotonic())

    def _send_whole(self) -> None:
        for key, (seen, since) in sorted(self._growing.items()):
            info = self._parts.lake.store.stat(key)
            if info is None:
                del self._growing[key]
            elif info != seen:
                self._growing[key] = (info, self._monotonic())
            elif (
                key.startswith(WHOLE)
                or (now() - info.modified).total_seconds() > STILL
                or self._monotonic() - since > STILL
            ):
                del self._growing[key]
                self._send(key)

    def _source_of(self, key: str) -> S3EventConfig | None:
        for source in self._sources:
            if key.startswith(source.prefix or "") and key.endswith(source.suffix or ""):
                return source
        return None

    def _send(self, key: str) -> None:
        source = self._source_of(key)
        info = self._parts.lake.store.stat(key)
        if source is None or info is None:
            return
        self._remember(key, info)
        context = LambdaContext(source.name, 1_769, max_runtime_ms=900_000)
        try:
            self._app.handler_map[source.name](created_event(info), context)
        except LakeError as error:
            log.error("%s: %s: %s", source.name, key, error.message)
        except Exception:
            log.exception("%s failed on %s", source.name, key)
        else:
            self._arrived = now()
            log.info("%s: %s", source.name, key)

    def _remember(self, key: str, info: ObjectInfo) -> None:
        self._sent.pop(key, None)
        self._sent[key] = info
        while len(self._sent) > SENT_KEPT:
            del self._sent[next(iter(self._sent))]


def watched_folder(lake: Lake, sources: Sequence[S3EventConfig]) -> Path:
    """The raw zone's folder, in which each source has its own. Raises StorageFailed."""
    for source in sources:
        lake.folder(source.prefix or RAW)
    return lake.folder(RAW)


def linked_folder(folder: Path) -> Path | None:
    """A link to a folder that lies below ``folder``; None where there is none."""
    below = (Path(at, name) for at, names, _ in os.walk(folder) for name in names)
    return next((path for path in below if path.is_symlink()), None)


def files_in(path: Path) -> Iterator[Path]:
    """The file, or the files of a folder that was moved in as a whole; of a link none."""
    if path.is_symlink():
        return
    found = path.rglob("*") if path.is_dir() else [path]
    for file in found:
        if file.is_file() and is_whole(file.name):
            yield file


def created_event(info: ObjectInfo) -> dict[str, Any]:
    """What S3 sends; its keys are URL-encoded."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "local",
                "eventTime": rfc3339(info.modified),
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": LOCAL_BUCKET, "arn": f"arn:aws:s3:::{LOCAL_BUCKET}"},
                    "object": {"key": quote_plus(info.key, safe="/"), "size": info.size, "eTag": info.etag},
                },
            }
        ]
    }
