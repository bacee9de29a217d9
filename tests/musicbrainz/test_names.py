"""Names that mean the same have one key; what makes another artist or recording keeps another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.names import artist_key, first_artist_key, folded, title_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Beyoncé", "BEYONCE"),
        ("Sigur Rós", "Sigur Ros"),
        ("The Lamplighters", "Lamplighters"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        ("Guns N\u2019 Roses", "Guns N' Roses"),
        ("AC/DC", "AC-DC"),
        ("ＦＵＬＬ　ＷＩＤＴＨ", "full width"),
        ("Mø", "Mo"),
    ],
)
def test_an_artist_is_the_same_however_it_is_written(one: str, other: str) -> None:
    assert artist_key(one) == artist_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("!!!", "???"), ("Жар", "Шар"), ("कमल", "काम"), ("The The", "Thee"), ("Mono", "Stereo")],
)
def test_different_artists_stay_different(one: str, other: str) -> None:
    assert artist_key(one) != artist_key(other)


@pytest.mark.parametrize(
    "edition",
    [
        "Harbour Light - Remastered 2011",
        "Harbour Light - 2011 Remaster",
        "Harbour Light (Remastered)",
        "Harbour Light (Deluxe Edition)",
        "Harbour Light [Explicit]",
        "Harbour Light - Radio Edit",
        "Harbour Light (feat. The Lamplighters)",
        "Harbour Light feat. The Lamplighters",
        "Harbour Light (with Owen)",
        "Harbour Light - Mono",
        "Harbour Light - Bonus Track",
        "harbour  light",
        "Harbour Light (feat. X) - Single Version",
    ],
)
def test_editions_and_guests_do_not_make_another_title(edition: str) -> None:
    assert title_key(edition) == title_key("Harbour Light")


@pytest.mark.parametrize(
    "other",
    [
        "Harbour Light - Live",
        "Harbour Light (Acoustic)",
        "Harbour Light - Someone Remix",
        "Harbour Light (Taylor's Version)",
        "Harbour Light, Pt. 2",
        "Harbour Light (Instrumental)",
        "Harbour Light (Demo)",
        "Harbour Lights",
        "Alone With You",
    ],
)
def test_another_recording_keeps_another_title(other: str) -> None:
    assert title_key(other) != title_key("Harbour Light")


@pytest.mark.parametrize("title", ["With Or Without You", "Remastered", "(feat. Nobody)", "1999", "Stereo"])
def test_a_title_of_such_words_alone_is_one(title: str) -> None:
    assert title_key(title) not in ("", title_key("Harbour Light"))


@pytest.mark.parametrize(
    ("credit", "first"),
    [
        ("Mara Lindqvist, The Lamplighters", "Mara Lindqvist"),
        ("Mara Lindqvist & Owen", "Mara Lindqvist"),
        ("Mara Lindqvist feat. Owen", "Mara Lindqvist"),
        ("Mara Lindqvist; Owen", "Mara Lindqvist"),
        ("Mara Lindqvist", "Mara Lindqvist"),
    ],
)
def test_the_first_of_several_artists_is_found(credit: str, first: str) -> None:
    assert first_artist_key(credit) == artist_key(first)


@given(st.text())
def test_every_name_has_a_key_that_is_its_own_key(name: str) -> None:
    assert bool(folded(name)) == bool(name.split())
    assert folded(folded(name)) == folded(name)
