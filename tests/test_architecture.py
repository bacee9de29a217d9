"""docs/architecture.md is the plan of the house: what each package is for and what it may import. This holds it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support import PROJECT

ROOT = PROJECT / "chalicelib"
PAGE = PROJECT / "docs" / "architecture.md"
ROW = re.compile(r"^\| `([\w/.]+)` \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)
GROUND = "ground"


@cache
def rooms() -> dict[str, tuple[str, set[str]]]:
    """Each room of the page: what it is for, and which rooms it may import from."""
    return {
        name.rstrip("/"): (purpose.strip(), {each.strip("` /") for each in allowed.split(",") if each.strip()})
        for name, purpose, allowed in ROW.findall(PAGE.read_text(encoding="utf-8"))
    }


def room_of(module: Path) -> str:
    """The room that a module below ``chalicelib/`` stands in: its package, a top module with a row of its own, or
    the ground."""
    packages = [str(folder) for folder in module.parents if str(folder) in rooms()]
    return packages[0] if packages else module.name if module.name in rooms() else GROUND


def modules() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imported(module: Path) -> Iterator[Path]:
    """The modules of chalicelib that a module imports anywhere, but for types alone."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in for_types and node.module:
            package, *below = node.module.split(".")
            if package == "chalicelib":
                for name in (alias.name for alias in node.names):
                    inner = Path(*below, f"{name}.py")
                    yield inner if (ROOT / inner).exists() else module_of(Path(*below))


def module_of(dotted: Path) -> Path:
    return dotted / "__init__.py" if (ROOT / dotted).is_dir() else dotted.with_suffix(".py")


@cache
def arrows() -> dict[str, set[str]]:
    """Which rooms each room really imports from."""
    result: dict[str, set[str]] = {room: set() for room in rooms()}
    for module in modules():
        room = room_of(module)
        result[room] |= {room_of(other) for other in imported(module)} - {room}
    return result


def test_every_package_is_a_room_of_the_page_and_says_the_same_of_itself() -> None:
    packages = {str(path.parent.relative_to(ROOT)) for path in ROOT.rglob("__init__.py")} - {"."}
    for package in packages:
        assert package in rooms(), f"docs/architecture.md has no row for {package}/"
        said = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")))
        assert said, f"{package}/__init__.py says nothing"
        assert " ".join(said.split()) == rooms()[package][0].replace("`", "``"), package
    named = {room for room in rooms() if room != GROUND and not room.endswith(".py")}
    assert named == packages


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_from_where_the_page_says_it_may(room: str) -> None:
    assert arrows()[room] <= rooms()[room][1], f"{room} imports from {arrows()[room] - rooms()[room][1]}"


def test_no_arrow_of_the_page_has_lost_its_imports() -> None:
    assert {room: rooms()[room][1] - used for room, used in arrows().items() if rooms()[room][1] - used} == {}


def test_no_two_rooms_need_each_other() -> None:
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle of rooms: {' -> '.join(error.args[1])}") from None


@pytest.mark.thorough
def test_what_stays_on_a_laptop_is_not_imported_by_what_is_deployed() -> None:
    from deploy.package import is_laptop_only

    opener = Path("wiring.py")  # its open_engine opens either engine, by the lake's address
    for module in modules():
        dotted = ".".join(["chalicelib", *module.with_suffix("").parts]).removesuffix(".__init__")
        if not is_laptop_only(dotted) and module != opener:
            for other in imported(module):
                name = ".".join(["chalicelib", *other.with_suffix("").parts]).removesuffix(".__init__")
                assert not is_laptop_only(name), f"{dotted} imports {name}"
