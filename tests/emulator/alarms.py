"""CloudWatch's alarms as its user guide says ("Alarm evaluation", "Configuring how CloudWatch alarms treat missing
data"): metrics out of log lines, and of each alarm its state and whom it told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

HOUR = 3600  # s
OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
ACTIONS = {OK: "OKActions", ALARM: "AlarmActions", NO_DATA: "InsufficientDataActions"}
MISSING = {"breaching": ALARM, "notBreaching": OK, "missing": NO_DATA}  # "ignore": the state stays
STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Minimum": min, "Maximum": max}


@dataclass
class Alarm:
    """One alarm of a template. It has just started without data; ``told`` are the states of which somebody was told."""

    name: str
    properties: dict[str, Any]
    state: str = NO_DATA
    told: list[str] = field(default_factory=list)

    def look(self, values: list[tuple[int, float]], now: int) -> None:
        """Look at the metric's values, each with its second. Only a change of state is told."""
        before, self.state = self.state, self.judged(values, now)
        if self.state != before and self.properties.get(ACTIONS[self.state]):
            self.told.append(self.state)

    def judged(self, values: list[tuple[int, float]], now: int) -> str:
        """The state that the values mean."""
        points = [self.point(values, now, place) for place in range(self.properties["EvaluationPeriods"])]
        there = [self.breaches(point) for point in points if point is not None]
        treat = self.properties["TreatMissingData"]
        if not there:
            return MISSING.get(treat, self.state)
        if not all(there):
            return OK
        if len(there) == len(points) or treat in ("missing", "breaching"):
            return ALARM
        return OK if treat == "notBreaching" else self.state

    def point(self, values: list[tuple[int, float]], now: int, place: int) -> float | None:
        """The statistic of one of the last periods; None where it has no values."""
        end = now - place * self.properties["Period"]
        found = [value for second, value in values if end - self.properties["Period"] < second <= end]
        return float(STATISTICS[self.properties["Statistic"]](found)) if found else None

    def breaches(self, point: float) -> bool:
        """Whether a point lies on the alarm's side of its threshold."""
        threshold = float(self.properties["Threshold"])
        return point < threshold if self.properties["ComparisonOperator"] == "LessThanThreshold" else point >= threshold


class CloudWatch:
    """The alarms of a template on metrics that functions log, hour after hour."""

    def __init__(self, template: dict[str, Any], namespace: str) -> None:
        self.alarms = {
            resource["Properties"]["AlarmName"].rpartition("-")[2]: Alarm(logical, resource["Properties"])
            for logical, resource in template["Resources"].items()
            if resource["Type"] == "AWS::CloudWatch::Alarm" and resource["Properties"].get("Namespace") == namespace
        }
        self.now = 0
        self._values: dict[tuple[str, str], list[tuple[int, float]]] = {}

    def an_hour_passes(self, lines: Iterable[str] = ()) -> None:
        """With what was logged in it; each alarm looks once."""
        self.now += HOUR
        for line in lines:
            if line.startswith('{"_aws"'):
                self._take(json.loads(line))
        for alarm in self.alarms.values():
            dimensions = json.dumps({each["Name"]: each["Value"] for each in alarm.properties["Dimensions"]})
            alarm.look(self._values.get((alarm.properties["MetricName"], dimensions), []), self.now)

    def _take(self, line: dict[str, Any]) -> None:
        """The metrics that a line declares ("Embedded metric format", CloudWatch's user guide)."""
        for declared in line["_aws"]["CloudWatchMetrics"]:
            for names in declared["Dimensions"]:
                dimensions = json.dumps({name: line[name] for name in names})
                for metric in declared["Metrics"]:
                    values = self._values.setdefault((metric["Name"], dimensions), [])
                    values.append((self.now, line[metric["Name"]]))

    def trouble(self) -> dict[str, list[str]]:
        """The alarms that have told of something but that all is well."""
        return {name: alarm.told for name, alarm in self.alarms.items() if set(alarm.told) - {OK}}
