"""A lake in a bucket: the same promises as a folder, kept by S3's conditional writes.

Needs S3's strong consistency and ``If-Match`` / ``If-None-Match`` on PutObject (S3, 2024) and ``If-Match`` on
DeleteObject (S3, 2025). A conditional write whose answer was lost is repeated by botocore and then refused,
although it was ours: each carries a mark of its own in the object's metadata, and one look tells.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from chalicelib.clock import Sleep
from chalicelib.errors import NotFound, StorageFailed, StorageUnavailable, WriteConflict
from chalicelib.lake import ObjectInfo, ObjectStore
from chalicelib.stores.aws import client, code_of, lake_errors

CHUNK = 4 * 2**20  # bytes fetched at a time by open(); a smaller object is one request
PART = 16 * 2**20  # bytes, size above which a file is sent in parts, and of each part
LARGEST_PUT = 5 * 2**30  # bytes of one PUT
LARGEST_COPY, COPIED_PART = 5 * 2**30, 2**30  # bytes that CopyObject takes at once, and of each part above them
DELETE_BATCH = 1000  # keys, S3's DeleteObjects
CONFLICT_ATTEMPTS = 3  # S3 answers 409 while another write to the key is under way: the condition is undecided
BODY_ATTEMPTS = 3  # botocore retries requests, not bodies that break off
ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
REFUSED = frozenset({"PreconditionFailed", "412"})
UNDECIDED = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
WRITE_MARK = "write"  # metadata name: x-amz-meta-write


class BucketStore:
    """Objects below ``prefix`` in ``bucket``. The client is built on first use."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        s3: Callable[[], Any] = lambda: client("s3"),
        sleep: Sleep = time.sleep,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._s3 = s3
        self._sleep = sleep

    def read(self, key: str) -> bytes:
        return self._fetch(key)[0]

    def open(self, key: str) -> BinaryIO:
        return io.BufferedReader(RangeReader(self._fetch_range, key), CHUNK)

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            with self._errors(f"look at {key}", key):
                head = self._s3().head_object(Bucket=self.bucket, Key=self._full(key))
        except NotFound:
            return None
        return ObjectInfo(key, head["ContentLength"], head["LastModified"], head["ETag"])

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        asked = {"Bucket": self.bucket, "Prefix": self.prefix + prefix}
        if start_after:
            asked["StartAfter"] = self.prefix + start_after
        while True:
            with self._errors(f"list {prefix or 'the lake'}", prefix):
                page = self._s3().list_objects_v2(**asked)
            for entry in page.get("Contents", []):
                key = entry["Key"].removeprefix(self.prefix)
                yield ObjectInfo(key, entry["Size"], entry["LastModified"], entry["ETag"])
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
        with self._errors(f"write {key}", key):
            return str(self._put(key, data, ContentType=content_type)["ETag"])

    def write_file(self, key: str, path: Path) -> None:
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig

        transfer = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
        with self._errors(f"write {key}", key):
            try:
                self._s3().upload_file(str(path), self.bucket, self._full(key), Config=transfer)
            except S3UploadFailedError as error:  # hides the error that says why
                raise (error.__context__ or error) from None
        path.unlink()

    def copy(self, key: str, to: str) -> None:
        from boto3.s3.transfer import TransferConfig

        transfer = TransferConfig(multipart_threshold=LARGEST_COPY, multipart_chunksize=COPIED_PART)
        with self._errors(f"copy {key} to {to}", key):
            source = {"Bucket": self.bucket, "Key": self._full(key)}
            self._s3().copy(source, self.bucket, self._full(to), Config=transfer)

    def replace(self, key: str, data: bytes, *, if_match: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if if_match is None else {"IfMatch": if_match}
        mark = secrets.token_hex(8)
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            try:
                return str(self._put(key, data, Metadata={WRITE_MARK: mark}, **condition)["ETag"])
            except Exception as error:
                lost = REFUSED if if_match is None else REFUSED | ABSENT  # absent: it was deleted meanwhile
                etag = self._settle(key, mark, error, lost, last=attempt == CONFLICT_ATTEMPTS)
                if etag:  # ours after all, though the answer was lost
                    return etag
            self._sleep(0.1 * attempt)
        raise AssertionError("the last attempt either answers or raises")

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        if if_match is not None:
            (key,) = keys
            self._delete_if(key, if_match)
            return
        pending = iter(keys)
        while batch := list(islice(pending, DELETE_BATCH)):
            objects = [{"Key": self._full(key)} for key in batch]
            with self._errors(f"delete {batch[0]} and {len(batch) - 1} more", batch[0]):
                answer = self._s3().delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            for failure in answer.get("Errors", []):
                raise StorageUnavailable(f"cannot delete {failure['Key']}: {failure['Code']}", key=failure["Key"])

    def location(self, prefix: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{prefix}"

    def link(self, key: str, seconds: int, *, filename: str, content_type: str) -> str:
        """An address that serves the object without credentials for ``seconds``."""
        asked = {
            "Bucket": self.bucket,
            "Key": self._full(key),
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseContentType": content_type,
        }
        return str(self._s3().generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    def upload_link(self, key: str, seconds: int, size: int | None = None) -> str:
        """An address that takes the object without credentials for ``seconds``; of ``size`` bytes and no other where
        that is said, for the length is signed with it."""
        asked: dict[str, Any] = {"Bucket": self.bucket, "Key": self._full(key)}
        if size is not None:
            asked["ContentLength"] = size
        return str(self._s3().generate_presigned_url("put_object", Params=asked, ExpiresIn=seconds))

    def _put(self, key: str, data: bytes, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._s3().put_object(Bucket=self.bucket, Key=self._full(key), Body=data, **more)
        return answer

    def _settle(self, key: str, mark: str, error: Exception, lost: frozenset[str], *, last: bool) -> str | None:
        """What a failed conditional write means: its etag if it was ours after all, None to try again. ``lost`` are
        the codes that say that the condition does not hold."""
        code = code_of(error)
        if code in UNDECIDED and not last:
            return None
        if code in lost or code in UNDECIDED:
            etag = self._written_with(key, mark)
            if etag:
                return etag
            if code in UNDECIDED:  # whether the other write takes effect, nobody knows yet
                raise StorageUnavailable(f"cannot write {key} just now: another write to it is under way", key=key)
            raise WriteConflict(f"{key} was written by somebody else", key=key) from error
        with self._errors(f"write {key}", key):
            raise error

    def _written_with(self, key: str, mark: str) -> str | None:
        try:
            with self._errors(f"look at {key}", key):
                head = self._s3().head_object(Bucket=self.bucket, Key=self._full(key))
        except NotFound:
            return None
        return str(head["ETag"]) if head.get("Metadata", {}).get(WRITE_MARK) == mark else None

    def _delete_if(self, key: str, etag: str) -> None:
        """S3 answers 204 for an absent key, as for a deleted one: ask first, so that both stores agree."""
        info = self.stat(key)
        if info is None or info.etag != etag:
            raise WriteConflict(f"{key} was written by somebody else", key=key)
        with self._errors(f"delete {key}", key):
            try:
                self._s3().delete_object(Bucket=self.bucket, Key=self._full(key), IfMatch=etag)
            except Exception as error:
                if code_of(error) in REFUSED | UNDECIDED | ABSENT:
                    raise WriteConflict(f"{key} was written by somebody else", key=key) from error
                raise

    def _fetch(self, key: str, **more: Any) -> tuple[bytes, dict[str, Any]]:
        from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

        with self._errors(f"read {key}", key):
            for attempt in range(1, BODY_ATTEMPTS + 1):
                answer = self._s3().get_object(Bucket=self.bucket, Key=self._full(key), **more)
                try:
                    return answer["Body"].read(), answer
                except (HTTPClientError, IncompleteReadError, ResponseStreamingError) as error:
                    if attempt == BODY_ATTEMPTS:
                        raise StorageUnavailable(f"{key} breaks off while being read", key=key) from error
                    self._sleep(0.1 * attempt)
        raise AssertionError("the last attempt either answers or raises")

    def _fetch_range(self, key: str, start: int, length: int, etag: str | None) -> tuple[bytes, int, str]:
        """Bytes of the object, its whole size and its etag; WriteConflict if it is not the version ``etag``."""
        asked = {"Range": f"bytes={start}-{start + length - 1}", **({"IfMatch": etag} if etag else {})}
        try:
            data, answer = self._fetch(key, **asked)
        except Exception as error:
            code = code_of(error.__cause__) if isinstance(error.__cause__, Exception) else ""
            if code == "InvalidRange":  # an empty object has no range
                return b"", 0, ""
            if code in REFUSED:
                raise WriteConflict(f"{key} changed while it was read", key=key) from error
            raise
        whole = str(answer.get("ContentRange", "")).rpartition("/")[2]
        return data, int(whole) if whole else len(data), answer["ETag"]

    def _errors(self, doing: str, key: str) -> Any:
        return lake_errors(f"{doing} in s3://{self.bucket}/{self.prefix}", missing=ABSENT, key=key)

    def _full(self, key: str) -> str:
        if key.startswith("/") or ".." in key.split("/") or "\0" in key:
            raise NotFound(f"{key!r} is not a key of the lake", key=key)
        return self.prefix + key


def upload_link(store: ObjectStore, key: str, lasts: timedelta, size: int | None = None) -> str:
    """An address that one file, of ``size`` bytes where that is said, can be PUT to without credentials while it
    ``lasts``."""
    if not isinstance(store, BucketStore):
        raise StorageFailed("only a lake in a bucket has links to upload to", key=key)
    return store.upload_link(key, int(lasts.total_seconds()), size)


class RangeReader(io.RawIOBase):
    """A seekable read-only stream over ranged reads of one version of an object.

    Put under a BufferedReader, so that small reads share a request.
    """

    def __init__(self, fetch: Callable[[str, int, int, str | None], tuple[bytes, int, str]], key: str) -> None:
        self._fetch, self._key = fetch, key
        self._position = 0
        self._first, self._size, self._etag = fetch(key, 0, CHUNK, None)  # raises NotFound here, not at the first read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("cannot seek before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._first[self._position : self._position + wanted]
        if not data:
            data, _, _ = self._fetch(self._key, self._position, wanted, self._etag)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
