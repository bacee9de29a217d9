"""``make trino``: Trino from Maven Central into build/trino. Does nothing where it is already there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.trino.server import home


def main() -> int:
    folder = home()
    if (folder / "complete").exists():
        return 0
    if shutil.which("mvn") is None:
        print("Maven is needed to fetch Trino: on Debian and Ubuntu, apt install maven", file=sys.stderr)
        return 1
    print("Fetching Trino (0.5 GB)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    recipe = Path(__file__).with_name(f"{folder.name}.xml")
    fetched = subprocess.run(["mvn", "-B", "-q", "-f", recipe, f"-Dfolder={folder}", "process-resources"], check=False)
    if fetched.returncode == 0:
        (folder / "complete").touch()
    return fetched.returncode


if __name__ == "__main__":
    sys.exit(main())
