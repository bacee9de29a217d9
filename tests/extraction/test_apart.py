"""Listeners apart: what is wrong with one, or how much there is of it, is of no matter to the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.clock import parse_rfc3339
from chalicelib.errors import RunInProgress
from chalicelib.extraction.journal import JOURNAL
from chalicelib.extraction.lock import APP, acquire_all, name_of
from chalicelib.extraction.state import StateFile, state_key
from chalicelib.runs import RunRecord, SourceRecord, load_run, run_ids
from tests.extraction.test_kills import die_at_write
from tests.support.extraction import World, contents, world

HOURLY = ["recently_played", "saved_tracks", "saved_albums", "my_playlists", "playlist_items"]
OTHER = "20261120T110000Z-aaaaaa"  # a run that goes on


@contextmanager
def household(folder: Path, people: int = 3, **settings: Any) -> Iterator[World]:
    """A world in which several are logged in."""
    scale = settings.pop("scale", "household")
    with world(folder, scale=scale, **settings) as made:
        for listener in list(made.sandbox.world.listeners.values())[1:people]:
            made.log_in(listener.id)
        made.sandbox.calls.clear()
        assert len(made.listeners) == people
        yield made


def of(record: RunRecord, user: str | None) -> list[SourceRecord]:
    return [one for one in record.sources if one.user_id == user]


def states(record: RunRecord, user: str | None) -> set[str]:
    return {one.state for one in of(record, user)}


def what_each_has(made: World) -> dict[str | None, Counter[str]]:
    """Answers of each listener, and of the app, by source."""
    found: dict[str | None, Counter[str]] = {}
    for answer in made.answers():
        found.setdefault(answer.user_id, Counter())[answer.source] += 1
    return found


@pytest.mark.thorough
def test_a_revoked_login_ends_that_listeners_part_alone(tmp_path: Path) -> None:
    with household(tmp_path) as made:
        (gone, spotify_id), *others = made.listeners.items()
        made.sandbox.service.accounts.revoke(spotify_id)
        record = made.run()
        assert states(record, gone) == {"failed"}
        assert {one.error["code"] for one in of(record, gone) if one.error} == {"authorization_ended"}
        for user, _ in others:
            assert states(record, user) == {"succeeded"}
        assert states(record, None) <= {"succeeded", "skipped", "unavailable"}
        made.log_in(spotify_id)
        again = made.run()
        assert states(again, gone) == {"succeeded"} and not set(what_each_has(made)[gone]) < set(HOURLY)


@pytest.mark.parametrize("group", ["player", "library", "playlists"])
def test_a_long_wait_of_one_listener_stops_no_other(tmp_path: Path, group: str) -> None:
    with household(tmp_path) as made:
        (waiting, spotify_id), *others = made.listeners.items()
        made.sandbox.faults.add("rate_limit", endpoint=group, retry_after=30_000, user_id=spotify_id)
        record = made.run(sources=HOURLY)
        for user, _ in others:
            assert states(record, user) == {"succeeded"}
        assert not made.sandbox.calls.violations
        late = [one for one in of(record, waiting) if one.not_before]
        assert late
        assert all(parse_rfc3339(one.not_before or "") > made.clock() + timedelta(hours=8) for one in late)
        made.advance(hours=1)
        made.sandbox.calls.clear()
        record = made.run(sources=HOURLY)
        assert all(states(record, user) <= {"succeeded", "skipped"} for user, _ in others)
        assert not made.sandbox.calls.violations
        made.advance(hours=8)
        assert states(made.run(sources=HOURLY), waiting) <= {"succeeded", "skipped"}


def test_a_wait_of_one_listeners_login_stops_no_other_and_is_asked_for_once(tmp_path: Path) -> None:
    with household(tmp_path) as made:
        (waiting, spotify_id), *others = made.listeners.items()
        fault = made.sandbox.faults.add(
            "rate_limit", endpoint="accounts", retry_after=30_000, user_id=spotify_id, count=100
        )
        record = made.run(sources=HOURLY)
        assert fault.struck == 1
        assert "succeeded" not in states(record, waiting)
        assert all(states(record, user) == {"succeeded"} for user, _ in others)


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "asked"), [("rate_limit", 2), ("quota", 1)])
def test_a_wait_of_the_whole_app_is_kept_to_for_all(tmp_path: Path, kind: str, asked: int) -> None:
    """A quota is the app's; any other wait is when a second listener was told the same."""
    with household(tmp_path, 5) as made:
        made.sandbox.faults.add(kind, endpoint="library", retry_after=30_000)
        made.run(sources=HOURLY)
        assert made.sandbox.calls.by_group["library"] == asked
        for _ in range(3):
            made.advance(hours=1)
            made.run(sources=HOURLY)
            assert made.sandbox.calls.by_group["library"] == 0
        made.advance(hours=20)
        assert made.run(sources=HOURLY).state == "succeeded"


