"""Every benchmark in turn, each as the one command that it is: ``make bench``, or ``python -m bench NAME...``.

What they measured is the table of README.md, which this writes anew (bench/figures.py).
Peers that are not the lake's own dependencies (bench/requirements.txt) are run where ``.venv-bench`` has them.
"""

from __future__ import annotations

import os
import subprocess
import sys

from bench.figures import MEASURED, write_table

BENCHMARKS = tuple(MEASURED)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = [name for name in names or BENCHMARKS if run(name)]
    write_table()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str) -> int:
    print(f"$ python -m bench.{name}", flush=True)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # like most
    return subprocess.run([sys.executable, "-m", f"bench.{name}"], env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
