"""What a stage costs a month, roughly, in USD: prices of eu-central-1 in 2026 without any free tier.

What is counted was measured in the sandbox and the emulation: calls of Spotify, objects and bytes of an hourly day, AWS
calls of a run, processor time. Two figures nobody can measure without the real services are assumed, see SPOTIFY and
NEAR. How much processor a function has follows its memory: 1,769 MB are one (Lambda's documentation).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from chalicelib.clock import Clock, now
from chalicelib.schedule import next_time

HOURS = 730  # of a month
GB_SECOND = 0.0000166667  # Lambda, x86
INVOCATION = 0.20 / 10**6
SECRET = 0.40  # Secrets Manager, a secret and month
SECRET_CALL = 0.05 / 10_000
PUT, GET = 0.0054 / 1000, 0.00043 / 1000  # S3 requests
GB_MONTH = 0.0245  # S3 standard
ALARM_METRIC = 0.10
CUSTOM_METRIC = 0.30
DASHBOARD = 3.00  # the first three of an account are free
LOG_GB = 0.63
ATHENA_QUERY = 5.0 / 2**40 * 10 * 2**20  # the least that a query costs
CRAWL = 0.44 * 2 * 10 / 60  # 2 DPU, ten minutes at least
FIRINGS = 100  # of a schedule, over which its runs are counted

ALARM_METRICS, CUSTOM_METRICS = 10, 3  # that alarms read, and of them those that the functions report

SPOTIFY = 0.15  # s that a call of Spotify takes: assumed
NEAR = 0.02  # s that a call of S3, Glue or Secrets Manager takes: assumed
AT_ONCE = 4  # calls of Spotify side by side: CONCURRENCY
PROCESSOR = 1.769  # GB of memory that come with one processor
STARTS = {"extraction": 0.32, "transform": 0.57, "record": 0.28}  # s of processor: python -m bench.coldstart
SECRET_CALLS = 5  # of a run: its listeners' names and tokens
APART = 2  # months that have a folder of their own in each table; older ones lie together
TRACKS = APART + 1  # folders, and files once maintenance has come by
LOOKING_BACK = 3 / 8  # of the first page's reports look through all years
LOOKS_A_DAY = 24  # of maintenance, all but one of which find nothing waiting


@dataclass(frozen=True, slots=True)
class Requests:
    """What one call of a function asks of AWS; ``writes`` of it at S3's price of writing and listing."""

    calls: int
    writes: int


#: Counted in the emulation, see tests/test_aws_requests.py. A run's calls are those of four answers.
RUN, OBJECT, RECORD, LOOK, DAILY = (
    Requests(49, 22), Requests(53, 21), Requests(31, 19), Requests(14, 8), Requests(282, 113),
)  # fmt: skip
ANSWERS = 4  # in RUN


@dataclass(frozen=True, slots=True)
class Use:
    """What happens: ``calls`` of Spotify, raw ``objects`` and ``items`` a run; seconds of processor that extraction
    takes of a run; ``gigabytes`` of raw data in all after a year."""

    runs: float
    calls: float = 4.4
    objects: float = 1.0
    items: float = 120
    processor_seconds: float = 0.03
    queries: float = 1_000.0
    crawls: float = 1.0
    gigabytes: float = 0.3
    years: float = 1  # of history

    @property
    def run_requests(self) -> tuple[float, float]:
        """Calls of AWS of one extraction, and those of them that S3 prices as writing: one more an answer."""
        more = self.calls - ANSWERS
        return RUN.calls + more, RUN.writes + more

    @property
    def run_seconds(self) -> float:
        """Of one extraction at 512 MB."""
        busy = (STARTS["extraction"] + self.processor_seconds) * PROCESSOR / 0.5
        return busy + self.calls * SPOTIFY / AT_ONCE + self.run_requests[0] * NEAR

    @property
    def transform_seconds(self) -> float:
        """Of one raw object at 1,769 MB: 41 ms for 1,000 items (bench.transform), and a cold start each hour."""
        return STARTS["transform"] + OBJECT.calls * NEAR + 0.041 * self.items / self.objects / 1000

    @property
    def record_seconds(self) -> float:
        """Of a run's record at 512 MB."""
        return STARTS["record"] * PROCESSOR / 0.5 + RECORD.calls * NEAR

    @property
    def look_seconds(self) -> float:
        """Of maintenance at 1,769 MB, on average over a day."""
        daily = (STARTS["transform"] + DAILY.calls * NEAR + 0.2) / LOOKS_A_DAY
        return daily + (STARTS["transform"] + LOOK.calls * NEAR) * (LOOKS_A_DAY - 1) / LOOKS_A_DAY


