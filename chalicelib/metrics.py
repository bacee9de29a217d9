"""Metrics as CloudWatch's embedded format: one line of JSON in a function's log, and no call to anybody.

Powertools for AWS Lambda would do it too. Importing its Logger and Metrics after Chalice takes 16 ms of a cold start
(33 ms without bytecode) where this and log.py take 7 (8), and this is all of it that is used;
docs/aws-inside.md has more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TextIO

from chalicelib.clock import Clock, now

NAMESPACE = "SpotifyLake"
#: What an alarm reads. Each metric costs 0.30 USD a month; the other values lie in the same lines for Logs Insights.
WATCHED = frozenset({"SuccessfulRuns", "AuthorizationDaysLeft", "Quarantined"})
UNITS = {"Seconds": "Seconds", "Bytes": "Bytes"}  # by the end of the metric's name; everything else is a count


def emit(
    stage: str, values: Mapping[str, float], *, clock: Clock = now, stream: TextIO | None = None, **seen: str
) -> None:
    """Write ``values``, those of WATCHED as metrics under the dimension Stage. ``seen`` (run_id…) is searchable beside
    them, not a dimension."""
    watched = [{"Name": name, "Unit": unit_of(name)} for name in values if name in WATCHED]
    declared = {"Namespace": NAMESPACE, "Dimensions": [["Stage"]], "Metrics": watched}
    document = {
        "_aws": {
            "Timestamp": int(clock().timestamp() * 1000),
            "CloudWatchMetrics": [declared] if watched else [],
        },
        "Stage": stage,
        **seen,
        **values,
    }
    print(json.dumps(document), file=stream or sys.stdout, flush=True)


def unit_of(name: str) -> str:
    """CloudWatch's unit of a metric, by the end of its name."""
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "Count")
