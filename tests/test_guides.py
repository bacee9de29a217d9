"""The guides' commands, typed as they stand. (docs/api.md: tests/rest/test_recipes.py; the first hour:
tests/commands/test_sandbox.py; docs/data.md: tests/queries/test_data_page.py.)"""

from __future__ import annotations

import json
import plistlib
import re
from pathlib import Path

import pytest

from chalicelib.commands.cli import main
from chalicelib.commands.copying import objects
from chalicelib.stores.folder import FolderStore
from tests.emulator import shared
from tests.emulator.stage import make_stage
from tests.support import PROJECT
from tests.support.guides import blocks, type_in
from tests.support.server import environment, filled, sandboxed


@pytest.mark.thorough
def test_a_lake_is_backed_up_lost_restored_and_looked_at(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = filled(tmp_path_factory, "guide-backup")
    back_up, restore, upgraded = blocks("backup.md")
    with sandboxed(folder) as spotify:
        environ = {**environment(folder, spotify), "BACKUP": str(tmp_path / "backup")}
        counted = type_in(folder, '.venv/bin/lake query "SELECT count(*) AS plays FROM plays"', environ)
        assert int(counted.split()[1]) > 0
        type_in(folder, back_up, environ)
        (folder / "lake").rename(tmp_path / "lost")
        assert type_in(folder, restore, environ).endswith(counted)
        assert type_in(folder, upgraded, environ).startswith("0 raw objects transformed")


@pytest.mark.thorough
def test_a_whole_lake_moves_to_aws_and_back_and_every_object_is_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder, stage = filled(tmp_path_factory, "guide-moving"), make_stage(shared())
    page = (PROJECT / "docs" / "backup.md").read_text(encoding="utf-8")
    _, there, back = re.findall(r"^\.venv/bin/lake copy --from [^#\n]+", page, re.MULTILINE)
    names = stage.names
    of_the_stage = {"GLUE_DATABASE": names.database, "ATHENA_WORKGROUP": names.workgroup}
    on_aws = {**environment(folder, shared().environ), "LAKE_URL": names.lake_url, **of_the_stage}
    count = '.venv/bin/lake query "SELECT count(*) AS plays FROM plays"'
    assert count in page.replace("count(*) FROM", "count(*) AS plays FROM")
    wanted, counted = contents(folder / "lake"), type_in(folder, count, environment(folder, {}))
    assert len(wanted) > 20 and int(counted.split()[1]) > 0

    type_in(folder, there, on_aws)
    assert type_in(folder, count, on_aws) == counted  # by Athena
    (folder / "lake").rename(tmp_path / "lost")
    type_in(folder, back, on_aws)

    found = contents(folder / "lake")
    assert found.keys() == wanted.keys()
    assert [key for key, content in found.items() if wanted[key] != content] == []
    assert type_in(folder, count, environment(folder, {})) == counted
    assert type_in(folder, ".venv/bin/lake transform", environment(folder, {})).startswith("0 raw objects transformed")


def contents(lake: Path) -> dict[str, bytes]:
    """All that a lake's folder holds of the lake itself."""
    store = FolderStore(lake)
    return {info.key: store.read(info.key) for info in objects(store)}


def test_what_is_pasted_for_an_assistant_is_json_that_starts_a_command_or_names_an_address() -> None:
    found = [
        server
        for text in blocks("assistants.md", "json")
        for servers in json.loads(text).values()
        for server in servers.values()
    ]
    assert len(found) >= 3
    for server in found:
        if "command" in server:
            assert server["command"].endswith(".venv/bin/lake") and server["args"][-1] in main.commands
        else:
            assert server["url"].endswith("/mcp") and server["headers"]["Authorization"].startswith("Bearer ")


def test_the_agent_for_macos_is_a_property_list_that_serves() -> None:
    (text,) = blocks("always-on.md", "xml")
    agent = plistlib.loads(text.encode())
    assert agent["ProgramArguments"][0].endswith("/bin/lake") and agent["ProgramArguments"][1] in main.commands
    assert agent["RunAtLoad"] and agent["KeepAlive"] and agent["WorkingDirectory"].startswith("/")
