"""One suite for both stores: a folder and a bucket keep the same promises."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from moto.s3.models import s3_backends

from chalicelib.errors import LakeError, NotFound, StorageFailed, StorageUnavailable, WriteConflict
from chalicelib.lake import Lake, ObjectStore
from chalicelib.stores.folder import FolderStore
from chalicelib.stores.s3 import CHUNK, PART, BucketStore, RangeReader
from tests.emulator import ACCOUNT, REGION, Emulator, Fault, shared
from tests.emulator.stage import make_bucket

BUCKET = "the-lake"


@pytest.fixture(scope="session")
def aws() -> Emulator:
    emulator = shared()
    make_bucket(emulator, BUCKET)
    return emulator


@pytest.fixture(autouse=True)
def no_faults(aws: Emulator) -> None:
    aws.faults.clear()


@pytest.fixture
def bucket(aws: Emulator, request: pytest.FixtureRequest) -> BucketStore:
    client = aws.client("s3", attempts=2)
    return BucketStore(BUCKET, f"lakes/{abs(hash(request.node.nodeid))}", s3=lambda: client, sleep=lambda _: None)


@pytest.fixture(params=["folder", "bucket", "bucket-root"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "lake")
    store: BucketStore = request.getfixturevalue("bucket")
    if request.param == "bucket-root":
        store.prefix = ""
        everything = [info.key for info in store.list("")]
        store.delete(everything)
    return store


def test_what_is_no_file_is_not_listed(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever."""
    store = FolderStore(tmp_path / "lake")
    store.write("raw/a", b"a")
    os.mkfifo(tmp_path / "lake" / "raw" / "b")
    assert [info.key for info in store.list("raw/")] == ["raw/a"]


def test_what_was_written_is_read(store: ObjectStore) -> None:
    etag = store.write("raw/a.json", b"one", content_type="application/json")
    assert store.read("raw/a.json") == b"one"
    info = store.stat("raw/a.json")
    assert info and (info.key, info.size, info.etag) == ("raw/a.json", 3, etag)
    assert info.modified.tzinfo is not None
    assert store.write("raw/a.json", b"three") != etag
    assert store.read("raw/a.json") == b"three"


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.write("state/empty", b"")
    assert store.read("state/empty") == b""
    with store.open("state/empty") as stream:
        assert stream.read() == b"" and stream.seek(0, io.SEEK_END) == 0


def test_a_missing_key_is_not_found(store: ObjectStore) -> None:
    assert store.stat("raw/none") is None
    for act in (store.read, store.open):
        with pytest.raises(NotFound) as caught:
            act("raw/none")
        assert "raw/none" in caught.value.message
    store.delete(["raw/none"])


@pytest.mark.parametrize("key", ["/etc/passwd", "../up", "raw/../../up", "raw/\0"])
def test_a_key_cannot_leave_the_lake(store: ObjectStore, key: str) -> None:
    with pytest.raises(NotFound):
        store.read(key)
    with pytest.raises(NotFound):
        store.write(key, b"x")
    with pytest.raises(NotFound):
        store.replace(key, b"x", if_match=None)


def test_listing_is_in_the_order_of_keys_and_can_go_on(store: ObjectStore) -> None:
    keys = ["raw/a/b", "raw/a-b", "raw/b/1", "raw/b/10", "raw/b/2", "rawer", "state/é"]
    for key in keys:
        store.write(key, key.encode())
    assert [info.key for info in store.list("raw/b")] == ["raw/b/1", "raw/b/10", "raw/b/2"]
    for after in [*keys, "raw/a", "raw/a/", "raw/a/a", "raw/a/z", "raw/b/11", "raw0", "s", "z"]:
        left = sorted(key for key in keys if key.startswith("raw/") and key > after)
        assert [info.key for info in store.list("raw/", start_after=after)] == left, after
    assert list(store.list("nothing/")) == []
    assert {info.key: info.size for info in store.list("state/")} == {"state/é": 8}


@pytest.mark.thorough
def test_a_listing_longer_than_one_page_is_whole(aws: Emulator, bucket: BucketStore) -> None:
    for number in range(1005):
        s3_backends[ACCOUNT]["aws"].put_object(BUCKET, f"{bucket.prefix}many/{number:04d}", b"")  # quicker than HTTP
    assert [info.key for info in bucket.list("many/")] == [f"many/{number:04d}" for number in range(1005)]
    bucket.delete(info.key for info in bucket.list("many/"))
    assert list(bucket.list("many/")) == []


