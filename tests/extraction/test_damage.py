"""A run over small records that somebody damaged: they are healed, or the error names them and what helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from chalicelib.errors import LakeError
from tests.support.damage import DAMAGE
from tests.support.extraction import world

OWN = "state/extraction/listener-{}.json"
RECORDS = ("state/extraction/app.json", OWN, "state/wanted-tracks.json", "state/run-locks/app.json")


@pytest.mark.thorough
@pytest.mark.parametrize("damage", sorted(DAMAGE))
@pytest.mark.parametrize("key", RECORDS)
def test_a_run_heals_a_damaged_record_or_names_it(tmp_path: Path, key: str, damage: str) -> None:
    with world(tmp_path) as made:
        assert made.run().state == "succeeded"
        key = key.format(*made.listeners)
        content = made.lake.store.read(key) if made.lake.store.stat(key) else b'{"tracks": []}'
        made.lake.store.write(key, DAMAGE[damage](content))
        try:
            record = made.run()
        except LakeError as error:
            assert key in error.message and ": " in error.message
        else:
            assert record.state == "succeeded"
            assert made.run().state == "succeeded"


@pytest.mark.thorough
def test_what_a_desktop_leaves_in_the_journals_folder_stops_no_run(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        for name in ("state/journal/.DS_Store", "state/journal/x/Thumbs.db", "state/journal/x/000001/y/z"):
            made.lake.store.write(name, b"\0\0\0\1Bud1")
        assert made.run().state == "succeeded"
