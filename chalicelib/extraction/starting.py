"""Who does a run that ``POST /runs`` asked for: a process of its own here, a Lambda function on AWS.

Until the run writes its own record there is an *accepted* record in ``results/runs/``, so that a run that was
just started, or never came to be, can be seen too. In a folder the service that accepted it holds a lock on a file
while the run's process lives: when the service was killed, the run is known at once never to begin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Protocol

from chalicelib.clock import Clock, now, parse_rfc3339, rfc3339
from chalicelib.errors import InvalidSetting, NotFound, RunInProgress
from chalicelib.filelock import hold, is_held
from chalicelib.lake import RESULTS, STATE, Appendable, Lake
from chalicelib.records import RecordKind
from chalicelib.runs import load_run
from chalicelib.settings import PROJECT, Settings

ACCEPTED = RESULTS + "runs/"
STARTS_WITHIN = timedelta(minutes=5)  # Lambda retries an asynchronous start for longer, but one function suffices
ENDS_WITHIN = 2.0  # s
QUEUED, FAILED = "queued", "failed"


@dataclass(frozen=True, slots=True)
class AcceptedRun:
    """A run that was asked for: ``queued``, or ``failed`` with the reason why it never began."""

    run_id: str
    state: str
    trigger: str
    started_at: str  # RFC 3339 UTC
    error: dict[str, Any] | None = None


ACCEPTED_RUN = RecordKind(AcceptedRun, "a run that was asked for", "start another run", derived=True)


class Worker(Protocol):
    """What starts runs in the background."""

    def start(self, run_id: str, sources: Sequence[str] | None) -> None:
        """Start a run and return at once. Raises RunInProgress."""

    def close(self) -> None: ...


class LocalWorker:
    """One run at a time, in a process of its own, so that it takes no time from those who ask."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self._settings = settings
        self._lake = lake
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, run_id: str, sources: Sequence[str] | None) -> None:
        command = [sys.executable, "-m", "chalicelib", "extract", "--run-id", run_id, "--trigger", "api"]
        for source in sources or ():
            command += ["--source", source]
        with self._lock:
            self._require_idle()
            self._lake.folder(STATE)
            lock = hold(starting_lock(self._lake))
            if lock is None:
                raise RunInProgress("another service is starting a run; GET /runs shows it")
            errors = tempfile.TemporaryFile()  # noqa: SIM115 (the watcher closes it)
            self._process = subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
            )
            watcher = threading.Thread(target=self._watch, args=(self._process, run_id, errors, lock), daemon=True)
            watcher.start()

    def _require_idle(self) -> None:
        """A run that has ended and given its lock back may still be tidying up. Raises RunInProgress."""
        if self._process is None:
            return
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            raise RunInProgress("a run is going on; GET /runs shows it") from None

    def close(self) -> None:
        """End the run that goes on; the next one goes on where it stopped."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                self._process.wait(10)

    def _environment(self) -> dict[str, str]:
        values = {each.name: self._settings.written(each.name) for each in fields(self._settings)}
        told = {name.upper(): value for name, value in values.items() if value != ""}
        path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
        return {**os.environ, **told, "PYTHONPATH": path}

    def _watch(self, process: subprocess.Popen[bytes], run_id: str, errors: IO[bytes], lock: IO[str]) -> None:
        status = process.wait()
        with lock, errors:  # the lock until the reason is noted: without both, the run is known never to begin
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip().splitlines()
            if status != 0:
                message = said[-1].removeprefix("error: ") if said else f"the worker ended with exit status {status}"
                note_failure(self._lake, run_id, message)


class LambdaWorker:
    """The extraction function, invoked asynchronously; the lock in the lake keeps two runs apart."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self, run_id: str, sources: Sequence[str] | None) -> None:
        from chalicelib.stores.aws import client, lake_errors

        if not self._settings.extract_function:
            raise InvalidSetting("EXTRACT_FUNCTION must name the Lambda function that extracts")
        payload = json.dumps({"run_id": run_id, "sources": sources, "trigger": "api"}).encode()
        with lake_errors(f"start {self._settings.extract_function}", run_id=run_id):
            client("lambda").invoke(
                FunctionName=self._settings.extract_function, InvocationType="Event", Payload=payload
            )

    def close(self) -> None: ...


def open_worker(settings: Settings, lake: Lake) -> Worker:
    """The worker that goes with the lake: Lambda, or a process of this computer."""
    return LambdaWorker(settings) if settings.on_aws else LocalWorker(settings, lake)


def accept(lake: Lake, run_id: str, clock: Clock = now) -> AcceptedRun:
    """Note that a run was asked for. Raises RunInProgress while another one is about to start."""
    for info in lake.store.list(ACCEPTED):
        if abs(clock() - info.modified) < STARTS_WITHIN:
            other = ACCEPTED_RUN.read(lake.store, info.key)
            if other and awaited(lake, other) and not has_record(lake, other.run_id):
                raise RunInProgress(f"run {other.run_id} is about to start", run_id=other.run_id)
    record = AcceptedRun(run_id, QUEUED, "api", rfc3339(clock()))
    ACCEPTED_RUN.write(lake.store, accepted_key(run_id), record)
    return record


def awaited(lake: Lake, accepted: AcceptedRun) -> bool:
    """Whether a run that was accepted may still begin."""
    if accepted.state != QUEUED:
        return False
    return not isinstance(lake.store, Appendable) or is_held(starting_lock(lake))


def note_failure(lake: Lake, run_id: str, message: str) -> None:
    """Note why a run that was asked for has no record of its own."""
    record = ACCEPTED_RUN.read(lake.store, accepted_key(run_id))
    if record and not has_record(lake, run_id):
        failed = replace(record, state=FAILED, error={"code": "not_started", "message": message})
        ACCEPTED_RUN.write(lake.store, accepted_key(run_id), failed)


def accepted_run(lake: Lake, run_id: str, clock: Clock = now) -> AcceptedRun | None:
    """A run that was asked for and has no record of its own (yet)."""
    record = ACCEPTED_RUN.read(lake.store, accepted_key(run_id))
    if record is None or record.state != QUEUED:
        return record
    if awaited(lake, record) and parse_rfc3339(record.started_at) >= clock() - STARTS_WITHIN:
        return record
    return replace(record, state=FAILED, error={"code": "not_started", "message": "the worker never started"})


def has_record(lake: Lake, run_id: str) -> bool:
    """Whether the run has begun."""
    try:
        load_run(lake, run_id)
    except NotFound:
        return False
    return True


def accepted_key(run_id: str) -> str:
    """Key of the record of a run that was accepted and has not begun."""
    return f"{ACCEPTED}{run_id}.json"


def starting_lock(lake: Lake) -> Path:
    """The file that a service holds a lock on while a run that it started lives. Of a lake in a folder."""
    return Path(lake.store.location(f"{STATE}.starting-lock"))
