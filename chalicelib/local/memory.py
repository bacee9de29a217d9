"""What a process that lives for months does about memory that was freed."""

from __future__ import annotations

import ctypes


def return_freed() -> None:
    """Give the system back what the allocator keeps for later. Between what is still used this adds up, run by run, as
    glibc's allocator returns by itself only what lies at its end. Where there is no such call nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
