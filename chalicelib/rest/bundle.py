"""The dashboard's modules as one script: a request instead of nineteen, each of which is a Lambda execution on AWS.

Each module becomes an asynchronous function that is called once, when the first asks for it; what it imports it awaits,
in the order in which it names it, as a browser evaluates modules. What it exports it returns. Only the forms of
``import`` and ``export`` that the modules use are known, and a cycle of imports is refused: both would be seen by the
tests. Files below ``vendor/`` stay files of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

IMPORT = re.compile(r'^import (?:(\{[^{}]*\}) from )?"(\./[^"]+)";', re.MULTILINE)
LATER = re.compile(r'\bimport\("(\./[^"]+)"\)')
EXPORT = re.compile(r"^export ((?:async function|function|class|const)\s+(\w+))", re.MULTILINE)
UNKNOWN = re.compile(r"^(?:import\b(?!\.|\()|export\b).*", re.MULTILINE)
FIRST = "./app.js"
HEAD = """\
// Made of the modules of chalicelib/web, which are the ones to read.
const made = {};
const need = (name) => made[name] ??= modules[name]().catch((fault) => {
  delete made[name];
  throw fault;
});
const modules = {
"""


def bundle(modules: Mapping[str, str]) -> str:
    """One module out of those given by their name (``./app.js``) and text. ValueError names what cannot be bundled."""
    require_no_cycle(modules)
    made = [f'"{name}": async () => {{\n{function_body(name, text, modules)}}},\n' for name, text in modules.items()]
    return f'{HEAD}{"".join(made)}}};\nawait need("{FIRST}");\n'


def function_body(name: str, text: str, modules: Mapping[str, str]) -> str:
    """A module's text as the body of a function that returns its exports."""
    exported = [found[1] for found in EXPORT.findall(text)]
    body = EXPORT.sub(r"\1", text)
    body = IMPORT.sub(lambda found: f"{taken(found[1])}await {asked(found[2], modules)};", body)
    body = LATER.sub(lambda found: asked(found[1], modules), body)
    if unknown := UNKNOWN.search(body):
        raise ValueError(f"{name}: the bundle knows no such line: {unknown[0]}")
    return f"{body.rstrip()}\nreturn {{ {', '.join(exported)} }};\n"


def taken(names: str) -> str:
    """``{ a, b as c }`` of an import as the names that a declaration takes out of an object."""
    return f"const {re.sub(r' as ', ': ', names)} = " if names else ""


def asked(path: str, modules: Mapping[str, str]) -> str:
    """What answers a promise of a module: one of the bundle, or a file of its own."""
    return f'need("{path}")' if path in modules else f'import("{path}")'


def require_no_cycle(modules: Mapping[str, str]) -> None:
    """Refuse modules that wait for each other. Raises ValueError."""
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"modules import each other in a circle: {' '.join([*above, name])}")
        if name not in done:
            for path in imported(modules[name]):
                if path in modules:
                    visit(path, (*above, name))
            done.add(name)

    for name in modules:
        visit(name, ())


def imported(text: str) -> Iterator[str]:
    """The modules that a module must have before it runs."""
    return (found[1] for found in IMPORT.findall(text))
