"""One person under several names: what notes say, what merging does to plays, and that a rebuild keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chalicelib import listeners, pipeline
from chalicelib.errors import Conflict, InvalidRequest, NotFound
from chalicelib.exports.importing import import_dropped, import_export
from chalicelib.lake import RAW_LISTENERS, Lake
from chalicelib.listeners import LISTENERS_KEY, everybody, noted
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.tables import SAVED_ITEMS
from tests.support.listening import (
    account_row,
    api_plays,
    extended_row,
    lake_in,
    listens_in,
    observe_api,
    settings_for,
    write_export,
)

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
ACCOUNT, SPOTIFY = "4kQZ0acct", "ann.spotify"
PROFILE = {
    "id": SPOTIFY,
    "account_id": ACCOUNT,
    "display_name": "Ann\x1b[2J  Example",
    "images": [{"url": "https://i/64", "width": 64}, {"url": "https://i/300", "width": 300}, {"url": "javascript:1"}],
    "email": "ann@example.org",
}


def log_in(lake: Lake, user_id: str = ACCOUNT, **more: Any) -> str:
    return listeners.note_login(lake, user_id, MOMENT, MOMENT + timedelta(days=181), {**PROFILE, **more})


def take_in(lake: Lake, key: str) -> None:
    pipeline.transform_key(lake, key)


def bring(folder: Path, rows: list[dict[str, Any]], user: str | None, name: str = "StreamingHistory0.json") -> Any:
    path = write_export(folder / (user or "nobody") / name, rows)
    return import_export(lake_in(folder), settings_for(folder), path, user)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_in(tmp_path)


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Any]:
    """Asks the lake's tables."""
    engine = EmbeddedEngine(settings_for(tmp_path), lake_in(tmp_path))

    def rows(sql: str) -> list[tuple[Any, ...]]:
        query = engine.wait(engine.start_query(sql, client="test").query_id, 30)
        assert query.state == "succeeded", query.error
        return [tuple(row) for row in engine.rows(query.query_id, 1000, None).rows]

    yield rows
    engine.close()


# --- what a login leaves ------------------------------------------------------------------------------------------


def test_a_login_leaves_name_picture_and_ids_in_raw_and_in_the_table_and_nothing_else(lake: Lake, ask: Any) -> None:
    key = log_in(lake)
    assert key.startswith(RAW_LISTENERS)
    take_in(lake, key)
    expected = [(ACCOUNT, "Ann [2J Example", [SPOTIFY], ACCOUNT, "https://i/300", MOMENT.replace(tzinfo=None), 0)]
    sql = "SELECT user_id, name, spotify_user_ids, account_id, image_url, authorized_at, listens FROM listeners"
    assert ask(sql) == expected
    stored = b"".join(lake.store.read(info.key) for info in lake.store.list("") if "listeners" in info.key)
    assert b"ann@example.org" not in stored
    lake.store.delete([LISTENERS_KEY])  # derived: the notes alone tell the same
    assert noted(lake).person(ACCOUNT).name == "Ann [2J Example"
    pipeline.rebuild(lake, lake.publish_generation)
    assert ask(sql) == expected


def test_a_profile_without_account_id_name_or_picture_is_the_user_id(lake: Lake) -> None:
    listeners.note_login(lake, "u1", MOMENT, MOMENT, {"id": "u1", "display_name": None, "images": None})
    (person,) = everybody(lake).people()
    assert (person.user_id, person.name, person.image_url, person.ids) == ("u1", "u1", None, ["u1"])


def test_a_note_that_is_none_goes_to_quarantine_and_the_others_are_read(lake: Lake) -> None:
    log_in(lake)
    key = f"{RAW_LISTENERS}20261101T000000000000Z-000000-login.json.gz"
    lake.store.write(key, b"no")
    pipeline.catch_up(lake, settings_for(Path(lake.store.location("")).parent))
    assert [info.key for info in lake.store.list("quarantine/")] != []


def test_a_playlist_joins_its_owner_by_the_user_id(lake: Lake, ask: Any) -> None:
    take_in(lake, log_in(lake))
    assert ask(f"SELECT user_id FROM listener_ids WHERE id = '{SPOTIFY}'") == [(ACCOUNT,)]


