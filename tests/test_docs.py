"""The documentation says what the code declares."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from chalicelib.commands.cli import main
from chalicelib.errors import LakeError
from chalicelib.rest.openapi import document
from docs import build
from tests.support import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def test_the_reference_is_what_the_declarations_say() -> None:
    assert build.REFERENCE.read_text(encoding="utf-8") == build.reference(), "run: python -m docs.build"


def test_the_questions_page_has_every_error_with_what_helps() -> None:
    page = build.FAQ.read_text(encoding="utf-8")
    assert page == build.with_errors(page), "run: python -m docs.build"


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


TOLD = re.compile(r"(?:\.venv|/opt/lake)/bin/lake +([^`#\n|<>)]+)|`lake ([a-z][^`]+)`")
TELLING = [*PAGES, *(path for folder in ("chalicelib", "deploy") for path in sorted((PROJECT / folder).rglob("*.py")))]


def told_commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each `lake …` that a person is told to type, as a shell takes them apart."""
    for told in TOLD.finditer(page.read_text(encoding="utf-8")):
        try:
            words = shlex.split(told[1] or told[2])
        except ValueError:  # a statement that goes on in the next line
            continue
        words = [word for word in words if word not in ("--sandbox", "--debug")]
        if words and not words[0].isupper():  # COMMAND
            yield words


@pytest.mark.parametrize("page", [page for page in TELLING if any(told_commands(page))], ids=lambda page: page.name)
def test_a_command_that_a_person_is_told_is_one_with_its_options(page: Path) -> None:
    for words in told_commands(page):
        command: click.Command = main
        while isinstance(command, click.Group) and words and words[0].isidentifier() | ("-" in words[0]):
            assert words[0] in command.commands, words
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options | {"--help"}, (command.name, words)


def test_the_product_has_one_name_wherever_somebody_meets_it() -> None:
    (first, *_) = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    name = first.removeprefix("# ").partition(":")[0]
    page = (PROJECT / "chalicelib" / "web" / "index.html").read_text(encoding="utf-8")
    assert re.findall("<title>(.*?)</title>", page) == [name] == [document()["info"]["title"]]
    assert f"site_name: {name}\n" in (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    told = [path for path in (PROJECT / "chalicelib").rglob("*") if path.suffix in (".py", ".js", ".html", ".sql")]
    for path in [*told, *PAGES]:
        text = path.read_text(encoding="utf-8")
        other = re.findall(r"\b(?:Spotify|Music|Music-analytics) [Ll]ake\b", text)
        other += re.findall(r"`[^`\n]*python -m chalicelib (?!COMMAND)[^`\n]*`", text)  # the command is `lake`
        assert other == [], path


def test_every_module_that_the_architecture_names_exists() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:[a-z_]+/)*[a-z_]+\.(?:py|toml))\b", page):
        assert (PROJECT / name).exists() or any((PROJECT / "chalicelib").rglob(name)), name


@pytest.mark.parametrize("kind", list(build.kinds_of(LakeError)), ids=lambda kind: kind.code)
def test_every_error_says_what_it_means_and_what_helps(kind: type[LakeError]) -> None:
    assert all(build.meaning_and_remedy(kind))
