"""Rebuilding on AWS: one call of the transform function for each raw object, into the generation being built."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from chalice.app import S3Event

from chalicelib import handlers
from chalicelib.errors import StorageFailed
from chalicelib.settings import Settings
from chalicelib.transformation.backlog import pending
from chalicelib.transformation.remote import RemoteTransform, remote_transform
from chalicelib.wiring import Parts
from tests.support.raw_objects import answer, artist, files, folder_lake, put

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