# --- names --------------------------------------------------------------------------------------------------------


def test_a_given_name_lasts_beyond_the_next_login_and_finds_the_listener(lake: Lake) -> None:
    log_in(lake)
    person, _ = listeners.rename(lake, "ann [2j example", "  Mum ")
    assert (person.user_id, person.name) == (ACCOUNT, "Mum")
    log_in(lake, display_name="Another")
    assert everybody(lake).get("mum").user_id == everybody(lake).get(SPOTIFY).user_id == ACCOUNT


@pytest.mark.parametrize("name", ["", "  ", "\x07", "x" * 101])
def test_a_name_that_says_nothing_or_too_much_is_refused(lake: Lake, name: str) -> None:
    log_in(lake)
    with pytest.raises(InvalidRequest, match="1 to 100"):
        listeners.rename(lake, ACCOUNT, name)


def test_no_two_listeners_can_be_given_one_name_and_an_unknown_one_is_answered_with_those_there_are(lake: Lake) -> None:
    log_in(lake)
    log_in(lake, "acct2", id="ben", account_id="acct2", display_name="Ben")
    for taken in ("ben", "BEN", "acct2"):
        with pytest.raises(Conflict, match="another listener"):
            listeners.rename(lake, ACCOUNT, taken)
    with pytest.raises(NotFound, match=r"Ann \[2J Example \(4kQZ0acct\), Ben \(acct2\)"):
        listeners.rename(lake, "Carl", "Karl")


def test_a_display_name_that_two_share_is_asked_back(lake: Lake) -> None:
    log_in(lake)
    log_in(lake, "acct2", id="other", account_id="acct2")
    with pytest.raises(InvalidRequest, match="several listeners"):
        everybody(lake).get("Ann [2J Example")


# --- one person ---------------------------------------------------------------------------------------------------

DAY = "2025-03-01"
TRACK = "spotify:track:" + "a" * 22
EQUAL = [account_row(f"{DAY} 10:04", 40_000), account_row(f"{DAY} 10:04", 40_000)]  # two listens, told as equals


def plays(lake: Lake) -> list[tuple[str, int]]:
    return by_listener(listens_in(lake))


def by_listener(table: pa.Table) -> list[tuple[str, int]]:
    users = table["user_id"].to_pylist()
    return sorted({(user, users.count(user)) for user in users})


@pytest.fixture
def split_person(tmp_path: Path, lake: Lake) -> Lake:
    """As the first hour once left it: account data imported as "me", again after a login, and what the API told."""
    bring(tmp_path, EQUAL, "me")
    bring(tmp_path, [extended_row(f"{DAY}T12:04:00Z", 50_000)], "me", "endsong_0.json")
    take_in(lake, log_in(lake))
    bring(tmp_path, [*EQUAL, account_row(f"{DAY} 11:00", 60_000)], ACCOUNT)
    bring(tmp_path, [extended_row(f"{DAY}T12:04:00Z", 50_000)], ACCOUNT, "endsong_0.json")
    observe_api(lake, api_plays([(f"{DAY}T10:04:20.000Z", TRACK, "Song a", "Band a")], ACCOUNT), "api")
    return lake


def test_merging_counts_what_both_tell_once_and_splitting_takes_it_back(split_person: Lake, ask: Any) -> None:
    before = listens_in(split_person)
    assert dict(plays(split_person))["me"] == 3
    person, key = listeners.merge(split_person, "me", "Ann [2J Example")
    take_in(split_person, key)
    assert person.ids == [ACCOUNT, SPOTIFY, "me"]
    alone = [(ACCOUNT, 4)]  # two at 10:04, one of them told by the API too; 11:00; 12:04
    assert plays(split_person) == alone
    assert ask("SELECT user_id, listens FROM listeners") == alone
    rebuilt(split_person)
    assert plays(split_person) == alone
    person, key = listeners.split(split_person, "me")
    take_in(split_person, key)
    assert person.user_id == "me"
    assert plays(split_person) == [(ACCOUNT, 4), ("me", 3)] == by_listener(before)
    rebuilt(split_person)
    assert plays(split_person) == by_listener(before)


