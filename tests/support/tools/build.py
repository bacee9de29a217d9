"""``make tools``: installs other people's tools into .venv-tools, .venv-dbt and build/tools.

Does nothing where what is there is what is wanted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import PROJECT
from tests.support.tools import JAVA, NODE

HERE = Path(__file__).parent
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement")
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


def main() -> int:
    for name, wanted in (("tools", "requirements.txt"), ("dbt", "requirements-dbt.txt")):
        if not environment(PROJECT / f".venv-{name}", HERE / wanted):
            return 1
    return 0 if node(HERE / "package.json") and java(HERE / "jars.txt") else 1


def environment(folder: Path, wanted: Path) -> bool:
    note = folder / "complete"
    if note.exists() and note.read_text() == wanted.read_text():
        return True
    print(f"Installing {wanted.name} into {folder.name}")
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False).returncode == 0
    done = made and subprocess.run([folder / "bin" / "python", *PIP, wanted], check=False).returncode == 0
    if done:
        note.write_text(wanted.read_text())
    return done


def node(wanted: Path) -> bool:
    note = NODE / "complete"
    if note.exists() and note.read_text() == wanted.read_text():
        return True
    if shutil.which("npm") is None:
        print(
            "npm is needed for the generated TypeScript client: on Debian and Ubuntu, apt install npm", file=sys.stderr
        )
        return False
    NODE.mkdir(parents=True, exist_ok=True)
    shutil.copy(wanted, NODE / "package.json")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=NODE, check=False).returncode == 0
    if done:
        note.write_text(wanted.read_text())
    return done


def java(wanted: Path) -> bool:
    """Jars of Maven Central, one of ``jars.txt`` a line."""
    note = JAVA / "complete"
    if note.exists() and note.read_text() == wanted.read_text():
        return True
    if shutil.which("mvn") is None:
        print("Maven is needed to fetch JDBC's: on Debian and Ubuntu, apt install maven", file=sys.stderr)
        return False
    for jar in wanted.read_text().split():
        command = ["mvn", "-B", "-q", COPY, f"-Dartifact={jar}", f"-DoutputDirectory={JAVA}"]
        if subprocess.run(command, check=False).returncode != 0:
            return False
    note.write_text(wanted.read_text())
    return True


if __name__ == "__main__":
    sys.exit(main())
