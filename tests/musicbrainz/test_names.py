"""Names that mean the same have one key; another artist's keeps another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.names import artist_key, folded


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


@given(st.text())
def test_every_name_has_a_key_that_is_its_own_key(name: str) -> None:
    assert bool(folded(name)) == bool(name.split())
    assert folded(folded(name)) == folded(name)