def rebuilt(lake: Lake) -> None:
    lake.store.delete([LISTENERS_KEY])
    pipeline.rebuild(lake, lake.publish_generation)


def test_scrobbles_that_were_brought_for_both_count_once(tmp_path: Path, lake: Lake) -> None:
    path = tmp_path / "ann.csv"
    path.write_text("Band,Album,Song,13 Mar 2025 10:00\nBand,Album,Other,13 Mar 2025 10:05\n")
    for user in ("me", "ann"):
        import_export(lake, settings_for(tmp_path), path, user)
    assert plays(lake) == [("ann", 2), ("me", 2)]
    take_in(lake, listeners.merge(lake, "me", "ann")[1])
    assert plays(lake) == [("ann", 2)]
    take_in(lake, listeners.split(lake, "me")[1])
    assert plays(lake) == [("ann", 2), ("me", 2)]


def test_a_merge_whose_event_never_came_is_found_with_everything_left_lying(split_person: Lake, tmp_path: Path) -> None:
    listeners.merge(split_person, "me", ACCOUNT)
    pipeline.catch_up(split_person, settings_for(tmp_path))
    assert [user for user, _ in plays(split_person)] == [ACCOUNT]


def test_what_comes_for_a_merged_id_counts_for_the_listener(split_person: Lake, tmp_path: Path) -> None:
    _, key = listeners.merge(split_person, "me", ACCOUNT)
    take_in(split_person, key)
    count = dict(plays(split_person))[ACCOUNT]
    summary = bring(tmp_path, [account_row(f"{DAY} 18:00", 70_000)], "me", "StreamingHistory1.json")
    assert summary.user_id == ACCOUNT
    observe_api(split_person, api_plays([(f"{DAY}T20:00:00.000Z", TRACK, "Song", "Band")], "me"), "late")
    assert plays(split_person) == [(ACCOUNT, count + 2)]


def test_three_that_are_one_come_apart_in_the_order_in_which_they_were_joined(tmp_path: Path, lake: Lake) -> None:
    for number, user in enumerate(("a", "b", "c")):
        bring(tmp_path, [account_row(f"{DAY} 1{number}:04", 40_000)], user)
    listeners.merge(lake, "a", "b")
    listeners.merge(lake, "b", "c")
    assert everybody(lake).ids_of("c") == ["c", "a", "b"]
    with pytest.raises(InvalidRequest, match="one listener already"):
        listeners.merge(lake, "a", "c")
    listeners.split(lake, "b")
    assert everybody(lake).ids_of("b") == ["b", "a"]
    listeners.split(lake, "a")
    assert [person.user_id for person in everybody(lake).people()] == ["a", "b", "c"]
    with pytest.raises(NotFound, match="no listener 'a' was merged"):
        listeners.split(lake, "a")


def test_the_library_of_a_merged_id_is_the_listeners(lake: Lake, ask: Any) -> None:
    added = MOMENT.replace(tzinfo=None)
    rows = [
        {"user_id": user, "item_type": "track", "item_id": "a" * 22, "added_at": added, "observed_at": added}
        for user in (SPOTIFY, ACCOUNT)
    ]
    write_table(lake, "g1", SAVED_ITEMS, pa.Table.from_pylist(rows, arrow_schema(SAVED_ITEMS)), "saved")
    assert ask("SELECT count(*) FROM saved_items") == [(2,)]
    take_in(lake, log_in(lake))  # the account's user id means the account from now on
    assert ask("SELECT user_id FROM saved_items") == [(ACCOUNT,)]


# --- whose an import is -------------------------------------------------------------------------------------------


def profile_of(username: str) -> dict[str, Any]:
    return {"username": username, "email": "secret@example.org", "birthdate": "1990-01-01"}


def export_of(folder: Path, username: str) -> Path:
    (folder / "export").mkdir(parents=True, exist_ok=True)
    write_export(folder / "export" / "StreamingHistory0.json", [account_row(f"{DAY} 10:04", 40_000)])
    (folder / "export" / "Userdata.json").write_text(json.dumps(profile_of(username)))
    return folder / "export"


