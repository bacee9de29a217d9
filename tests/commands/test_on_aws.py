"""Commands of the owner's laptop on a lake in AWS: whoever writes rows makes Athena see them at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chalicelib import handlers, pipeline
from chalicelib.clock import now
from chalicelib.commands.cli import main
from chalicelib.errors import InvalidRequest
from chalicelib.queries.athena.engine import AthenaEngine
from chalicelib.queries.athena.glue import GlueTables
from chalicelib.rest.access import BROWSER, RUN, Access
from chalicelib.stores import open_secrets
from chalicelib.wiring import Parts
from deploy.names import API_HANDLER
from tests.emulator import Emulator, shared
from tests.emulator.stage import Stage, make_stage
from tests.support.engines import embedded, fill
from tests.support.raw_objects import answer, play, put, track


@pytest.fixture(scope="module")
def aws() -> Emulator:
    return shared()


@pytest.fixture
def stage(aws: Emulator) -> Iterator[Stage]:
    made = make_stage(aws)
    environment = {
        "LAKE_URL": made.names.lake_url, "GLUE_DATABASE": made.names.database,
        "ATHENA_WORKGROUP": made.names.workgroup, "GLUE_CRAWLER": made.names.crawler,
    }  # fmt: skip
    with aws.in_environment(**environment):
        yield made


def plays(aws: Emulator, stage: Stage) -> Any:
    engine = AthenaEngine(stage.settings, stage.lake, clients=aws.client)
    query = engine.wait(engine.start_query("SELECT count(*) FROM plays").query_id, 25)
    return engine.rows(query.query_id).rows


def raw_play(stage: Stage, letter: str, moment: str, run_id: str = "20261120T101500Z-1a2b3c") -> str:
    body = {"items": [play(track(letter), moment)], "next": None}
    return put(stage.lake, [answer("me/player/recently-played", body)], run_id=run_id)


def command(*arguments: str) -> None:
    done = CliRunner().invoke(main, [*arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("named", [True, False])
def test_rows_of_the_transform_command_are_seen_at_once(aws: Emulator, stage: Stage, named: bool) -> None:
    key = raw_play(stage, "t", "2026-11-20T10:00:00.000Z")
    command("transform", *([key] if named else []))
    assert plays(aws, stage) == [(1,)]


def test_rows_of_an_imported_history_are_seen_at_once(aws: Emulator, stage: Stage, tmp_path: Path) -> None:
    export = tmp_path / "Streaming_History_Audio_2023.json"
    row = {"ts": "2023-05-02T03:04:05Z", "ms_played": 60000, "master_metadata_track_name": "Song",
           "master_metadata_album_artist_name": "Band", "master_metadata_album_album_name": "LP",
           "spotify_track_uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC"}  # fmt: skip
    export.write_text(json.dumps([row, {"ts": "never"}]))
    command("import-history", "--user", "u1", str(export))
    assert plays(aws, stage) == [(1,)]
    tables = GlueTables(stage.names.database, stage.lake, glue=aws.client("glue"))
    assert tables.register_all() == []  # of no table is a partition left to be made known


def test_two_events_at_once_in_one_process_lose_no_partition(aws: Emulator, stage: Stage) -> None:
    keys = [
        raw_play(stage, letter, f"2026-{month:02d}-20T10:00:00.000Z", f"2026{month:02d}20T101500Z-{month:06x}")
        for month, letter in ((9, "a"), (10, "b"), (11, "c"))
    ]
    parts = Parts()
    working = [threading.Thread(target=handlers.transform, args=(parts, key)) for key in keys]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    tables = GlueTables(stage.names.database, stage.lake, glue=aws.client("glue"))
    assert tables.months("plays_resolved").keys() == {"2026-09", "2026-10", "2026-11"}
    assert tables.register_all() == []


@pytest.mark.timeout(600)  # three compactions through an emulated S3
def test_maintenance_makes_known_where_old_months_lie_and_forgets_where_they_lay(aws: Emulator, stage: Stage) -> None:
    for month in (1, 2):
        raw_play(stage, "t", f"2023-{month:02d}-20T10:00:00.000Z", f"2023{month:02d}20T101500Z-{month:06x}")
    command("transform")
    tables = GlueTables(stage.names.database, stage.lake, glue=aws.client("glue"))
    for hours in range(0, 6, 2):
        pipeline.tidy(stage.lake, clock=lambda late=hours: now() + timedelta(hours=late))  # type: ignore[misc]
        command("compact")
        assert plays(aws, stage) == [(2,)]
    assert tables.months("plays_resolved").keys() == {"2023"}
    assert tables.register_all() == [] and tables.forget_empty() == []


def test_a_token_that_the_page_was_given_stays_as_it_is(aws: Emulator, stage: Stage) -> None:
    """A lake on AWS keeps no session of a browser: its API lengthens no token and takes none back, though it may."""
    aws.client("secretsmanager").create_secret(Name=f"{stage.names.secret}/api", SecretString="{}")
    role = aws.credentials(stage.names.role(API_HANDLER), as_environment=True)
    settings = replace(stage.settings, secrets_url=f"secretsmanager:{stage.names.secret}")
    with aws.in_environment(**role):
        access = Access(settings, open_secrets(settings))
        given, _ = access.add(BROWSER, RUN, timedelta(days=1))
        with pytest.raises(InvalidRequest, match="no browser's session"):  # the page keeps the token nevertheless
            access.stay(given.token_id)
        access.end_session(given.token_id)
        with pytest.raises(InvalidRequest, match="no codes to sign in with"):
            access.sign_in("code")
        assert access.tokens() == [given]


def test_a_laptops_lake_moves_here_and_back(aws: Emulator, stage: Stage, tmp_path: Path) -> None:
    sql = "SELECT play_id, item_id FROM plays ORDER BY play_id"
    with embedded(tmp_path / "before") as opened:
        fill(opened)
        opened.lake.name_generation()
        wanted = opened.ask(sql)
    command("copy", "--from", str(tmp_path / "before" / "lake"), stage.settings.lake_url)
    engine = AthenaEngine(stage.settings, stage.lake, clients=aws.client)
    asked = engine.wait(engine.start_query(sql).query_id, 25)
    assert engine.rows(asked.query_id).rows == wanted and len(wanted) == 3
    command("copy", str(tmp_path / "after" / "lake"))
    with embedded(tmp_path / "after") as opened:
        assert opened.ask(sql) == wanted


def test_what_the_checks_of_a_refused_object_found_is_seen_at_once(aws: Emulator, stage: Stage) -> None:
    parts = Parts()
    key = raw_play(stage, "t", "2026-11-20T10:00:00.000Z")
    stage.lake.store.write(key, b"not ours")
    assert handlers.transform(parts, key)["state"] == "quarantined"
    assert GlueTables(stage.names.database, stage.lake, glue=aws.client("glue")).register_all() == []
