"""Stacks: made, changed, left alone, removed, and what is said where that does not work."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.errors import DeployFailed
from deploy.stacks import BODY_LIMIT, delete, ensure, status
from tests.emulator import ACCOUNT, REGION, Emulator, shared

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def aws() -> Emulator:
    emulator = shared()
    emulator.take_deployments()
    return emulator


@pytest.fixture
def name() -> str:
    return f"stack-{next(NUMBERS)}"


def no_wait(_: float) -> None: ...


def queue(name: str, **more: Any) -> dict[str, Any]:
    return {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"q-{name}", **more}}}}


def broken(name: str) -> dict[str, Any]:
    """One of its resources S3 refuses: a name of the account's own namespace that does not end in its suffix."""
    properties = {"BucketName": f"b-{name}", "BucketNamespace": "account-regional"}
    return {"Resources": {"Lake": {"Type": "AWS::S3::Bucket", "Properties": properties}}}


def test_a_stack_is_made_changed_left_alone_and_removed(aws: Emulator, name: str) -> None:
    client = aws.client("cloudformation")
    assert ensure(client, name, queue(name), {"app": "x"}, sleep=no_wait) == "created"
    assert ensure(client, name, queue(name), {"app": "x"}, sleep=no_wait) == "unchanged"
    assert ensure(client, name, queue(name, DelaySeconds=5), {"app": "x"}, sleep=no_wait) == "updated"
    assert delete(client, name, sleep=no_wait) and not delete(client, name, sleep=no_wait)
    assert status(client, name) is None


def test_a_template_larger_than_cloudformation_takes_directly_goes_by_way_of_the_bucket(
    aws: Emulator, name: str
) -> None:
    client, s3 = aws.client("cloudformation"), aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    uploaded: list[int] = []

    def upload(body: bytes) -> str:
        uploaded.append(len(body))
        s3.put_object(Bucket=name, Key="state/deploy/template.json", Body=body)
        return f"https://{name}.s3.{REGION}.amazonaws.com/state/deploy/template.json"

    def sized(size: int) -> dict[str, Any]:
        template = {**queue(name), "Metadata": {"Columns": ""}}
        template["Metadata"]["Columns"] = "c" * (size - len(json.dumps(template, separators=(",", ":"))))
        return template

    for size, done in ((BODY_LIMIT, "created"), (BODY_LIMIT + 1, "updated"), (400_000, "updated")):
        assert ensure(client, name, sized(size), {}, upload=upload, sleep=no_wait) == done
        assert ensure(client, name, sized(size), {}, upload=upload, sleep=no_wait) == "unchanged"
        assert client.get_template(StackName=name)["TemplateBody"] == sized(size)
    assert uploaded == [BODY_LIMIT + 1] * 2 + [400_000] * 2
    with pytest.raises(ClientError, match="less than or equal to 51200"):  # the emulation holds to it, as AWS does
        ensure(client, name, sized(BODY_LIMIT + 1), {}, sleep=no_wait)


def test_the_first_stack_that_fails_says_why_though_it_is_gone_by_then(aws: Emulator, name: str) -> None:
    client = aws.client("cloudformation")
    with pytest.raises(
        DeployFailed, match=r"could not be created .*Lake: the name b-.* does not go with the namespace"
    ):
        ensure(client, name, broken(name), {}, sleep=no_wait)
    with pytest.raises(ClientError, match="does not exist"):  # AWS: deleted stacks by their id alone
        client.describe_stack_events(StackName=name)
    assert ensure(client, name, queue(name), {}, sleep=no_wait) == "created"


class Scripted:
    """CloudFormation whose stack goes through given states, one a look; None is no stack. It answers in AWS's shapes,
    and of a stack that is gone by its id alone, as AWS does."""

    def __init__(self, *states: str | None, events: Sequence[dict[str, Any]] = ()) -> None:
        self.states = list(states)
        self.events = list(events)
        self.calls: list[str] = []
        self.id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/s/{next(NUMBERS)}"

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None or (state == "DELETE_COMPLETE" and StackName != self.id):
            raise absent("DescribeStacks")
        return {"Stacks": [{"StackStatus": state, "StackId": self.id}]}

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        if self.states[0] in (None, "DELETE_COMPLETE") and StackName != self.id:
            raise absent("DescribeStackEvents")
        return {"StackEvents": self.events}

    def create_stack(self, **_: Any) -> dict[str, str]:
        self.calls.append("create_stack")
        return {"StackId": self.id}

    def update_stack(self, **_: Any) -> dict[str, str]:
        self.calls.append("update_stack")
        return {"StackId": self.id}

    def delete_stack(self, **_: Any) -> None:
        self.calls.append("delete_stack")


def absent(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": "Stack with id s does not exist"}}, operation)


def event(logical: str, status: str, reason: str, *, of_stack: bool = False) -> dict[str, Any]:
    return {"LogicalResourceId": logical, "ResourceStatus": status, "ResourceStatusReason": reason, "StackId": "s",
            "PhysicalResourceId": "s" if of_stack else logical}  # fmt: skip


@pytest.mark.parametrize("state", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"])
def test_a_stack_that_was_never_whole_is_made_anew(state: str) -> None:
    stacks = Scripted(state, state, "DELETE_IN_PROGRESS", None, "CREATE_COMPLETE")
    assert ensure(stacks, "s", {}, {}, sleep=no_wait) == "created"
    assert stacks.calls == ["delete_stack", "create_stack"]


def test_only_the_last_operations_reasons_are_told_and_none_that_another_failure_caused() -> None:
    events = [
        event("s", "UPDATE_ROLLBACK_COMPLETE", "", of_stack=True),
        event("Other", "CREATE_FAILED", "Resource creation cancelled"),
        event("Crawler", "UPDATE_FAILED", "no role"),
        event("s", "UPDATE_IN_PROGRESS", "User Initiated", of_stack=True),
        event("Old", "CREATE_FAILED", "of last year"),
    ]
    stacks = Scripted("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", events=events)
    with pytest.raises(DeployFailed, match=r"UPDATE_ROLLBACK_COMPLETE\): Crawler: no role$"):
        ensure(stacks, "s", {}, {}, sleep=no_wait)


def test_a_stack_whose_way_back_failed_names_the_way_out() -> None:
    with pytest.raises(DeployFailed, match="continue-update-rollback --stack-name s"):
        ensure(Scripted("UPDATE_ROLLBACK_FAILED"), "s", {}, {}, sleep=no_wait)


def test_a_stack_that_does_not_end_is_not_waited_for_for_ever() -> None:
    with pytest.raises(DeployFailed, match="still CREATE_IN_PROGRESS"):
        ensure(Scripted(None, "CREATE_IN_PROGRESS"), "s", {}, {}, sleep=no_wait)
