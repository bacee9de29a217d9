"""Installs LocalStack in an environment of its own: ``python -m tests.support.localstack.build``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.localstack import FOLDER, SUPERVISOR

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
LEAST = (3, 13)  # what it runs under


def main() -> None:
    """Install it, unless it is there. Raises SystemExit with what is missing."""
    done = FOLDER / "installed"
    wanted = REQUIREMENTS.read_text()
    if SUPERVISOR.is_file() and done.is_file() and done.read_text() == wanted:
        return
    python = next(pythons(), None)
    if python is None:
        raise SystemExit(f"LocalStack needs Python {LEAST[0]}.{LEAST[1]}, which is not installed here")
    print("Installing LocalStack (0.5 GB, a minute or two)", flush=True)
    environment = FOLDER / "venv"
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
    done.write_text(wanted)


def pythons() -> Iterator[str]:
    """Interpreters that it runs under."""
    name = f"python{LEAST[0]}.{LEAST[1]}"
    if sys.version_info[:2] == LEAST:
        yield sys.executable
    found = shutil.which(name)
    if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
        yield found
    yield from map(str, sorted(Path.home().glob(f".pyenv/versions/{LEAST[0]}.{LEAST[1]}.*/bin/{name}")))


if __name__ == "__main__":
    main()
