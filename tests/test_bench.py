"""The README's table of figures is what the benchmarks tell; each of them starts from the command that it says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from bench import figures
from bench.__main__ import BENCHMARKS
from tests.support import PROJECT

SMALLEST: dict[str, list[str]] = {
    "extraction": ["--scale", "small", "--latency-ms", "1"],
    "transform": ["--items", "1000", "--runs", "1"],
    "compaction": ["--runs", "48"],
    "history": ["--plays", "3000"],
    "sql": ["--rows", "10000", "--seconds", "0.2"],
    "api": ["--rounds", "5", "--clients", "9", "--seconds", "2"],
    "dashboard": ["--plays", "30000", "--rounds", "1"],
    "walk": ["--plays", "30000", "--rounds", "1"],
    "coldstart": ["--times", "1"],
}


def told(benchmark: str) -> list[str]:
    """What a benchmark says that it measured, run as small as it can be, which may miss its bars."""
    command = [sys.executable, "-m", f"bench.{benchmark}", *SMALLEST[benchmark]]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stdout[-2_000:] + done.stderr[-2_000:]
    return re.findall(r"^figure: (.+?): \S", done.stdout, re.MULTILINE)


def test_the_readmes_table_is_what_was_measured() -> None:
    text = figures.README.read_text(encoding="utf-8")
    assert text.split(figures.BEGIN)[1].split(figures.END)[0] == figures.table(), "run: python -m bench.figures"


@pytest.mark.thorough
def test_a_benchmark_tells_the_rows_that_the_table_has_of_it() -> None:
    kept = figures.kept()
    assert told("sql") == list(figures.MEASURED["sql"])
    assert figures.kept() == kept  # another size than the usual one


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("benchmark", [name for name in BENCHMARKS if name != "sql"])
def test_every_benchmark_runs_and_tells_its_rows(benchmark: str) -> None:
    assert told(benchmark) == list(figures.MEASURED[benchmark])


def test_figures_that_the_table_has_no_row_for_are_refused() -> None:
    with pytest.raises(ValueError, match="another"):
        figures.tell("sql", {"another": ("1 ms", "")}, usual=True)
