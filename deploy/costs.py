"""What a stage costs a month, roughly, in USD: prices of eu-central-1 in 2026 without any free tier.

Durations and bytes are measured ones (docs/deploy.md says how); what depends on use is counted from the schedule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
CRON_A_DAY = 24.0  # runs assumed of a cron expression


@dataclass(frozen=True, slots=True)
class Use:
    """What happens in a month: ``objects`` raw objects a run, ``megabytes`` of raw data in all after a year."""

    runs: float
    run_seconds: float = 20.0
    objects: float = 3.0
    transform_seconds: float = 4.0
    queries: float = 1_000.0
    crawls: float = 1.0
    gigabytes: float = 0.5


def runs_a_month(schedule: str) -> float:
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", schedule)
    if not match:
        return CRON_A_DAY * HOURS / 24
    hours = int(match[1]) * {"minute": 1 / 60, "hour": 1.0, "day": 24.0}[match[2]]
    return HOURS / hours


def estimate(use: Use, *, secrets: int = 2, alarm_metrics: int = 22, metrics: int = 15) -> dict[str, float]:
    """Service and USD a month."""
    functions = use.runs * (0.5 * use.run_seconds + 1.77 * use.objects * use.transform_seconds + 1.77 * 6)
    requests = use.runs * (2 + use.objects) + 3 * use.queries
    writes = use.runs * (30 + use.objects * 12)
    return {
        "Lambda": functions * GB_SECOND + requests * INVOCATION + use.queries * 0.5 * 0.5 * GB_SECOND,
        "S3": writes * PUT + 3 * writes * GET + use.gigabytes * GB_MONTH,
        "Secrets Manager": secrets * SECRET + use.runs * 6 * SECRET_CALL,
        "Athena": use.queries * ATHENA_QUERY,
        "Glue crawls": use.crawls * CRAWL,
        "CloudWatch alarms and metrics": alarm_metrics * ALARM_METRIC + metrics * CUSTOM_METRIC,
        "CloudWatch logs": use.runs * 0.00005 * LOG_GB,
    }


def told(costs: dict[str, float]) -> list[str]:
    lines = [f"{name:32}{usd:8.2f}" for name, usd in costs.items()]
    return [*lines, f"{'together, USD a month':32}{sum(costs.values()):8.2f}"]
