"""The sandbox's world: deterministic, lazy, alive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.catalogue import TRACK_BITS, Catalogue
from sandbox.clock import DAY, HOUR, Clock, instant, to_milliseconds, to_seconds
from sandbox.dice import Dice
from sandbox.ids import Identifiers, well_formed
from sandbox.listener import TIME_RANGES
from sandbox.listening import HEARD_MS
from sandbox.playlists import ODDITIES
from sandbox.scales import SCALES
from sandbox.world import World

NOW = instant("2026-11-20T12:00:00")


def world(now: int = NOW, seed: int = 1, scale: str = "small") -> World:
    return World(seed, scale, Clock(now, frozen=True))


def picture(one: World) -> list[object]:
    """What a world looks like to its first listener."""
    now, listener = one.clock.now_ms(), one.default_listener
    library = listener.library(now)
    return [
        listener.recently_played(now),
        listener.top_tracks("short_term", now),
        library.saved_tracks(),
        library.saved_albums(),
        library.followed(),
        [(playlist.id, playlist.name, playlist.snapshot_id, playlist.entries()) for playlist in library.my_playlists()],
        [one.catalogue.album(number) for number in one.catalogue.released_between(now - 60 * DAY, now)],
    ]


@given(st.integers(0, 2**63), st.sampled_from(["artist", "album", "track", "playlist"]), st.integers(0, 9))
def test_ids_look_like_spotifys_and_can_be_read_back(number: int, kind: str, seed: int) -> None:
    ids = Identifiers(seed)
    text = ids.encode(kind, number)
    assert well_formed(text)
    assert ids.decode(kind, text) == number
    assert ids.decode("show", text) is None
    assert Identifiers(seed + 1).decode(kind, text) is None


@pytest.mark.parametrize("text", ["", "x", "7" * 21, "Z" * 22, "!" * 22, "0" * 22])
def test_what_is_no_id_of_this_world_reads_as_none(text: str) -> None:
    assert Identifiers(1).decode("artist", text) is None


@given(st.text(), st.integers(1, 1000))
def test_dice_of_the_same_key_fall_the_same_way(key: str, bound: int) -> None:
    first, second = Dice(key, 1), Dice(key, 1)
    rolls = [first.below(bound) for _ in range(20)]
    assert rolls == [second.below(bound) for _ in range(20)]
    assert all(0 <= roll < bound for roll in rolls)


def test_equal_seeds_make_equal_worlds_and_others_do_not() -> None:
    assert picture(world()) == picture(world())
    assert picture(world(seed=2)) != picture(world())


def test_the_world_does_not_depend_on_the_steps_in_which_time_passed() -> None:
    stepwise = world(NOW - 9 * DAY)
    for _ in range(9):
        picture(stepwise)
        stepwise.clock.advance(24 * 3600)
    assert picture(stepwise) == picture(world())


def test_the_catalogue_does_not_depend_on_the_order_of_questions() -> None:
    forward, backward = Catalogue(1, SCALES["small"]), Catalogue(1, SCALES["small"])
    artists = range(45)
    albums = [release.number for artist in artists for release in forward.released(artist, NOW)]
    reversed_albums = [release.number for artist in reversed(artists) for release in backward.released(artist, NOW)]
    assert sorted(albums) == sorted(reversed_albums)
    assert [forward.album(number) for number in albums] == [backward.album(number) for number in albums]


def test_a_day_brings_new_plays_saves_and_edits() -> None:
    one = world()
    listener = one.default_listener
    before = picture(one)
    one.clock.advance(24 * 3600)
    after = picture(one)
    newest = listener.recently_played(one.clock.now_ms())[0]
    assert NOW < newest.played_at_ms <= NOW + DAY
    assert before[0] != after[0]
    assert before[2:6] != after[2:6]


def test_each_fortnight_brings_a_release_even_in_a_small_world() -> None:
    catalogue = world().catalogue
    for start in range(NOW, NOW + 365 * DAY, 24 * DAY):
        assert catalogue.released_between(start, start + 24 * DAY)


def test_libraries_stay_near_their_size_for_years() -> None:
    one = world(instant("2029-11-20"))
    scale, library = one.scale, one.default_listener.library(one.clock.now_ms())
    assert len(library.tracks) == pytest.approx(scale.saved_tracks, rel=0.25)
    assert len(library.artists) == pytest.approx(scale.followed_artists, rel=0.4)
    assert len(library.listed) == pytest.approx(scale.playlists, abs=3)
    length = sum(playlist.length for playlist in library.my_playlists())
    assert length == pytest.approx(scale.playlists * scale.playlist_length, rel=0.4)


def test_playlists_are_as_long_as_they_say_and_edits_change_their_snapshot() -> None:
    one = world()
    playlist = one.default_listener.library(NOW).playlists[ODDITIES]
    before = playlist.snapshot_id
    assert len(playlist.entries()) == playlist.length
    playlist.rename("Other")
    assert playlist.snapshot_id != before
    playlist.remove_at(0)
    assert len(playlist.entries()) == playlist.length


def test_the_first_playlist_holds_every_kind_of_entry() -> None:
    kinds = {entry.kind for entry in world().default_listener.library(NOW).playlists[ODDITIES].entries()}
    assert {"track", "local", "gone", "void"} <= kinds


def test_recently_played_never_shows_short_plays_podcasts_or_more_than_fifty() -> None:
    listener = world().default_listener
    for hours in range(0, 72, 5):
        plays = listener.recently_played(NOW + hours * HOUR)
        assert len(plays) == 50
        assert all(play.kind == "track" and play.ms_played >= HEARD_MS for play in plays)
        assert len({play.played_at_ms for play in plays}) == 50


def test_some_plays_show_late_and_some_stand_out_of_order() -> None:
    listener = world(scale="medium").default_listener
    streams = list(listener.listening.streams(NOW - 30 * DAY, NOW))
    late = [s for s in streams if s.visible_ms is not None and s.visible_ms > s.ended_ms + 10 * 60_000]
    assert 10 < len(late) < 0.05 * len(streams)
    orders = [listener.recently_played(NOW + hours * HOUR) for hours in range(0, 100, 10)]
    assert any(plays != sorted(plays, key=lambda play: -play.played_at_ms) for plays in orders)


def test_a_late_play_appears_below_ones_already_seen() -> None:
    listener = world(scale="medium").default_listener
    late = next(
        stream
        for stream in listener.listening.streams(NOW - 30 * DAY, NOW)
        if stream.visible_ms is not None and stream.visible_ms > stream.ended_ms + HOUR
    )
    assert late.visible_ms is not None
    before, after = listener.recently_played(late.visible_ms - 1), listener.recently_played(late.visible_ms)
    assert late not in before
    assert late in after


def test_listening_is_heavy_tailed_and_keeps_hours() -> None:
    listener = world(scale="medium").default_listener
    streams = [s for s in listener.listening.streams(NOW - 60 * DAY, NOW) if s.kind == "track"]
    a_day = sum(stream.ms_played >= HEARD_MS for stream in streams) / 60
    assert 40 <= a_day <= 80
    assert all(first.ended_ms <= second.started_ms for first, second in itertools.pairwise(streams))
    nights = [stream for stream in streams if (stream.started_ms // HOUR + 1) % 24 in (3, 4)]
    assert len(nights) < 0.03 * len(streams)


def test_charts_stay_the_same_all_day_and_differ_by_range() -> None:
    listener = world().default_listener
    for time_range in TIME_RANGES:
        assert listener.top_artists(time_range, NOW) == listener.top_artists(time_range, NOW + 11 * HOUR)
    assert listener.top_tracks("short_term", NOW) != listener.top_tracks("long_term", NOW)


def test_singles_share_recordings_with_the_albums_they_lead_to() -> None:
    catalogue = world(scale="medium").catalogue
    single = next(
        album
        for album in map(catalogue.album, catalogue.released_between(NOW - 9000 * DAY, NOW))
        if album.promotes is not None and catalogue.album(album.promotes).released_at <= NOW
    )
    assert single.promotes is not None
    on_single = catalogue.track(single.number << TRACK_BITS)
    on_album = catalogue.track(single.promotes << TRACK_BITS)
    assert on_single.id != on_album.id
    assert (on_single.isrc, on_single.name, on_single.duration_ms) == (
        on_album.isrc,
        on_album.name,
        on_album.duration_ms,
    )


def test_isrcs_belong_to_one_recording_only() -> None:
    catalogue = world().catalogue
    recordings: dict[str, str] = {}
    for album in catalogue.released_between(-(1 << 60), NOW):
        for track in catalogue.tracks(album):
            assert recordings.setdefault(track.isrc, track.name) == track.name
            assert len(track.isrc) == 12


def test_a_small_world_has_dates_of_every_precision_and_a_box_set() -> None:
    catalogue = world().catalogue
    albums = [catalogue.album(number) for number in catalogue.released_between(-(1 << 60), NOW)]
    assert {album.precision for album in albums} == {"day", "month", "year"}
    assert max(album.total_tracks for album in albums) > 50
    assert any(len(album.artists) > 1 for album in albums)


def test_names_leave_latin_script_now_and_then() -> None:
    catalogue = world().catalogue
    assert any(not catalogue.artist(number).name.isascii() for number in range(45))


@pytest.mark.thorough
@pytest.mark.parametrize("scale", ["medium", "large"])
def test_bigger_worlds_have_their_size(scale: str) -> None:
    one = world(scale=scale)
    listener, catalogue = one.default_listener, one.catalogue
    library = listener.library(NOW)
    assert len(one.listeners) == 5
    if scale == "medium":
        assert len(library.tracks) == pytest.approx(2_000, rel=0.1)
        assert len(library.listed) == pytest.approx(60, abs=3)
        return
    tracks = sum(catalogue.album(number).total_tracks for number in catalogue.released_between(-(1 << 60), NOW))
    assert tracks >= 100_000
    assert len(library.listed) >= 197
    assert one.scale.streams_a_day * 0.6 * (NOW - listener.listening.member_since) / DAY >= 300_000


def test_times_are_written_as_spotify_writes_them() -> None:
    moment = instant("2026-02-25T20:15:20.497")
    assert to_milliseconds(moment) == "2026-02-25T20:15:20.497Z"
    assert to_seconds(moment) == "2026-02-25T20:15:20Z"


def test_the_clock_goes_forward_only_and_stands_still_when_frozen() -> None:
    clock = Clock(NOW, frozen=True)
    assert clock.now_ms() == clock.now_ms() == NOW
    clock.advance(1.5)
    assert clock.now_ms() == NOW + 1500
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
