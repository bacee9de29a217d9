"""The figures in README.md: each benchmark tells its own, `make bench` keeps them here and writes the table anew.

`figures.json` has, by benchmark, when and on how busy a machine it ran and what it measured. A run of another size than
the usual one prints its figures and keeps nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
KEPT = Path(__file__).with_name("figures.json")
README = ROOT / "README.md"
BEGIN, END = "<!-- figures: written by `make bench` -->\n", "<!-- end of figures -->"
MEASURED: dict[str, tuple[str, ...]] = {
    "extraction": (
        "Calls to Spotify of a first run, and the fewest that can be",
        "Calls of a run that finds nothing new",
        "The first run's time, and its calls one after another",
    ),
    "transform": ("100,000 items of raw JSON into checked tables, processor time",),
    "compaction": ("Bytes that a report reads of a year of hourly runs, and the raw JSON",),
    "history": ("3,000,000 plays of privacy exports imported", "The slowest report over them"),
    "sql": ("A small query, from start to rows", "A result of 5,000,000 rows run and written"),
    "api": ("The same by HTTP, from POST to rows", "50 clients at once"),
    "dashboard": ("Totals and first chart over 3,000,000 plays, cold", "Another period", "The same period again"),
    "walk": (
        "The slowest of the other pages over 500,000 plays, until it shows something",
        "What a search finds in them, from its last letter",
    ),
    "coldstart": ("What a cold start of the API imports, processor time",),
}  # fmt: skip


def tell(benchmark: str, found: Mapping[str, tuple[str, str]], *, usual: bool) -> None:
    """Print what a benchmark measured (of each: the figure, and what stands beside it) and, of a run of the ``usual``
    size, keep it. Raises ValueError where that is not what MEASURED says."""
    if tuple(found) != MEASURED[benchmark]:
        raise ValueError(f"bench.{benchmark} tells {list(found)}, the table has {list(MEASURED[benchmark])}")
    for what, (figure, beside) in found.items():
        print(f"figure: {what}: {figure}{f' ({beside})' if beside else ''}", flush=True)
    if usual:
        ran = {"on": f"{datetime.now(UTC):%Y-%m-%d}", "cores": os.cpu_count(), "load": round(os.getloadavg()[2], 1)}
        KEPT.write_text(json.dumps({**kept(), benchmark: {**ran, "figures": found}}, indent=1) + "\n", "utf-8")


def kept() -> dict[str, Any]:
    """What was measured last, by benchmark."""
    return dict(json.loads(KEPT.read_text("utf-8"))) if KEPT.exists() else {}


def write_table() -> None:
    """Put the table into the README."""
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    README.write_text(f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}", "utf-8")


def table() -> str:
    """The table of what has been measured, as Markdown."""
    known = kept()
    if not known:
        return "Nothing has been measured yet.\n"
    lines = ["| what | here | beside it | `python -m bench.…` |", "|---|---|---|---|"]
    for benchmark in (name for name in MEASURED if name in known):
        found = known[benchmark]["figures"]
        lines += [f"| {name} | {' | '.join(found[name])} | `{benchmark}` |" for name in MEASURED[benchmark]]
    return "\n".join([*lines, "", circumstances(known), ""])


def circumstances(known: Mapping[str, Any]) -> str:
    """On what machine, when, and how busy it was besides."""

    def span(name: str) -> str:
        """The least and the greatest, or the one that there is."""
        values = sorted(each[name] for each in known.values())
        return " to ".join(dict.fromkeys(str(value) for value in (values[0], values[-1])))

    return (
        f"Measured on {span('cores')} cores, {span('on')}; the machine's load, the benchmarks' own included: "
        f"{span('load')}."
    )


if __name__ == "__main__":
    write_table()
