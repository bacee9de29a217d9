"""CloudFormation stacks: made, changed, left alone or removed, with the reason when it does not work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from chalicelib.stores.aws import code_of
from deploy.errors import DeployFailed

BODY_LIMIT = 51_200  # bytes, CloudFormation's TemplateBody; a larger template goes by way of S3
LONGEST = 900.0  # s that a stack may take
POLL = 2.0  # s between two looks
NOTHING = "No updates are to be performed"
#: Never made whole; REVIEW_IN_PROGRESS is left by a change set that nobody carried out.
BROKEN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS")
BEGINS, CANCELLED = "User Initiated", "Resource creation cancelled"  # CloudFormation's reasons in events
STUCK = "UPDATE_ROLLBACK_FAILED"

Sleep = Callable[[float], None]


def ensure(
    client: Any,
    name: str,
    template: dict[str, Any],
    tags: dict[str, str],
    *,
    upload: Callable[[bytes], str] | None = None,
    sleep: Sleep = time.sleep,
) -> str:
    """Bring a stack to its template: ``created``, ``updated`` or ``unchanged``. Raises DeployFailed with the reasons.

    A stack that was never made whole is removed first. ``upload`` puts a large template where CloudFormation reads it.
    """
    body = json.dumps(template, separators=(",", ":"), sort_keys=True)
    asked: dict[str, Any] = {
        "StackName": name,
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    asked |= {"TemplateURL": upload(body.encode())} if upload and len(body) > BODY_LIMIT else {"TemplateBody": body}
    state = status(client, name)
    if state in BROKEN:
        delete(client, name, sleep=sleep)
        state = None
    if state and not state.endswith("_COMPLETE"):
        state = settle(client, name, sleep)
    if state == STUCK:
        raise DeployFailed(
            f"stack {name} is {STUCK}: {'; '.join(reasons(client, name)) or 'see its events'}. Mend that, then"
            f" `aws cloudformation continue-update-rollback --stack-name {name}`, then run this again"
        )
    if state is None:
        stack = str(client.create_stack(**asked, OnFailure="DELETE")["StackId"])
        return finished(client, name, stack, "created", sleep)
    from botocore.exceptions import ClientError

    try:
        stack = str(client.update_stack(**asked)["StackId"])
    except ClientError as error:
        if NOTHING in error.response["Error"]["Message"]:
            return "unchanged"
        raise
    return finished(client, name, stack, "updated", sleep)


def delete(client: Any, name: str, *, sleep: Sleep = time.sleep) -> bool:
    """Remove a stack; False if there is none."""
    stack = stack_id(client, name)
    if stack is None:
        return False
    client.delete_stack(StackName=name)
    state = settle(client, stack, sleep)
    if state is not None:
        raise DeployFailed(f"stack {name} could not be removed ({state}): {'; '.join(reasons(client, stack))}")
    return True


def status(client: Any, stack: str) -> str | None:
    """The state of a stack, by its name or its id; None where there is none, or none any more."""
    found = described(client, stack)
    return str(found["StackStatus"]) if found else None


def stack_id(client: Any, name: str) -> str | None:
    """Its id, by which alone CloudFormation tells of a stack that is gone (API_DescribeStackEvents)."""
    found = described(client, name)
    return str(found["StackId"]) if found else None


def described(client: Any, stack: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        found: dict[str, Any] = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if code_of(error) == "ValidationError":
            return None
        raise
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def finished(client: Any, name: str, stack: str, done: str, sleep: Sleep) -> str:
    state = settle(client, stack, sleep)
    if state not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        told = "; ".join(reasons(client, stack)) or "CloudFormation's console has the reasons"
        raise DeployFailed(f"stack {name} could not be {done} ({state or 'it was removed again'}): {told}")
    return done


def settle(client: Any, stack: str, sleep: Sleep) -> str | None:
    """The stack's state once it has come to rest. Raises DeployFailed after LONGEST."""
    waited = 0.0
    while (state := status(client, stack)) and state.endswith("_IN_PROGRESS"):
        if waited > LONGEST:
            raise DeployFailed(f"stack {stack} is still {state} after {LONGEST:g} s: run this again when it has ended")
        sleep(POLL)
        waited += POLL
    return state


def reasons(client: Any, stack: str) -> list[str]:
    """What failed first in the stack's last operation, in CloudFormation's words; not what was cancelled for it."""
    failed: list[str] = []
    for event in events(client, stack):  # newest first
        if event.get("PhysicalResourceId") == event.get("StackId"):  # of the stack as a whole
            if event.get("ResourceStatusReason") == BEGINS:
                break
            continue
        told = str(event.get("ResourceStatusReason", "?"))
        if str(event.get("ResourceStatus", "")).endswith("FAILED") and CANCELLED not in told:
            failed.append(f"{event['LogicalResourceId']}: {told}")
    return failed[::-1][:5]


def events(client: Any, stack: str) -> Iterator[dict[str, Any]]:
    """The events of a stack, newest first; none where it cannot be asked."""
    from botocore.exceptions import ClientError

    asked: dict[str, str] = {}
    while True:
        try:
            page = client.describe_stack_events(StackName=stack, **asked)
        except ClientError:
            return
        yield from page["StackEvents"]
        if not page.get("NextToken"):
            return
        asked = {"NextToken": page["NextToken"]}
