"""Who does a run that ``POST /runs`` asked for: a process of its own here, a Lambda function on AWS.

Until the run writes its own record there is an *accepted* record in ``results/runs/``, so that a run that was
just started, or never came to be, can be seen too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any, Protocol

from chalicelib.clock import Clock, now, parse_rfc3339, rfc3339
from chalicelib.errors import InvalidSetting, NotFound, RunInProgress
from chalicelib.lake import RESULTS, Lake
from chalicelib.runs import load_run
from chalicelib.settings import PROJECT, Settings

ACCEPTED = RESULTS + "runs/"
STARTS_WITHIN = timedelta(minutes=5)  # Lambda retries an asynchronous start for longer, but one function suffices
ENDS_WITHIN = 2.0  # s
QUEUED, FAILED = "queued", "failed"


class Worker(Protocol):
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
            errors = tempfile.TemporaryFile()  # noqa: SIM115 (the watcher closes it)
            self._process = subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
            )
            watcher = threading.Thread(target=self._watch, args=(self._process, run_id, errors), daemon=True)
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
        values = {each.name: getattr(self._settings, each.name) for each in fields(self._settings)}
        told = {name.upper(): str(value) for name, value in values.items() if value != ""}
        path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
        return {**os.environ, **told, "PYTHONPATH": path}

    def _watch(self, process: subprocess.Popen[bytes], run_id: str, errors: Any) -> None:
        status = process.wait()
        with errors:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip().splitlines()
        if status != 0:
            message = said[-1] if said else f"the worker ended with exit status {status}"
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
    return LambdaWorker(settings) if settings.on_aws else LocalWorker(settings, lake)


def accept(lake: Lake, run_id: str, clock: Clock = now) -> dict[str, Any]:
    """Note that a run was asked for. Raises RunInProgress while another one is about to start."""
    for info in lake.store.list(ACCEPTED):
        if info.modified > clock() - STARTS_WITHIN:
            other = json.loads(lake.store.read(info.key))
            if other["state"] == QUEUED and not has_record(lake, other["run_id"]):
                raise RunInProgress(f"run {other['run_id']} is about to start", run_id=other["run_id"])
    record = {"run_id": run_id, "state": QUEUED, "trigger": "api", "started_at": rfc3339(clock())}
    write_accepted(lake, record)
    return record


def note_failure(lake: Lake, run_id: str, message: str) -> None:
    """Note why a run that was asked for has no record of its own."""
    record = read_accepted(lake, run_id)
    if record and not has_record(lake, run_id):
        write_accepted(lake, {**record, "state": FAILED, "error": {"code": "not_started", "message": message}})


def accepted_run(lake: Lake, run_id: str, clock: Clock = now) -> dict[str, Any] | None:
    """A run that was asked for and has no record of its own (yet)."""
    record = read_accepted(lake, run_id)
    if record and record["state"] == QUEUED and parse_rfc3339(record["started_at"]) < clock() - STARTS_WITHIN:
        record |= {"state": FAILED, "error": {"code": "not_started", "message": "the worker never started"}}
    return record


def has_record(lake: Lake, run_id: str) -> bool:
    try:
        load_run(lake, run_id)
    except NotFound:
        return False
    return True


def read_accepted(lake: Lake, run_id: str) -> dict[str, Any] | None:
    key = f"{ACCEPTED}{run_id}.json"
    record: dict[str, Any] | None = json.loads(lake.store.read(key)) if lake.store.stat(key) else None
    return record


def write_accepted(lake: Lake, record: dict[str, Any]) -> None:
    lake.store.write(f"{ACCEPTED}{record['run_id']}.json", json.dumps(record).encode(), content_type="application/json")
