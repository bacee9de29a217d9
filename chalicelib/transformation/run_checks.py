"""Checks that compare a run with the runs before it: volume and freshness of each source.

Both only warn, and both look at nothing but the raw records of runs, so that a rebuild finds what was found at first.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from chalicelib.clock import parse_rfc3339
from chalicelib.errors import RecordDamaged
from chalicelib.lake import RAW_RUNS, Lake
from chalicelib.runs import RUN_RECORD, SUCCEEDED, RunRecord, SourceRecord
from chalicelib.transformation.findings import Result

RUNS_COMPARED = 8
DAYS_LOOKED_BACK = 14
FEWEST_COMPARED = 20  # items; sources that usually bring fewer go up and down too much
SUDDEN_DROP = 5  # times fewer items than usual
STALE = timedelta(days=2)  # since a source last succeeded
TRIED = ("succeeded", "partial", "failed")


def earlier_runs(lake: Lake, key: str) -> list[RunRecord]:
    """The records of the last runs before the one at ``key``, newest first."""
    found: list[RunRecord] = []
    for other in keys_before(lake, key):
        try:
            record = RUN_RECORD.read(lake.store, other)
        except RecordDamaged:
            continue  # its own transform puts it in quarantine
        if record is not None:
            found.append(record)
        if len(found) == RUNS_COMPARED:
            break
    return found


def keys_before(lake: Lake, key: str) -> Iterator[str]:
    """Keys of earlier run records, newest first, of the last two weeks."""
    try:
        day = datetime.strptime(key.removeprefix(RAW_RUNS)[:10], "%Y/%m/%d").date()  # noqa: DTZ007 (a day in a key)
    except ValueError:
        return
    for back in range(DAYS_LOOKED_BACK):
        keys = [info.key for info in lake.store.list(f"{RAW_RUNS}{day - timedelta(days=back):%Y/%m/%d}/")]
        yield from (other for other in reversed(keys) if other < key)


def trends(record: RunRecord, earlier: Sequence[RunRecord]) -> list[Result]:
    """What volume and freshness of each source of a run say."""
    results = []
    for source in sorted({one.source for one in record.sources if one.state in TRIED}):
        before = [tried for run in earlier if (tried := of_source(run, source))]
        results.append(volume(source, of_source(record, source), before))
        results.append(freshness(source, record, earlier))
    return results


def of_source(record: RunRecord, source: str) -> list[SourceRecord]:
    """What a run did for a source, for each listener."""
    return [one for one in record.sources if one.source == source and one.state in TRIED]


def volume(source: str, parts: list[SourceRecord], before: list[list[SourceRecord]]) -> Result:
    """Whether a source that succeeded suddenly brought far fewer items of a listener than it usually does.

    Each listener is compared with themselves, and whole readings with as many of them: where nothing has changed the
    first page of a library is enough, and how many playlists and details there are to read depends on what has changed.
    """
    earlier = [one for run in before for one in run]
    told = [sudden_drop(one, [other for other in earlier if is_alike(one, other)], len(parts) > 1) for one in parts]
    drops = list(filter(None, told))
    return Result("runs", f"volume:{source}", "warn", len(parts), len(drops), "; ".join(drops) or None)


def is_alike(one: SourceRecord, other: SourceRecord) -> bool:
    """Whether two runs' parts are of one listener and read as much of the source to its end."""
    return one.user_id == other.user_id and one.whole_readings == other.whole_readings > 0


def sudden_drop(one: SourceRecord, alike: list[SourceRecord], of_several: bool) -> str | None:
    """What is to be said of a part that succeeded, where it brought far fewer items than those like it did before."""
    brought = [each.items for each in alike if each.state == SUCCEEDED]
    usual = statistics.median(brought) if brought else 0
    if one.state != SUCCEEDED or usual < FEWEST_COMPARED or one.items * SUDDEN_DROP >= usual:
        return None
    whose = f" of {one.user_id}" if of_several else ""
    runs = f"{len(brought)} run{'s' if len(brought) > 1 else ''}"
    return f"{one.source}{whose} brought {one.items} items; {usual:g} is the median of {runs} before"


def freshness(source: str, record: RunRecord, earlier: Sequence[RunRecord]) -> Result:
    """Whether a source has not succeeded for longer than ``STALE``, as far as the runs looked at tell."""
    result = Result("runs", f"freshness:{source}", "warn", rows_checked=1)
    runs = [run for run in (record, *earlier) if of_source(run, source)]
    for run in runs:
        if all(one.state == SUCCEEDED for one in of_source(run, source)):
            return result if run is record else judged(result, source, record, run.started_at)
    return judged(result, source, record, runs[-1].started_at)


def judged(result: Result, source: str, record: RunRecord, since: str) -> Result:
    """The result of how long ago a source last succeeded."""
    age = parse_rfc3339(record.started_at) - parse_rfc3339(since)
    if age > STALE:
        result.failures = 1
        result.detail = f"{source} has not succeeded for {age.days} days"
    return result
