"""Import of privacy exports: every variant, any order, exact sums, and nothing of what is not history."""

from __future__ import annotations

import io
import json
import random
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import quarantine
from chalicelib.errors import ImportRefused, InvalidRequest, NotFound
from chalicelib.exports import dropped, importing
from chalicelib.exports.importing import ImportSummary, import_dropped, import_export
from chalicelib.lake import Lake
from chalicelib.pipeline import catch_up
from chalicelib.plays import resolutions
from sandbox import export as sandbox
from sandbox.clock import Clock, instant
from sandbox.world import World
from tests.support.listening import (
    USER,
    account_row,
    api_plays_of,
    extended_row,
    kinds_and_total,
    lake_in,
    listens_in,
    observe_api,
    settings_for,
    truth_of,
    write_export,
)

COUNTS = ("new", "known", "merged", "rejected")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, sandbox.Export]:
    """Every variant of one listener, some weeks each, overlapping."""
    folder = tmp_path_factory.mktemp("exports")
    world = World(3, "small", Clock(instant("2022-09-01"), frozen=True))
    since = dict.fromkeys(sandbox.VARIANTS, "2022-06-10") | {"endsong-2020": "2020-11-25", "endsong-2022": "2022-05-20"}
    return {
        name: sandbox.write(folder, world, name, "zip", since=since[name], rows_per_file=400)
        for name in sandbox.VARIANTS
    }


def bring(folder: Path, source: Path, user: str | None = USER, **more: Any) -> ImportSummary:
    summary = import_export(lake_in(folder), settings_for(folder, **more), source, user)
    accounted(summary)
    return summary


def accounted(summary: ImportSummary) -> None:
    for file in summary.files:
        assert file.read == file.new + file.known + file.merged + file.rejected, file
        assert file.rejected == sum(file.reasons.values())


# --- truth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", sandbox.VARIANTS)
def test_each_variant_alone_gives_the_truth(tmp_path: Path, exports: dict[str, sandbox.Export], variant: str) -> None:
    export = exports[variant]
    summary = bring(tmp_path, export.path)
    listens = listens_in(lake_in(tmp_path))
    assert kinds_and_total(listens) == truth_of(export.listens)
    assert (summary.total("read"), summary.total("new")) == (export.rows, len(export.listens))
    if not variant.startswith("account-2022"):  # podcasts stand among its music
        kinds = {"unknown": "track"}
        expected = sorted(kinds.get(one.kind, one.kind) for one in export.listens)
        assert sorted(listens["item_type"].to_pylist()) == expected


def mixed(folder: Path, exports: dict[str, sandbox.Export], seed: int) -> pa.Table:
    """Everything in some order, some of it twice, between API runs."""
    lake, rng = lake_in(folder), random.Random(seed)
    heard = exports["extended-2025"].listens
    api = [api_plays_of(one for one in heard if one.ts[9] in part) for part in ("0123", "4567", "89")]
    steps: list[tuple[str, Any]] = [("export", export.path) for export in exports.values()]
    steps += [("api", number) for number in range(len(api))]
    steps += rng.sample(steps, 3)
    rng.shuffle(steps)
    for kind, what in steps:
        if kind == "export":
            bring(folder, what)
        else:
            observe_api(lake, api[what], f"api{what}")
    return listens_in(lake)


@pytest.mark.thorough
def test_all_in_any_order_twice_and_between_api_runs_gives_the_truth(
    tmp_path: Path, exports: dict[str, sandbox.Export]
) -> None:
    tables = [mixed(tmp_path / str(seed), exports, seed) for seed in range(2)]
    truth = sandbox.true_listens(exports.values())
    assert kinds_and_total(tables[0]) == truth_of(truth)
    assert tables[0].equals(tables[1])


@pytest.mark.soak
def test_fifty_random_orders_give_the_truth(tmp_path: Path, exports: dict[str, sandbox.Export]) -> None:
    truth = truth_of(sandbox.true_listens(exports.values()))
    first = mixed(tmp_path / "first", exports, 1000)
    for seed in range(50):
        table = mixed(tmp_path / str(seed), exports, seed)
        assert kinds_and_total(table) == truth
        assert table.equals(first), seed


