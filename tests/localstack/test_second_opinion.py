"""The stores and the data stack against LocalStack, which other hands have made."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from chalicelib.errors import NotFound, WriteConflict
from chalicelib.stores.s3 import PART, BucketStore
from deploy import secret_stores
from deploy.errors import DeployFailed
from deploy.functions import FUNCTIONS
from deploy.names import Names
from deploy.policies import policies
from deploy.stacks import delete, ensure, status
from deploy.template import Options, app_template, data_template
from tests.support import localstack
from tests.support.localstack import ACCOUNT, REGION, LocalStack

pytestmark = pytest.mark.timeout(600)  # it takes a while to start
TAGS = {"app": "spotify-lake", "stage": "dev"}
OCTETS = {"Content-Type": "application/octet-stream"}  # what the page sends


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    localstack.needed()
    with localstack.running(tmp_path_factory.mktemp("localstack")) as found:
        yield found


@pytest.fixture(scope="module")
def store(aws: LocalStack) -> BucketStore:
    client = aws.client("s3")
    client.create_bucket(Bucket="the-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    return BucketStore("the-lake", "lakes/a", s3=lambda: client)


def soon(_: float) -> None:
    time.sleep(0.2)


def asked(link: str, body: bytes | None = None, method: str = "PUT") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(link, body, OCTETS, method=method)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.thorough
def test_conditional_writes_keep_their_promises(store: BucketStore) -> None:
    etag = store.replace("state/a", b"1", if_match=None)
    for wrong in (None, '"0"'):
        with pytest.raises(WriteConflict):
            store.replace("state/a", b"2", if_match=wrong)
    store.replace("state/a", b"2", if_match=etag)
    assert store.read("state/a") == b"2"


def test_objects_are_listed_copied_read_in_ranges_and_deleted(store: BucketStore, tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "b-3"):
        store.write(name, name.encode() * 100)
    assert [info.key for info in store.list("b")] == ["b-3", "b/1", "b/2"]
    assert [info.key for info in store.list("b/", start_after="b/1")] == ["b/2"]
    store.copy("b/1", "c/1")
    with store.open("c/1") as stream:
        stream.seek(3)
        assert stream.read(3) == b"b/1"
    with pytest.raises(NotFound):
        store.copy("b/none", "c/2")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(PART + 1)
    store.write_file("b/large", large)
    found = store.stat("b/large")
    assert found and found.size == PART + 1
    store.delete([info.key for info in store.list("b")])
    assert not list(store.list("b"))


def test_links_are_taken_with_what_the_page_sends_and_refused_changed(aws: LocalStack, store: BucketStore) -> None:
    assert asked(store.upload_link("raw/history/a (1).zip", 60), b"export") == 200
    assert asked(store.upload_link("raw/history/b.zip", 60, 6), b"export") == 200
    assert asked(store.upload_link("raw/history/b.zip", 60, 5), b"export") == 403
    link = store.link("raw/history/b.zip", 60, filename="b.zip", content_type="application/zip")
    assert asked(link, method="GET") == 200
    assert asked(link.replace("b.zip?", "a%20%281%29.zip?"), method="GET") == 403
    old = aws.client("s3", config=Config(signature_version="s3"))
    link = old.generate_presigned_url("put_object", Params={"Bucket": "the-lake", "Key": "x"}, ExpiresIn=60)
    assert asked(link, b"export") == 403  # version 2 signs the Content-Type


@pytest.mark.thorough
@pytest.mark.parametrize("back", [False, True])
def test_secrets_are_kept_and_move_from_one_store_to_the_other(aws: LocalStack, back: bool) -> None:
    names = Names("there" if not back else "back", ACCOUNT, REGION)
    urls = f"secretsmanager:{names.secret}", f"ssm:/{names.base}"
    source_url, target_url = urls[::-1] if back else urls
    for url in urls:
        secret_stores.make(url, names, aws)
        assert secret_stores.make(url, names, aws) == 0
    source, target = (secret_stores.store_at(url, aws) for url in (source_url, target_url))
    for name, value in (("listener-a", "1"), ("listener-a", "2"), ("api-tokens", "[]")):
        source.write(name, value)
    secret_stores.copy(source, target, target_url)
    secret_stores.remove(source_url, names, aws, lambda _: None)
    assert {name: target.read(name) for name in target.names()} == {"api-tokens": "[]", "listener-a": "2"}


@pytest.mark.thorough
def test_the_data_stack_is_made_left_alone_and_removed(aws: LocalStack) -> None:
    """In the namespace that all accounts share: its CloudFormation passes no BucketNamespace on to its S3, and knows
    neither lifecycle rules nor RetainExceptOnCreate; all of that the other emulation holds."""
    own, client = Names("dev", ACCOUNT, REGION), aws.client("cloudformation")
    names = replace(own, bucket_name=own.former_bucket)
    template = data_template(names)
    assert ensure(client, names.data_stack, template, TAGS, sleep=soon) == "created"
    assert ensure(client, names.data_stack, template, TAGS, sleep=soon) == "unchanged"
    s3 = aws.client("s3")
    assert s3.get_bucket_versioning(Bucket=names.bucket)["Status"] == "Enabled"
    assert "TlsOnly" in s3.get_bucket_policy(Bucket=names.bucket)["Policy"]
    assert s3.get_public_access_block(Bucket=names.bucket)["PublicAccessBlockConfiguration"]["BlockPublicAcls"]
    assert delete(client, names.data_stack, sleep=soon) and status(client, names.data_stack) is None


def test_the_buckets_name_is_one_of_the_accounts_own_namespace(aws: LocalStack) -> None:
    names, s3 = Names("dev", ACCOUNT, REGION), aws.client("s3")
    told = data_template(names)["Resources"]["LakeBucket"]["Properties"]
    where = {"LocationConstraint": REGION}
    with pytest.raises(ClientError, match="MissingNamespaceHeader"):
        s3.create_bucket(Bucket=told["BucketName"], CreateBucketConfiguration=where)
    s3.create_bucket(
        Bucket=told["BucketName"], BucketNamespace=told["BucketNamespace"], CreateBucketConfiguration=where
    )
    s3.head_bucket(Bucket=names.bucket)


def test_a_stack_that_fails_says_why(aws: LocalStack) -> None:
    broken: dict[str, Any] = {"Resources": {"Parameter": {"Type": "AWS::SSM::Parameter", "Properties": {
        "Name": "/a", "Type": "NoSuchType", "Value": "x"}}}}  # fmt: skip
    with pytest.raises(DeployFailed, match="Parameter"):
        ensure(aws.client("cloudformation"), "broken", broken, TAGS, sleep=soon)


@pytest.mark.thorough
def test_the_roles_and_policies_are_taken_by_iam(aws: LocalStack) -> None:
    names, client, iam = Names("dev", ACCOUNT, REGION), aws.client("cloudformation"), aws.client("iam")
    role = app_template(names, Options())["Resources"]["CrawlerRole"]
    assert ensure(client, names.stack, {"Resources": {"CrawlerRole": role}}, TAGS, sleep=soon) == "created"
    trust = iam.get_role(RoleName=f"{names.base}-crawler")["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    for function in FUNCTIONS:
        document = policies(names)[function.policy]
        iam.create_role(RoleName=names.role(function.handler), AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(
            RoleName=names.role(function.handler), PolicyName="rights", PolicyDocument=json.dumps(document)
        )
        held = iam.get_role_policy(RoleName=names.role(function.handler), PolicyName="rights")["PolicyDocument"]
        assert held == document
