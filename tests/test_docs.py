"""The documentation says what the code declares."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.commands.cli import token
from chalicelib.errors import LakeError
from docs import build
from tests.support import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def test_the_reference_is_what_the_declarations_say() -> None:
    assert build.REFERENCE.read_text(encoding="utf-8") == build.reference(), "run: python -m docs.build"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8")))
    assert named <= targets


def test_every_command_the_readme_names_is_a_command() -> None:
    named = set(re.findall(r"\.venv/bin/lake ([a-z-]+)", (PROJECT / "README.md").read_text(encoding="utf-8")))
    assert named
    for name in named:
        help_text = subprocess.run(
            [sys.executable, "-m", "chalicelib", name, "--help"], capture_output=True, cwd=PROJECT
        )
        assert help_text.returncode == 0, help_text.stderr.decode()


TOLD = re.compile(r"\.venv/bin/lake (token [^`#\n\"']+)")
TELLING = [*PAGES, *(path for folder in ("chalicelib", "deploy") for path in sorted((PROJECT / folder).rglob("*.py")))]


@pytest.mark.parametrize("page", [page for page in TELLING if TOLD.search(page.read_text("utf-8"))], ids=str)
def test_a_token_command_that_a_person_is_told_is_one(page: Path) -> None:
    for told in TOLD.findall(page.read_text(encoding="utf-8")):
        _, command, *arguments = told.split(")")[0].split()
        token.commands[command].make_context(command, arguments)


def test_every_module_that_the_architecture_names_exists() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:[a-z_]+/)*[a-z_]+\.(?:py|toml))\b", page):
        assert (PROJECT / name).exists() or any((PROJECT / "chalicelib").rglob(name)), name


@pytest.mark.parametrize("kind", list(build.kinds_of(LakeError)), ids=lambda kind: kind.code)
def test_every_error_says_what_it_means_and_what_helps(kind: type[LakeError]) -> None:
    assert all(build.meaning_and_remedy(kind))
