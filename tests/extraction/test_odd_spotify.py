"""Every endpoint answering in every odd way: nothing is lost, little is asked in vain, all of it is said, and once
Spotify is well again the tables are as if nothing had been."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chalicelib.extraction.reading import ENDPOINTS
from chalicelib.lake import Lake
from chalicelib.pipeline import catch_up
from chalicelib.runs import RunRecord
from chalicelib.secrets import SecretStore
from chalicelib.stores import open_lake
from chalicelib.wanted import write_wanted_tracks
from tests.support.extraction import Clock, World, world
from tests.support.odd_spotify import ODDITIES, Oddity, OddSpotify, odd_spotify
from tests.support.tables import COMPARED, Held, Rows, differences, tables_of

PATIENCE = 3  # calls in vain to one endpoint in one run
LIBRARY = ("saved_items", "followed_artists", "playlists", "playlist_items", "top_items", "plays", "albums", "artists")
#: Endpoints that are odd together, so that a trial is one of several: none of a set leads to another, or shares waits.
DEVELOPMENT = (
    (
        "search",
        "me/top/artists",
        "me/player/recently-played",
        "playlists/{id}/items",
        "tracks/{id}",
        "albums/{id}/tracks",
    ),
    ("artists/{id}/albums", "me/tracks", "playlists/{id}", "me/top/tracks", "artists/{id}"),
    ("albums/{id}", "me/albums", "me/playlists", "me/following"),
)
EXTENDED = ("albums", "artists", "tracks", "browse/new-releases")


@dataclass(slots=True)
class Trials:
    """A world that was read well twice and has changed since, and what an undisturbed twin makes of it."""

    made: World
    spotify: OddSpotify
    before: Rows
    after: Rows
    folder: Path
    held: Held
    usual: set[str] = field(default_factory=set)  # what the record of an undisturbed run says
    number: int = 0

    def lake(self) -> tuple[Lake, SecretStore]:
        """A copy of the lake as it was before the change."""
        self.number += 1
        folder = self.folder / f"trial-{self.number}"
        shutil.copytree(self.made.folder / "lake", folder)
        return open_lake(replace(self.made.settings, lake_url=str(folder))), self.made.secrets

    def tables_of(self, lake: Lake, names: Collection[str] = COMPARED) -> Rows:
        """The tables of such a copy."""
        return tables_of(lake, names, self.held)

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
        spotify.forget()
        files = [info.key for info in made.lake.store.list("transformed/") if info.key.endswith(".parquet")]
        held = {key: pq.read_table(BytesIO(made.lake.store.read(key))) for key in files}
        trial = Trials(made, spotify, before, {}, folder, held)
        twin, _ = trial.lake()
        clock = at(made)
        for _ in range(2):
            record = trial.run(twin, clock)
            assert record.state == "succeeded"
            trial.usual |= {*record.warnings, *record.notes}
        catch_up(twin, made.settings)
        trial.after = tables_of(twin)
        yield trial


def change(made: World, tracks: list[str]) -> None:
    """Let some days go by, and let the listener add and remove some of everything; some details are to be read anew."""
    made.advance(days=5)
    made.sandbox.edit("unsave_track", id=tracks[1])
    made.sandbox.edit("save_track", id=made.sandbox.service.request("me/top/tracks")["items"][0]["id"])
    state = json.loads(made.lake.store.read("state/extraction/app.json"))
    for kind in ("albums", "artists"):
        for item_id in list(state["details"][kind])[:60]:
            state["details"][kind][item_id] = 0
    made.lake.store.write("state/extraction/app.json", json.dumps(state).encode())
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


def try_one(made: Trials, templates: Sequence[str], oddity: Oddity, odd_runs: int = 2) -> Counter[str]:
    """Runs while some endpoints answer oddly, then runs that are answered well; answers how often each was odd."""
    lake, _ = made.lake()
    clock = at(made.made)
    struck, silent = Counter[str](), set[str]()
    if oddity.plausible:
        made.spotify.be((), None)
        made.run(lake, clock)
    for _ in range(odd_runs):
        made.spotify.be(templates, oddity)
        record = made.run(lake, clock)
        for template, count in made.spotify.struck.items():
            what = f"{template}: {oddity.name}: {count} odd answers, {record.warnings}"
            assert oddity.partly or count <= PATIENCE, what
            if not oddity.usable and not said(made, record, template, oddity):
                silent.add(template)
                assert len(templates) > 1 or unharmed(made, lake), what
        struck += made.spotify.struck
    catch_up(lake, made.made.settings)
    meanwhile = made.tables_of(lake, LIBRARY)
    for table in LIBRARY:
        stays = made.before[table] & made.after[table]
        assert not stays - meanwhile[table], f"{oddity.name}: {table} lacks {sorted(stays - meanwhile[table])[:2]}"
    made.spotify.be((), None)
    for _ in range(2):
        record = made.run(lake, clock)
    if "429" in oddity.name:  # a wait is kept to
        clock.advance(hours=9)
        record = made.run(lake, clock)
    catch_up(lake, made.made.settings)
    tables, right = made.tables_of(lake), dict(made.after)
    if "429" in oddity.name:  # it has rankings of other days than the twin
        tables["top_items"], right["top_items"] = of_any_day(tables["top_items"]), of_any_day(right["top_items"])
    found = differences(tables, right)
    assert not found, f"{oddity.name}: {record.warnings} {found}"
    for template in silent if len(templates) > 1 else ():
        try_one(made, [template], oddity, odd_runs)
    return struck


def of_any_day(rankings: Counter[str]) -> Counter[str]:
    """Rankings without the days on which they stood."""
    return Counter({re.sub(r"'observed_on': [\d-]+", "", row) for row in rankings})


def said(made: Trials, record: RunRecord, template: str, oddity: Oddity) -> bool:
    """Whether a run's record warns that an endpoint answered oddly, in words that an undisturbed run's does not have.

    A note suffices of entries without content or time: Spotify documents that playlists have such.
    """
    path = re.escape(template).replace(re.escape("{id}"), r"(\w+|\{id\})")
    words = rf"(?<![\w/]){path}(?![\w/])|not to call {ENDPOINTS[template].group} before"
    texts = {*record.warnings, *(record.notes if oddity.documented else ())} - made.usual
    return any(re.search(words, text) for text in texts)


def unharmed(made: Trials, lake: Lake) -> bool:
    """Whether nothing was odd after all: the oddity had nothing to change here."""
    catch_up(lake, made.made.settings)
    return not differences(made.tables_of(lake), made.after)


def test_every_endpoint_is_tried() -> None:
    assert sorted([*EXTENDED, *(template for some in DEVELOPMENT for template in some)]) == sorted(ENDPOINTS)


def test_there_are_at_least_sixty_ways_of_answering_oddly() -> None:
    assert len(ODDITIES) >= 60


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("templates", "oddity"),
    [
        (DEVELOPMENT[0], "202 accepted"),
        (DEVELOPMENT[1], "half of the items"),
        (DEVELOPMENT[2], "half a surrogate in names"),
        (DEVELOPMENT[1], "429 quota"),
    ],
)
def test_whatever_some_endpoints_answer_nothing_is_lost_and_all_comes_right(
    development: Trials, templates: Sequence[str], oddity: str
) -> None:
    try_one(development, templates, ODDITIES[oddity])


@pytest.mark.soak
@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("templates", DEVELOPMENT, ids=" ".join)
def test_every_endpoint_in_every_odd_way(development: Trials, templates: Sequence[str], oddity: str) -> None:
    try_one(development, templates, ODDITIES[oddity])


@pytest.mark.soak
@pytest.mark.parametrize("oddity", ODDITIES)
def test_every_endpoint_of_extended_mode_in_every_odd_way(extended: Trials, oddity: str) -> None:
    try_one(extended, EXTENDED, ODDITIES[oddity])
