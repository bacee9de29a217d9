"""Last.fm's and ListenBrainz' histories: every form of file, each listen once beside Spotify's own reports."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pytest

from chalicelib.errors import ImportRefused
from chalicelib.exports.dropped import kept_exports
from chalicelib.exports.importing import ImportSummary, import_export, transform_export
from chalicelib.exports.json_array import BLOCK, NotAnArray, whole_text
from chalicelib.exports.leaving import write_listens
from chalicelib.exports.scrobbles import Form, form_of, read_scrobbles
from chalicelib.exports.snapshots import read_snapshot
from chalicelib.plays import resolutions
from tests.support import SHARED
from tests.support.life import BORN, Life, Listen, Report, account, extended, observations, polls, write_files
from tests.support.listening import USER, lake_in, listens_in, observe_api, settings_for, write_export

SAMPLES = SHARED / "music" / "samples"
STORY = {  # the listen that every sample tells of, as Spotify's extended history has it
    "ts": "2025-03-13T10:03:34Z",
    "ms_played": 213_480,
    "master_metadata_track_name": "Harbour Light (feat. The Lamplighters)",
    "master_metadata_album_artist_name": "Mara Lindqvist",
    "master_metadata_album_album_name": "Harbour Light",
    "spotify_track_uri": "spotify:track:7HarbourLight000000001",
}
NOON = datetime(2025, 3, 13, 10)  # noqa: DTZ001 - UTC without a zone, as everywhere in tables


def bring(folder: Path, source: Path) -> ImportSummary:
    return import_export(lake_in(folder), settings_for(folder), source, USER)


def sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"no {path} to read")
    return path


def shown(folder: Path) -> list[tuple[Any, ...]]:
    rows = listens_in(lake_in(folder)).to_pylist()
    return [(row["started_at"], row["artist_name"], row["item_name"], row["origin"], row["ms_played"]) for row in rows]


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "listens", "rejected"),
    [
        ("lastfm/recenttracks-lighthouse-1741870000.csv", 4, 2),
        ("lastfm/recenttracks-lighthouse-1741870000.json", 2, 2),
        ("lastfm/lighthouse.csv", 3, 1),
        ("lastfm/lastfmstats-lighthouse.csv", 3, 0),
        ("lastfm/scrobbles.tsv", 1, 0),
        ("listenbrainz/lighthouse_lb-2023-05-01.json", 1, 0),
        ("listenbrainz/submit-import.json", 1, 0),
        ("listenbrainz/export", 3, 0),
    ],
)
def test_every_form_of_file_is_read_and_twice_is_once(tmp_path: Path, name: str, listens: int, rejected: int) -> None:
    for _ in range(2):
        summary = bring(tmp_path, sample(name))
        assert sum(file.rejected for file in summary.files) == rejected
        assert len(shown(tmp_path)) == listens


def test_the_story_of_the_samples_is_one_play_whatever_tells_it(tmp_path: Path) -> None:
    spotify = write_export(tmp_path / "endsong_0.json", [STORY])
    sources = [spotify, sample("listenbrainz/export"), *sorted(sample("lastfm").iterdir())]
    random.Random(5).shuffle(sources)
    for source in sources:
        bring(tmp_path, source)
    story = [row for row in shown(tmp_path) if row[2].startswith("Harbour")]
    assert [(origin, ms) for *_, origin, ms in story] == [("extended_history", 213_480)]
    others = Counter(row[2] for row in shown(tmp_path) if row not in story)
    assert others["Salt Road"] == others["Salt Road (Live)"] == 1


def test_a_listen_that_only_a_scrobble_tells_of_has_no_length(tmp_path: Path) -> None:
    bring(tmp_path, recent(tmp_path, [(NOON, "Mara Lindqvist", "Undertow")]))
    assert shown(tmp_path) == [(NOON, "Mara Lindqvist", "Undertow", "lastfm", None)]


def recent(folder: Path, listens: list[tuple[datetime, str, str]], name: str = "recenttracks.csv") -> Path:
    """A file of lastfm.ghan.nl's."""
    lines = ["uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid"]
    for moment, artist, title in listens:
        uts = int(moment.replace(tzinfo=UTC).timestamp())
        cells = [str(uts), f"{moment:%d %b %Y, %H:%M}", artist, "", "", "", title, ""]
        lines.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("title", "seconds", "same"),
    [
        ("Harbour Light", 0, True),
        ("Harbour Light - Remastered 2011", 9, True),
        ("harbour light (feat. the lamplighters)", -9, True),
        ("Harbour Light - Live", 0, False),
        ("Harbour Lights", 0, False),
        ("Harbour Light", 214, True),  # a client that says the end
        ("Harbour Light", 120, True),  # begun while it is heard
        ("Harbour Light", -300, True),  # it was paused for five minutes
        ("Harbour Light", -3600, False),
        ("Harbour Light", 400, False),
    ],
)
def test_a_scrobble_is_spotifys_listen_by_its_name_and_time(
    tmp_path: Path, title: str, seconds: int, same: bool
) -> None:
    bring(tmp_path, write_export(tmp_path / "endsong_0.json", [STORY]))
    bring(tmp_path, recent(tmp_path, [(NOON + timedelta(seconds=seconds), "MARA LINDQVIST", title)]))
    assert len(shown(tmp_path)) == (1 if same else 2)


