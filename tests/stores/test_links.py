"""Links to objects: signed as every region of S3 takes them, to the region's own host."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from chalicelib.stores import aws as clients
from chalicelib.stores.s3 import BucketStore
from tests.emulator import REGION, shared
from tests.emulator.server import KEYS
from tests.emulator.stage import make_bucket

BUCKET = "spotify-lake-dev-1"
OLD = ("us-east-1", "us-west-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-1", "ap-southeast-2",
       "sa-east-1")  # the regions that would take version 2 of signatures  # fmt: skip
REGIONS = sorted(
    {
        *OLD,
        *(
            region
            for partition in ("aws", "aws-cn", "aws-us-gov")
            for region in boto3.session.Session().get_available_regions("s3", partition)
        ),
    }
)
LINKS: list[Callable[[BucketStore], str]] = [
    lambda store: store.link("results/r.csv", 60, filename="r.csv", content_type="text/csv"),
    lambda store: store.upload_link("raw/history/e.zip", 60),
]


@pytest.fixture
def in_region() -> Iterator[Callable[[str], BucketStore]]:
    """A store in a region of the real AWS; only links are made, which is no call."""
    with shared().in_environment(AWS_ENDPOINT_URL="", AWS_ENDPOINT_URL_S3="", AWS_SESSION_TOKEN="token") as _:

        def store(region: str) -> BucketStore:
            client = boto3.session.Session(region_name=region).client("s3", config=clients.configured("s3"))
            return BucketStore(BUCKET, s3=lambda: client)

        yield store


def answered(link: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Status and text of what a client without credentials gets."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(link, body, named, method=method)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def bucket() -> BucketStore:
    aws = shared()
    client = boto3.session.Session(region_name=REGION).client(
        "s3", endpoint_url=aws.url, config=clients.configured("s3"),
        **{name.lower(): value for name, value in KEYS.items()},
    )  # fmt: skip
    if not any(each["Name"] == BUCKET for each in client.list_buckets()["Buckets"]):
        make_bucket(aws, BUCKET)
    return BucketStore(BUCKET, s3=lambda: client)


def test_a_link_is_taken_whatever_else_a_browser_sends(bucket: BucketStore) -> None:
    link = bucket.upload_link("raw/history/anna/my export (1).zip", 60)
    assert answered(link, "PUT", b"x", Content_Type="application/octet-stream", Origin="https://a.example")[0] == 200
    link = bucket.link("raw/history/anna/my export (1).zip", 60, filename='a "b".zip', content_type="application/zip")
    assert answered(link, Range="bytes=0-10", Accept="*/*")[1] == "x"


def test_a_link_that_was_changed_is_refused(bucket: BucketStore) -> None:
    bucket.write("results/r.csv", b"a")
    link = bucket.link("results/r.csv", 60, filename="r.csv", content_type="text/csv")
    assert answered(link) == (200, "a")
    for changed in (
        link.replace("results/r.csv", "results/s.csv"),
        link.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        link.replace("text%2Fcsv", "text%2Fhtml"),
    ):
        status, told = answered(changed)
        assert (status, "SignatureDoesNotMatch" in told) == (403, True)
    assert answered(link, "PUT", b"b")[0] == 403
    assert answered(bucket.upload_link("raw/history/x.zip", 60, 5), "PUT", b"123456")[0] == 403
    assert answered(bucket.upload_link("raw/history/x.zip", 60, 6), "PUT", b"123456")[0] == 200


def test_a_link_ends_with_its_time(bucket: BucketStore) -> None:
    aws = shared()
    bucket.write("results/r.csv", b"a")
    link = bucket.link("results/r.csv", 60, filename="r.csv", content_type="text/csv")
    aws.clock = lambda: time.time() + 90
    try:
        assert answered(link)[0] == 403
    finally:
        aws.clock = time.time


def test_version_two_is_refused_as_by_every_bucket_since_2020(bucket: BucketStore) -> None:
    from botocore.config import Config

    old = boto3.session.Session(region_name=REGION).client(
        "s3", endpoint_url=shared().url, config=Config(signature_version="s3"),
        **{name.lower(): value for name, value in KEYS.items()},
    )  # fmt: skip
    link = old.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "results/r.csv"}, ExpiresIn=60)
    status, told = answered(link)
    assert status == 403 and "AWS4-HMAC-SHA256" in told


@pytest.mark.parametrize("region", REGIONS)
def test_a_link_is_of_version_four_and_names_the_regions_own_host(
    in_region: Callable[[str], BucketStore], region: str
) -> None:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    for link in LINKS:
        address = urlsplit(link(in_region(region)))
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        assert address.netloc == f"{BUCKET}.s3.{region}.{suffix}"
        assert asked["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256" and f"/{region}/s3/" in asked["X-Amz-Credential"]
        assert "content-type" not in asked["X-Amz-SignedHeaders"]  # the page sends one of its own
