"""What answers of MusicBrainz and ListenBrainz mean: judged by sample bodies of the real ones' shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.musicbrainz.answers import NO_ARTISTS, Meaning, meaning
from chalicelib.musicbrainz.questions import (
    BY_ISRC,
    BY_LINK,
    BY_NAME,
    GENRES,
    MERGED,
    AskedArtist,
    by_link,
    by_name,
    usable_isrc,
)
from tests.support import SHARED

SAMPLES = SHARED / "music" / "samples"
MARA, LAMPS = "a1111111-0000-4000-8000-000000000001", "a1111111-0000-4000-8000-000000000002"
OTHERS = "a1111111-0000-4000-8000-000000000003"


def sample(name: str) -> Any:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"no {path} to read")
    return json.loads(path.read_text("utf-8"))


def said(endpoint: str, document: Any, *artists: AskedArtist, status: int = 200) -> Meaning:
    return meaning(endpoint, status, {"asked": [[one.artist_id, one.name, one.isrc] for one in artists]}, document)


def page(artist_id: str, *relations: dict[str, Any]) -> dict[str, Any]:
    return {"id": "d", "resource": f"https://open.spotify.com/artist/{artist_id}", "relations": list(relations)}


def link(mbid: str, name: str, *, ended: bool = False) -> dict[str, Any]:
    artist = {"id": mbid, "name": name}
    return {"type": "free streaming", "target-type": "artist", "ended": ended, "artist": artist}


def recording(code: str | None, *artists: tuple[str, str]) -> dict[str, Any]:
    credit = [{"name": name, "joinphrase": "", "artist": {"id": mbid, "name": name}} for mbid, name in artists]
    return {"id": f"r{code}", "title": "T", "artist-credit": credit, **({"isrcs": [code]} if code else {})}


def found(meaning: Meaning) -> list[tuple[str, str, str]]:
    return [(match.artist_id, match.mbid, match.found_by) for match in meaning.matches]


def test_pages_are_put_to_the_artists_they_are_linked_to() -> None:
    asked = [AskedArtist(each) for each in ("1MaraLindqvist00000001", "2Lamplighters000000002", "3Nobody")]
    answer = said(BY_LINK, sample("musicbrainz/url-list.json"), *asked)
    assert found(answer) == [("1MaraLindqvist00000001", MARA, "link"), ("2Lamplighters000000002", LAMPS, "link")]


def test_a_page_asked_for_alone_is_answered_by_itself() -> None:
    assert found(said(BY_LINK, page("s", link(MARA, "Mara")), AskedArtist("s"))) == [("s", MARA, "link")]


def test_a_page_that_is_not_linked_is_no_failure() -> None:
    assert found(said(BY_LINK, {"error": "Not Found"}, AskedArtist("s"), status=404)) == []
    assert found(said(BY_LINK, {"url-count": 0, "url-offset": 0, "urls": []}, AskedArtist("s"), AskedArtist("t"))) == []


def test_of_several_artists_on_one_page_the_name_decides_or_nobody() -> None:
    document = page("s", link(MARA, "Mara"), link(LAMPS, "Lamps"))
    assert found(said(BY_LINK, document, AskedArtist("s", "LAMPS"))) == [("s", LAMPS, "link and name")]
    assert found(said(BY_LINK, document, AskedArtist("s", "Somebody"))) == []
    assert found(said(BY_LINK, document, AskedArtist("s"))) == []


def test_a_placeholder_is_no_artist() -> None:
    assert found(said(BY_LINK, page("s", link(min(NO_ARTISTS), "Various Artists")), AskedArtist("s"))) == []
    hit = {"count": 1, "artists": [{"id": OTHERS, "name": "Various Artists"}]}
    assert found(said(BY_NAME, hit, AskedArtist("s", "Various Artists"))) == []


def test_recordings_of_a_code_tell_the_artist_of_that_name_or_the_one_they_agree_on() -> None:
    document = sample("musicbrainz/isrc-two-recordings.json")
    hits = {"recordings": [{**each, "isrcs": [document["isrc"]]} for each in document["recordings"]]}
    asked = AskedArtist("s", "Somebody Else", "SEABC2400017")
    assert found(said(BY_ISRC, hits, asked)) == [("s", MARA, "isrc")]
    named = AskedArtist("s", "The Lamplighters", "SEABC2400017")
    answer = said(BY_ISRC, hits, named)
    assert found(answer) == [("s", LAMPS, "isrc and name")]
    assert [(each.isrc, each.title, each.length) for each in answer.recordings] == [
        ("SEABC2400017", "Harbour Light", 214_000),
        ("SEABC2400017", "Harbour Light", None),
    ]


def test_hits_that_do_not_say_their_codes_are_put_to_artists_by_name_alone() -> None:
    document = {"recordings": [recording(None, (MARA, "Mara")), recording(None, (LAMPS, "Lamps"))]}
    asked = (AskedArtist("s", "Lamps", "AA0000000001"), AskedArtist("t", "Nobody", "AA0000000002"))
    answer = said(BY_ISRC, document, *asked)
    assert found(answer) == [("s", LAMPS, "isrc and name")]
    assert answer.recordings == []


def test_recordings_that_disagree_tell_nobody() -> None:
    document = {"recordings": [recording("AA0000000001", (MARA, "Mara")), recording("AA0000000001", (LAMPS, "Lamps"))]}
    assert found(said(BY_ISRC, document, AskedArtist("s", "Nobody", "AA0000000001"))) == []


def test_two_artists_of_one_name_are_left_alone() -> None:
    hits = sample("musicbrainz/artist-search-name.json")
    assert found(said(BY_NAME, hits, AskedArtist("s", "Lamplighters"))) == []
    assert found(said(BY_NAME, hits, AskedArtist("s", "Lamp"))) == [("s", OTHERS.replace("03", "07"), "name")]
    assert found(said(BY_NAME, hits, AskedArtist("s", "Light"))) == []


def test_a_name_of_which_not_all_hits_are_shown_is_not_believed_to_be_the_only_one() -> None:
    hits = {"count": 250, "artists": [{"id": MARA, "name": "Mara"}]}
    assert found(said(BY_NAME, hits, AskedArtist("s", "Mara"))) == []


def test_tags_that_are_genres_count_and_others_do_not() -> None:
    about = {"artists": {MARA: ["s", "t"], LAMPS: ["u"], OTHERS: ["v"], "b" * 36: ["w"]}}
    answer = meaning(GENRES, 200, about, sample("listenbrainz/metadata-artist.json"))
    votes = sorted((vote.artist_id, vote.genre, vote.votes) for vote in answer.votes)
    assert votes == [("s", "dream pop", 4), ("t", "dream pop", 4), ("u", "folk", 1)]
    assert sorted(answer.described) == [MARA, LAMPS, OTHERS]  # the last has none; the fourth is not known


def test_a_merged_artist_is_the_one_it_was_merged_into() -> None:
    document = {**sample("musicbrainz/artist-lookup.json")}
    answer = meaning(f"{MERGED}{OTHERS}", 200, {"artists": {OTHERS: ["s"]}}, document)
    assert [(vote.artist_id, vote.mbid, vote.genre) for vote in answer.votes] == [("s", MARA, "dream pop")]
    assert answer.moved == {OTHERS: MARA}
    assert found(answer) == [("s", MARA, "link")]


@pytest.mark.parametrize("document", [{}, [], {"urls": [{}]}, "text", None, {"recordings": None, "artists": None}])
@pytest.mark.parametrize("endpoint", [BY_LINK, BY_ISRC, BY_NAME])
def test_an_answer_of_another_shape_is_never_read_as_nothing_found(endpoint: str, document: Any) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        said(endpoint, document, AskedArtist("s", "Mara", "AA0000000001"))


def test_codes_are_written_as_musicbrainz_takes_them() -> None:
    assert usable_isrc("se-abc-24-00017") == "SEABC2400017"
    assert usable_isrc("SEABC240001") is None
    assert usable_isrc(None) is None


def test_a_name_is_quoted_so_that_no_letter_of_it_is_an_operator() -> None:
    assert by_name(AskedArtist("s", 'A "B" (C) AND/OR')).params["query"] == r'artist:"A \"B\" \(C\) AND\/OR"'


def test_an_artists_page_is_asked_for_as_musicbrainz_stores_it() -> None:
    assert by_link([AskedArtist("4uLU6hMCjMI75M1A2tKUQC")]).params["resource"] == [
        "https://open.spotify.com/artist/4uLU6hMCjMI75M1A2tKUQC"
    ]