def test_the_first_import_is_of_whom_it_says_and_a_login_later_is_offered_as_the_same(
    tmp_path: Path, lake: Lake
) -> None:
    summary = import_export(lake, settings_for(tmp_path), export_of(tmp_path, SPOTIFY))
    assert summary.user_id == SPOTIFY
    bring(tmp_path, [account_row(f"{DAY} 10:04", 40_000)], "Zed")
    log_in(lake)
    known = everybody(lake)
    assert known.listener_of(SPOTIFY) == ACCOUNT  # the account says itself that this is its user id
    assert [one.user_id for one in known.perhaps(known.person(ACCOUNT))] == ["Zed"]


def test_an_import_under_a_name_is_offered_to_the_login_that_its_user_name_fits(tmp_path: Path, lake: Lake) -> None:
    import_export(lake, settings_for(tmp_path), export_of(tmp_path, SPOTIFY), "Mum at home")
    bring(tmp_path, [account_row(f"{DAY} 10:04", 40_000)], "A stranger")
    log_in(lake)
    known = everybody(lake)
    assert [one.name for one in known.perhaps(known.person(ACCOUNT))] == ["Mum at home", "A stranger"]


def test_of_several_the_one_is_chosen_whom_the_export_names(tmp_path: Path, lake: Lake) -> None:
    log_in(lake)
    log_in(lake, "acct2", id="ben", account_id="acct2", display_name="Ben")
    assert import_export(lake, settings_for(tmp_path), export_of(tmp_path, "ben")).user_id == "acct2"
    history = write_export(
        tmp_path / "endsong_0.json", [{**extended_row(f"{DAY}T12:04:00Z", 50_000), "username": "ben"}]
    )
    assert import_export(lake, settings_for(tmp_path), history).user_id == "acct2"


def test_an_export_of_somebody_else_is_not_the_only_listeners(tmp_path: Path, lake: Lake) -> None:
    log_in(lake)
    with pytest.raises(
        InvalidRequest, match=r"It says it is of stranger, and the lake knows Ann.*name the listener"
    ) as caught:
        import_export(lake, settings_for(tmp_path), export_of(tmp_path, "stranger"))
    assert caught.value.details == {"known": [ACCOUNT], "owner": "stranger"}
    assert [info.key for info in lake.store.list("raw/history/")] == []


def test_a_dropped_file_of_nobody_says_every_way_on(tmp_path: Path, lake: Lake) -> None:
    path = write_export(tmp_path / "StreamingHistory0.json", [account_row(f"{DAY} 10:04", 40_000)])
    lake.store.write("raw/history/StreamingHistory0.json", path.read_bytes())
    with pytest.raises(InvalidRequest, match="a choice on the page, --user in a terminal, user_id or new_listener"):
        import_dropped(lake, settings_for(tmp_path), "raw/history/StreamingHistory0.json")
    assert lake.store.read("raw/history/StreamingHistory0.json") == path.read_bytes()  # maybe somebody's only copy
    assert [each.key for each in lake.store.list("quarantine/raw/history/")] != []


def test_nothing_of_a_profile_but_the_user_name_is_kept(tmp_path: Path, lake: Lake) -> None:
    import_export(lake, settings_for(tmp_path), export_of(tmp_path, SPOTIFY), "Mum")
    texts = [lake.store.read(info.key) for info in lake.store.list("")]
    assert not any(b"secret@example.org" in text or b"1990-01-01" in text for text in texts)


@pytest.mark.parametrize("name", ["..", ".hidden", "Ünï " * 20, "a/b"])
def test_any_name_can_be_somebody_new(tmp_path: Path, lake: Lake, name: str) -> None:
    name = name.strip()
    path = write_export(tmp_path / "StreamingHistory0.json", [account_row(f"{DAY} 10:04", 40_000)])
    import_export(lake, settings_for(tmp_path), path, name)
    assert everybody(lake).get(name).name == name
    again = import_export(lake, settings_for(tmp_path), path, name)
    assert again.total("known") == 1