def test_how_much_there_is_of_one_listener_keeps_no_other_waiting(tmp_path: Path) -> None:
    with household(tmp_path, 2) as made:
        much, little = sorted(made.listeners, key=lambda user: -saved(made, user))
        assert saved(made, much) > 0
        pages = -(-saved(made, little) // 50)
        budget = 2 * (pages + 6)
        record = made.run(sources=["recently_played", "saved_tracks"], settings={"calls_per_run": budget})
        assert states(record, little) == {"succeeded"}


def saved(made: World, user: str) -> int:
    return int(made.sandbox.service.request("me/tracks", user_id=made.listeners[user])["total"])


STATES_THAT_CANNOT_BE = [
    {"plays": ["USER"]},
    {"done": {"saved_tracks|USER": "never"}},
    {"walks": {"saved_tracks:USER": {"started_at": "", "offset": -7, "ids": ["x"], "first_total": -1}}},
    {"doubts": {"saved_tracks:USER": {"why": "", "since": "?", "last": "?", "run_id": ""}}},
    {"waits": {"library": {"until": "tomorrow", "since": "yesterday"}}},
    {"known": {"saved_tracks:USER": {"total": -5, "at": "soon"}}},
    {"plays": {"USER": "not a time"}},
]


@pytest.mark.parametrize("wrong", STATES_THAT_CANNOT_BE, ids=lambda wrong: next(iter(wrong)))
def test_a_state_that_cannot_be_is_of_no_matter_to_the_others(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with household(tmp_path) as made:
        made.run(sources=HOURLY)
        made.advance(hours=1)
        broken, *others = made.listeners
        state = json.loads(made.lake.store.read(state_key(broken)))
        state.update(json.loads(json.dumps(wrong).replace("USER", broken)))
        made.lake.store.write(state_key(broken), json.dumps(state).encode())
        record = made.run(sources=HOURLY)
        assert any(broken in warning for warning in record.warnings)
        assert made.run(sources=HOURLY, trigger="command").state == "succeeded"
        for user in others:
            assert states(record, user) <= {"succeeded", "skipped"}
            assert next(one for one in of(record, user) if one.source == "recently_played").items


def test_a_damaged_login_is_named_and_of_no_matter_to_the_others(tmp_path: Path) -> None:
    with household(tmp_path) as made:
        broken, *others = made.listeners
        made.secrets.write(name_of(broken), "{torn")
        record = made.run(sources=HOURLY)
        assert all(states(record, user) == {"succeeded"} for user in others)
        assert any(name_of(broken) in warning and "lake login" in warning for warning in record.warnings)


@pytest.mark.thorough
def test_a_run_leaves_to_another_what_that_one_holds(tmp_path: Path) -> None:
    with household(tmp_path / "alone") as alone:
        alone.run()
        everything = contents(alone.lake)
    with household(tmp_path / "shared") as made:
        held, *others = made.listeners
        locks, _ = acquire_all(made.lake, OTHER, made.clock, [name_of(held)])
        record = made.run()
        assert states(record, held) == {"skipped"}
        assert all(states(record, user) == {"succeeded"} for user in others)
        assert any(OTHER in warning for warning in record.warnings)
        assert not made.lake.store.stat(state_key(held))
        locks[name_of(held)].release()
        assert states(made.run(), held) == {"succeeded"}
        agree(contents(made.lake), everything)


@pytest.mark.thorough
def test_a_run_with_nothing_to_do_but_what_another_holds_is_refused(tmp_path: Path) -> None:
    with household(tmp_path, 2) as made:
        made.run()
        locks, _ = acquire_all(made.lake, OTHER, made.clock, [name_of(user) for user in made.listeners])
        with pytest.raises(RunInProgress, match=OTHER):
            made.run()
        for lock in locks.values():
            lock.release()


@pytest.mark.thorough
def test_a_run_takes_only_the_listeners_that_are_due(tmp_path: Path) -> None:
    with household(tmp_path) as made:
        made.run()
        made.advance(hours=1)
        late, *others = made.listeners
        for user in others:  # as if another run had just been there
            file = StateFile.load(made.lake, user)
            for key in file.state.done:
                file.state.done[key] = f"{made.clock():%Y-%m-%dT%H:%M:%S}Z"
            file.save()
        before = {user: made.lake.store.stat(state_key(user)) for user in made.listeners}
        seen: list[set[str]] = []
        record = made.run(progress=lambda _: seen.append(held_locks(made)))
        assert {name for names in seen for name in names} == {APP, name_of(late)}
        assert states(record, late) <= {"succeeded", "skipped"} and "succeeded" in states(record, late)
        for user in others:
            assert states(record, user) == {"skipped"}
            assert made.lake.store.stat(state_key(user)) == before[user]
        assert made.lake.store.stat(state_key(late)) != before[late]


def held_locks(made: World) -> set[str]:
    return {info.key.rpartition("/")[2].removesuffix(".json") for info in made.lake.store.list("state/run-locks/")}


def test_a_playlist_that_several_list_is_read_once(tmp_path: Path) -> None:
    with household(tmp_path, 5, mode="extended") as made:
        made.run(sources=["my_playlists", "playlist_items"])
        read = Counter(
            (answer.endpoint, answer.context.get("snapshot_id"), answer.params.get("offset"))
            for answer in made.answers()
            if answer.source == "playlist_items"
        )
        listed = Counter(
            item["id"]
            for answer in made.answers()
            if answer.source == "my_playlists"
            for item in json.loads(answer.body)["items"]
        )
        assert read and set(read.values()) == {1}
        assert listed and len({name.split("/")[1] for name, _, _ in read}) <= len(listed)


@pytest.mark.thorough
def test_what_a_listeners_answers_show_of_the_catalogue_waits_for_the_run_that_has_it(tmp_path: Path) -> None:
    with world(tmp_path / "alone") as alone:
        alone.run()
        everything = contents(alone.lake)
    with world(tmp_path / "shared") as made:
        locks, _ = acquire_all(made.lake, OTHER, made.clock, [APP])
        record = made.run()
        assert states(record, None) == {"skipped", "unavailable"} or states(record, None) == {"skipped"}
        assert StateFile.load(made.lake, next(iter(made.listeners))).state.shown.details["albums"]
        locks[APP].release()
        assert made.run().state == "succeeded"
        assert contents(made.lake) == everything
        made.advance(hours=1)
        made.run()
        assert not StateFile.load(made.lake, next(iter(made.listeners))).state.shown.details


KILLED = [
    pytest.param(last, phase, marks=[] if (last, phase) in {(41, "after"), (43, "half")} else pytest.mark.soak)
    for last in (7, 30, *range(38, 52), 60, 100)
    for phase in ("before", "half", "after")
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Counter[tuple[Any, ...]]:
    with household(tmp_path_factory.mktemp("undisturbed"), checkpoint_answers=20) as made:
        made.run()
        return contents(made.lake)


@pytest.mark.thorough
@pytest.mark.parametrize(("last", "phase"), KILLED)
def test_a_killed_run_of_several_is_taken_up_by_runs_of_each(
    tmp_path: Path, undisturbed: Counter[tuple[Any, ...]], last: int, phase: str
) -> None:
    """What it left of one listener is taken up by whoever has that one, in any order, and nothing is doubled."""
    with household(tmp_path, checkpoint_answers=20) as made:
        die_at_write(made, last, phase)
        names = [name_of(whose) for whose in (*made.listeners, None)]
        for free in names:
            locks, _ = acquire_all(made.lake, OTHER, made.clock, [name for name in names if name != free])
            with suppress(RunInProgress):  # nothing of this one was left
                made.run()
            for lock in locks.values():
                lock.release()
        assert made.run().state == "succeeded"
        agree(contents(made.lake), undisturbed)
        assert not list(made.lake.store.list(JOURNAL))
        records = [load_run(made.lake, run_id) for run_id in run_ids(made.lake)]
        keys = {key for one in records for source in one.sources for key in source.raw_keys}
        assert sorted(keys) == [info.key for info in made.lake.store.list("raw/spotify/")]
        assert sum(one.calls for one in records) >= undisturbed.total()


def agree(found: Counter[tuple[Any, ...]], whole: Counter[tuple[Any, ...]]) -> None:
    """Everything is there, once. Details may be besides: they were asked for before a listener's answer showed them."""
    assert not whole - found
    more = found - whole
    assert {said[0] for said in more} <= {"albums", "artists"} and set(more.values()) <= {1}
    assert not more.keys() & whole.keys()


# --- from one state for all ---------------------------------------------------------------------------------------


def as_earlier(made: World) -> bytes:
    """What the states say as one state for all, which earlier releases had; takes them away."""
    keys = [info.key for info in made.lake.store.list("state/extraction/")]
    together: dict[str, Any] = {}
    for state in (json.loads(made.lake.store.read(key)) for key in sorted(keys, reverse=True)):
        for name, value in state.items():
            if name == "details":
                together[name] = value  # the app's, which comes last
            elif isinstance(value, dict) and name not in ("absorbed", "shown"):
                together.setdefault(name, {}).update(value)
    made.lake.store.delete(keys)
    return json.dumps({**together, "version": 2}).encode()


@pytest.mark.thorough
def test_an_earlier_releases_state_is_separated_and_nothing_is_read_anew(tmp_path: Path) -> None:
    with household(tmp_path / "now") as now:
        now.run()
        now.advance(hours=1)
        now.run()
        calls = now.calls()
    with household(tmp_path / "earlier") as made:
        made.run()
        made.lake.store.write("state/extraction.json", as_earlier(made))
        made.advance(hours=1)
        record = made.run()
        assert made.calls() == calls
        assert record.state == "succeeded" and record.warnings == []
        assert not made.lake.store.stat("state/extraction.json")
        assert {info.key for info in made.lake.store.list("state/extraction/")} == {
            state_key(whose) for whose in (None, *made.listeners)
        }


@pytest.mark.thorough
def test_what_a_dead_run_of_an_earlier_release_left_is_taken_in(tmp_path: Path) -> None:
    with household(tmp_path / "now") as now:
        now.run()
        everything = contents(now.lake)
        calls = now.sandbox.calls.total
    with household(tmp_path / "earlier", checkpoint_answers=400) as made:
        die_at_write(made, 60, "after")
        left = [info.key for info in made.lake.store.list(JOURNAL)]
        (run_id,) = {key.split("/")[-2] for key in left}
        entries = b"".join(made.lake.store.read(key) for key in left)
        made.lake.store.delete(left)
        made.lake.store.write(f"{JOURNAL}{run_id}/000001", entries)
        made.sandbox.calls.clear()
        made.run()
        assert 0 < made.sandbox.calls.total < calls
        assert contents(made.lake) == everything
        assert not list(made.lake.store.list(JOURNAL))


def test_while_a_run_of_an_earlier_release_goes_on_none_begins(tmp_path: Path) -> None:
    with household(tmp_path) as made:
        made.lake.store.write("state/extraction.json", b"{}")
        locks, _ = acquire_all(made.lake, OTHER, made.clock, [""])
        with pytest.raises(RunInProgress, match=OTHER):
            made.run()
        locks[""].release()
        assert made.run(sources=["recently_played"]).state == "succeeded"


@pytest.mark.thorough
@pytest.mark.parametrize("last", [pytest.param(at, marks=[] if at == 4 else pytest.mark.soak) for at in range(1, 9)])
def test_a_separation_that_was_broken_off_is_done_again(tmp_path: Path, last: int) -> None:
    with household(tmp_path) as made:
        made.run()
        made.lake.store.write("state/extraction.json", as_earlier(made))
        die_at_write(made, last, "half")
        made.run()
        assert not made.lake.store.stat("state/extraction.json")
        assert made.sandbox.calls.by_endpoint["GET /albums/{id}"] == 0  # which the state knows all of
