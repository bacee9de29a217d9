"""CloudFormation stacks: made, changed, left alone or removed, with the reason when it does not work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from deploy.errors import DeployFailed

BODY_LIMIT = 51_200  # bytes, CloudFormation's TemplateBody; a larger template goes by way of S3
LONGEST = 900.0  # s that a stack may take
POLL = 2.0  # s between two looks
NOTHING = "No updates are to be performed"
BROKEN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")

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
        settle(client, name, sleep)
    if state is None:
        client.create_stack(**asked, OnFailure="DELETE")
        return finished(client, name, "created", sleep)
    from botocore.exceptions import ClientError

    try:
        client.update_stack(**asked)
    except ClientError as error:
        if NOTHING in error.response["Error"]["Message"]:
            return "unchanged"
        raise
    return finished(client, name, "updated", sleep)


def delete(client: Any, name: str, *, sleep: Sleep = time.sleep) -> bool:
    """Remove a stack; False if there is none."""
    if status(client, name) is None:
        return False
    client.delete_stack(StackName=name)
    state = settle(client, name, sleep)
    if state not in (None, "DELETE_COMPLETE"):
        raise DeployFailed(f"stack {name} could not be removed ({state}): {'; '.join(reasons(client, name))}")
    return True


def status(client: Any, name: str) -> str | None:
    from botocore.exceptions import ClientError

    try:
        state = str(client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    return None if state == "DELETE_COMPLETE" else state


def finished(client: Any, name: str, done: str, sleep: Sleep) -> str:
    state = settle(client, name, sleep)
    if state not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        told = "; ".join(reasons(client, name)) or "CloudFormation's console has the reasons"
        raise DeployFailed(f"stack {name} could not be {done} ({state or 'it was removed again'}): {told}")
    return done


def settle(client: Any, name: str, sleep: Sleep) -> str | None:
    """The stack's state once it has come to rest. Raises DeployFailed after LONGEST."""
    waited = 0.0
    while (state := status(client, name)) and state.endswith("_IN_PROGRESS"):
        if waited > LONGEST:
            raise DeployFailed(f"stack {name} is still {state} after {LONGEST:g} s: run this again when it has ended")
        sleep(POLL)
        waited += POLL
    return state


def reasons(client: Any, name: str) -> list[str]:
    """What failed first, in CloudFormation's words."""
    from botocore.exceptions import ClientError

    try:
        events = client.describe_stack_events(StackName=name)["StackEvents"]
    except ClientError:
        return []
    failed = [event for event in events if str(event.get("ResourceStatus", "")).endswith("FAILED")]
    return [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', '?')}" for e in reversed(failed)][:5]
