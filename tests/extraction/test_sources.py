"""What ``sources.toml`` may say."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib.errors import InvalidSetting
from chalicelib.extraction.kinds import KINDS, READERS
from chalicelib.extraction.sources import DEFAULT_FILE, chosen, load_sources, read_sources
from chalicelib.settings import Settings

PLAYLIST = "3cEYpjA9oz9GiPac4AsH4n"


def declared(**source: object) -> dict[str, object]:
    return {"sources": {"mine": source}}


def test_the_sources_that_come_with_the_app_are_in_order_and_known() -> None:
    sources = load_sources(Settings())
    assert sources[0].name == "recently_played"
    assert [one.order for one in sources] == sorted(one.order for one in sources)
    assert {one.reads for one in sources} == set(KINDS)


def test_every_kind_has_a_reader() -> None:
    assert set(READERS) == set(KINDS)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, "reads = None"),
        ({"reads": "lyrics"}, "'lyrics' must be one of albums"),
        ({"reads": "playlists"}, "ids missing"),
        ({"reads": "playlists", "ids": ["not-an-id"]}, "'not-an-id', which is not a Spotify id"),
        ({"reads": "playlists", "ids": "one"}, "must be a list of Spotify ids"),
        ({"reads": "playlists", "ids": [PLAYLIST + "x"]}, f"{PLAYLIST}x"),
        ({"reads": "discographies", "ids": [12]}, "12"),
        ({"reads": "saved_tracks", "every": "hourly"}, "every = 'hourly'"),
        ({"reads": "saved_tracks", "every": 5}, "every = 5"),
        ({"reads": "saved_tracks", "every": "0s"}, "at least 1s"),
        ({"reads": "saved_tracks", "order": -1}, "order = -1"),
        ({"reads": "saved_tracks", "order": True}, "order = True"),
        ({"reads": "saved_tracks", "modes": ["new"]}, "modes"),
        ({"reads": "saved_tracks", "when": "1h"}, "when: not known for saved_tracks"),
        ({"reads": "artists", "every": "1d"}, "every: not known for artists"),
        ({"reads": "top_tracks"}, "time_range missing"),
        ({"reads": "top_tracks", "time_range": "ever"}, "short_term, medium_term, long_term"),
        ({"reads": "search", "query": " "}, "query"),
        ({"reads": "search", "query": "x", "types": []}, "types"),
        ({"reads": "search", "query": "x", "first": 5000}, "first = 5000"),
    ],
)
def test_a_fault_names_the_source_and_what_is_wrong(source: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSetting) as error:
        read_sources(declared(**source))
    assert "source mine" in error.value.message
    assert words in error.value.message


def test_all_faults_are_named_at_once() -> None:
    document = {"sources": {"one": {"reads": "a"}, "two": {"reads": "b"}}, "other": {}}
    with pytest.raises(InvalidSetting) as error:
        read_sources(document)
    assert len(error.value.details["faults"]) == 3


@pytest.mark.parametrize(
    "text",
    [
        PLAYLIST,
        f"spotify:playlist:{PLAYLIST}",
        f"https://open.spotify.com/playlist/{PLAYLIST}?si=abc",
        f"https://open.spotify.com/intl-de/playlist/{PLAYLIST}",
    ],
)
def test_an_id_may_be_given_as_uri_or_link(text: str) -> None:
    (source,) = read_sources(declared(reads="playlists", ids=[text], every="12h"))
    assert source.params["ids"] == [PLAYLIST]
    assert source.every == timedelta(hours=12)


def test_a_name_chooses_a_source_or_a_family_of_them() -> None:
    sources = load_sources(Settings())
    assert [one.name for one in chosen(sources, ["saved_tracks"])] == ["saved_tracks"]
    assert len(chosen(sources, ["top_artists", "top_tracks"])) == 6
    assert chosen(sources, None) == sources


def test_a_file_of_ones_own_is_read_instead(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[sources.plays]\nreads = "recently_played"\nevery = "30m"\norder = 0\n')
    (source,) = load_sources(Settings(sources_file=str(path)))
    assert source.name == "plays"


@pytest.mark.parametrize(("text", "words"), [(None, "cannot be read"), ("[sources", "is not TOML")])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidSetting, match=words):
        load_sources(Settings(sources_file=str(path)))


def test_the_file_explains_every_word_it_uses() -> None:
    text = DEFAULT_FILE.read_text()
    words = {word for source in tomllib.loads(text)["sources"].values() for word in source}
    head = text.partition("[sources")[0]
    assert {"reads", "every", "order", "modes"} <= {word for word in words if word in head}
