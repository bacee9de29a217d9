"""The signals that ask a process to end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def when_ended(call: Callable[[int, FrameType | None], None]) -> None:
    """From now on the signals that end a process do this instead, but for a SIGHUP that was to be ignored (nohup)."""
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, call)
