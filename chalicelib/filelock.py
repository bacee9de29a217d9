"""A lock on a file, which the system lets go of when its holder's process ends, however it ends.

Who holds one lives: nothing need be known of process numbers, boots or clocks.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock on ``path``; nobody does where there is no such file. Does not wait, not even
    for who writes to a pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def open_own(path: Path) -> IO[str]:
    """A file to lock, which its owner alone may open."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a")


def hold(path: Path) -> IO[str] | None:
    """Take the lock on ``path`` until what is answered is closed; None when somebody has it. Does not wait.

    The file stays: deleted while another process opens it, it would be two files with a lock each. Its folder must be
    there.
    """
    handle = open_own(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle
