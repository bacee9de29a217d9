"""Every endpoint answering in every odd way: nothing is lost, little is asked in vain, all of it is said, and once
Spotify is well again the tables are as if nothing had been."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chalicelib.extraction.reading import ENDPOINTS
from chalicelib.lake import Lake
from chalicelib.parquet import arrow_schema
from chalicelib.pipeline import catch_up
from chalicelib.runs import RunRecord
from chalicelib.secrets import SecretStore
from chalicelib.stores import open_lake
from chalicelib.tables import PHYSICAL, TABLES
from chalicelib.views import view_sql
from chalicelib.wanted import write_wanted_tracks
from tests.support.extraction import Clock, World, world
from tests.support.odd_spotify import ODDITIES, Oddity, OddSpotify, odd_spotify

PATIENCE = 3  # calls in vain to one endpoint in one run
LIBRARY = ("saved_items", "followed_artists", "playlists", "playlist_items", "top_items", "plays", "albums", "artists")
NOT_COMPARED = {"runs", "quality_results", "rejected_rows"}
ONLY_EXTENDED = ("albums", "artists", "tracks", "browse/new-releases")

Rows = dict[str, Counter[tuple[Any, ...]]]


def tables_of(lake: Lake) -> Rows:
    """The tables as a query sees them, without the times of observation."""
    with duckdb.connect() as connection:
        connection.execute(DATE_ADD)
        for name, table in PHYSICAL.items():
            files = [
                lake.store.location(info.key)
                for info in lake.store.list(f"transformed/{lake.generation()}/{name}/")
                if info.key.endswith(".parquet")
            ]
            connection.register(f"empty_{name}", arrow_schema(table).empty_table())
            rows = f"SELECT * FROM empty_{name}"
            if files:
                rows += f" UNION ALL BY NAME SELECT * FROM read_parquet({files!r}, union_by_name = true)"
            month = table.partition_by
            connection.execute(f"CREATE VIEW {name} AS SELECT *, strftime({month}, '%Y-%m') AS month FROM ({rows})")
        return {
            table.name: rows_of(connection, view_sql(table))
            for table in TABLES
            if table.current not in ("internal", "derived") and table.name not in NOT_COMPARED
        }


DATE_ADD = """CREATE MACRO date_add(unit, count, moment) AS CASE unit
    WHEN 'hour' THEN moment + to_hours(count::BIGINT) WHEN 'day' THEN moment + to_days(count::INTEGER)
    ELSE moment + to_years(count::INTEGER) END"""  # Athena's, as far as the views use it


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str) -> Counter[tuple[Any, ...]]:
    result = connection.execute(sql)
    names = [column[0] for column in result.description or []]
    kept = [place for place, name in enumerate(names) if name != "observed_at"]
    return Counter(tuple(repr(row[place]) for place in kept) for row in result.fetchall())


def differences(one: Rows, other: Rows) -> list[str]:
    """What stands in one and not in the other, a few of each."""
    found = []
    for table in one:
        for word, rows in (("too many", one[table] - other[table]), ("missing", other[table] - one[table])):
            found += [f"{table}: {word}: {row}" for row in sorted(rows)[:2]]
    return found


@dataclass(slots=True)
class Trials:
    """A world that was read well twice and has changed since, and what an undisturbed twin makes of it."""

    made: World
    spotify: OddSpotify
    before: Rows
    after: Rows
    folder: Path
    number: int = 0

    def lake(self) -> tuple[Lake, SecretStore]:
        """A copy of the lake as it was before the change."""
        self.number += 1
        folder = self.folder / f"trial-{self.number}"
        shutil.copytree(self.made.folder / "lake", folder)
        return open_lake(replace(self.made.settings, lake_url=str(folder))), self.made.secrets

    def run(self, lake: Lake, clock: Clock) -> RunRecord:
        """One run through the proxy, an hour after the last."""
        from chalicelib.extraction.extract import run_extraction

        clock.advance(hours=1)
        return run_extraction(
            self.made.settings, lake, trigger="schedule", clock=clock, secrets=self.made.secrets, sleep=lambda _: None
        )


@contextmanager
def trials(folder: Path, mode: str) -> Iterator[Trials]:
    with ExitStack() as stack:
        made = stack.enter_context(world(folder, mode=mode))
        spotify = stack.enter_context(odd_spotify(made.sandbox.url))
        made.settings = replace(made.settings, spotify_api_url=f"{spotify.url}/v1")
        tracks = [one["track"]["id"] for one in made.sandbox.service.request("me/tracks", {"limit": "50"})["items"]]
        write_wanted_tracks(made.lake, [(track_id, 1) for track_id in tracks[:3]])
        for _ in range(2):
            assert made.run().state == "succeeded"
            made.clock.advance(hours=1)
        catch_up(made.lake, made.settings)
        before = tables_of(made.lake)
        change(made, tracks)
        trial = Trials(made, spotify, before, {}, folder)
        twin, _ = trial.lake()
        clock = at(made)
        for _ in range(2):
            assert trial.run(twin, clock).state == "succeeded"
        catch_up(twin, made.settings)
        trial.after = tables_of(twin)
        yield trial


def change(made: World, tracks: list[str]) -> None:
    """Let some days go by, and let the listener add and remove some of everything; some details are to be read anew."""
    made.advance(days=5)
    made.sandbox.edit("unsave_track", id=tracks[1])
    made.sandbox.edit("save_track", id=made.sandbox.service.request("me/top/tracks")["items"][0]["id"])
    state = json.loads(made.lake.store.read("state/extraction.json"))
    for kind in ("albums", "artists"):
        for item_id in list(state["details"][kind])[:60]:
            state["details"][kind][item_id] = 0
    made.lake.store.write("state/extraction.json", json.dumps(state).encode())
    made.settings = replace(made.settings, refresh_after=made.settings.refresh_after * 100)
    write_wanted_tracks(made.lake, [(track_id, 1) for track_id in tracks[:12]])
    made.log_in()


def at(made: World) -> Clock:
    """A clock of its own that shows the world's time."""
    clock = Clock()
    clock.advance(seconds=(made.clock() - clock()).total_seconds())
    return clock


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with trials(tmp_path_factory.mktemp("development"), "development") as made:
        yield made


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with trials(tmp_path_factory.mktemp("extended"), "extended") as made:
        yield made


