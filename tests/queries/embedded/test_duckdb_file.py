"""The DuckDB file of a lake, read by DuckDB's own client, which knows nothing of the lake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chalicelib.errors import InvalidRequest
from chalicelib.lake import Lake
from chalicelib.queries.embedded.duckdb_file import default_path, keep_current, write_duckdb
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.transformation.compact import compact
from chalicelib.views import user_tables
from tests.support.engines import Opened, embedded, fill, on

TABLES = sorted(user_tables())


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """A lake in a folder whose name no pattern may take for one."""
    with embedded(tmp_path / "it's [a] *lake?", query_reuse=0) as made:
        fill(made)
        yield made


def rows(path: Path, sql: str, folder: Path | None = None) -> list[tuple[Any, ...]]:
    """What DuckDB answers in a process of its own, whose working directory is ``folder``, read-only."""
    program = (
        "import duckdb, json, sys\n"
        "lake = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print(json.dumps(lake.execute(sys.argv[2]).fetchall(), default=str))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(path), sql], cwd=folder or path.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [tuple(row) for row in json.loads(done.stdout)]


def same_answers(opened: Opened, path: Path) -> None:
    """Every table has the same rows in the file as by the engine; what is now is so in both."""
    with duckdb.connect(str(path), read_only=True) as connection:
        for name in TABLES:
            columns = ", ".join(column.name for column in user_tables()[name])
            sql = f"SELECT {columns} FROM {name}"
            found = connection.execute(sql).fetchall()
            assert sorted(map(repr, found)) == sorted(map(repr, opened.ask(sql))), name


@pytest.mark.thorough
def test_every_table_answers_as_the_engine_does(opened: Opened) -> None:
    path = default_path(opened.lake)
    write_duckdb(opened.lake, path)
    same_answers(opened, path)
    assert rows(path, "SELECT count(*), sum(ms_played) FROM plays") == [(3, 3000)]


@pytest.mark.thorough
def test_a_lake_without_a_row_has_every_table_with_its_columns(tmp_path: Path) -> None:
    lake = open_lake(Settings(lake_url=str(tmp_path / "lake")))
    write_duckdb(lake, default_path(lake))
    with duckdb.connect(str(default_path(lake)), read_only=True) as connection:
        for name, columns in user_tables().items():
            answer = connection.execute(f"SELECT * FROM {name}")
            assert [each[0] for each in answer.description or []] == [column.name for column in columns]
            assert answer.fetchall() == []
        told = "SELECT comment FROM duckdb_views() WHERE view_name = 'plays'"
        assert connection.execute(told).fetchall()[0][0]


@pytest.mark.thorough
def test_what_a_run_a_compaction_and_a_rebuild_change_shows_in_a_file_that_is_open(opened: Opened) -> None:
    path = default_path(opened.lake)
    write_duckdb(opened.lake, path)
    with duckdb.connect(str(path), read_only=True) as connection:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            return list(connection.execute(sql).fetchall())

        names = "SELECT name FROM tracks ORDER BY 1"
        assert ask(names) == [("One (remastered)",), ("Two",)]
        opened.put("tracks", {"track_id": "t1", "name": "Uno", "observed_at": on(9)}, name="other")
        assert ask(names) == opened.ask(names) == [("Two",), ("Uno",)]
        history = "SELECT count(*) FROM tracks_history"
        before = ask(history)
        assert compact(opened.lake, ["tracks"]).files_merged >= 2
        assert ask(history) == opened.ask(history) and ask(names) == opened.ask(names)
        assert before == [(4,)]
        opened.put("tracks", {"track_id": "t9", "name": "Nine", "observed_at": on(1)}, generation="g2")
        assert ask(names) == [("Two",), ("Uno",)]
        opened.lake.publish_generation("g2")
        assert ask(names) == opened.ask(names) == [("Nine",)]
        assert ask("SELECT count(*) FROM plays") == [(0,)]


@pytest.mark.thorough
def test_the_file_answers_from_any_folder_and_under_any_name(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "mine.duckdb"
    write_duckdb(opened.lake, path)
    assert rows(path, "SELECT count(*) FROM plays", Path("/")) == [(3,)]
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS other (READ_ONLY)")
        assert connection.execute("SELECT count(*) FROM other.plays").fetchall() == [(3,)]
        assert connection.execute("SELECT count(*) FROM other.reports.dashboard_quality").fetchall()


@pytest.mark.thorough
def test_a_relative_file_moves_with_its_lake(opened: Opened, tmp_path: Path) -> None:
    write_duckdb(opened.lake, default_path(opened.lake), relative=True)
    moved = tmp_path / "moved"
    shutil.move(default_path(opened.lake).parent, moved)
    assert rows(moved / "lake.duckdb", "SELECT count(*) FROM plays") == [(3,)]


@pytest.mark.thorough
def test_a_file_is_written_anew_when_it_would_be_another_and_only_then(opened: Opened, tmp_path: Path) -> None:
    paths = [default_path(opened.lake), tmp_path / "other.duckdb"]
    for path in paths:
        write_duckdb(opened.lake, path)
    assert keep_current(opened.lake) == []
    report = b'-- title = "Mine"\n-- description = "How many"\nSELECT count(*) AS plays FROM plays\n'
    opened.lake.store.write("reports/mine.sql", report)
    with duckdb.connect(str(paths[0]), read_only=True) as reader:  # a tool that has it open is not disturbed
        assert keep_current(opened.lake) == [str(path) for path in paths]
        assert reader.execute("SELECT count(*) FROM plays").fetchall() == [(3,)]
    assert rows(paths[1], "SELECT plays FROM reports.mine") == [(3,)]
    os.remove(paths[1])
    assert keep_current(opened.lake) == []
    assert not paths[1].exists()


def test_what_is_no_file_of_a_lake_is_not_written_over(opened: Opened, tmp_path: Path) -> None:
    words, tables = tmp_path / "letter.txt", tmp_path / "models.duckdb"
    words.write_text("Dear listener")
    with duckdb.connect(str(tables)) as connection:
        connection.execute("CREATE TABLE models (a integer)")
    for path in (words, tables):
        held = path.read_bytes()
        with pytest.raises(InvalidRequest, match=path.name):
            write_duckdb(opened.lake, path)
        assert path.read_bytes() == held


@pytest.mark.thorough
def test_a_session_of_another_time_zone_gets_the_same_answers(opened: Opened) -> None:
    path = default_path(opened.lake)
    write_duckdb(opened.lake, path)
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'Pacific/Auckland'")
        told = connection.execute("SELECT ended_at FROM plays ORDER BY 1").fetchall()
    assert told == opened.ask("SELECT ended_at FROM plays ORDER BY 1")


@pytest.mark.thorough
def test_nothing_of_it_is_taken_for_a_table_or_an_object_of_the_lake(opened: Opened) -> None:
    before = opened.crawl() and [table.name for table in opened.engine.tables()]
    write_duckdb(opened.lake, default_path(opened.lake))
    assert opened.crawl().changes == ()
    assert [table.name for table in opened.engine.tables()] == before
    assert Lake(opened.lake.store).generation() == "g1"