def test_a_track_on_repeat_keeps_its_plays(tmp_path: Path) -> None:
    rows, scrobbles = [], []
    for turn in range(6):
        began = NOON + timedelta(seconds=214 * turn)
        ended = began + timedelta(seconds=214)
        rows.append({**STORY, "ts": f"{ended:%Y-%m-%dT%H:%M:%SZ}", "ms_played": 214_000})
        scrobbles.append((began + timedelta(seconds=2), "Mara Lindqvist", "Harbour Light"))
    before = (NOON - timedelta(hours=2), "Mara Lindqvist", "Harbour Light")
    bring(tmp_path, write_export(tmp_path / "endsong_0.json", rows))
    bring(tmp_path, recent(tmp_path, [before, *scrobbles]))
    assert Counter(row[3] for row in shown(tmp_path)) == {"extended_history": 6, "lastfm": 1}


def test_a_title_of_two_letters_needs_its_album(tmp_path: Path) -> None:
    bring(tmp_path, write_export(tmp_path / "endsong_0.json", [{**STORY, "master_metadata_track_name": "Go"}]))
    bring(tmp_path, recent(tmp_path, [(NOON, "Mara Lindqvist", "Go")]))
    assert len(shown(tmp_path)) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            'uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"1.7E+09","","A","","","","T",""\n',
            "1.7E",
        ),
        ('uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"12","","A","","","","T",""\n', "clock"),
    ],
)
def test_a_file_without_a_sound_time_is_refused_by_name(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "spoilt.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ImportRefused, match=why):
        bring(tmp_path, path)


def test_what_is_kept_gives_the_same_listens_again(tmp_path: Path) -> None:
    bring(tmp_path, recent(tmp_path, [(NOON, "A", f"T {n}") for n in range(5)]))
    before = listens_in(lake_in(tmp_path)).to_pylist()
    lake = lake_in(tmp_path)
    shutil.rmtree(tmp_path / "lake" / "transformed")
    for key in list(kept_exports(lake)):
        transform_export(lake, key)
    resolutions.resolve(lake)
    assert listens_in(lake).to_pylist() == before


# --- one life, told by all ----------------------------------------------------------------------------------------


def scrobbled(listen: Listen) -> bool:
    """Whether Last.fm and ListenBrainz count it: a track of over 30 s, half of it or four minutes heard."""
    return listen.track.kind == "track" and listen.ms >= min(listen.track.length / 2, 240_000) and listen.ms >= 30_000


def lastfm(life: Life, rng: random.Random, tells: Callable[[int], bool]) -> Report:
    """Scrobbles some seconds off, some of them told twice, as at the borders of pages."""
    places = [at for at, one in enumerate(life.listens) if scrobbled(one) and tells(at)]
    rows = []
    for at in places:
        listen = life.listens[at]
        artist, title = listen.track.names(listen.ended)
        moment = listen.began + timedelta(seconds=rng.randrange(-2, 3))
        rows += [(moment, artist, title)] * (2 if rng.random() < 0.05 else 1)
    return Report("lastfm", frozenset(places), tuple(rows))


def listenbrainz(life: Life, rng: random.Random, tells: Callable[[int], bool]) -> Report:
    """Listens sent by clients (starts), read by ListenBrainz' own reader or from a Spotify export (ends)."""
    places = [at for at, one in enumerate(life.listens) if scrobbled(one) and tells(at)]
    return Report("listenbrainz", frozenset(places), tuple(brainz_row(life.listens[at], rng) for at in places))


def brainz_row(listen: Listen, rng: random.Random) -> dict[str, Any]:
    artist, title = listen.track.names(listen.ended)
    link = f"https://open.spotify.com/track/{listen.track.item_id}"
    began, ended = (int(moment.replace(tzinfo=UTC).timestamp()) for moment in (listen.began, listen.ended))
    way = rng.randrange(3)
    info: list[dict[str, Any]] = [
        {"media_player": "Foobar", "duration": listen.track.length // 1000},
        {"submission_client": "listenbrainz", "spotify_id": link, "duration_ms": listen.track.length},
        {"music_service": "spotify.com", "origin_url": link, "ms_played": listen.ms},
    ]
    return {
        "listened_at": began if way == 0 else ended,
        "inserted_at": ended + 60.25,
        "track_metadata": {"artist_name": f"{artist}, A Guest", "track_name": title, "additional_info": info[way]},
    }


def files_of(folder: Path, report: Report, rng: random.Random) -> Path:
    """A report as the file or folder that a person would have."""
    if report.kind == "lastfm":
        return recent(folder, rng.sample(report.rows, len(report.rows)))
    if report.kind == "listenbrainz":
        path = folder / "listenbrainz_lighthouse.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        by_month: dict[str, list[str]] = {}
        for row in report.rows:
            moment = datetime.fromtimestamp(row["listened_at"], UTC)
            by_month.setdefault(f"listens/{moment.year}/{moment.month}.jsonl", []).append(json.dumps(row))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("user.json", '{"user_id": 1, "username": "lighthouse"}')
            for name, lines in by_month.items():
                archive.writestr(name, "\n".join(lines) + "\n")
        return path
    write_files(folder, report, rng)
    return folder


def told_by_all(seed: int) -> tuple[Life, list[Report]]:
    """A life in which nothing is renamed (a scrobble has the name of its day and no id), and its reports.

    What was heard offline account data tells of only where the extended history does: by itself it has the minute of
    the landing, which nobody can put to the hour at which a scrobble says that it was heard.
    """
    rng = random.Random(seed)
    life = Life.of(seed, 40)
    life.listens = [replace(one, track=replace(one.track, renamed=None)) for one in life.listens]

    def hole() -> Any:
        gone = range(first := rng.randrange(40), first + rng.randrange(0, 6))
        return lambda at: (life.listens[at].reported - BORN).days not in gone

    late = BORN + timedelta(days=43)
    told, more = extended(life, late, hole(), "2024"), hole()
    reports = [
        told,
        account(life, late, lambda at: more(at) and (at in told.told or not life.listens[at].landed), "2024"),
        polls(life, rng, hole()),
        lastfm(life, rng, hole()),
        listenbrainz(life, rng, hole()),
    ]
    return life, [report for report in reports if report.rows]


def brought(folder: Path, reports: Sequence[Report], seed: int) -> pa.Table:
    """What a lake makes of reports that come in a random order."""
    rng = random.Random(seed)
    return brought_in_order(folder, rng.sample(reports, len(reports)), rng)


def brought_in_order(folder: Path, reports: Sequence[Report], rng: random.Random) -> pa.Table:
    lake = lake_in(folder)
    for number, report in enumerate(reports):
        if report.kind == "api":
            observe_api(lake, observations(report), "polls")
        else:
            import_export(lake, settings_for(folder), files_of(folder / f"{number}", report, rng), USER)
    return listens_in(lake)


def check(folder: Path, seed: int) -> None:
    """Each listen once: as many of each track as any report tells of, whatever the order."""
    life, reports = told_by_all(seed)
    first, second = (brought(folder / way, reports, seed + place) for place, way in enumerate(("one", "other")))
    assert first.to_pylist() == second.to_pylist()
    assert counted(first) == truth(life, reports)


def counted(listens: pa.Table) -> Counter[int]:
    """How many listens there are of each track."""
    return Counter(int(name.removeprefix("Song ")) for name in listens["item_name"].to_pylist())


def truth(life: Life, reports: Sequence[Report]) -> Counter[int]:
    """How often each track was heard, as far as any report tells."""
    told = frozenset().union(*(report.told for report in reports))
    return Counter(life.listens[at].track.number for at in told)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(3))
def test_a_life_told_by_all_at_once_is_each_listen_once(tmp_path: Path, seed: int) -> None:
    check(tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 150))