@pytest.mark.parametrize("names", [["account-2022", "account-2024"], ["account-2024", "endsong-2022"]])
def test_exports_that_overlap_with_the_api_give_the_truth_of_both(
    tmp_path: Path, exports: dict[str, sandbox.Export], names: list[str]
) -> None:
    chosen = [exports[name] for name in names]
    truth = sandbox.true_listens(chosen)
    seen = [one for one in exports["extended-2025"].listens if one.api_played_at]
    observe_api(lake_in(tmp_path), api_plays_of(seen))
    for export in chosen:
        bring(tmp_path, export.path)
    assert listens_in(lake_in(tmp_path)).num_rows == len(truth) + len(set(seen) - set(truth))


def test_zip_folder_and_files_are_the_same(tmp_path: Path) -> None:
    world = World(3, "small", Clock(instant("2022-07-01"), frozen=True))
    tables = []
    for form in sandbox.FORMS:
        export = sandbox.write(tmp_path / form, world, "account-2024", form, since="2022-06-20")
        bring(tmp_path / f"lake-{form}", export.path)
        tables.append(listens_in(lake_in(tmp_path / f"lake-{form}")))
    assert tables[0].num_rows > 0
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])


def test_the_same_export_twice_changes_nothing_and_says_so(tmp_path: Path, exports: dict[str, sandbox.Export]) -> None:
    path = exports["account-2022"].path
    bring(tmp_path, path)
    before = listens_in(lake_in(tmp_path))
    again = bring(tmp_path, path)
    assert again.total("known") == again.total("read")
    assert listens_in(lake_in(tmp_path)).equals(before)


def test_equal_rows_of_a_landing_that_a_files_end_cuts_are_two_although_another_export_ends_before_it(
    tmp_path: Path,
) -> None:
    before, twice = account_row("2023-05-01 09:00", 150_000, "b"), account_row("2023-05-01 10:05", 200_000)
    other, after = account_row("2023-05-01 10:05", 180_000, "c"), account_row("2023-05-01 12:00", 90_000, "d")
    files = {"old": [account_row("2023-04-30 09:00", 4_000), before], "0": [before, other, twice], "1": [twice, after]}
    for name, rows in files.items():
        bring(tmp_path, write_export(tmp_path / name / "StreamingHistory.json", rows))
    assert listens_in(lake_in(tmp_path)).num_rows == 6


def test_one_export_in_two_folders_beside_each_other_counts_once(tmp_path: Path) -> None:
    rows = [account_row("2023-05-01 10:04", 4_000)] * 3
    write_export(tmp_path / "all" / "first" / "StreamingHistory0.json", rows)
    write_export(tmp_path / "all" / "second" / "StreamingHistory0.json", rows)
    write_export(tmp_path / "all" / "second" / "StreamingHistory0 (1).json", rows)
    summary = bring(tmp_path, tmp_path / "all")
    assert (summary.total("new"), summary.total("known")) == (3, 6)


def test_equal_rows_that_two_files_of_one_export_share_out_are_two_listens(tmp_path: Path) -> None:
    twice = account_row("2023-05-02 10:04", 4_000)
    write_export(tmp_path / "MyData" / "StreamingHistory0.json", [account_row("2023-05-01 10:04", 4_000), twice])
    write_export(tmp_path / "MyData" / "StreamingHistory1.json", [twice, account_row("2023-05-03 10:04", 4_000)])
    assert bring(tmp_path, tmp_path / "MyData").total("read") == 4
    assert listens_in(lake_in(tmp_path)).num_rows == 4


def test_an_import_reports_plays_of_the_api_as_merged(tmp_path: Path, exports: dict[str, sandbox.Export]) -> None:
    export = exports["extended-2025"]
    observe_api(lake_in(tmp_path), api_plays_of(export.listens))
    summary = bring(tmp_path, export.path)
    seen = sum(one.api_played_at is not None for one in export.listens)
    assert (summary.total("merged"), summary.total("new")) == (seen, len(export.listens) - seen)
    assert f"{export.path.name}: {export.rows:,} rows read: " in str(summary)


