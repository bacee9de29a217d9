"""An AWS in this process: moto's, made truthful where it answers more kindly than AWS, or not at all.

``with Emulator() as aws`` serves every service at ``aws.url``. See server.py for faults and rights.
"""

from __future__ import annotations

import atexit
from functools import cache

from tests.emulator.server import ACCOUNT, REGION, Emulator, Fault

__all__ = ["ACCOUNT", "REGION", "Emulator", "Fault", "shared"]


@cache
def shared() -> Emulator:
    """One for all tests of a process; they keep apart by the names they use."""
    emulator = Emulator()
    emulator.__enter__()
    atexit.register(emulator.__exit__)
    return emulator
