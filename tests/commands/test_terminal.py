"""What a person sees on a terminal of 80 columns, and what goes through pipes."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from chalicelib.commands.layout import fitting
from chalicelib.reports.catalogue import QUESTIONS
from tests.commands.test_cli import one_line, run
from tests.support import server
from tests.support.server import environment

PATIENCE = 20  # s without a word of the shell


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return server.filled(tmp_path_factory, "terminal")


def on_terminal(folder: Path, *arguments: str, columns: int = 80) -> list[str]:
    """The lines that a command shows on a terminal."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "chalicelib", *arguments],
        cwd=folder,
        env=environment(folder, {"COLUMNS": str(columns), "LINES": "60", "TERM": "xterm"}),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # the other side has closed it
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r", "").splitlines()


@pytest.mark.thorough
def test_what_is_too_wide_for_a_table_becomes_records_whose_words_are_whole(filled: Path) -> None:
    ids = run(filled, "query", "SELECT play_id FROM plays LIMIT 3 ").stdout.split()[1:]
    lines = on_terminal(filled, "query", "SELECT * FROM plays LIMIT 3")
    assert [line for line in lines if line.startswith("-[")] == ["-[ 1 ]-", "-[ 2 ]-", "-[ 3 ]-"]
    assert sum(line.startswith("play_id ") for line in lines) == 3 and lines[-1] == "3 rows"
    assert all(any(play in line for line in lines) for play in ids)


@pytest.mark.thorough
@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 200])
def test_no_word_breaks_at_any_width(filled: Path, columns: int) -> None:
    sql = "SELECT track_id, name, duration_ms, observed_at FROM tracks ORDER BY track_id LIMIT 5"
    words = set(run(filled, "query", sql, "--format", "json").stdout.replace('"', " ").split())
    ids = [word for word in words if re.fullmatch(r"[A-Za-z0-9]{22}|20\d\d-.*Z", word)]
    shown = "\n".join(on_terminal(filled, "query", sql, columns=columns))
    assert len(ids) >= 5 and [word for word in ids if word not in shown] == []
    assert "duration_ms" in shown and "observed_at" in shown


@pytest.mark.thorough
def test_a_narrow_result_is_a_table_with_numbers_below_each_other(filled: Path) -> None:
    sql = "SELECT * FROM (VALUES (1, 1.5, 'a'), (100, 22.25, 'bb')) AS t(whole, part, word)"
    lines = [line.rstrip() for line in on_terminal(filled, "query", sql) if line.strip()]
    assert [line.split() for line in lines] == [
        ["whole", "part", "word"],
        [lines[1].strip()],
        ["1", "1.50" if "1.50" in lines[2] else "1.5", "a"],
        ["100", "22.25", "bb"],
        ["2", "rows"],
    ]
    assert lines[2].index(".") == lines[3].index(".")
    assert lines[2].index(" 1 ") + 2 == lines[3].index("100") + 3


@pytest.mark.thorough
def test_one_row_is_one_row(filled: Path) -> None:
    assert on_terminal(filled, "query", "SELECT 1 AS one")[-1] == "1 row"
    assert on_terminal(filled, "query", "SELECT play_id FROM plays WHERE play_id = 'none'")[-1] == "0 rows"


@pytest.mark.thorough
def test_records_are_there_for_who_asks(filled: Path) -> None:
    done = run(filled, "query", "SELECT 1 AS one, 'x' AS letter", "--format", "records")
    assert done.stdout == "-[ 1 ]-\none     1\nletter  x\n1 row\n"


def test_wide_letters_take_their_room() -> None:
    assert fitting([["名前", "音楽音楽"]], 12) == [8]
    assert fitting([["名前", "音楽音楽"]], 11) is None
    assert fitting([["name", "a long title of words"], ["n", "1"]], 20) == [12, 1]


# --- statements from elsewhere ------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_sql_comes_from_a_file_or_a_pipe(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.sql"
    path.write_text("-- how many\nSELECT 1 AS one;\n")
    for arguments, stdin in (([str(path)], None), (["-"], path.read_text()), ([], path.read_text())):
        assert run(filled, "query", *arguments, stdin=stdin).stdout == "one\n1\n"
    assert "absent.sql" in one_line(run(filled, "query", "absent.sql"))


# --- reports ------------------------------------------------------------------------------------------------------


def test_reports_are_listed_by_group_a_line_each(filled: Path) -> None:
    lines = on_terminal(filled, "report")
    assert max(map(len, lines)) <= 80
    titles = [line for line in lines if not line.startswith("  ")]
    assert titles[:-1] == [*QUESTIONS, "Behind the dashboard's pages"]
    assert [line.split()[0] for line in lines if " Top artists" in line] == ["top_artists"]
    assert len(lines) == len(titles) + len({line.split()[0] for line in lines if line.startswith("  ")})


# --- completion ---------------------------------------------------------------------------------------------------

FISH = "source $argv[1]; complete --do-complete $argv[2]"
BASH = 'source "$0"; COMP_WORDS=($1); COMP_CWORD=$2; _lake_completion lake; echo "${COMPREPLY[@]}"'
ZSH = "autoload -Uz compinit; compinit -D -u; source '{script}'; echo set'' up\n"  # as it is typed, not what it shows


def offered(folder: Path, shell: str, words: str, wanted: str) -> str:
    """What a shell offers behind these words, after what `lake completion` prints: until it shows ``wanted``."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} to complete in: apt install {shell}")
    script = folder / f"completion.{shell}"
    script.write_text(run(folder, "completion", shell).stdout)
    command = folder / "lake"
    command.write_text(f"#!{sys.executable}\nfrom chalicelib.commands.cli import main\nmain()\n")  # as pip installs it
    command.chmod(0o755)
    environ = environment(folder, {"PATH": f"{folder}:{os.environ['PATH']}", "TERM": "dumb", "COLUMNS": "200"})
    if shell == "zsh":
        typed = ((ZSH.format(script=script), "set up"), (f"{words}\t", wanted))
        return shown_by(["zsh", "-f", "-i"], environ, typed)
    if shell == "bash":
        arguments = ["bash", "-c", BASH, str(script), words, str(len(words.split()) - 1)]
    else:
        arguments = ["fish", "-c", FISH, str(script), words]
    return subprocess.run(arguments, env=environ, capture_output=True, text=True, timeout=60).stdout


def shown_by(command: list[str], environ: dict[str, str], typed: Iterable[tuple[str, str]]) -> str:
    """What a shell on a terminal shows for the last of what is typed; of each, the words that are waited for."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = ""
    try:
        for keys, wanted in typed:
            os.write(ours, keys.encode())
            shown = ""
            while wanted not in shown and select.select([ours], [], [], PATIENCE)[0]:
                shown += os.read(ours, 65_536).decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "whole"),
    [("lake qu", "query"), ("lake report top_ar", "top_artists"), ("lake query --for", "--format")],
)
def test_a_shell_completes_commands_options_and_reports(tmp_path: Path, shell: str, words: str, whole: str) -> None:
    assert whole in offered(tmp_path, shell, words, whole)