def test_tracks_whose_details_are_wanted_are_noted_most_played_first(tmp_path: Path) -> None:
    rows = [extended_row(f"2023-05-01T10:0{at}:00Z", 40_000, track) for at, track in enumerate("abbcbc")]
    bring(tmp_path, write_export(tmp_path / "endsong_0.json", rows))
    wanted = json.loads(lake_in(tmp_path).store.read("state/wanted-tracks.json"))
    assert wanted == {"tracks": [["b" * 22, 3], ["c" * 22, 2], ["a" * 22, 1]]}


# --- whose --------------------------------------------------------------------------------------------------------


def test_two_listeners_of_one_household(tmp_path: Path) -> None:
    path = write_export(tmp_path / "endsong_0.json", [extended_row("2023-05-01T10:04:00Z", 40_000)])
    bring(tmp_path, path, "one")
    bring(tmp_path, path, "two/2")
    assert sorted(listens_in(lake_in(tmp_path))["user_id"].to_pylist()) == ["one", "two/2"]
    with pytest.raises(InvalidRequest, match="it could be of one, two/2: name the listener"):
        import_export(lake_in(tmp_path), settings_for(tmp_path), path)


def test_the_only_listener_known_need_not_be_named(tmp_path: Path) -> None:
    path = write_export(tmp_path / "endsong_0.json", [extended_row("2023-05-01T10:04:00Z", 40_000)])
    with pytest.raises(InvalidRequest, match="nobody has logged in yet: name the listener with --user"):
        import_export(lake_in(tmp_path), settings_for(tmp_path), path)
    bring(tmp_path, path, "one")
    assert bring(tmp_path, path, None).user_id == "one"


# --- privacy, raw copies, rebuilding ------------------------------------------------------------------------------


