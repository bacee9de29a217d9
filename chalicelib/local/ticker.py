"""Fires the Chalice app's schedules where there is no EventBridge."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

from chalice.app import Chalice, ScheduledEventConfig
from chalice.local import LambdaContext

from chalicelib.clock import Clock, now
from chalicelib.errors import LakeError
from chalicelib.local.memory import return_freed
from chalicelib.schedule import next_time
from chalicelib.wiring import Parts

LONGEST_SLEEP = 30.0  # s; a computer that was asleep notices the time at the latest then
log = logging.getLogger(__name__)


class Ticker(threading.Thread):
    """One thread; handlers due at the same time run one after another, in the order of their declaration."""

    def __init__(
        self, app: Chalice, parts: Parts, clock: Clock = now, wait: Callable[[float], object] | None = None
    ) -> None:
        super().__init__(name="schedule", daemon=True)
        self._app = app
        self._parts = parts
        self._clock = clock
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        started = clock()
        self._due = {
            source.name: (expression_of(source), next_time(expression_of(source), started))
            for source in app.event_sources
            if isinstance(source, ScheduledEventConfig)
        }

    def run(self) -> None:
        """Fire what is due until it is stopped."""
        while not self._stopped.is_set():
            soonest = min((moment for _, moment in self._due.values()), default=None)
            if soonest is None:
                return
            wait = (soonest - self._clock()).total_seconds()
            if wait > 0:
                self._wait(min(wait, LONGEST_SLEEP))
            if not self._stopped.is_set():
                self._notice_a_clock_set_back()
                self._fire_due()

    def stop(self) -> None:
        """End after the handler under way."""
        self._stopped.set()

    def _notice_a_clock_set_back(self) -> None:
        """A firing is never farther away than from now on."""
        moment = self._clock()
        self._due = {
            name: (expression, min(due, next_time(expression, moment))) for name, (expression, due) in self._due.items()
        }

    def _fire_due(self) -> None:
        moment = self._clock()
        for name, (expression, due) in list(self._due.items()):
            if due <= moment and not self._stopped.is_set():
                self._fire(name, due)
                self._due[name] = (expression, following(expression, due, self._clock()))

    def _fire(self, name: str, due: datetime) -> None:
        context = LambdaContext(name, 1_769, max_runtime_ms=int(self._parts.settings.run_seconds * 1000))
        log.info("%s fires", name)
        try:
            outcome = self._app.handler_map[name](scheduled_event(name, due), context)
        except LakeError as error:
            log.error("%s: %s", name, error.message)
        except Exception:
            log.exception("%s failed", name)
        else:
            log.info("%s: %s", name, outcome)
        return_freed()


def following(expression: str, due: datetime, moment: datetime) -> datetime:
    """The next firing after ``due``; those that passed meanwhile are left out."""
    soonest = next_time(expression, due)
    return soonest if soonest > moment else next_time(expression, moment)


def expression_of(source: ScheduledEventConfig) -> str:
    """A schedule as EventBridge writes it."""
    expression = source.schedule_expression
    return expression if isinstance(expression, str) else str(expression.to_string())


def scheduled_event(name: str, due: datetime) -> dict[str, Any]:
    """What EventBridge sends."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "",
        "time": due.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "local",
        "resources": [f"arn:aws:events:local::rule/{name}"],
        "detail": {},
    }
