"""Tools that nobody here wrote, given the lines that `lake duckdb --print` says, answer as the engine does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from chalicelib.commands.opening import SQL, Snippet, duckdb_snippets
from chalicelib.queries.embedded.duckdb_file import default_path, write_duckdb
from tests.support import tools
from tests.support.engines import Opened, embedded, fill

PLAYS = {"Python": "rows", "pandas": "frame", "polars": "frame"}
COUNTS = {
    "rows": "[row[1] for row in rows]",
    "frame": "[int(n) for n in (frame['plays'].to_list())]",
}


def answered(snippet: Snippet, folder: Path, **environ: str) -> Any:
    """The column ``plays`` of what the lines find, in a process of the tool's own environment."""
    program = f"{snippet.lines}\nimport json\nprint(json.dumps({COUNTS[PLAYS[snippet.tool]]}))"
    done = subprocess.run(
        [tools.python(), "-c", program],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, (snippet.tool, done.stderr[-3_000:])
    return json.loads(done.stdout.splitlines()[-1])


def truth(opened: Opened) -> list[int]:
    return [row[1] for row in opened.ask(SQL)]


def test_another_duckdb_pandas_and_polars_read_the_file(tmp_path: Path) -> None:
    tools.python()
    with embedded(tmp_path) as opened:
        fill(opened)
        path = default_path(opened.lake)
        write_duckdb(opened.lake, path)
        wanted = truth(opened)
        for snippet in duckdb_snippets(path):
            if snippet.tool in PLAYS:
                assert answered(snippet, tmp_path) == wanted, snippet.tool
