"""The deployment, whole and for real against the emulation, under a Python that can deploy (3.12 or 3.13).

The checks themselves lie in tests/deployed/. Those of a file share one deployment, so they run in one process of their
own, from a copy that holds only what is tracked: what is deployed is what a clone has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from deploy.checks import PYTHONS
from tests.support import PROJECT, trino

REQUIREMENTS = PROJECT / "tests" / "deployed" / "requirements.txt"
INSTALLED = ".installed"
NOT_FOR_CHECKS = ("PYTEST_", "PYTHONDONTWRITEBYTECODE")  # nothing is compiled yet where they run


@pytest.mark.thorough
@pytest.mark.first
@pytest.mark.timeout(1800)
def test_a_deployment_works_from_nothing_to_a_first_query_and_leaves_nothing(tmp_path: Path) -> None:
    passes("check_deployment.py", tmp_path)


@pytest.mark.thorough
@pytest.mark.first
@pytest.mark.timeout(1800)
def test_the_first_hour_on_aws_goes_as_it_is_written_from_the_deployment_to_what_friends_heard(tmp_path: Path) -> None:
    from tests.support import browser

    assert browser.CHROMIUM  # without one, this is left out with a line that says so
    passes("check_first_hour.py", tmp_path)


def passes(checks: str, folder: Path) -> None:
    """Run a file of checks on a clean copy."""
    python = able_python()
    if python is None:
        reason = "deploying needs Python 3.12 or 3.13, and neither is installed here"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    trino.needed()
    trino.shared()  # a cold one takes longer than views may
    command = [str(python), "-m", "pytest", f"tests/deployed/{checks}", "-o", "python_files=check_*.py",
               "-o", "python_functions=check_*", "-q", "--timeout", "900"]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_CHECKS)}
    copy = clean_copy(folder / "clone")
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-15_000:] + done.stderr[-2_000:]


def clean_copy(folder: Path) -> Path:
    """The tracked files as they are now. Layers and requirements once built are shared: they are named by content.
    Trino is shared too, the running one included."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    (folder / "build").mkdir(parents=True, exist_ok=True)
    for shared in ("cache", "trino"):
        (PROJECT / "build" / shared).mkdir(parents=True, exist_ok=True)
        (folder / "build" / shared).symlink_to(PROJECT / "build" / shared)
    return folder


def able_python() -> Path | None:
    """This Python if it can deploy; else another one's environment beside the project, made when first needed."""
    if sys.version_info[:2] in PYTHONS:
        return Path(sys.executable)
    for python in other_pythons():
        environment = PROJECT / f".venv-{python.name.removeprefix('python')}"
        with FileLock(f"{environment}.lock"):  # two tests may want it at once
            if not is_installed(environment):
                install(python, environment)
        return environment / "bin" / "python"
    return None


def is_installed(environment: Path) -> bool:
    """Whether it has what the checks need now."""
    noted = environment / INSTALLED
    return noted.exists() and noted.read_text() == REQUIREMENTS.read_text()


def other_pythons() -> Iterator[Path]:
    for major, minor in PYTHONS:
        name = f"python{major}.{minor}"
        found = shutil.which(name)
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            yield Path(found)
        yield from sorted(Path.home().glob(f".pyenv/versions/{major}.{minor}.*/bin/{name}"))


def install(python: Path, environment: Path) -> None:
    """What the checks need and no more; compiled is what they import, when they do."""
    subprocess.run([str(python), "-m", "venv", str(environment)], check=True, capture_output=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--constraint", str(PROJECT / "constraints.txt"), "--requirement", str(REQUIREMENTS)]
    done = subprocess.run([*pip, "--no-compile", *wanted], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (environment / INSTALLED).write_text(REQUIREMENTS.read_text())