def test_a_copy_has_the_same_content_and_replaces_what_was_there(store: ObjectStore) -> None:
    store.write("raw/history/a.zip", b"export" * 1000)
    store.write("raw/history/u1/b.zip", b"before")
    store.copy("raw/history/a.zip", "raw/history/u1/b.zip")
    assert store.read("raw/history/u1/b.zip") == store.read("raw/history/a.zip") == b"export" * 1000
    with pytest.raises(NotFound):
        store.copy("raw/history/none", "raw/history/c")
    assert store.stat("raw/history/c") is None


def test_a_new_object_is_created_once(store: ObjectStore) -> None:
    etag = store.replace("state/lock", b"mine", if_match=None)
    with pytest.raises(WriteConflict):
        store.replace("state/lock", b"yours", if_match=None)
    assert store.read("state/lock") == b"mine"
    info = store.stat("state/lock")
    assert info and info.etag == etag
    assert Lake(store).create("state/lock", b"again") is False


def test_a_version_is_replaced_once(store: ObjectStore) -> None:
    first = store.replace("state/x", b"1", if_match=None)
    second = store.replace("state/x", b"2", if_match=first)
    with pytest.raises(WriteConflict):
        store.replace("state/x", b"3", if_match=first)
    with pytest.raises(WriteConflict):
        store.delete(["state/x"], if_match=first)
    assert store.read("state/x") == b"2"
    store.delete(["state/x"], if_match=second)
    with pytest.raises(WriteConflict):
        store.replace("state/x", b"4", if_match=second)
    with pytest.raises(WriteConflict):
        store.delete(["state/x"], if_match=second)
    assert store.stat("state/x") is None


def test_of_many_writers_at_once_one_wins(store: ObjectStore) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def compete(number: int) -> None:
        start.wait()
        if Lake(store).create("state/race", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and store.read("state/race") == str(won[0]).encode()


@pytest.mark.parametrize("size", [0, 1, PART + 12345])
def test_a_finished_file_is_moved_in(store: ObjectStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = tmp_path / "finished"
    path.write_bytes(data)
    store.write_file("transformed/g1/t/f.parquet", path)
    assert not path.exists()
    assert store.read("transformed/g1/t/f.parquet") == data


@pytest.mark.thorough
def test_a_stream_is_read_from_anywhere(store: ObjectStore) -> None:
    data = os.urandom(CHUNK * 2 + 777)
    store.write("raw/big", data)
    with store.open("raw/big") as stream:
        assert stream.seekable() and stream.read(10) == data[:10]
        assert stream.seek(-5, io.SEEK_END) == len(data) - 5 and stream.read() == data[-5:]
        assert stream.read(1) == b""
        stream.seek(CHUNK - 3)
        assert stream.read(6) == data[CHUNK - 3 : CHUNK + 3]
        stream.seek(0)
        assert stream.read() == data


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=CHUNK // 2**14 * 4), moves=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 400)))
)
def test_ranged_reads_equal_a_file_in_memory(data: bytes, moves: list[tuple[int, int]]) -> None:
    def fetch(_key: str, start: int, length: int, _etag: str | None) -> tuple[bytes, int, str]:
        return data[start : start + min(length, 100)], len(data), "tag"

    ours, theirs = io.BufferedReader(RangeReader(fetch, "k"), 64), io.BytesIO(data)
    for position, length in moves:
        assert ours.seek(position) == theirs.seek(position)
        assert ours.read(length) == theirs.read(length)


def test_one_small_object_is_one_request(aws: Emulator, bucket: BucketStore) -> None:
    bucket.write("raw/small", b"x" * 100_000)
    before = aws.calls["s3:GET"]
    with bucket.open("raw/small") as stream:
        assert len(stream.read()) == 100_000
    assert aws.calls["s3:GET"] - before == 1


def test_a_stream_over_a_changed_object_says_so(bucket: BucketStore) -> None:
    bucket.write("raw/big", b"a" * (CHUNK + 10))
    with bucket.open("raw/big") as stream:
        bucket.write("raw/big", b"b" * (CHUNK + 10))
        stream.seek(CHUNK + 1)
        with pytest.raises(WriteConflict, match="changed while it was read"):
            stream.read(5)


@pytest.mark.parametrize("kind", ["throttle", "error", "reset"])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_a_passing_fault_is_retried(aws: Emulator, bucket: BucketStore, kind: str, method: str) -> None:
    bucket.write("state/x", b"1")
    fault = aws.inject(kind, "s3", f"^{method} ", times=1)
    bucket.write("state/x", b"2")
    assert bucket.read("state/x") == b"2"
    info = bucket.stat("state/x")
    assert info and info.size == 1
    assert fault.hits == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttle", StorageUnavailable),
        ("error", StorageUnavailable),
        ("reset", StorageUnavailable),
        ("denied", StorageFailed),
    ],
)
def test_a_lasting_fault_is_one_clear_error(
    aws: Emulator, bucket: BucketStore, kind: str, error: type[LakeError]
) -> None:
    bucket.write("state/x", b"1")
    client = aws.client("s3")  # without retries, which cost time
    bucket = BucketStore(BUCKET, bucket.prefix, s3=lambda: client, sleep=lambda _: None)
    aws.faults.append(Fault(kind, "s3", times=1000))
    acts = [
        lambda: bucket.read("state/x"),
        lambda: bucket.open("state/x"),
        lambda: bucket.stat("state/x"),
        lambda: list(bucket.list("state/")),
        lambda: bucket.write("state/x", b"2"),
        lambda: bucket.replace("state/x", b"2", if_match=None),
        lambda: bucket.delete(["state/x"]),
    ]
    for act in acts:
        with pytest.raises(error) as caught:
            act()
        assert BUCKET in caught.value.message and "state/" in caught.value.message
    aws.faults.clear()
    assert bucket.read("state/x") == b"1"


