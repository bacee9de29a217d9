"""Raw objects to tables: one at a time as they arrive, what was left lying, or everything anew.

The files of a raw object are named after it, so that transforming it twice, or twice at once, changes nothing.
Nothing is published before the whole object has been read and checked. A rebuild fills another generation of the
tables beside the one in force and then swaps them; interrupted, it goes on where it was.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from chalicelib.clock import Clock, now
from chalicelib.errors import CheckFailed, InvalidRequest, NotFound, RawObjectInvalid
from chalicelib.lake import (
    RAW_ANSWERS,
    RAW_EXCLUSIONS,
    RAW_LISTENERS,
    RAW_RUNS,
    STATE,
    TRANSFORMED,
    Lake,
    generation_number,
)
from chalicelib.log import StepProgress
from chalicelib.parquet import TableFiles
from chalicelib.raw import unpack
from chalicelib.tables import QUALITY_RESULTS
from chalicelib.transformation.backlog import note_sweep, pending, raw_keys
from chalicelib.transformation.build import build_answers, build_exclusion, build_listener, build_run
from chalicelib.transformation.run_checks import earlier_runs
from chalicelib.transformation.work import RawWork, release_mended
from chalicelib.transforms import Built

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 5  # drives of one raw object after which it goes to quarantine
REMOTE_AT_ONCE = 16  # invocations under way in a rebuild on AWS
WORTH_PROCESSES = 200  # objects from which on a rebuild starts a process per core: each takes a second to start

Remote = Callable[[str, str], None]  # transforms one key into one generation, somewhere else


@dataclass(frozen=True, slots=True)
class TransformReport:
    """What one transform did. ``state`` is done, or unchanged when it had been done before."""

    raw_key: str
    state: str
    files: list[str]
    built: Built


def transform_object(lake: Lake, key: str, *, again: bool = False) -> TransformReport:
    """Transform one object of ``raw/spotify/`` or ``raw/runs/`` into the tables of the generation in force.

    An object that is done already is left alone unless ``again``. Raises RawObjectInvalid or CheckFailed when it
    cannot be published; then it lies in quarantine with the reason, and nothing of it is in the tables but, in
    ``quality_results``, what its checks found.
    """
    return transform(RawWork.on(lake, key), again=again)


def transform(work: RawWork, *, again: bool) -> TransformReport:
    """Turn one raw object into rows, unless its notes say that this is done."""
    done = None if again else work.done()
    if done:
        return TransformReport(work.key, "unchanged", done.files, done.built)
    with TableFiles(work.generation, work.name) as files:
        try:
            built = build(work, files)
        except RawObjectInvalid as error:
            work.quarantine(error)
            raise
        except CheckFailed as error:
            with results_of(work, error) as results:
                error.files = tuple(work.quarantine(error, results.finish()))
            raise
        return TransformReport(work.key, "done", work.publish(built, files.finish()), built)


def results_of(work: RawWork, error: CheckFailed) -> TableFiles:
    """What the checks found before one failed: alone of all tables it is published."""
    results = TableFiles(work.generation, work.name)
    if error.results is not None:
        results.add(QUALITY_RESULTS, error.results)
    return results


def build(work: RawWork, files: TableFiles) -> Built:
    """Build the rows of a raw object by what it is: a note about a listener, what is left out, answers, a
    run's record."""
    lake, key = work.lake, work.key
    if key.startswith(RAW_LISTENERS):
        return build_listener(key, lake.store.read(key), files)
    if key.startswith(RAW_EXCLUSIONS):
        return build_exclusion(key, lake.store.read(key), files)
    if key.startswith(RAW_ANSWERS):
        with lake.store.open(key) as stream:
            return build_answers(key, unpack(stream), files)
    if key.startswith(RAW_RUNS):
        return build_run(key, lake.store.read(key), earlier_runs(lake, key), files)
    raise InvalidRequest(f"{key} is not under {RAW_ANSWERS} or {RAW_RUNS}: there is nothing to transform", key=key)


# --- what is left to do -------------------------------------------------------------------------------------------


def transform_pending(lake: Lake, progress: StepProgress | None = None, clock: Clock = now) -> list[TransformReport]:
    """Transform what was never transformed or was interrupted; what failed too often goes to quarantine."""
    return list(pending_transforms(lake, progress=progress, clock=clock))


