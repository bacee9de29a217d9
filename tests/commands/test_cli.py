"""The command line as a person meets it: in a process of its own, its output and its exit status."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest

from chalicelib.commands.cli import main
from tests.support import server
from tests.support.server import environment, free_port

COMMANDS = sorted(main.commands)


def run(folder: Path, *arguments: str, stdin: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chalicelib", *arguments],
        cwd=folder,
        env=environment(folder, extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that failed, after checking that there is nothing else."""
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_the_commands_are_those_that_are_promised():
    promised = [
        "serve",
        "extract",
        "import-history",
        "transform",
        "compact",
        "crawl",
        "query",
        "report",
        "login",
        "doctor",
    ]
    assert set(promised) <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_in_its_help_what_it_does(tmp_path, name):
    done = run(tmp_path, name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    command = main.commands[name]
    assert command.help and command.help.splitlines()[0] in " ".join(done.stdout.split())
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    assert [each.name for each in options if not each.help and each.name not in ("output", "shape")] == []


def test_an_unknown_command_or_option_is_a_usage_error(tmp_path):
    for arguments in (["nothing"], ["crawl", "--nothing"], ["transform", "--all", "raw/x"]):
        done = run(tmp_path, *arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr


# --- faults: one clear line that names the thing and the remedy ---------------------------------------------------


def test_every_wrong_setting_is_named_at_once(tmp_path):
    line = one_line(run(tmp_path, "crawl", SPOTIFY_MODE="turbo", CONCURRENCY="many", QUERY_ROWS="0"))
    assert "SPOTIFY_MODE='turbo'" in line and "CONCURRENCY='many'" in line and "QUERY_ROWS='0'" in line


@pytest.mark.thorough
def test_a_secret_that_is_a_wrong_setting_is_not_shown(tmp_path):
    done = run(
        tmp_path, "doctor", API_TOKEN="hunter2", SPOTIPY_CLIENT_SECRET="hunter3", SPOTIFY_API_URL="http://127.0.0.1:9"
    )
    assert "hunter" not in done.stdout + done.stderr


def test_missing_credentials_are_one_line_with_the_remedy_and_nothing_is_written(tmp_path):
    done = run(tmp_path, "extract")
    assert done.returncode == 78
    assert "SPOTIPY_CLIENT_ID" in one_line(done) and "login" in one_line(done)
    assert not (tmp_path / "lake").exists()


@pytest.mark.thorough
def test_a_wrong_id_in_the_sources_is_named_and_a_right_one_is_not(tmp_path):
    sources = tmp_path / "sources.toml"
    declared = '[sources.these]\nreads = "playlists"\nevery = "1d"\nids = ["{}"]\n'
    sources.write_text(declared.format("not-an-id"))
    line = one_line(run(tmp_path, "extract", SOURCES_FILE=str(sources)))
    assert "not-an-id" in line and "these" in line
    sources.write_text(declared.format("37i9dQZF1DXcBWIGoYBM5M"))
    assert "SPOTIPY_CLIENT_ID" in one_line(run(tmp_path, "extract", SOURCES_FILE=str(sources)))


def test_a_lake_that_cannot_be_written_is_one_line_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    extra = {"LAKE_URL": str(tmp_path / "file" / "lake"), "SPOTIPY_CLIENT_ID": "a", "SPOTIPY_CLIENT_SECRET": "b"}
    line = one_line(run(tmp_path, "extract", **extra))
    assert "LAKE_URL" in line


def test_a_raw_object_that_is_not_ours_is_named_and_changes_no_table(tmp_path):
    key = "raw/spotify/2026/11/20/x/y-0001.jsonl.gz"
    path = tmp_path / "lake" / key
    path.parent.mkdir(parents=True)
    path.write_bytes(b"hello")
    assert "gzip" in one_line(run(tmp_path, "transform", key))
    assert not (tmp_path / "lake" / "transformed").exists()
    assert list((tmp_path / "lake" / "quarantine").rglob("*"))


def test_a_raw_object_that_is_not_there_is_named(tmp_path):
    assert "raw/spotify/none.jsonl.gz" in one_line(run(tmp_path, "transform", "raw/spotify/none.jsonl.gz"))


def test_an_unknown_report_is_answered_with_those_there_are(tmp_path):
    assert "top_artists" in one_line(run(tmp_path, "report", "top_artist"))


def test_every_wrong_parameter_of_a_report_is_named_at_once(tmp_path):
    done = run(tmp_path, "report", "top_artists", "--set", "limit=0", "--set", "perod=1y")
    assert "limit" in one_line(done) and "perod" in one_line(done)
    assert "key=value" in one_line(run(tmp_path, "report", "top_artists", "--set", "limit"))


def test_a_host_that_is_not_this_computers_is_one_line(tmp_path):
    line = one_line(run(tmp_path, "serve", "--host", "192.0.2.1", "--port", str(free_port())))
    assert "192.0.2.1" in line


def test_debug_shows_where_an_error_came_from(tmp_path):
    done = run(tmp_path, "--debug", "report", "nothing")
    assert done.returncode != 0 and "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    pipe = subprocess.run(
        f"{sys.executable} -m chalicelib report | true",
        shell=True,
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in pipe.stderr


# --- tokens and reports -------------------------------------------------------------------------------------------


def test_reports_are_listed_with_their_parameters(tmp_path):
    done = run(tmp_path, "report")
    assert done.returncode == 0
    assert "top_artists" in done.stdout and "timezone" in done.stdout


def test_tokens_are_added_listed_and_revoked_and_shown_once(tmp_path):
    added = run(tmp_path, "token", "add", "--name", "notebook", "--scope", "run", "--days", "30")
    token = added.stdout.strip()
    assert token.startswith("lake_") and token not in added.stderr
    listed = run(tmp_path, "token", "list").stdout
    assert "notebook" in listed and token not in listed
    token_id = re.search(r"token (\w+) \(run", added.stderr)
    assert token_id
    assert run(tmp_path, "token", "revoke", token_id[1]).returncode == 0
    assert "notebook" not in run(tmp_path, "token", "list").stdout
    assert token_id[1] in one_line(run(tmp_path, "token", "revoke", token_id[1]))


def test_the_local_token_is_the_same_each_time(tmp_path):
    assert run(tmp_path, "token", "show").stdout == run(tmp_path, "token", "show").stdout


# --- a lake with data in it ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return server.filled(tmp_path_factory, "commands")


@pytest.mark.thorough
def test_a_query_is_a_csv_in_a_pipe_and_what_is_asked_for_elsewhere(filled, tmp_path):
    sql = "SELECT 1 AS n, CAST(NULL AS varchar) AS nothing, 'a,b' AS text"
    assert run(filled, "query", sql).stdout == 'n,nothing,text\n1,,"a,b"\n'
    assert json.loads(run(filled, "query", sql, "--format", "json").stdout) == [
        {"n": 1, "nothing": None, "text": "a,b"}
    ]
    assert "nothing" in run(filled, "query", sql, "--format", "table").stdout
    target = tmp_path / "answer.parquet"
    assert run(filled, "query", sql, "--output", str(target)).returncode == 0
    assert pq.read_table(target).to_pylist() == [{"n": 1, "nothing": None, "text": "a,b"}]
    target = tmp_path / "answer.csv"
    assert run(filled, "query", sql, "--output", str(target)).stdout == ""
    assert target.read_bytes() == b'n,nothing,text\r\n1,,"a,b"\r\n'
    assert "--output" in one_line(run(filled, "query", sql, "--format", "parquet"))


@pytest.mark.thorough
def test_sql_that_is_not_allowed_or_fails_is_one_line_and_writes_no_file(filled, tmp_path):
    target = tmp_path / "answer.csv"
    refused = run(filled, "query", "DROP TABLE plays", "--output", str(target))
    assert refused.returncode == 2 and "line 1, column 1" in one_line(refused)
    assert "zero" in one_line(run(filled, "query", "SELECT 1/0", "--output", str(target)))
    assert not target.exists()


@pytest.mark.thorough
def test_a_crawl_says_what_changed_and_then_that_nothing_did(filled):
    first, second = run(filled, "crawl"), run(filled, "crawl")
    assert "plays" in first.stdout and first.returncode == 0
    assert second.stdout == "crawl succeeded: 0 changes\n"


@pytest.mark.thorough
def test_a_report_prints_its_rows(filled):
    done = run(filled, "report", "top_artists", "--set", "period=all", "--set", "limit=3", "--format", "json")
    assert done.returncode == 0 and len(json.loads(done.stdout)) == 3


@pytest.mark.thorough
def test_everything_but_raw_can_go_and_a_rebuild_brings_back_the_same_answers(filled, tmp_path):
    counted = [f"(SELECT count(*) FROM {table}) AS {table}" for table in ("plays", "tracks", "playlist_items", "runs")]
    counts = f"SELECT {', '.join(counted)}"
    before = run(filled, "query", counts).stdout
    shutil.copytree(filled / "lake" / "raw", tmp_path / "lake" / "raw")
    assert run(tmp_path, "transform", "--all").returncode == 0
    assert run(tmp_path, "crawl").returncode == 0
    assert run(tmp_path, "query", counts).stdout == before
    assert "0 raw objects" in run(tmp_path, "transform").stdout


@pytest.mark.thorough
def test_compaction_merges_and_changes_no_answer(filled, tmp_path):
    shutil.copytree(filled / "lake", tmp_path / "lake")
    sql = "SELECT count(*), sum(duration_ms) FROM tracks"
    before = run(tmp_path, "query", sql).stdout
    assert run(tmp_path, "compact").stdout.startswith("merged")
    assert run(tmp_path, "query", sql).stdout == before
    assert "no_such_table" in one_line(run(tmp_path, "compact", "no_such_table"))


@pytest.mark.thorough
def test_an_export_that_is_none_is_refused_by_name_and_changes_nothing(filled, tmp_path):
    (tmp_path / "letter.json").write_text('{"dear": "reader"}')
    done = run(filled, "import-history", str(tmp_path / "letter.json"), "--user", "somebody")
    assert "letter.json" in one_line(done)
    assert not (filled / "lake" / "raw" / "history").exists()


@pytest.mark.thorough
def test_an_answer_that_needs_no_table_does_not_mention_that_the_lake_is_empty(tmp_path):
    done = run(tmp_path, "query", "SELECT max(x) AS most FROM (VALUES 1, 2) AS t (x)", "--format", "csv")
    assert (done.stdout.split(), done.stderr) == (["most", "2"], "")


# --- doctor -------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_doctor_names_each_fault_with_its_remedy_and_says_so_in_its_exit_status(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    done = run(tmp_path, "doctor", SPOTIFY_API_URL=nobody, SPOTIFY_ACCOUNTS_URL=nobody)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for part in ("FAULT   credentials", "SPOTIPY_CLIENT_ID", nobody, "LAKE_URL", "the next extraction", "login"):
        assert part in done.stdout


@pytest.mark.thorough
def test_doctor_says_what_is_lost_left_and_wrong_in_a_lake(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "copy")
    lake = tmp_path / "copy" / "lake"
    (kept,) = (lake / "state" / "runs").glob("*.json")
    record = json.loads(kept.read_text())
    record["holes"] = [{"user_id": "u1", "after": "2026-11-01T00:00:00Z", "before": "2026-11-02T00:00:00Z"}]
    record["sources"][0] |= {"left": "3 pages", "not_before": "2026-12-01T00:00:00Z"}
    record["sources"][1]["error"] = {"code": "authorization_ended", "message": "u1 must log in again"}
    record["sources"][2]["state"] = "unavailable"
    record["warnings"] = ["the authorisation ends soon"]
    kept.write_text(json.dumps(record))
    (taken,) = lake.rglob("saved_albums-0001.jsonl.gz")
    shutil.copy(taken, taken.with_name("saved_albums-0002.jsonl.gz"))
    broken = lake / "raw" / "spotify" / "broken.jsonl.gz"
    broken.write_bytes(b"x")
    run(tmp_path / "copy", "transform", "raw/spotify/broken.jsonl.gz")
    nobody = f"http://127.0.0.1:{free_port()}"
    said = run(tmp_path / "copy", "doctor", SPOTIFY_API_URL=nobody, SPOTIFY_ACCOUNTS_URL=nobody).stdout
    for part in ("plays of u1 from 2026-11-01", "still to fetch: 3 pages, not before 2026-12-01", "not transformed"):
        assert part in said, said
    assert "u1 must log in again" in said and "warning run: the authorisation ends soon" in said
    assert f"{record['sources'][2]['source']}: not read: Spotify does not offer it to this app" in said
    assert "quarantine: 1 could not be read" in said and "gzip" in said and "authorised 0 days ago" in said


@pytest.mark.thorough
def test_what_a_name_holds_does_not_reach_the_terminal_as_commands(filled):
    done = run(filled, "query", "SELECT concat('a', chr(27), '[31m[bold]:smile:') AS t", "--format", "table")
    assert "\x1b" not in done.stdout and "[bold]:smile:" in done.stdout