def stored_texts(lake: Lake, prefix: str) -> Iterator[str]:
    """Everything below a prefix, unpacked."""
    for info in lake.store.list(prefix):
        data = lake.store.read(info.key)
        if info.key.endswith(".parquet"):
            yield str(pq.read_table(io.BytesIO(data)).to_pylist())
        elif data[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from (archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
        else:
            yield data.decode("utf-8", "replace")


@pytest.mark.parametrize("variant", ["account-2024", "extended-2024-11", "endsong-2022"])
def test_personal_data_is_in_no_table_and_bystanders_are_not_kept(
    tmp_path: Path, exports: dict[str, sandbox.Export], variant: str
) -> None:
    bring(tmp_path, exports[variant].path)
    lake = lake_in(tmp_path)
    tables = list(stored_texts(lake, "transformed/")) + list(stored_texts(lake, "state/"))
    assert tables
    assert not any("203.0.113" in text or sandbox.PERSONAL in text for text in tables)
    assert not any(sandbox.PERSONAL in text for text in stored_texts(lake, "raw/"))


@pytest.mark.parametrize("keep_exports", [True, False])
def test_a_rebuild_from_raw_gives_the_same_plays(
    tmp_path: Path, exports: dict[str, sandbox.Export], keep_exports: bool
) -> None:
    for variant in ("account-2024", "extended-2024-11"):
        bring(tmp_path, exports[variant].path, keep_exports=keep_exports)
    lake = lake_in(tmp_path)
    kept = list(dropped.kept_exports(lake))
    assert len(kept) == 2
    assert any("203.0.113" in text for text in stored_texts(lake, "raw/")) == keep_exports
    importing.rebuild_plays(lake.in_generation("g2"))
    assert listens_in(lake.in_generation("g2")).equals(listens_in(lake))


def test_an_import_that_broke_off_is_completed_by_the_next(tmp_path: Path, exports: dict[str, sandbox.Export]) -> None:
    export = exports["extended-2025"]
    bring(tmp_path, export.path)
    lake = lake_in(tmp_path)
    gone = [info.key for info in lake.store.list("transformed/")][1::2]
    lake.store.delete(gone)
    bring(tmp_path, export.path)
    assert kinds_and_total(listens_in(lake)) == truth_of(export.listens)


# --- files dropped into the raw zone ------------------------------------------------------------------------------


def test_a_dropped_file_is_imported_and_kept_under_its_digest(tmp_path: Path) -> None:
    lake, where = lake_in(tmp_path), "raw/history/some one/endsong_0.json"
    rows = [extended_row("2023-05-01T10:04:00Z", 40_000)]
    lake.store.write(where, json.dumps(rows).encode())
    assert list(dropped.unimported(lake)) == [where]
    summary = import_dropped(lake, settings_for(tmp_path), where)
    assert summary is not None and summary.user_id == "some one"
    (kept,) = [info.key for info in lake.store.list("raw/history/")]
    assert kept == summary.raw_key and kept.startswith("raw/history/some%20one/")
    noted = dropped.outcome(lake, where)
    assert noted is not None and noted.state == "succeeded" and noted.summary and noted.summary["new"] == 1
    assert import_dropped(lake, settings_for(tmp_path), kept) is None
    assert list(dropped.unimported(lake)) == []


def test_a_dropped_file_that_is_no_export_stays_with_the_reason(tmp_path: Path) -> None:
    lake, where = lake_in(tmp_path), "raw/history/me/notes.json"
    lake.store.write(where, b'[{"a": 1}]')
    with pytest.raises(ImportRefused):
        import_dropped(lake, settings_for(tmp_path), where)
    noted = dropped.outcome(lake, where)
    assert noted is not None and noted.state == "failed" and noted.error and "notes.json" in noted.error["message"]
    assert list(dropped.unimported(lake)) == []
    assert listens_in(lake).num_rows == 0
    (reason,) = quarantine.reasons(lake)
    told = quarantine.quarantined(lake, reason)
    assert told is not None and (told.raw_key, told.code) == (where, "import_refused")
    assert "notes.json" in told.message


def test_a_file_that_was_mended_leaves_quarantine(tmp_path: Path) -> None:
    lake, where = lake_in(tmp_path), "raw/history/me/endsong_0.json"
    lake.store.write(where, b'[{"a": 1}]')
    with pytest.raises(ImportRefused):
        import_dropped(lake, settings_for(tmp_path), where)
    lake.store.write(where, json.dumps([extended_row("2023-05-01T10:04:00Z", 40_000)]).encode())
    import_dropped(lake, settings_for(tmp_path), where)
    assert list(quarantine.reasons(lake)) == []


def test_an_export_that_is_refused_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    lake.store.write("raw/history/me/a.json", b'[{"a": 1}]')
    lake.store.write(
        "raw/history/me/endsong_0.json", json.dumps([extended_row("2023-05-01T10:04:00Z", 40_000)]).encode()
    )
    assert catch_up(lake, settings_for(tmp_path)).objects == 2
    assert listens_in(lake).num_rows == 1 and list(dropped.unimported(lake)) == []


@pytest.mark.parametrize("beginning", [b"", b"PK\x03\x04", b"[     "])
def test_a_file_of_a_length_and_no_content_is_refused_before_it_is_copied(tmp_path: Path, beginning: bytes) -> None:
    """A download that broke off has its whole length on some systems; copying it takes minutes and fills the disk."""
    lake, where = lake_in(tmp_path), "raw/history/me/endsong_0.json"
    lake.store.write(where, beginning)
    with Path(lake.store.location(where)).open("r+b") as file:
        file.truncate(200 * 10**9)
    with pytest.raises(ImportRefused, match=r"endsong_0\.json"):
        import_dropped(lake, settings_for(tmp_path), where)
    assert list(dropped.unimported(lake)) == []


def test_a_key_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        import_dropped(lake_in(tmp_path), settings_for(tmp_path), "raw/history/nothing.zip", USER)


# --- what is refused ----------------------------------------------------------------------------------------------

GOOD = [extended_row("2023-05-01T10:04:00Z", 40_000)]
NAME = "Spotify Extended Streaming History/Streaming_History_Audio_2023_0.json"


def zipped(path: Path, members: dict[str, bytes], spoil: Callable[[zipfile.ZipInfo], None] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if spoil:
                spoil(entry)
            archive.writestr(entry, content)
    return path


def make_link(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16


def flipped(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[90] ^= 0xFF
    path.write_bytes(data)
    return path


def refused_sources(folder: Path) -> dict[str, tuple[Path, str]]:
    """What nobody should take for an export, and a word of the refusal."""
    good = json.dumps(GOOD).encode()
    many = json.dumps([extended_row("2023-05-01T10:04:00Z", at) for at in range(50)]).encode()
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "Playlist1.json").write_text("{}")
    return {
        "cut json": (write(folder / "endsong_0.json", good[:-5]), "endsong_0.json: it is cut short"),
        "foreign rows": (write(folder / "a.json", b'[{"a": 1}]'), "a.json: its rows are not those"),
        "object": (write(folder / "b.json", b'{"items": []}'), "b.json: it does not start as a JSON array"),
        "pdf": (write(folder / "c.pdf", b"%PDF-1.4"), "c.pdf"),
        "binary": (write(folder / "d.bin", bytes(range(256))), "d.bin"),
        "wrong types": (write(folder / "f.json", b'[{"ts": 5, "ms_played": "x"}]'), "none of its 1 rows is a listen"),
        "empty folder": (folder / "empty", "holds no listening history"),
        "other folder": (folder / "other", "holds no listening history"),
        "missing": (folder / "nothing.zip", "nothing.zip cannot be read"),
        "zip without history": (zipped(folder / "g.zip", {"MyData/Userdata.json": b"{}"}), "no listening history"),
        "half a zip": (write(folder / "h.zip", zipped(folder / "h0.zip", {NAME: many}).read_bytes()[:-40]), "h.zip"),
        "damaged zip": (flipped(zipped(folder / "i.zip", {NAME: many})), "i.zip"),
        "cut member": (zipped(folder / "j.zip", {NAME: good, NAME.replace("0", "1"): good[:-3]}), "_1.json"),
        "outside": (zipped(folder / "k.zip", {"../../endsong_0.json": good}), "points outside the zip"),
        "absolute": (zipped(folder / "l.zip", {"/etc/endsong_0.json": good}), "points outside the zip"),
        "drive": (zipped(folder / "m.zip", {"C:/endsong_0.json": good}), "points outside the zip"),
        "link": (zipped(folder / "n.zip", {"endsong_0.json": b"/etc/passwd"}, make_link), "is a link"),
        "bomb": (zipped(folder / "o.zip", {"endsong_0.json": b"[" + b" " * 30_000_000 + b"]"}), "a zip bomb"),
        "crowd": (zipped(folder / "p.zip", {f"{n}.txt": b"" for n in range(10_001)}), "holds 10001 files"),
    }  # fmt: skip


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


CASES = [
    "cut json",
    "foreign rows",
    "object",
    "pdf",
    "binary",
    "wrong types",
    "empty folder",
    "other folder",
    "missing",
    "zip without history",
    "half a zip",
    "damaged zip",
    "cut member",
    "outside",
    "absolute",
    "drive",
    "link",
    "bomb",
    "crowd",
]


def test_every_refusal_is_tried(tmp_path: Path) -> None:
    assert set(refused_sources(tmp_path)) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_export_is_refused_by_name_and_changes_nothing(tmp_path: Path, case: str) -> None:
    source, words = refused_sources(tmp_path)[case]
    with pytest.raises(ImportRefused) as caught:
        import_export(lake_in(tmp_path), settings_for(tmp_path), source, USER)
    assert words in caught.value.message
    assert list(lake_in(tmp_path).store.list("")) == []


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "q.zip", {"endsong_0.json": b"[]"})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(ImportRefused, match="is encrypted"):
        import_export(lake_in(tmp_path), settings_for(tmp_path), path, USER)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xef\xbb\xbf[]", b" \n"])
def test_a_file_with_nothing_in_it_is_an_import_of_nothing(tmp_path: Path, content: bytes) -> None:
    assert bring(tmp_path, write(tmp_path / "endsong_0.json", content)).total("read") == 0


# --- any rows -----------------------------------------------------------------------------------------------------

values: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**18)
    | st.text(max_size=6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just([1])
    | st.just({})
)
keys = st.sampled_from(
    [
        "ts",
        "ms_played",
        "platform",
        "master_metadata_track_name",
        "spotify_track_uri",
        "skipped",
        "offline_timestamp",
        "episode_name",
        "audiobook_title",
        "conn_country",
    ]
)
damaged = st.dictionaries(keys, values, max_size=4).map(lambda spoilt: {**GOOD[0], **spoilt})
times = st.sampled_from(
    ["2023-05-01T10:04:00Z", "2023-05-01T10:04:00+02:00", "2023-02-30T00:00:00Z", "1970-01-01T00:00:00Z", "now", ""]
)
rows = st.lists(damaged | times.map(lambda ts: {**GOOD[0], "ts": ts}) | values, max_size=8)


@given(rows)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_of_a_damaged_export_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, content: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "endsong_0.json"
    path.write_text(json.dumps([GOOD[0], *content]))
    summary = bring(folder, path)
    assert summary.total("read") == len(content) + 1
    assert listens_in(lake_in(folder)).num_rows == summary.total("new") >= 1
    plays_held = listens_in(lake_in(folder))
    assert set(plays_held["item_type"].to_pylist()) <= {"track", "episode", "audiobook"}


@given(st.binary(max_size=80), st.integers(0, 400))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_the_bytes_is_refused_or_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    whole = json.dumps(GOOD * 2).encode()
    path = write(folder / "endsong_0.json", whole[:place] + noise + whole[place + len(noise) :])
    try:
        bring(folder, path)
    except ImportRefused as refusal:
        assert "endsong_0.json" in refusal.message
        assert list(lake_in(folder).store.list("")) == []


def test_rejected_rows_are_kept_with_their_reason_and_without_personal_fields(tmp_path: Path) -> None:
    content = [*GOOD, {**GOOD[0], "ms_played": -4}, {**GOOD[0], "ts": "2023-02-30T00:00:00Z"}, None]
    summary = bring(tmp_path, write_export(tmp_path / "endsong_0.json", content))
    assert summary.total("rejected") == 3
    lake = lake_in(tmp_path)
    (key,) = [info.key for info in lake.store.list("transformed/g1/rejected_rows_history/")]
    rejected = pq.read_table(io.BytesIO(lake.store.read(key))).to_pylist()
    assert [row["item"] for row in sorted(rejected, key=lambda row: row["item"])] == [1, 2, 3]
    assert {row["raw_key"] for row in rejected} == {summary.raw_key}
    assert not any("203.0.113" in str(row) for row in rejected)
    assert "rejected 1: Expected `int` >= 0" in str(summary)


def test_a_name_with_half_a_unicode_pair_does_not_cost_the_file(tmp_path: Path) -> None:
    text = json.dumps([extended_row("2023-05-01T10:04:00Z", 5), extended_row("2023-05-01T10:05:00Z", 5, "b")])
    summary = bring(tmp_path, write(tmp_path / "endsong_0.json", text.replace("Song b", "So\\ud83dng").encode()))
    assert summary.total("new") == 2
    assert "So\ufffdng" in listens_in(lake_in(tmp_path))["item_name"].to_pylist()


def test_no_month_is_decided_that_an_import_does_not_touch(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    bring(tmp_path, write_export(tmp_path / "endsong_0.json", [extended_row("2021-01-05T10:04:00Z", 5)]))
    first = resolutions.files_in_force(lake, "g1")
    bring(tmp_path, write_export(tmp_path / "endsong_1.json", [extended_row("2023-05-01T10:04:00Z", 5)]))
    assert resolutions.files_in_force(lake, "g1")[:1] == first


# --- equal rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("0", "1", "both"), ("both", "1", "0"), ("1", "both", "0"), ("0", "1"), ("both",)])
def test_equal_account_rows_on_both_sides_of_a_files_end_are_two_listens_however_the_files_are_brought(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    twice = account_row("2023-05-01 10:05", 20_000)
    sources = {"both": tmp_path / "export"}
    for number, rows in (
        ("0", [account_row("2023-05-01 10:01", 150_000, "b"), twice]),
        ("1", [twice, account_row("2023-05-01 10:09", 210_000, "c")]),
    ):
        sources[number] = write_export(tmp_path / "export" / f"StreamingHistory_music_{number}.json", rows)
    summaries = [bring(tmp_path, sources[name]) for name in order]
    assert listens_in(lake_in(tmp_path)).num_rows == 4 == sum(summary.total("new") for summary in summaries)
    for summary in summaries:
        assert summary.total("new") + summary.total("known") == summary.total("read")
    assert bring(tmp_path, sources["both"]).total("known") == 4