def pending_transforms(
    lake: Lake, since: str = "", progress: StepProgress | None = None, clock: Clock = now
) -> Iterator[TransformReport]:
    """As :func:`transform_pending`, one report after another; with ``since`` (see backlog.since_sweep) only of what can
    have come since then."""
    begun_at = clock()
    lake.name_generation()
    keys = list(pending(lake, since))
    for number, key in enumerate(keys):
        if progress:
            progress(number, len(keys), key)
        if report := drive(lake, key):
            yield report
    if not since:
        release_mended(lake)
        note_sweep(lake, begun_at)


def drive(lake: Lake, key: str) -> TransformReport | None:
    """Transform one object that may have failed before; None when it is gone or went to quarantine."""
    try:
        work = RawWork.on(lake, key)
    except NotFound:
        return None
    begun = work.attempt()
    if begun.attempts > MOST_ATTEMPTS:
        work.quarantine(RawObjectInvalid(f"{key} was tried {MOST_ATTEMPTS} times and never got done", key=key))
        return None
    try:
        report = transform(work, again=bool(begun.files))  # files: publishing them was begun
    except (RawObjectInvalid, CheckFailed) as error:
        log.warning("%s is in quarantine: %s", key, error.message)
        return None
    if report.state == "unchanged":  # somebody else has done it meanwhile
        work.abandon()
    return report


# --- everything anew ----------------------------------------------------------------------------------------------


def rebuild(
    lake: Lake,
    publish: Callable[[str], None],
    since: str | None = None,
    workers: int | None = None,
    progress: StepProgress | None = None,
    remote: Remote | None = None,
) -> str:
    """Rebuild every table from raw into another generation and ``publish`` it; answers its name.

    With ``since`` (YYYY-MM-DD) files that were made of older raw objects are taken over as they are, where they
    still are files of their own. ``workers`` processes share the work (default one per core); with ``remote`` each
    object is transformed by a call of it instead, a bounded number at once. Interrupt it and call it again: it goes
    on where it was.
    """
    lake.name_generation()  # else the files of the other one would tell that it is in force
    target = lake.in_generation(following(lake.generation()))
    if since:
        take_over(lake, target, since)
    keys = list(pending(target))
    for done, key in enumerate(transformed_apart(target, keys, workers, remote), 1):
        if progress:
            progress(done, len(keys), key)
    publish(target.generation())
    transform_pending(target)  # what arrived meanwhile
    remove_generations_before(lake, target.generation())
    return target.generation()


def transformed_apart(target: Lake, keys: list[str], workers: int | None, remote: Remote | None) -> Iterator[str]:
    """Each key once it is transformed, by processes or by calls of ``remote``."""
    if workers is None:
        workers = (os.cpu_count() or 1) if len(keys) >= WORTH_PROCESSES else 1
    if remote is None and workers == 1:
        for key in keys:
            drive(target, key)
            yield key
        return
    pool: Executor
    if remote is None:
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    else:
        pool = ThreadPoolExecutor(REMOTE_AT_ONCE)
    with pool:
        if remote is None:
            futures = {pool.submit(drive_quietly, target, key): key for key in keys}
        else:
            futures = {pool.submit(remote, target.generation(), key): key for key in keys}
        for future in as_completed(futures):
            future.result()
            yield futures[future]


def drive_quietly(lake: Lake, key: str) -> None:
    """As :func:`drive`, without sending the report between processes."""
    drive(lake, key)


def following(generation: str) -> str:
    """``g4`` after ``g3``."""
    return f"g{generation_number(generation) + 1}"


def take_over(lake: Lake, target: Lake, since: str) -> None:
    """Copy to ``target`` what the generation in force made of raw objects from before ``since``."""
    recent = set(raw_keys(lake, since))
    for key in raw_keys(lake):
        try:
            old, new = RawWork.on(lake, key), RawWork.on(target, key)
        except NotFound:
            continue
        done = old.done() if key not in recent else None
        if done and not new.done() and all(lake.store.stat(name) for name in done.files):
            new.finish([copied(lake, name, new.generation) for name in done.files], done.built)


def copied(lake: Lake, key: str, generation: str) -> str:
    """Copy a file of a table to another generation; answers its key there."""
    _, _, path = key.removeprefix(TRANSFORMED).partition("/")
    copy = f"{TRANSFORMED}{generation}/{path}"
    lake.store.write(copy, lake.store.read(key))
    return copy


def remove_generations_before(lake: Lake, generation: str) -> None:
    """Delete generations older than the last one, which queries under way may still be reading."""
    kept = {generation, f"g{generation_number(generation) - 1}"}
    for prefix in (TRANSFORMED, f"{STATE}transforms/"):
        old = [info.key for info in lake.store.list(prefix) if info.key.removeprefix(prefix).split("/")[0] not in kept]
        lake.store.delete(old)
