"""Links to objects: signed as every region of S3 takes them, to the region's own host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from chalicelib.stores import aws as clients
from chalicelib.stores.s3 import BucketStore
from tests.emulator import shared

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