ONE_LISTENER = Use(730)
MANY_PLAYLISTS = Use(730, calls=250, objects=5.2, items=9_000, processor_seconds=3.5, gigabytes=22)  # 1,000 of them


def runs_a_month(schedule: str, clock: Clock = now) -> float:
    """As the schedule's next firings come. Raises InvalidSetting for one that EventBridge would not take."""
    first = last = next_time(schedule, clock())
    for _ in range(FIRINGS):
        last = next_time(schedule, last)
    return FIRINGS * (timedelta(hours=HOURS) / (last - first))


def estimate(
    use: Use, *, secrets: int = 2, alarm_metrics: int = ALARM_METRICS, metrics: int = CUSTOM_METRICS
) -> dict[str, float]:
    """Service and USD a month."""
    seconds = 0.5 * (use.run_seconds + use.record_seconds)
    seconds += PROCESSOR * (use.objects * use.transform_seconds + use.look_seconds)
    events = use.runs * (3 + use.objects) + 3 * use.queries
    calls, writes = use.runs * requests_a_run(use, "calls"), use.runs * requests_a_run(use, "writes")
    return {
        "Lambda": use.runs * seconds * GB_SECOND + events * INVOCATION + use.queries * 0.5 * 0.5 * GB_SECOND,
        "S3": writes * PUT + max(calls - writes, 0) * GET + use.gigabytes * GB_MONTH,
        "S3, asked by Athena": use.queries * price_of_reads(use.years),
        "Secrets Manager": secrets * SECRET + (use.runs * SECRET_CALLS * SECRET_CALL if secrets else 0.0),
        "Athena": use.queries * ATHENA_QUERY,
        "Glue crawls": use.crawls * CRAWL,
        "CloudWatch alarms and metrics": alarm_metrics * ALARM_METRIC + metrics * CUSTOM_METRIC,
        "CloudWatch logs": use.runs * 0.00005 * LOG_GB,
    }


def asked_by_athena(years: float, *, of_all: bool) -> tuple[float, float]:
    """What Athena asks of S3 for a report of listens with their tracks, of one month or of all: listings of folders,
    and readings of files. Counted, see tests/queries/athena/test_s3_requests.py."""
    if of_all:
        return years + 1 + APART + TRACKS, 12 * years + TRACKS
    return 1 + APART + TRACKS, 12 + APART + TRACKS


def price_of_reads(years: float) -> float:
    """USD that S3 takes for what Athena asks of it, on average of a page's reports."""
    always, month = (asked_by_athena(years, of_all=each) for each in (True, False))
    prices = [lists * PUT + gets * GET for lists, gets in (always, month)]
    return LOOKING_BACK * prices[0] + (1 - LOOKING_BACK) * prices[1]


def requests_a_run(use: Use, which: str) -> float:
    """Calls, or writes, of a run, of all that it sets going, and of the maintenance after it."""
    of_run = use.run_requests[0 if which == "calls" else 1]
    object_, record, look, daily = (getattr(each, which) for each in (OBJECT, RECORD, LOOK, DAILY))
    return float(of_run + object_ * use.objects + record + look + (daily - look) / LOOKS_A_DAY)


def told(costs: dict[str, float]) -> list[str]:
    lines = [f"{name:32}{usd:8.2f}" for name, usd in costs.items()]
    return [*lines, f"{'together, USD a month':32}{sum(costs.values()):8.2f}"]
