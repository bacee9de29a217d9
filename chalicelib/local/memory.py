"""How a process that lives for months, or reads a large file, keeps its memory small."""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
LARGE = 128 * 1024  # bytes; glibc's own, until something larger is freed, then up to 32 MB


def use_system_allocator() -> None:
    """Have Arrow, which is not loaded yet, allocate as the system does: its own way keeps twice what imports need."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def use_one_heap() -> None:
    """Have glibc's allocator keep one heap for all threads, and nothing large in it. Called before there are threads.

    Else threads take from up to eight heaps a processor, and in time what is large, too. What lives on keeps whole
    pages, elsewhere after each run, in each of the heaps. Where there is no such call nothing happens.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        for name, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE)):
            option(name, value)


def return_freed() -> None:
    """Give the system back what the allocator keeps for later. Between what is still used this adds up, run by run, as
    glibc's allocator returns by itself only what lies at its end. Where there is no such call nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
