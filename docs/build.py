"""Writes ``docs/reference.md``, and the errors in ``docs/faq.md``, from the code's own declarations:
``python -m docs.build``.

A test fails when the file is not what this writes, so nothing that a user meets goes undocumented.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import click

import chalicelib
from chalicelib import tables
from chalicelib.commands import cli
from chalicelib.errors import LakeError
from chalicelib.reports.catalogue import QUESTIONS, built_in_reports
from chalicelib.rest import routes
from chalicelib.settings import Settings

REFERENCE, FAQ = (Path(__file__).parent / name for name in ("reference.md", "faq.md"))
BEHIND_PAGES = "Behind the dashboard's pages"
ERRORS_BEGIN, ERRORS_END = "<!-- errors: written by `python -m docs.build` -->\n", "<!-- end of errors -->"
INTRODUCTION = """\
# Reference

Commands, settings, endpoints, tables and reports, written from the code's own declarations by
`python -m docs.build`.
"""


def main() -> None:
    REFERENCE.write_text(reference(), encoding="utf-8")
    FAQ.write_text(with_errors(FAQ.read_text(encoding="utf-8")), encoding="utf-8")


def reference() -> str:
    parts = (INTRODUCTION, commands(), settings(), endpoints(), errors_of_the_lake(), lake_tables(), reports())
    return "\n".join(parts)


def commands() -> str:
    lines = ["## Commands\n", "Each is `.venv/bin/lake COMMAND`; `--help` shows its options.\n"]
    lines += table(("command", "does"), command_rows(cli.main, ""))
    return "\n".join(lines) + "\n"


def command_rows(group: click.Group, before: str) -> Iterator[tuple[str, str]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from command_rows(command, f"{before}{name} ")
        elif not command.hidden:
            words = command.collect_usage_pieces(click.Context(command))
            yield f"`{' '.join([before + name, *words])}`", command.get_short_help_str(200)


def settings() -> str:
    lines = ["## Settings\n", "From the environment or a `.env` file beside `app.py`; `doctor` shows those in force.\n"]
    rows = []
    for declared in fields(Settings):
        default = f"`{Settings().written(declared.name)}`" if declared.default != "" else ""
        unit = f" ({declared.metadata['unit']})" if declared.metadata["unit"] else ""
        rows.append((f"`{declared.name.upper()}`", default, declared.metadata["help"] + unit))
    return "\n".join(lines + table(("setting", "default", "what it is"), rows)) + "\n"


def endpoints() -> str:
    lines = ["## REST API\n", "Described whole by `GET /openapi.json`; `docs/api.md` shows how to call it.\n"]
    rows = [(f"`{route.method} {route.path}`", route.scope or "none", route.summary) for route in routes.ROUTES]
    return "\n".join(lines + table(("endpoint", "scope of the token", "does"), rows)) + "\n"


def errors_of_the_lake() -> str:
    lines = [
        "## Errors\n",
        'The API answers `{"error": {"code", "message", "details"}}`; a command prints the message and ends with the',
        "exit status. The message names the thing; this is what helps in general.\n",
    ]
    rows = []
    for kind in sorted(every_kind(), key=lambda kind: (kind.status, kind.code)):
        meaning, remedy = meaning_and_remedy(kind)
        rows.append((f"`{kind.code}`", str(kind.status), str(kind.exit_status), meaning, remedy))
    return "\n".join(lines + table(("code", "HTTP", "exit", "what it means", "what helps"), rows)) + "\n"


def with_errors(page: str) -> str:
    """A page with a line for each error, by its code, where the page says."""
    lines = []
    for kind in sorted(every_kind(), key=lambda kind: kind.code):
        meaning, remedy = meaning_and_remedy(kind)
        lines.append(f"- **`{kind.code}`** {meaning} *{remedy}*\n")
    before, _, rest = page.partition(ERRORS_BEGIN)
    return f"{before}{ERRORS_BEGIN}{''.join(lines)}{ERRORS_END}{rest.partition(ERRORS_END)[2]}"


def every_kind() -> Iterator[type[LakeError]]:
    """Every error that has a code, wherever it is declared."""
    for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
        if not module.name.endswith("__main__"):
            import_module(module.name)  # else it is chance which errors there are
    return kinds_of(LakeError)


def meaning_and_remedy(kind: type[LakeError]) -> tuple[str, str]:
    """The two paragraphs of an error's docstring, a line each."""
    meaning, _, remedy = (inspect.getdoc(kind) or "").replace("``", "`").partition("\n\n")
    return " ".join(meaning.split()), " ".join(remedy.split())


def kinds_of(kind: type[LakeError]) -> Iterator[type[LakeError]]:
    """The errors below ``kind`` that have a code of their own."""
    for below in kind.__subclasses__():
        if "code" in vars(below):
            yield below
        yield from kinds_of(below)


def lake_tables() -> str:
    lines = ["## Tables\n", "Types are Athena's; timestamps are UTC. A null means that Spotify did not say.\n"]
    for declared in tables.TABLES:
        if declared.current == "internal":
            continue
        history = f" Earlier values: `{declared.history}`." if declared.shows_history else ""
        lines.append(f"### {declared.name}\n\n{declared.description}. Key: {', '.join(declared.key)}.{history}\n")
        rows = [
            (f"`{column.name}`", f"{column.type}{'?' if column.nullable else ''}", column.description)
            for column in declared.columns
        ]
        lines += [*table(("column", "type", "what it is"), rows), ""]
    return "\n".join(lines)


def reports() -> str:
    lines = ["## Reports\n", "`report NAME --set parameter=value`, or `GET /reports/NAME?parameter=value`.\n"]
    for question in (*QUESTIONS, None):
        rows = [
            (f"`{report.name}`", report.description, ", ".join(f"`{given.name}`" for given in report.parameters))
            for report in built_in_reports()
            if report.question == question
        ]
        lines.append(f"### {question or BEHIND_PAGES}\n")
        lines += [*table(("report", "answers", "parameters"), rows), ""]
    return "\n".join(lines)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    written = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *written]


if __name__ == "__main__":
    main()
