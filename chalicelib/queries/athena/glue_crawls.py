"""Glue's account of a crawl in the lake's words.

``ListCrawls`` says what changed as JSON in JSON: ``{"PARTITION": "{\\"ADD\\": {\\"Count\\": 2, \\"Details\\": …}}"}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from chalicelib.queries.engine import Crawl, CrawlState

STATES = {
    "RUNNING": "running",
    "STOPPING": "running",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "STOPPED": "failed",
}
DONE = {"ADD": "added", "UPDATE": "changed", "DELETE": "removed"}


def read_crawl(crawl: dict[str, Any]) -> Crawl:
    """A crawl as Glue tells it."""
    state = CrawlState(STATES.get(crawl["State"], "running"))
    return Crawl(
        crawl_id=crawl["CrawlId"],
        state=state,
        started_at=crawl["StartTime"],
        ended_at=crawl.get("EndTime") if state != CrawlState.RUNNING else None,
        changes=tuple(changes(unnested(crawl.get("Summary") or "{}"))),
        error=crawl.get("ErrorMessage") or ("the crawl was stopped" if crawl["State"] == "STOPPED" else None),
    )


def changes(summary: Any) -> Iterator[dict[str, Any]]:
    """``{"change": "partition_added", "table": …, "month": …}`` for each; only a count where Glue gives no names."""
    for kind, actions in summary.items() if isinstance(summary, dict) else []:
        for action, summed in actions.items() if isinstance(actions, dict) else []:
            if action not in DONE or not isinstance(summed, dict):
                continue
            change = f"{kind.lower()}_{DONE[action]}"
            details = summed.get("Details")
            names = details.get("names", []) if isinstance(details, dict) else []
            for name in names:
                yield {"change": change, **named(kind, str(name))}
            if not names and summed.get("Count"):
                yield {"change": change, "count": summed["Count"]}


def named(kind: str, name: str) -> dict[str, str]:
    """A table, or a partition as ``database.table.month`` or ``table/month=2026-11``."""
    if kind != "PARTITION":
        return {"table": name.rpartition(".")[2]}
    table, _, month = name.replace("/", ".").rpartition(".")
    return {"table": table.rpartition(".")[2], "month": month.removeprefix("month=")}


def unnested(value: Any) -> Any:
    """JSON texts inside JSON, opened."""
    if isinstance(value, str):
        try:
            opened = json.loads(value)
        except ValueError:
            return value
        return unnested(opened) if isinstance(opened, dict | list) else value
    if isinstance(value, dict):
        return {key: unnested(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unnested(item) for item in value]
    return value
