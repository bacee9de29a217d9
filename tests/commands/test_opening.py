"""What `lake duckdb --print` says, pasted where it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.commands.opening import athena_snippets
from chalicelib.settings import Settings
from tests.commands.test_cli import one_line, run
from tests.support import server


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return server.filled(tmp_path_factory, "opening")


def snippets(printed: str) -> dict[str, str]:
    """What is to be pasted, by the name of the tool."""
    parts = re.split(r"\n\n(?=# |\Z)", printed)
    return {tool.removeprefix("# "): lines for tool, _, lines in (part.partition("\n") for part in parts) if lines}


@pytest.mark.thorough
def test_the_lines_for_python_and_pandas_answer_as_lake_query_does(filled: Path, tmp_path: Path) -> None:
    printed = run(filled, "duckdb", "--print")
    assert printed.returncode == 0, printed.stderr
    told = snippets(printed.stdout)
    assert {"DuckDB", "Python", "pandas", "polars", "R", "Jupyter"} <= told.keys()
    sql = "SELECT artist_name, count(*) AS plays FROM plays GROUP BY artist_name ORDER BY plays DESC LIMIT 10"
    wanted = sorted(int(line.rpartition(",")[2]) for line in run(filled, "query", sql).stdout.splitlines()[1:])
    assert wanted
    shown = {"Python": "[row[1] for row in rows]", "pandas": "frame['plays'].tolist()"}
    for tool, plays in shown.items():
        program = f"{told[tool]}\nprint(sorted({plays}))"
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.strip() == str(wanted), (tool, done.stderr)


@pytest.mark.thorough
def test_the_file_lies_in_the_lake_or_where_it_is_asked_for(filled: Path, tmp_path: Path) -> None:
    assert run(filled, "duckdb").stdout.startswith(str(filled / "lake" / "lake.duckdb"))
    done = run(filled, "duckdb", "--relative", str(tmp_path / "mine.duckdb"))
    assert "to be opened from its folder" in done.stdout and (tmp_path / "mine.duckdb").is_file()
    (tmp_path / "words.txt").write_text("words")
    assert "words.txt" in one_line(run(filled, "duckdb", str(tmp_path / "words.txt")))


@pytest.mark.thorough
def test_a_transform_writes_anew_what_another_report_changes(filled: Path) -> None:
    assert run(filled, "duckdb").returncode == 0
    folder = filled / "lake" / "reports"
    folder.mkdir(exist_ok=True)
    (folder / "mine.sql").write_text(
        '-- title = "Mine"\n-- description = "How many"\nSELECT count(*) AS n FROM plays\n'
    )
    assert "lake.duckdb is written anew" in run(filled, "transform").stderr
    assert "written anew" not in run(filled, "transform").stderr


def test_a_lake_on_aws_says_workgroup_and_database_for_every_client(tmp_path: Path) -> None:
    settings = Settings(lake_url="s3://bucket/lake", athena_workgroup="the-group", glue_database="the_database")
    for each in athena_snippets(settings, "eu-west-1"):
        assert "the-group" in each.lines and "the_database" in each.lines
        assert "eu-west-1" in each.lines
    extra = {"LAKE_URL": "s3://bucket/lake", "AWS_REGION": "eu-west-1"}
    assert "PyAthena" in run(tmp_path, "duckdb", "--print", **extra).stdout
    assert "--print" in one_line(run(tmp_path, "duckdb", **extra))