def test_many_lives_told_by_all_at_once_are_each_listen_once(tmp_path: Path, seed: int) -> None:
    check(tmp_path, seed)


@pytest.mark.soak
def test_one_life_told_by_all_in_fifty_orders_is_each_listen_once(tmp_path: Path) -> None:
    life, reports = told_by_all(7)
    assert len(reports) == 5
    listens = None
    for number, order in enumerate(random.Random(50).sample(list(permutations(reports)), 50)):
        found = brought_in_order(tmp_path / f"{number}", order, random.Random(number))
        assert counted(found) == truth(life, reports)
        assert found.to_pylist() == (listens := listens or found.to_pylist())
        shutil.rmtree(tmp_path / f"{number}")


# --- out and in again ---------------------------------------------------------------------------------------------


def known_to_a_scrobble(row: dict[str, Any]) -> tuple[Any, ...]:
    """What the CSV of Last.fm's scrobblers can say of a play: names, and the second at which it began."""
    began = row["started_at"] or row["offline_at"] or row["ended_at"]
    return (began.replace(microsecond=0), row["artist_name"], row["item_name"], row["album_name"] or None)


def check_out_and_in(folder: Path, seed: int) -> None:
    """A life of all origins leaves its lake in both forms; a lake that knows nothing reads the same plays."""
    _, reports = told_by_all(seed)
    plays = brought(folder / "one", reports, seed).to_pylist()
    written = {"listenbrainz": folder / "out.zip", "lastfm": folder / "out.csv"}
    for form, path in written.items():
        said = write_listens(lake_in(folder / "one"), path, form, USER)
        assert (said.listens, said.left_out.total()) == (len(plays), 0)
        for _ in range(2):
            import_export(lake_in(folder / form), settings_for(folder / form), path, USER)
    assert listens_in(lake_in(folder / "listenbrainz")).to_pylist() == plays
    scrobbles = listens_in(lake_in(folder / "lastfm")).to_pylist()
    assert Counter(map(known_to_a_scrobble, scrobbles)) == Counter(map(known_to_a_scrobble, plays))
    assert {row["origin"] for row in scrobbles} == {"lastfm"}
    assert {row["ms_played"] for row in scrobbles} == {None}
    for path in written.values():  # what a lake has written is nothing new to it
        import_export(lake_in(folder / "one"), settings_for(folder / "one"), path, USER)
        assert listens_in(lake_in(folder / "one")).to_pylist() == plays


