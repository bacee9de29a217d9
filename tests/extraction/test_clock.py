"""Runs of a machine whose clock is off: what is read, and when, goes by the time that Spotify's answers bear."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.clock import THIS_CLOCK, parse_rfc3339, rfc3339
from chalicelib.extraction.state import StateFile, state_key
from chalicelib.quarantine import reasons
from chalicelib.runs import RunRecord, newest_run
from chalicelib.spotify.auth import authorizations
from chalicelib.spotify.clock import SpotifyClock, http_date, spoken
from chalicelib.transformation.transform import transform_pending
from tests.support.extraction import START, Clock, World, world

AHEAD = [timedelta(hours=9), timedelta(days=365)]
NEAR = timedelta(minutes=5)


@contextmanager
def living(folder: Path) -> Iterator[World]:
    """A Spotify whose clock goes, so that its answers say what time it is."""
    with world(folder, frozen=False) as made:
        yield made


def off(by: timedelta) -> Clock:
    clock = Clock()
    clock.advance(seconds=by.total_seconds())
    return clock


def calls_to(record: RunRecord, source: str) -> int:
    return sum(one.calls for one in record.sources if one.source == source)


@pytest.mark.thorough
@pytest.mark.parametrize("by", [*AHEAD, -timedelta(hours=9), -timedelta(days=365)], ids=str)
def test_after_a_clock_that_was_off_everything_is_read_again_when_it_is_due(tmp_path: Path, by: timedelta) -> None:
    with living(tmp_path) as made:
        wrong = made.run(clock=off(by))
        assert wrong.state == "succeeded"
        (warning,) = [text for text in wrong.warnings if text.startswith(THIS_CLOCK)]
        assert spoken(abs(by)) in warning
        assert ("ahead of" in warning) == (by > timedelta(0))
        made.advance(hours=4)
        right = made.run()
        assert [text for text in right.warnings if text.startswith(THIS_CLOCK)] == []
        for source in ("recently_played", "saved_tracks", "my_playlists"):
            assert calls_to(right, source) > 0, source
        assert calls_to(right, "top_tracks_long_term") == 0, "a day has not gone by"
        newest = newest_run(made.lake, made.clock)
        assert newest is not None
        assert newest.run_id == right.run_id


@pytest.mark.thorough
@pytest.mark.parametrize("by", AHEAD, ids=str)
def test_what_is_kept_bears_spotifys_time(tmp_path: Path, by: timedelta) -> None:
    with living(tmp_path) as made:
        record = made.run(clock=off(by))
        for answer in made.answers():
            assert abs(answer.received_at - made.clock()) < NEAR
            assert answer.requested_at <= answer.received_at
        assert abs(parse_rfc3339(record.started_at) - made.clock()) < NEAR
        for whose in (None, *made.listeners):
            state = StateFile.load(made.lake, whose).state
            for text in (*state.done.values(), *(known.at for known in state.known.values() if known.at)):
                assert abs(parse_rfc3339(text) - made.clock()) < NEAR
            assert all(at <= made.clock().timestamp() for known in state.details.values() for at in known.values())
        transform_pending(made.lake)
        assert not list(reasons(made.lake))


@pytest.mark.parametrize("by", [*AHEAD, -timedelta(hours=9), -timedelta(days=365)], ids=str)
def test_an_authorisation_that_was_given_while_the_clock_was_off_bears_spotifys_time(
    tmp_path: Path, by: timedelta
) -> None:
    with living(tmp_path) as made:
        right, made.clock = made.clock, off(by)
        made.log_in()
        (given,) = authorizations(made.secrets)
        assert abs(given.authorized_at - right()) < NEAR


@pytest.mark.thorough
@pytest.mark.parametrize("by", AHEAD, ids=str)
def test_a_wait_that_was_noted_with_a_wrong_clock_ends_when_spotify_said(tmp_path: Path, by: timedelta) -> None:
    with living(tmp_path) as made:
        made.sandbox.faults.add("quota", endpoint="albums", retry_after=3_600)
        made.run(clock=off(by))
        assert made.run(sources=["albums"]).state == "partial"
        made.advance(seconds=3_660)
        assert made.run(sources=["albums"]).state == "succeeded"


@pytest.mark.thorough
@pytest.mark.parametrize("by", AHEAD, ids=str)
def test_state_from_the_future_stops_nothing(tmp_path: Path, by: timedelta) -> None:
    """As an older release left it, or a Spotify that says no time."""
    with world(tmp_path) as made:
        made.run(clock=off(by))
        (key,) = (state_key(user) for user in made.listeners)
        state = json.loads(made.lake.store.read(key))
        moment = rfc3339(made.clock() + by)
        state["removed"] = {"me/tracks": moment}
        state["waits"] = {"library": {"until": rfc3339(made.clock() + by + timedelta(hours=1)), "since": moment}}
        made.lake.store.write(key, json.dumps(state).encode())
        record = made.run()
        for source in ("recently_played", "saved_tracks", "saved_albums", "followed_artists", "top_tracks_long_term"):
            assert calls_to(record, source) > 0, source
        newest = newest_run(made.lake, made.clock)
        assert newest is not None
        assert newest.run_id == record.run_id


@pytest.mark.thorough
def test_a_clock_that_is_put_right_in_the_middle_of_a_run_harms_nothing(tmp_path: Path) -> None:
    with living(tmp_path / "alone") as alone:
        calls = alone.run().calls
    with living(tmp_path / "jumping") as made:
        jumping = off(timedelta(hours=12))
        steps = iter([None] * 11 + [lambda: jumping.advance(hours=-12)])

        def progress(_: object) -> None:
            step: Callable[[], None] | None = next(steps, None)
            if step is not None:
                step()

        record = made.run(clock=jumping, progress=progress)
        assert record.state == "succeeded"
        assert record.calls == calls
        assert all(abs(answer.received_at - made.clock()) < NEAR for answer in made.answers())
        transform_pending(made.lake)
        assert not list(reasons(made.lake))


@pytest.mark.thorough
def test_a_source_asked_for_by_name_is_asked_whatever_the_state_says(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run(clock=off(timedelta(days=365)))
        assert made.run(sources=["recently_played"]).calls == 1


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Fri, 20 Nov 2026 12:00:00 GMT", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 13:00:00 +0100", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("", None),
        ("soon", None),
        ("7", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Fri, 20 Nov 9026 12:00:00 GMT", None),
    ],
)
def test_http_dates_are_read(text: str, moment: datetime | None) -> None:
    assert http_date(text) == moment


def test_a_clock_that_differs_by_less_than_anybody_minds_is_believed() -> None:
    clock = SpotifyClock(lambda: parse_rfc3339(START))
    clock.hear({"date": "Fri, 20 Nov 2026 12:01:30 GMT"})
    assert (clock(), clock.complaint()) == (parse_rfc3339(START), None)
    clock.hear({"date": "Fri, 20 Nov 2026 21:00:00 GMT"})
    assert clock() == parse_rfc3339("2026-11-20T21:00:00Z")
    clock.hear({})
    assert "9 h behind Spotify's" in str(clock.complaint())
