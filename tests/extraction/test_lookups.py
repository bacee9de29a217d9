"""Asking MusicBrainz in a run: the fewest calls, its rules, its refusals, and a run that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from functools import partial
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from chalicelib.clock import parse_rfc3339, rfc3339
from chalicelib.errors import InvalidSetting
from chalicelib.extraction.sources import DEFAULT_FILE
from chalicelib.extraction.state import State, StateFile
from chalicelib.musicbrainz.client import PACE, SLOW_PACE, MusicBrainz
from chalicelib.runs import SourceRecord
from sandbox.server import Sandbox
from tests.support import PROJECT
from tests.support.extraction import START, World

ON: dict[str, Any] = {"musicbrainz_contact": "listener@example.org"}
URL, RECORDING, NAME, GENRES = "ws/2/url", "ws/2/recording", "ws/2/artist", "1/metadata/artist"
ONE = "ws/2/artist/{mbid}"


class Lookups(World):
    """A world whose Spotify knows no genre, beside a MusicBrainz. No time passes while a run sleeps."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        super().__init__(
            folder, sandbox, musicbrainz_url=sandbox.musicbrainz_url, listenbrainz_url=sandbox.listenbrainz_url
        )
        self.naps: list[float] = []
        self.sandbox.musicbrainz.faults.clear()

    def look_up(self, **settings: Any) -> SourceRecord:
        """A run on a schedule with the lookups turned on; what its record says of them."""
        self.naps.clear()
        record = self.run(settings={**ON, **settings}, sleep=self.naps.append)
        self.warnings, self.state_of_run, self.by_endpoint = record.warnings, record.state, record.calls_by_endpoint
        return next(one for one in record.sources if one.source == "musicbrainz")

    def asked(self) -> Counter[str]:
        """Calls of the last run to MusicBrainz and ListenBrainz."""
        return Counter({name: count for name, count in self.calls().items() if name.startswith(("ws/", "1/"))})

    @property
    def state(self) -> State:
        return StateFile.load(self.lake).state

    def matched(self) -> dict[str, str]:
        return {artist: one.mbid for artist, one in self.state.lookups.items() if one.mbid}

    def least_calls(self) -> Counter[str]:
        """The fewest calls that can find all there is to be found, by what the sandbox knows."""
        seen = self.state.details["artists"]
        ways = {way: set(ids) & set(seen) for way, ids in self.to_be_found().items()}
        left = [artist for artist in seen if artist not in ways["link"]]
        coded = [artist for artist in left if artist in self.state.isrcs]
        nameless = {one.id for one in self.artists() if one.name == "Various Artists"}
        by_name = [artist for artist in left if artist not in ways["isrc"] or artist not in self.state.isrcs]
        merged = [one for one in self.sandbox.musicbrainz.known if one.merged_from and one.way == "link"]
        found = sum(map(len, ways.values()))
        return Counter(
            {
                URL: ceil(len(seen) / 100),
                RECORDING: ceil(len(coded) / 25),
                NAME: len(set(by_name) - nameless),
                GENRES: ceil(found / 50),
                ONE: 2 * sum(one.artist.id in seen for one in merged),
            }
        )

    def to_be_found(self) -> dict[str, list[str]]:
        """Spotify ids of the artists that can be found, by the way in which they can."""
        known = self.sandbox.musicbrainz.known
        namesakes = Counter(one.artist.name.casefold() for one in known)
        found: dict[str, list[str]] = {"link": [], "isrc": [], "name": []}
        for one in known:
            if one.way != "name" or namesakes[one.artist.name.casefold()] == 1:
                found[one.way].append(one.artist.id)
        return found

    def artists(self) -> Iterator[Any]:
        catalogue = self.sandbox.world.catalogue
        return (catalogue.artist(number) for number in range(self.sandbox.world.scale.artists))


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookups]:
    """A lake that has read all of Spotify, and asked MusicBrainz nothing yet."""
    with Sandbox(now=START, frozen=True, genres=False) as sandbox:
        made = Lookups(tmp_path_factory.mktemp("lookups"), sandbox)
        made.log_in()
        made.run()
        yield made


