"""How a process that lives for months, or reads a large file, keeps its memory small."""

from __future__ import annotations

import ctypes
import os


def use_system_allocator() -> None:
    """Have Arrow, which is not loaded yet, allocate as the system does: its own way keeps twice what imports need."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def return_freed() -> None:
    """Give the system back what the allocator keeps for later. Between what is still used this adds up, run by run, as
    glibc's allocator returns by itself only what lies at its end. Where there is no such call nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