@pytest.mark.thorough
def test_a_life_that_leaves_a_lake_comes_back_as_the_same_plays(tmp_path: Path) -> None:
    check_out_and_in(tmp_path, 7)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(200, 220))
def test_many_lives_that_leave_a_lake_come_back_as_the_same_plays(tmp_path: Path, seed: int) -> None:
    check_out_and_in(tmp_path, seed)


def test_a_scrobble_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    whole = json.dumps({"listened_at": 1_741_860_000, "track_metadata": {"artist_name": "A", "track_name": "T"}})
    path.write_bytes(io.BytesIO(f"{whole}\n{whole[:40]}".encode()).getvalue())
    with pytest.raises(ImportRefused, match=r"cut\.jsonl"):
        bring(tmp_path, path)


class Endless(io.RawIOBase):
    """A file that begins so and never ends; counts the bytes that were read of it."""

    def __init__(self, beginning: bytes, filling: bytes = b"x") -> None:
        self.beginning, self.filling, self.served = beginning, filling, 0

    def read(self, size: int = -1) -> bytes:
        assert 0 <= size <= 2 * BLOCK, "all of it is asked for at once"
        data = (self.beginning if not self.served else b"").ljust(size, self.filling)
        self.served += len(data)
        return data


@pytest.mark.parametrize(
    "beginning",
    [
        b'{"listened_at":1500000000,"track_metadata":{"artist_name":"',
        b'uts,utc_time,artist,track\n1500000000,"',
        b"iso time\tunixtime\ttrack name\n2015\t",
        b"artist;album;track;date#me\n",
        b'A,B,C,"06 Sep 2026, 14:23"\n',
    ],
    ids=["lines of JSON", "commas", "tabs", "semicolons", "no header"],
)
@pytest.mark.parametrize("filling", [b"x", b'"', b","], ids=["text", "quotes", "commas"])
def test_a_row_without_an_end_is_refused_before_it_fills_the_memory(beginning: bytes, filling: bytes) -> None:
    stream = Endless(beginning, filling)
    form = form_of(beginning)
    assert form is not None
    with pytest.raises(NotAnArray):
        list(read_scrobbles(form, cast(BinaryIO, stream)))
    assert stream.served <= 4 * BLOCK


def test_rows_over_many_lines_are_read_as_long_as_each_is_short(tmp_path: Path) -> None:
    text = "uts,utc_time,artist,track\n" + "".join(
        f'{1_500_000_000 + 60 * n},"","Line\none {"y" * 5_000}","T"\n' for n in range(500)
    )
    (piece,) = read_scrobbles(cast(Form, form_of(text.encode())), io.BytesIO(text.encode()))
    assert piece.rows.num_rows == 500


def test_one_object_of_too_many_values_is_refused() -> None:
    """A short value takes twenty times its bytes in memory."""
    text = b'{"scrobbles":[{"track":"a","artist":"b","date":1}],"x":[' + b"[]," * 2_600_000 + b"1]}"
    with pytest.raises(NotAnArray, match="values"):
        list(read_scrobbles(cast(Form, form_of(text[:1000])), io.BytesIO(text)))
    assert read_snapshot(io.BytesIO(b'{"tracks":[' + b"[]," * 2_600_000 + b"1]}"), is_named_so=True) is None


def test_one_object_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    stream = Endless(b'{"scrobbles":[{"track":"a","artist":"b","date":1}],"x":"')
    with pytest.raises(NotAnArray, match="one object"):
        whole_text(cast(BinaryIO, stream), 8 * BLOCK)
    assert stream.served <= 10 * BLOCK
