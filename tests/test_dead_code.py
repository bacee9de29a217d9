"""No function, method, class, property or constant stands in the product that nothing of the product uses.

A test that is a name's only caller does not keep it alive. Fields of records are left out: their readers are JSON,
Parquet and SQL.
"""

from __future__ import annotations

import re

import pytest
from vulture import Vulture  # type: ignore[import-untyped]

from chalicelib.rest.routes import ROUTES
from tests.support import PROJECT

PRODUCT = ("app.py", "chalicelib", "deploy", "sandbox", "docs/build.py")
KINDS = {"function", "method", "class", "property", "import", "unreachable_code"}
CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")
DECORATORS = [
    "@app.*",
    "@main.*",
    "@token.*",
    "@*.command*",
    "@*.group*",
    "@*.result_callback*",
    "@reads",
    "@takes",
    "@gives_up",
    "@expression*",
    "@body*",
    "@relation*",
]
CALLED_BY_OTHERS = {
    # by the name of the route, as tests/test_app_wiring.py says
    *(route.name for route in ROUTES),
    # by the standard library's servers, files and loggers
    "log_message", "log_request", "send_error", "writable", "readable", "seekable", "readinto",
    # by Tornado
    "start_request", "on_close", "headers_received", "data_received", "on_connection_close",
    # by spotipy
    "get_access_token",
    # by tests: those that change the account below a process, that ask Trino's cases of DuckDB, that hold documents to
    # costs
    "forget_clients",
    "interrupt",
    "DASHBOARD", "ONE_LISTENER", "MANY_PLAYLISTS",
}  # fmt: skip


@pytest.mark.thorough
def test_nothing_stands_here_that_nothing_uses() -> None:
    vulture = Vulture(ignore_decorators=DECORATORS, ignore_names=[*CALLED_BY_OTHERS, "do_*", "_read_*"])
    vulture.scavenge([str(PROJECT / path) for path in PRODUCT], exclude=["*/node_modules/*"])
    unused = [
        f"{item.filename.relative_to(PROJECT)}:{item.first_lineno} {item.typ} {item.name}"
        for item in vulture.get_unused_code(min_confidence=60)
        if item.typ in KINDS or (item.typ == "variable" and CONSTANT.fullmatch(item.name))
    ]
    assert not unused, "\n".join(unused)
