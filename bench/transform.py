"""How fast raw objects become tables, against the usual ways and against what cannot be avoided.

``python -m bench.transform [--items 100000] [--mode development|extended|both] [--runs 5] [--only NAME]...``
``python -m bench.transform --sizes [--mode ...] [--runs 3]``

Makes raw data with the sandbox's generator, runs each contender on it in turn, each in a fresh process, checks that
their tables have the same rows, and prints medians over interleaved runs and ratios. Slow contenders run once. What
it compares with is in bench/requirements.txt, which `make bench` installs into .venv-bench; ``--python`` names another
interpreter that has it.

With ``--sizes`` ours runs on 1,000, 10,000, 100,000 and 1,000,000 items (DuckDB and the lower bound too, where they
have the memory), which shows whether time is linear, how much memory the largest object takes, and what a call of a
warm function takes for 1,000 items. That is 20 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import figures
from bench.pages import write_lines, write_object

FAST = ("bound", "ours", "without_checks", "duckdb_sql")
SLOW = ("polars", "loop_of_dicts", "tutorial", "json_normalize", "dlt")
BARS = {  # ours / contender in CPU time: what it must be at most
    "bound": 3.5,
    "duckdb_sql": 1.2,
    "tutorial": 1 / 30,
    "dlt": 1 / 18,
}
BESIDE = {"duckdb_sql": "DuckDB's SQL", "polars": "polars", "json_normalize": "pandas", "dlt": "dlt"}  # in README.md
ITEMS, RUNS = 100_000, 5
SIZES = (1_000, 10_000, 100_000, 1_000_000)
SIZED = ("bound", "ours", "duckdb_sql")
LARGEST_OF_OTHERS = 100_000  # items; the lower bound holds the whole object in memory
LEAST_LINEAR = 10_000  # items; below it what a transform costs at all outweighs its items
MOST_GROWTH = 1.15  # time per item, of the largest object and of LEAST_LINEAR
MOST_MEMORY = 300  # MiB
MOST_WARM = 0.060  # s for 1,000 items
Outcome = dict[str, Any]


def main() -> int:
    options = arguments()
    modes = ("development", "extended") if options.mode == "both" else (options.mode,)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if options.sizes:
            return max(sizes(options, mode, Path(folder)) for mode in modes)
        compared = {mode: compare(options, mode, Path(folder)) for mode in modes}
    if options.mode == "both" and options.only is None:
        usual = (options.items, options.runs) == (ITEMS, RUNS)
        figures.tell("transform", told({mode: medians for mode, (_, medians) in compared.items()}), usual=usual)
    return max(missed for missed, _ in compared.values())


def told(found: dict[str, dict[str, Outcome]]) -> dict[str, tuple[str, str]]:
    """The figures: ours and those of other ways, of the one kind of app and of the other."""

    def each(name: str) -> str:
        return " and ".join(f"{one[name]['cpu']:.1f}" if has(one, name) else "failed" for one in found.values()) + " s"

    beside = ", ".join(f"{words} {each(name)}" for name, words in BESIDE.items())
    return {figures.MEASURED["transform"][0]: (each("ours"), beside)}


def with_peers() -> str:
    """The Python of .venv-bench; this one where `make bench` has not made that."""
    made = Path(__file__).resolve().parent.parent / ".venv-bench" / "bin" / "python"
    return str(made) if made.exists() else sys.executable


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--mode", choices=("development", "extended", "both"), default="both")
    parser.add_argument("--sizes", action="store_true", help="1,000 to 1,000,000 items instead of --items")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", action="append", choices=(*FAST, *SLOW))
    parser.add_argument("--python", default=with_peers(), help="an interpreter that has bench/requirements.txt")
    return parser.parse_args()


def compare(options: argparse.Namespace, mode: str, folder: Path) -> tuple[int, dict[str, Outcome]]:
    """1 when a bar is missed, and the medians of each contender."""
    raw, lines = folder / f"{mode}.jsonl.gz", folder / f"{mode}-lines"
    size = write_object(raw, options.items, mode)
    write_lines(raw, lines)
    chosen = options.only or (*FAST, *SLOW)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in chosen}
    for turn in range(options.runs):
        for name in chosen:
            if turn == 0 or name in FAST:
                outcomes[name].append(run(options.python, name, raw, lines, folder / "output"))
    print(f"\n{options.items:,} items, {mode}: {size / 1e6:,.0f} MB of JSON, {raw.stat().st_size / 1e6:,.0f} MB gzip")
    missed = report(options.items, size, outcomes)
    return missed, {name: medians(runs) for name, runs in outcomes.items()}


def sizes(options: argparse.Namespace, mode: str, folder: Path) -> int:
    """Ours at every size; answers 1 when a bar is missed."""
    print(f"\n{mode}", flush=True)
    ours: dict[int, Outcome] = {}
    warm: Outcome = {}
    missed = 0
    for items in SIZES:
        raw, lines = folder / f"{mode}-{items}.jsonl.gz", folder / f"{mode}-{items}-lines"
        size = write_object(raw, items, mode)
        chosen = SIZED if items <= LARGEST_OF_OTHERS else ("ours",)
        if len(chosen) > 1:
            write_lines(raw, lines)
        outcomes: dict[str, list[Outcome]] = {name: [] for name in chosen}
        for _ in range(options.runs):
            for name in chosen:
                outcomes[name].append(run(options.python, name, raw, lines, folder / "output"))
        print(f"{items:,} items: {size / 1e6:,.0f} MB of JSON, {raw.stat().st_size / 1e6:,.0f} MB gzip")
        missed |= report(items, size, outcomes, judged=items == LARGEST_OF_OTHERS)
        ours[items] = medians(outcomes["ours"])
        if items == SIZES[0]:
            warm = run(options.python, "warm", raw, lines, folder / "output")
        raw.unlink()
        shutil.rmtree(lines, ignore_errors=True)
    return missed | judge_sizes(ours, warm)


def judge_sizes(ours: dict[int, Outcome], warm: Outcome) -> int:
    largest = max(ours)
    growth = (ours[largest]["cpu"] / largest) / (ours[LEAST_LINEAR]["cpu"] / LEAST_LINEAR)
    peak = max(one["peak_mib"] for one in ours.values())
    bars = (
        (f"an item of {largest:,} takes {growth:.2f} x the time of one of {LEAST_LINEAR:,}", growth, MOST_GROWTH, "x"),
        (f"peak memory at any size {peak} MiB", peak, MOST_MEMORY, "MiB"),
        (
            f"{SIZES[0]:,} items in a warm function {warm['wall'] * 1000:.0f} ms",
            warm["wall"] * 1000,
            MOST_WARM * 1000,
            "ms",
        ),
    )
    for told, found, most, unit in bars:
        print(f"  {told}, at most {most:g} {unit}: {'missed' if found > most else 'held'}", flush=True)
    return int(any(found > most for _, found, most, _ in bars))


def run(python: str, name: str, raw: Path, lines: Path, output: Path) -> Outcome:
    """One contender in a fresh process."""
    output.mkdir()
    try:
        command = [python, "-m", "bench.contenders", name, str(raw), str(lines), str(output)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            return {"error": ended.stderr.strip()[-300:].replace("\n", " ")}
        outcome: Outcome = json.loads(ended.stdout.splitlines()[-1])
        return outcome
    finally:
        shutil.rmtree(output)


def report(items: int, size: int, outcomes: dict[str, list[Outcome]], *, judged: bool = True) -> int:
    print(f"{'':16}{'CPU s':>9}{'wall s':>9}{'items/s':>10}{'MB/s':>8}{'peak MiB':>10}{'x bound':>9}{'x ours':>9}")
    median = {name: medians(runs) for name, runs in outcomes.items()}
    for name, one in median.items():
        if "error" in one:
            print(f"{name:16} failed: {one['error']}")
            continue
        cpu = one["cpu"]
        ratios = [
            f"{cpu / median[other]['cpu']:9.2f}" if has(median, other) else " " * 9 for other in ("bound", "ours")
        ]
        print(
            f"{name:16}{cpu:9.3f}{one['wall']:9.3f}{items / cpu:10,.0f}{size / cpu / 1e6:8,.0f}"
            f"{one['peak_mib']:10,}{''.join(ratios)}"
        )
    differences = different_rows(median)
    print("same rows everywhere" if not differences else "rows differ: " + "; ".join(differences))
    return max(int(bool(differences)), judge(median) if judged else 0)


def has(median: dict[str, Outcome], name: str) -> bool:
    return "cpu" in median.get(name, {})


def medians(runs: list[Outcome]) -> Outcome:
    if any("error" in one for one in runs):
        return next(one for one in runs if "error" in one)
    middle = {name: statistics.median(one[name] for one in runs) for name in ("cpu", "wall")}
    return {**runs[0], **middle, "peak_mib": max(one["peak_mib"] for one in runs)}


def different_rows(median: dict[str, Outcome]) -> list[str]:
    expected = median.get("ours", {}).get("rows", {})
    return [
        f"{name} has {count:,} {table}, ours {expected[table]:,}"
        for name, one in median.items()
        for table, count in one.get("rows", {}).items()
        if count >= 0 and table in expected and count != expected[table]
    ]


def judge(median: dict[str, Outcome]) -> int:
    missed = 0
    if not has(median, "ours"):
        return 0
    for name, most in BARS.items():
        if has(median, name):
            ratio = median["ours"]["cpu"] / median[name]["cpu"]
            missed += ratio > most
            shown, bar = (f"{ratio:.2f} x", f"{most:g} x") if most > 1 else (f"1/{1 / ratio:.0f}", f"1/{1 / most:.0f}")
            print(f"  ours is {shown} of {name}, at most {bar}: {'missed' if ratio > most else 'held'}")
    if has(median, "without_checks"):
        share = 1 - median["without_checks"]["cpu"] / median["ours"]["cpu"]
        missed += share > 0.25
        print(f"  checks cost {share:.0%}, at most 25%: {'missed' if share > 0.25 else 'held'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
