"""How fast raw objects become tables, against the usual ways and against what cannot be avoided.

``python -m bench.transform [--items 100000] [--mode development|extended|both] [--runs 5] [--only NAME]...``

Makes raw data with the sandbox's generator, runs each contender on it in turn, each in a fresh process, checks that
their tables have the same rows, and prints medians over interleaved runs and ratios. Slow contenders run once. What
it compares with is in bench/requirements.txt; ``--python`` names an interpreter that has it.
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

from bench.pages import write_lines, write_object

FAST = ("bound", "ours", "without_checks", "duckdb_sql")
SLOW = ("polars", "loop_of_dicts", "tutorial", "json_normalize", "dlt")
BARS = {  # ours / contender in CPU time: what it must be at most
    "bound": 3.5,
    "duckdb_sql": 1.2,
    "tutorial": 1 / 30,
    "dlt": 1 / 18,
}
Outcome = dict[str, Any]


def main() -> int:
    options = arguments()
    modes = ("development", "extended") if options.mode == "both" else (options.mode,)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return max(compare(options, mode, Path(folder)) for mode in modes)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--mode", choices=("development", "extended", "both"), default="both")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", choices=(*FAST, *SLOW))
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has bench/requirements.txt")
    return parser.parse_args()


def compare(options: argparse.Namespace, mode: str, folder: Path) -> int:
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
    return report(options.items, size, outcomes)


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


def report(items: int, size: int, outcomes: dict[str, list[Outcome]]) -> int:
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
    return max(int(bool(differences)), judge(median))


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