@pytest.mark.parametrize("existing", [None, b"before"])
def test_a_conditional_write_whose_answer_was_lost_is_known_as_ours(
    aws: Emulator, bucket: BucketStore, existing: bytes | None
) -> None:
    etag = bucket.write("state/lock", existing) if existing else None
    fault = aws.inject("lost", "s3", "^PUT ")
    written = bucket.replace("state/lock", b"ours", if_match=etag)
    info = bucket.stat("state/lock")
    assert fault.hits == 1 and info and info.etag == written
    with pytest.raises(WriteConflict):
        bucket.replace("state/lock", b"ours", if_match=etag)


def test_an_undecided_conditional_write_is_tried_again(aws: Emulator, bucket: BucketStore) -> None:
    aws.inject("conflict", "s3", "^PUT ", times=2)
    bucket.replace("state/lock", b"ours", if_match=None)
    assert bucket.read("state/lock") == b"ours"
    aws.inject("conflict", "s3", "^PUT ", times=100)
    with pytest.raises(StorageUnavailable, match="under way"):  # undecided is not lost: nobody may have written it
        bucket.replace("state/other", b"ours", if_match=None)


def test_only_a_write_that_expects_an_object_is_lost_to_its_absence(aws: Emulator, bucket: BucketStore) -> None:
    aws.inject("missing", "s3", "^PUT ", times=1)
    with pytest.raises(NotFound):  # not a conflict: nobody else has written it
        bucket.replace("state/new", b"ours", if_match=None)
    etag = bucket.write("state/old", b"before")
    aws.inject("missing", "s3", "^PUT ", times=1)
    with pytest.raises(WriteConflict):
        bucket.replace("state/old", b"ours", if_match=etag)


def test_a_bucket_that_is_not_there_is_named(aws: Emulator) -> None:
    store = BucketStore("no-such-bucket", s3=lambda: aws.client("s3"))
    with pytest.raises(StorageFailed, match="NoSuchBucket"):
        store.write("state/x", b"")


def test_no_credentials_is_a_clear_error(aws: Emulator) -> None:
    import boto3

    with aws.in_environment(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""):
        client = boto3.session.Session(region_name=REGION).client("s3", endpoint_url=aws.url)
        with pytest.raises(StorageFailed, match="credentials"):
            BucketStore(BUCKET, s3=lambda: client).read("state/x")


def test_a_failed_upload_leaves_the_file_and_nothing_in_the_store(
    aws: Emulator, bucket: BucketStore, tmp_path: Path
) -> None:
    path = tmp_path / "finished"
    path.write_bytes(b"z" * (PART + 1))
    aws.faults.append(Fault("denied", "s3", times=1000))
    with pytest.raises(StorageFailed):
        bucket.write_file("transformed/f", path)
    aws.faults.clear()
    assert path.exists() and bucket.stat("transformed/f") is None


def test_locations_are_what_engines_read(bucket: BucketStore, tmp_path: Path) -> None:
    assert bucket.location("transformed/g1/") == f"s3://{BUCKET}/{bucket.prefix}transformed/g1/"
    assert FolderStore(tmp_path).location("transformed/g1/") == str(tmp_path / "transformed/g1")


def test_a_link_serves_the_object_without_credentials(aws: Emulator, bucket: BucketStore) -> None:
    import urllib.request

    bucket.write("results/r.csv", b"a,b\n")
    link = bucket.link("results/r.csv", 60, filename="r.csv", content_type="text/csv")
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"a,b\n" and answer.headers["Content-Type"] == "text/csv"
