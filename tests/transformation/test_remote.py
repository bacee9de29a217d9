"""Rebuilding on AWS: one call of the transform function for each raw object, into the generation being built."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from chalice.app import S3Event

from chalicelib import handlers
from chalicelib.errors import StorageFailed, StorageUnavailable
from chalicelib.settings import Settings
from chalicelib.transformation.backlog import pending
from chalicelib.transformation.remote import (
    LONGEST_PAUSE,
    MOST_AT_ONCE,
    PATIENCE,
    RemoteTransform,
    remote_transform,
)
from chalicelib.transformation.transform import transformed_apart
from chalicelib.wiring import Parts
from tests.emulator import shared
from tests.emulator.functions import Inline
from tests.support.raw_objects import answer, artist, files, folder_lake, put

NAME = "lake-throttled-transform"
ON_AWS = Settings(lake_url="s3://a-bucket/music", transform_function="lake-dev-transform")
KEY = "raw/spotify/2026/11/20/20261120T101500Z-1a2b3c/top tracks-0001.jsonl.gz"
EVENT = {
    "Records": [
        {
            "s3": {
                "bucket": {"name": "a-bucket"},
                "object": {"key": "music/raw/spotify/2026/11/20/20261120T101500Z-1a2b3c/top+tracks-0001.jsonl.gz"},
            }
        }
    ],
    "generation": "g2",
}


def stubbed(said: Any, **more: Any) -> tuple[RemoteTransform, Stubber]:
    functions = boto3.client("lambda", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    stubber = Stubber(functions)
    content = json.dumps(said).encode()
    payload = StreamingBody(io.BytesIO(content), len(content))
    asked = {"FunctionName": "lake-dev-transform", "Payload": json.dumps(EVENT).encode()}
    stubber.add_response("invoke", {"StatusCode": 200, "Payload": payload, **more}, asked)
    stubber.activate()
    return RemoteTransform(ON_AWS, functions), stubber


def test_the_function_gets_the_event_of_the_object_and_the_generation() -> None:
    remote, stubber = stubbed({"key": KEY})
    remote("g2", KEY)
    stubber.assert_no_pending_responses()
    assert S3Event(EVENT, None).key == f"music/{KEY}"


def test_a_function_that_fails_is_named_with_its_words() -> None:
    remote, _ = stubbed({"errorMessage": "out of memory"}, FunctionError="Unhandled")
    with pytest.raises(StorageFailed, match=r"lake-dev-transform failed on .*: out of memory"):
        remote("g2", KEY)


@pytest.mark.thorough
@pytest.mark.parametrize("executions", [1, 3, 10, 50])
def test_a_rebuild_that_meets_throttling_goes_on_by_itself(executions: int) -> None:
    """A new account runs ten functions at once; other work of the account leaves fewer."""
    aws, done = shared(), []
    aws.functions.inline[NAME] = Inline(lambda event: done.append(event["Records"][0]["s3"]["object"]["key"]))
    aws.functions.concurrency, aws.functions.most_at_once = executions, 0
    keys = [f"raw/spotify/{number}" for number in range(300)]
    remote = RemoteTransform(
        Settings(lake_url="s3://b-1", transform_function=NAME), aws.client("lambda"),
        sleep=lambda seconds: time.sleep(seconds / 100),
    )  # fmt: skip
    try:
        target = folder_lake(Path("/nowhere")).in_generation("g2")
        assert sorted(transformed_apart(target, keys, None, remote)) == sorted(keys)
    finally:
        aws.functions.concurrency = 1000
        del aws.functions.inline[NAME]
    assert sorted(done) == sorted(keys)
    assert aws.functions.most_at_once <= min(executions, MOST_AT_ONCE)


def test_a_function_that_is_refused_for_ever_is_given_up() -> None:
    aws = shared()
    aws.functions.inline[NAME] = Inline(lambda _: None)
    aws.functions.concurrency = 0
    waited: list[float] = []
    remote = RemoteTransform(
        Settings(lake_url="s3://b-1", transform_function=NAME), aws.client("lambda"), sleep=waited.append
    )
    try:
        with pytest.raises(StorageUnavailable, match="TooManyRequestsException"):
            remote("g2", "raw/spotify/x")
    finally:
        aws.functions.concurrency = 1000
        del aws.functions.inline[NAME]
    assert PATIENCE < sum(waited) < PATIENCE + 2 * LONGEST_PAUSE and max(waited) <= 1.5 * LONGEST_PAUSE


def test_only_a_lake_on_aws_with_a_function_shares_its_work_out() -> None:
    assert remote_transform(ON_AWS) is not None
    assert remote_transform(Settings(lake_url="s3://a-bucket")) is None
    assert remote_transform(Settings(lake_url="./lake", transform_function="x")) is None


def test_the_event_fills_the_generation_that_it_names(tmp_path: Path) -> None:
    lake = folder_lake(tmp_path / "lake")
    key = put(lake, [answer("me/following", {"artists": {"items": [artist("a")]}})])
    parts = Parts({"LAKE_URL": str(tmp_path / "lake")}, None)
    lake.name_generation()  # as a rebuild does before it sends such events
    assert handlers.transform(parts, key, "g2") == {"key": key, "generation": "g2"}
    assert list(pending(lake)) == [key]
    assert list(pending(lake.in_generation("g2"))) == []
    assert all(name.startswith("transformed/g2/") for name in files(lake))
