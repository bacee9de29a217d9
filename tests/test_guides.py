"""The guides' commands, typed as they stand. (docs/api.md: tests/rest/test_recipes.py; the first hour:
tests/commands/test_sandbox.py; docs/data.md: tests/queries/test_data_page.py.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.guides import blocks, type_in
from tests.support.server import environment, filled, sandboxed


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