@pytest.fixture
def made(extracted: Lookups, tmp_path: Path) -> Lookups:
    """The same in a lake of its own."""
    subprocess.run(["cp", "-r", f"{extracted.folder}/.", str(tmp_path)], check=True)
    return Lookups(tmp_path, extracted.sandbox)


@pytest.mark.thorough
def test_nothing_is_asked_until_somebody_can_be_reached(made: Lookups) -> None:
    record = made.run()
    assert not made.asked()
    assert all(one.source != "musicbrainz" for one in record.sources)
    with pytest.raises(InvalidSetting, match="MUSICBRAINZ_CONTACT"):
        made.run(sources=["musicbrainz"])


def test_everything_that_can_be_found_is_found_in_the_fewest_calls(made: Lookups) -> None:
    record = made.look_up()
    assert made.asked() == made.least_calls()
    assert record.calls == made.least_calls().total()
    assert record.state == "succeeded"
    there = {artist for ids in made.to_be_found().values() for artist in ids}
    assert set(made.matched()) == there & set(made.state.details["artists"])
    known = {one.artist.id: one.mbid for one in made.sandbox.musicbrainz.known}
    assert made.matched() == {artist: known[artist] for artist in made.matched()}


@pytest.mark.thorough
def test_what_is_known_is_not_asked_again_for_months_and_then_at_different_times(made: Lookups) -> None:
    made.look_up()
    assert made.look_up().state == "skipped"
    made.clock.advance(days=40)
    assert not made.look_up().calls
    made.clock.advance(days=80)
    some = made.look_up()
    assert 0 < some.items < len(made.state.lookups) * 2
    assert made.state_of_run == "succeeded"


def test_a_budget_is_kept_and_the_rest_follows_in_later_runs(made: Lookups) -> None:
    whole = made.least_calls().total()
    calls, runs = 0, 0
    while True:
        record = made.look_up(musicbrainz_calls=3)
        assert record.calls <= 3
        calls, runs = calls + record.calls, runs + 1
        if record.state == "succeeded":
            break
        assert record.state == "partial"
        assert record.left
        assert runs < 20
    assert set(made.matched()) == set(made.matched())
    assert whole <= calls <= whole + 2  # genres that are read before the last artists are known


