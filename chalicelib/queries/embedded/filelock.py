"""Whether another process still lives, known by a lock on a file: the system lets go of it when the process ends."""

from __future__ import annotations

import fcntl
from pathlib import Path


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock on ``path``; nobody does where there is no such file. Does not wait."""
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
