"""How long it takes from a clean clone to the page: ``make run`` as the README says it, the made-up years included.

    python -m bench.first_page [--without-uv] [--keep FOLDER]

The last commit is cloned into a folder of its own, where nothing is installed, and ``make run`` is given a free port.
What is timed is each line that it prints, until the printed address answers with the page: what had been said for how
long before the next was. Packages come from wherever pip gets them; what it has downloaded before, it has again.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import PROJECT
from tests.support.server import free_port

MOST = 25.0  # s from the clone to the page, on two idle cores: the bar
SAID = re.compile(r"^(?:Making|Installing|Waiting|No SPOTIPY|\$ )")
ADDRESS = re.compile(r"^http://127\.0\.0\.1:\d+/\?code=\S+$")


@dataclass(frozen=True, slots=True)
class Step:
    """A line that says what is under way, and the seconds since the clone was begun."""

    said: str
    began: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.first_page", description=__doc__)
    parser.add_argument("--without-uv", action="store_true", help="as on a machine that cannot get uv")
    parser.add_argument("--keep", type=Path, help="clone into this folder, and leave it there")
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    with folder_for(options.keep) as folder:
        steps, done = first_page(folder, without_uv=options.without_uv)
    for step, following in zip(steps, [*steps[1:], Step("", done)], strict=True):
        print(f"{following.began - step.began:7.1f} s  {step.said}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{done:7.1f} s  from the clone to the page; the bar is {MOST:.0f} s on two idle cores")
    print(f"{used.ru_utime + used.ru_stime:7.1f} s  of processor time; {busy:.1f} processes were waiting before")
    return int(done > MOST)


def folder_for(keep: Path | None) -> tempfile.TemporaryDirectory[str] | Kept:
    """Where the clone is made."""
    return Kept(keep) if keep else tempfile.TemporaryDirectory(prefix="first-page-")


class Kept:
    """A folder that stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> str:
        return str(self.folder)

    def __exit__(self, *_: object) -> None:
        return None


def first_page(folder: str, *, without_uv: bool) -> tuple[list[Step], float]:
    """What `make run` says in a clean clone, and the seconds until the page was there."""
    began = time.monotonic()
    clone = Path(folder) / "lake"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
    steps = [Step("git clone", 0.0)]
    command = ["make", "run", f"PORT={free_port()}", *(["UV=false"] if without_uv else [])]
    with subprocess.Popen(
        command, cwd=clone, env=plain_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            for line in lines(process):
                if SAID.match(line):
                    steps.append(Step(line, time.monotonic() - began))
                if ADDRESS.match(line):
                    fetch(line)
                    return steps, time.monotonic() - began
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            for _ in lines(process):  # what ends says so
                pass
    raise SystemExit("make run ended before it served a page: see above")


def plain_environment() -> dict[str, str]:
    """As a new shell has it: nothing is set for Python or for the lake, and no environment of Python's is active."""
    ours = ("SPOTIPY_", "LAKE_", "PYTHON", "VIRTUAL_ENV", "MAKE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout
    for line in process.stdout:
        yield line.rstrip()


def fetch(address: str) -> None:
    """The page and what signs a browser in, as far as a browser must wait for them."""
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert b"<html" in answer.read()


if __name__ == "__main__":
    if shutil.which("make") is None:
        sys.exit("bench.first_page needs make")
    sys.exit(main())