def test_calls_leave_one_at_a_time_and_never_more_than_one_in_1_1_seconds(
    made: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count()  # each look at the clock takes 1/1024 s, and a call no more: what the machine takes is not tried
    timed = partial(MusicBrainz, monotonic=lambda: sum(made.naps) + next(looks) / 1024)
    monkeypatch.setattr("chalicelib.extraction.extract.MusicBrainz", timed)
    record = made.look_up()
    assert len(made.naps) == record.calls
    assert all(PACE - 0.01 < nap <= PACE for nap in made.naps)  # the rest of it is what it took to look


def test_whoever_asks_says_so(made: Lookups) -> None:
    assert made.sandbox.musicbrainz.answer("/ws/2/url", "fmt=json", "python-requests/2.32")[0] == 403
    assert made.look_up().state == "succeeded"


@pytest.mark.parametrize("fault", ["busy", "busy_200", "bad_gateway", "html"])
def test_a_passing_refusal_is_asked_again_and_costs_no_artist(made: Lookups, fault: str) -> None:
    made.sandbox.musicbrainz.faults += [fault] * 2
    record = made.look_up()
    assert record.state == "succeeded"
    assert record.retries == 2
    assert made.asked() == made.least_calls() + Counter({URL: 2})
    assert {1.0, 2.0} <= set(made.naps)


def test_told_to_be_too_fast_it_goes_on_at_half_the_pace(made: Lookups) -> None:
    made.sandbox.musicbrainz.faults.append("too_fast")
    assert made.look_up().state == "succeeded"
    assert sum(nap > PACE for nap in made.naps) >= made.asked().total() - 2
    assert max(made.naps) <= SLOW_PACE


@pytest.mark.parametrize("fault", ["busy", "busy_200", "too_fast", "bad_gateway", "html", "odd"])
def test_a_refusal_that_lasts_ends_the_lookups_and_not_the_run_and_nothing_counts_as_unknown(
    made: Lookups, fault: str
) -> None:
    made.sandbox.musicbrainz.faults += [fault] * 5
    record = made.look_up()
    assert record.state == "partial"
    assert record.error
    assert any("musicbrainz" in warning for warning in made.warnings)
    assert not made.state.lookups
    assert made.state_of_run == "partial"
    made.sandbox.musicbrainz.faults.clear()
    assert made.look_up().state == "succeeded"
    assert made.asked() == made.least_calls()


def test_a_refusal_of_spotifys_part_does_not_keep_musicbrainz_waiting(made: Lookups) -> None:
    made.sandbox.musicbrainz.faults += ["busy"] * 5
    assert made.look_up().state == "partial"
    assert made.run().state == "succeeded"


def test_a_wait_that_is_too_long_is_kept_to_by_the_next_runs(made: Lookups) -> None:
    made.sandbox.musicbrainz.faults.append("wait")
    record = made.look_up()
    assert record.calls == 1
    assert record.not_before
    assert parse_rfc3339(record.not_before) - made.clock() > timedelta(minutes=50)
    assert not made.look_up().calls
    made.clock.advance(hours=2)
    assert made.look_up().state == "succeeded"


def test_a_question_that_is_too_long_is_asked_in_halves(made: Lookups) -> None:
    made.sandbox.musicbrainz.faults.append("too_long")
    assert made.look_up().state == "succeeded"
    assert made.asked()[URL] == 1 + 3  # of 45 artists 22 at once, and one alone


def test_a_last_artist_alone_is_read_in_the_shape_that_is_its_own(made: Lookups) -> None:
    made.look_up()
    artist, lookup = next((artist, one) for artist, one in made.state.lookups.items() if one.mbid)
    file = StateFile.load(made.lake)
    del file.state.lookups[artist]
    file.state.done.clear()
    file.save()
    made.look_up()
    assert made.asked()[URL] == 1
    assert made.state.lookups[artist].mbid == lookup.mbid


def test_every_answer_is_kept_with_what_it_was_asked_about(made: Lookups) -> None:
    made.look_up()
    kept = [answer for answer in made.answers() if answer.source == "musicbrainz"]
    assert len(kept) == made.asked().total() - made.asked()[ONE] // 2  # a redirect says nothing
    assert all(answer.context for answer in kept)
    assert all(json.loads(answer.body) for answer in kept)


def die(made: Lookups, last: int) -> None:
    """Do a run with lookups that is killed at a write."""
    settings = replace(made.settings, **ON)
    environ = {each.name.upper(): settings.written(each.name) for each in fields(settings)}
    plan = {"last": last, "phase": "half", "settings": environ, "start": rfc3339(made.clock()), "sleepless": True}
    command = [sys.executable, "-m", "tests.support.killed", str(made.folder), json.dumps(plan)]
    subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, timeout=60, check=False)


@pytest.mark.thorough
@pytest.mark.parametrize("last", [5, 9, 12])
def test_a_killed_run_is_taken_up_without_asking_anything_twice(made: Lookups, last: int) -> None:
    made.sandbox.calls.clear()
    die(made, last)
    before = made.asked()
    assert before.total() < made.least_calls().total()
    record = made.look_up()
    assert record.state == "succeeded"
    assert (before + made.asked()).total() <= made.least_calls().total() + 1  # the call whose answer was half written
    known = {one.artist.id: one.mbid for one in made.sandbox.musicbrainz.known}
    there = {artist for ids in made.to_be_found().values() for artist in ids}
    assert made.matched() == {artist: known[artist] for artist in there & set(made.state.details["artists"])}


def test_the_source_is_declared_like_the_others() -> None:
    declared = tomllib.loads(DEFAULT_FILE.read_text("utf-8"))["sources"]["musicbrainz"]
    assert declared == {"reads": "musicbrainz", "every": "1d", "order": 80}
