"""A service that lives for months gives back the memory that it has freed."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support import PROJECT
from tests.support.server import LakeServer

HEAP = 64 * 1024 * 1024  # bytes of address space that glibc sets apart for each
PROGRAM = """
import os
from chalicelib.local.memory import return_freed
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
blocks = [bytearray(8_000) for _ in range(20_000)]
kept = blocks[::20]
del blocks
before = resident()
return_freed()
print(before - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the allocator has no such call")
def test_what_was_freed_between_what_is_still_used_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 70_000_000


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator has no such call")
def test_a_service_has_one_heap_whatever_its_threads_do(tmp_path: Path) -> None:
    """Each more would keep what it needed at most."""
    with LakeServer(tmp_path) as server, ThreadPoolExecutor(8) as callers:
        assert {answer.status_code for answer in callers.map(server.get, ["/reports"] * 40)} == {200}
        assert heaps_of_threads(server.pid()) == 0


def heaps_of_threads(pid: int) -> int:
    """How many of glibc's heaps besides the first a process has: what is in use and the rest fill 64 MB each."""
    regions = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, access, *_ = line.split()
        start, end = (int(each, 16) for each in addresses.split("-"))
        regions.append((start, end, access))
    return sum(
        first[2] == "rw-p" and rest[2] == "---p" and first[1] == rest[0]
        and first[0] % HEAP == 0 and rest[1] - first[0] == HEAP
        for first, rest in pairwise(regions)
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_a_service_of_many_hourly_runs_stays_as_large_as_after_the_first() -> None:
    done = subprocess.run([sys.executable, "-m", "bench.memory", "runs"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