def try_one(made: Trials, template: str, oddity: Oddity, odd_runs: int = 2) -> None:
    """Runs while an endpoint answers oddly, then runs that are answered well."""
    what = f"{template}: {oddity.name}"
    lake, _ = made.lake()
    clock = at(made.made)
    for _ in range(odd_runs):
        made.spotify.be(template, oddity)
        record = made.run(lake, clock)
        struck = made.spotify.struck.total()
        assert oddity.partly or struck <= PATIENCE, f"{what}: {struck} calls in vain, {record.warnings}"
        if not oddity.usable:
            said = record.warnings or record.retries or record.state != "succeeded" or not struck
            assert said or unharmed(made, lake), what
    catch_up(lake, made.made.settings)
    meanwhile = tables_of(lake)
    for table in LIBRARY:
        stays = made.before[table] & made.after[table]
        assert not stays - meanwhile[table], f"{what}: {table} lacks {sorted(stays - meanwhile[table])[:2]}"
    made.spotify.be("", None)
    for _ in range(2):
        record = made.run(lake, clock)
    if "429" in oddity.name:  # a wait is kept to
        clock.advance(hours=9)
        record = made.run(lake, clock)
    catch_up(lake, made.made.settings)
    tables = tables_of(lake)
    if "429" in oddity.name:  # its days have rankings that the twin's do not have
        tables["top_items"] &= made.after["top_items"]
    found = differences(tables, made.after)
    assert not found, f"{what}: {record.warnings} {found}"


def unharmed(made: Trials, lake: Lake) -> bool:
    """Whether nothing was odd after all: the oddity had nothing to change here."""
    catch_up(lake, made.made.settings)
    return not differences(tables_of(lake), made.after)


def templates(mode: str) -> list[str]:
    if mode == "extended":
        return list(ONLY_EXTENDED)
    return [template for template in ENDPOINTS if template not in ONLY_EXTENDED]


def many(count: int) -> Any:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def test_there_are_at_least_sixty_ways_of_answering_oddly() -> None:
    assert len(ODDITIES) >= 60


@many(4)
@given(st.sampled_from(templates("development")), st.sampled_from(sorted(ODDITIES)))
def test_whatever_one_endpoint_answers_nothing_is_lost_and_all_comes_right(
    development: Trials, template: str, oddity: str
) -> None:
    try_one(development, template, ODDITIES[oddity])


@pytest.mark.soak
@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("template", templates("development"))
def test_every_endpoint_in_every_odd_way(development: Trials, template: str, oddity: str) -> None:
    try_one(development, template, ODDITIES[oddity])


@pytest.mark.soak
@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("template", templates("extended"))
def test_every_endpoint_of_extended_mode_in_every_odd_way(extended: Trials, template: str, oddity: str) -> None:
    try_one(extended, template, ODDITIES[oddity])
