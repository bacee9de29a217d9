"""Transforms done by the deployed function: how a rebuild of a lake on AWS is shared out.

Each raw object is one invocation of the transform function, with the event that its arrival would have caused and,
beside it, the generation that is being built. An account may run only so many functions at once, a new one ten: a
rebuild begins with a few invocations at once, adds one while all goes well, halves them when Lambda refuses one, and
asks again for that.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from chalicelib.clock import Sleep
from chalicelib.errors import StorageFailed, StorageUnavailable
from chalicelib.settings import Settings

FIRST_AT_ONCE, MOST_AT_ONCE = 4, 16  # invocations under way
ONE_MORE_AFTER = 20  # invocations that went well
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0  # s before a refused invocation is asked for again
PATIENCE = 3600.0  # s of being refused after which a rebuild gives up; its next call goes on where it was


class RemoteTransform:
    """Transforms one key into one generation, in the cloud; returns when it is done. Safe for threads.

    Raises StorageFailed when the function fails, and what aws.py says when it cannot be called. An object that goes
    to quarantine is no failure.
    """

    def __init__(
        self,
        settings: Settings,
        functions: Any = None,
        *,
        sleep: Sleep = time.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._given = functions  # a client of Lambda; the process's own by default
        self._function = settings.transform_function
        self._bucket, self._prefix = settings.bucket, settings.prefix
        self._sleep, self._rng = sleep, rng
        self._turns = CallTurns()

    def __call__(self, generation: str, key: str) -> None:
        place = {"bucket": {"name": self._bucket}, "object": {"key": quote_plus(self._prefix + key, safe="/")}}
        event = {"Records": [{"s3": place}], "generation": generation}
        with self._turns:
            answer = self._invoke(json.dumps(event).encode(), key)
        said: Any = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise StorageFailed(f"{self._function} failed on {key}: {said.get('errorMessage', said)}", key=key)

    def _invoke(self, event: bytes, key: str) -> dict[str, Any]:
        """Lambda's answer, however often it has too much to do first."""
        from chalicelib.stores.aws import THROTTLED, lake_errors

        pause, waited = FIRST_PAUSE, 0.0
        while True:
            try:
                with lake_errors(f"call {self._function}", key=key):
                    answer: dict[str, Any] = self._functions.invoke(FunctionName=self._function, Payload=event)
                    self._turns.went_well()
                    return answer
            except StorageUnavailable as error:
                if error.details.get("aws_code") not in THROTTLED or waited > PATIENCE:
                    raise
            self._turns.refused()
            seconds = pause * (0.5 + self._rng())
            self._sleep(seconds)
            waited, pause = waited + seconds, min(pause * 2, LONGEST_PAUSE)

    @property
    def _functions(self) -> Any:
        from chalicelib.stores.aws import client

        return self._given or client("lambda")


class CallTurns:
    """How many invocations may be under way: one more after each ONE_MORE_AFTER that went well, half as many after a
    refusal (and what comes of those that were under way with it)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._allowed = FIRST_AT_ONCE
        self._under_way = self._well = 0

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._under_way < self._allowed)
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def went_well(self) -> None:
        with self._changed:
            self._well += 1
            if self._well >= ONE_MORE_AFTER:
                self._allowed, self._well = min(self._allowed + 1, MOST_AT_ONCE), 0
                self._changed.notify_all()

    def refused(self) -> None:
        with self._changed:
            if self._well:  # the first of those that were under way together
                self._allowed = max(1, self._allowed // 2)
            self._well = 0


def remote_transform(settings: Settings) -> RemoteTransform | None:
    """For a lake on AWS whose transform function is known; None where the work is to be done here."""
    return RemoteTransform(settings) if settings.on_aws and settings.transform_function else None
