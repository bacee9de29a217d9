"""Listeners on the command line: an export before any login, a login later, one person, names everywhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from tests.commands.test_cli import one_line, run
from tests.support.listening import account_row, extended_row, write_export
from tests.support.server import environment, free_port

FETCH = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=10).read()"


@pytest.fixture(scope="module")
def spotify() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def at_spotify(tmp_path: Path, spotify: Sandbox) -> dict[str, str]:
    """The environment of a lake whose owner has credentials, and a browser that agrees."""
    browser = tmp_path / "browser.py"
    browser.write_text(FETCH)
    return {
        "SPOTIFY_API_URL": spotify.api_url.rstrip("/"),
        "SPOTIFY_ACCOUNTS_URL": spotify.accounts_url.rstrip("/"),
        "SPOTIPY_CLIENT_ID": spotify.client_id,
        "SPOTIPY_CLIENT_SECRET": spotify.client_secret,
        "SPOTIPY_REDIRECT_URI": f"http://127.0.0.1:{free_port()}/callback",
        "BROWSER": f"{shlex.quote(sys.executable)} {shlex.quote(str(browser))} %s",
    }


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def plays(folder: Path) -> list[str]:
    sql = "SELECT name, listens FROM listeners ORDER BY name"
    return said(run(folder, "query", sql, "--format", "csv")).splitlines()[1:]


@pytest.mark.thorough
def test_an_export_first_and_a_login_later_are_one_person_by_what_the_commands_say(
    tmp_path: Path, spotify: Sandbox, at_spotify: dict[str, str]
) -> None:
    account = spotify.world.default_listener
    export = str(write_export(tmp_path / "StreamingHistory0.json", [account_row("2025-03-01 10:04", 40_000)]))
    assert "name the listener with --user" in one_line(run(tmp_path, "import-history", export))
    said(run(tmp_path, "import-history", export, "--user", "Ann Lee"))
    told = said(run(tmp_path, "login", **at_spotify))
    assert f"{account.person.display_name} ({account.account_id}) is logged in until 20" in told
    offered = re.search(r"`\S*lake (listeners merge .*)`", told)
    assert offered and "imports of Ann Lee" in told
    merged = said(run(tmp_path, *shlex.split(offered[1])))
    assert f"{account.person.display_name} ({account.account_id}) are one listener: " in merged
    assert "listeners split 'Ann Lee'" in merged
    assert plays(tmp_path) == [f"{account.person.display_name},1"]
    listed = said(run(tmp_path, "listeners", "list"))
    assert account.account_id in listed and account.id in listed and "Ann Lee" in listed
    said(run(tmp_path, "listeners", "rename", "ann lee", "Mum"))
    assert plays(tmp_path) == ["Mum,1"]
    heard = ("report", "top_tracks", "--set", "period=all", "--format", "csv", "--set")
    assert run(tmp_path, *heard, "user=mum").stdout == run(tmp_path, *heard, f"user={account.account_id}").stdout
    assert len(said(run(tmp_path, *heard, "user=mum")).splitlines()) == 2
    assert f"Mum ({account.account_id}), authorised 0 days ago" in run(tmp_path, "doctor", **at_spotify).stdout
    link = said(run(tmp_path, "token", "create", "--listener", "mum", "--until", "2099-12-31")).strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#share=lake_\S+", link)
    assert account.account_id in said(run(tmp_path, "token", "list"))
    assert "1 listens" in said(run(tmp_path, "export", str(tmp_path / "out.zip"), "--user", "mum"))
    assert "Ann Lee" in said(run(tmp_path, "listeners", "split", "Ann Lee"))
    several = one_line(run(tmp_path, "leave-out", "--artist", "x", "--user", "nobody"))
    assert "there are: Ann Lee, Mum" in several
    assert "of Mum" in said(run(tmp_path, "leave-out", "--artist", "x", "--user", "mum"))
    assert "Mum" in said(run(tmp_path, "listeners", "log-out", "mum"))
    assert "nobody is logged in" in run(tmp_path, "doctor", **at_spotify).stdout
    assert "is not logged in" in one_line(run(tmp_path, "listeners", "log-out", "mum"))
    assert plays(tmp_path) == ["Ann Lee,1", "Mum,0"]


@pytest.mark.thorough
def test_whose_an_export_is_can_be_answered_in_a_terminal(tmp_path: Path) -> None:
    export = str(write_export(tmp_path / "endsong_0.json", [extended_row("2025-03-01T10:04:00Z", 40_000)]))
    for name in ("Ann", "Ben"):
        said(run(tmp_path, "import-history", export, "--user", name))
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, b"2\n")
        done = subprocess.run(
            [sys.executable, "-m", "chalicelib", "import-history", export],
            cwd=tmp_path, env=environment(tmp_path, {}), stdin=terminal, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert "1  Ann\n" in done.stdout and "2  Ben\n" in done.stdout
    assert "1 already known" in said(done)


@pytest.mark.thorough
def test_mistakes_are_one_line_with_those_there_are(tmp_path: Path) -> None:
    export = str(write_export(tmp_path / "endsong_0.json", [extended_row("2025-03-01T10:04:00Z", 40_000)]))
    said(run(tmp_path, "import-history", export, "--user", "Ann"))
    for words in (
        ("listeners", "rename", "Bob", "x"),
        ("listeners", "merge", "Ann", "Bob"),
        ("token", "create", "--listener", "Bob"),
    ):
        assert "there is no listener 'Bob'; there are: Ann" in one_line(run(tmp_path, *words))
    assert "no listener 'Ann' was merged" in one_line(run(tmp_path, "listeners", "split", "Ann"))
    assert "is over" in one_line(run(tmp_path, "token", "create", "--listener", "Ann", "--until", "2020-01-01"))
    refused = one_line(run(tmp_path, "invite", "Ann", PUBLIC_URL="http://lake.example"))
    assert "PUBLIC_URL" in refused and "https" in refused
    assert said(run(tmp_path, "invite", "Ann", PUBLIC_URL="https://lake.example")).startswith(
        "https://lake.example/join?invitation="
    )
