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
from chalicelib.errors import InvalidRequest, NotFound, RawObjectInvalid
from chalicelib.lake import RAW_ANSWERS, RAW_RUNS, STATE, TRANSFORMED, Lake
from chalicelib.parquet import TableFiles
from chalicelib.raw import unpack
from chalicelib.tables import QUALITY_RESULTS
from chalicelib.transformation.backlog import note_sweep, pending, raw_keys, since_sweep
from chalicelib.transformation.build import Built, build_answers, build_run
from chalicelib.transformation.publishing import (
    noted_done,
    object_name,
    open_key,
    publish,
    quarantine,
    read_json,
    release_mended,
    remember,
    write_json,
)
from chalicelib.transformation.quality import CheckFailed
from chalicelib.transformation.run_checks import earlier_runs

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 5  # drives of one raw object after which it goes to quarantine
REMOTE_AT_ONCE = 16  # invocations under way in a rebuild on AWS
WORTH_PROCESSES = 200  # objects from which on a rebuild starts a process per core: each takes a second to start

Progress = Callable[[int, int, str], None]  # objects done, of how many, the one at hand
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
    info = lake.store.stat(key)
    if info is None:
        raise NotFound(f"there is no object {key} in the lake", key=key)
    generation = lake.generation()
    done = None if again else noted_done(lake, generation, key, info.etag)
    if done:
        return TransformReport(key, "unchanged", *done)
    with TableFiles(generation, object_name(key)) as files:
        try:
            built = build(lake, key, files)
        except RawObjectInvalid as error:
            quarantine(lake, generation, key, info.etag, error)
            raise
        except CheckFailed as error:
            with findings_of(error, generation, key) as found:
                quarantine(lake, generation, key, info.etag, error, found.finish())
            raise
        written = publish(lake, generation, key, info.etag, built, files.finish())
    return TransformReport(key, "done", written, built)


def findings_of(error: CheckFailed, generation: str, key: str) -> TableFiles:
    """What the checks found before one failed: alone of all tables it is published."""
    found = TableFiles(generation, object_name(key))
    if error.results is not None:
        found.add(QUALITY_RESULTS, error.results)
    return found


def build(lake: Lake, key: str, files: TableFiles) -> Built:
    if key.startswith(RAW_ANSWERS):
        with lake.store.open(key) as stream:
            return build_answers(key, unpack(stream), files)
    if key.startswith(RAW_RUNS):
        return build_run(key, lake.store.read(key), earlier_runs(lake, key), files)
    raise InvalidRequest(f"{key} is not under {RAW_ANSWERS} or {RAW_RUNS}: there is nothing to transform", key=key)


# --- what is left to do -------------------------------------------------------------------------------------------


def transform_pending(lake: Lake, progress: Progress | None = None, clock: Clock = now) -> list[TransformReport]:
    """Transform what was never transformed or was interrupted; what failed too often goes to quarantine."""
    begun_at = clock()
    reports = transform_keys(lake, list(pending(lake)), progress)
    note_sweep(lake, begun_at)
    return reports


def transform_lately_pending(lake: Lake, clock: Clock = now) -> list[TransformReport]:
    """As :func:`transform_pending`, but while the last sweep is young only what can have come since is looked at."""
    since = since_sweep(lake, clock())
    return transform_keys(lake, list(pending(lake, since))) if since else transform_pending(lake, clock=clock)


def transform_keys(lake: Lake, keys: list[str], progress: Progress | None = None) -> list[TransformReport]:
    reports = []
    for number, key in enumerate(keys):
        if progress:
            progress(number, len(keys), key)
        report = drive(lake, key)
        if report:
            reports.append(report)
    return reports


def drive(lake: Lake, key: str) -> TransformReport | None:
    """Transform one object that may have failed before; None when it went to quarantine."""
    generation = lake.generation()
    note = read_json(lake, open_key(generation, key)) or {"raw_key": key, "files": []}
    attempts = int(note.get("attempts", 0)) + 1
    if attempts > MOST_ATTEMPTS:
        info = lake.store.stat(key)
        gave_up = RawObjectInvalid(f"{key} was tried {MOST_ATTEMPTS} times and never got done", key=key)
        quarantine(lake, generation, key, info.etag if info else "", gave_up)
        return None
    write_json(lake, open_key(generation, key), {**note, "attempts": attempts})
    try:
        report = transform_object(lake, key, again=bool(note["files"]))  # files: publishing them was begun
    except (RawObjectInvalid, CheckFailed) as error:
        log.warning("%s lies in quarantine: %s", key, error.message)
        return None
    if report.state == "unchanged":  # somebody else has done it meanwhile
        lake.store.delete([open_key(generation, key)])
    return report


# --- everything anew ----------------------------------------------------------------------------------------------


def rebuild(
    lake: Lake,
    publish: Callable[[str], None],
    since: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    remote: Remote | None = None,
) -> str:
    """Rebuild every table from raw into another generation and ``publish`` it; answers its name.

    With ``since`` (YYYY-MM-DD) files that were made of older raw objects are taken over as they are, where they
    still are files of their own. ``workers`` processes share the work (default one per core); with ``remote`` each
    object is transformed by a call of it instead, a bounded number at once. Interrupt it and call it again: it goes
    on where it was.
    """
    target = lake.in_generation(following(lake.generation()))
    if since:
        take_over(lake, target, since)
    keys = list(pending(target))
    for done, key in enumerate(transformed_apart(target, keys, workers, remote), 1):
        if progress:
            progress(done, len(keys), key)
    publish(target.generation())
    transform_pending(target)  # what arrived meanwhile
    release_mended(target)
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
    return f"g{int(generation.removeprefix('g')) + 1}"


def take_over(lake: Lake, target: Lake, since: str) -> None:
    """Copy to ``target`` what the generation in force made of raw objects from before ``since``."""
    old, new = lake.generation(), target.generation()
    recent = set(raw_keys(lake, since))
    for key in raw_keys(lake):
        info = lake.store.stat(key)
        done = noted_done(lake, old, key, info.etag) if info and key not in recent else None
        if info is None or done is None or noted_done(lake, new, key, info.etag):
            continue
        files, built = done
        if all(lake.store.stat(name) for name in files):
            copies = [name.replace(f"{TRANSFORMED}{old}/", f"{TRANSFORMED}{new}/", 1) for name in files]
            for name, copied in zip(files, copies, strict=True):
                lake.store.write(copied, lake.store.read(name))
            remember(lake, new, key, info.etag, copies, built)


def remove_generations_before(lake: Lake, generation: str) -> None:
    """Delete generations older than the last one, which queries under way may still be reading."""
    kept = {generation, f"g{int(generation.removeprefix('g')) - 1}"}
    for prefix in (TRANSFORMED, f"{STATE}transforms/"):
        old = [info.key for info in lake.store.list(prefix) if info.key.removeprefix(prefix).split("/")[0] not in kept]
        lake.store.delete(old)
