"""Chalice's record of what is deployed, and who is deploying, kept in the lake's ``state/deploy/``.

Chalice keeps the record in a file beside the project; lost, or on another machine, the next deployment would make a
second API. A deployment that fails half-way records nothing at all, so what is there is also looked up by name.
"""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from chalicelib.clock import Clock, now, parse_rfc3339, rfc3339
from chalicelib.errors import WriteConflict
from chalicelib.lake import STATE
from chalicelib.stores.s3 import BucketStore
from deploy.errors import DeployFailed
from deploy.functions import FUNCTIONS
from deploy.names import API_HANDLER, Names

RECORD = f"{STATE}deploy/chalice.json"
DONE = f"{STATE}deploy/done.json"
CHOICES = f"{STATE}deploy/choices.json"  # outlives the stage's functions, as the data does
LOCK = f"{STATE}deploy/lock.json"
LOCKED_FOR = timedelta(minutes=30)
API_STAGE = "api"
SCHEDULED = ("scheduled_extraction", "maintain")
ON_OBJECTS = ("transform", "transform_run", "import_history")


@contextmanager
def deploying(store: BucketStore, clock: Clock = now) -> Iterator[None]:
    """Held while a stage is deployed or removed. Raises DeployFailed naming who else is at it."""
    who = f"{getpass.getuser()} on {platform.node()}"
    mine = json.dumps({"who": who, "until": rfc3339(clock() + LOCKED_FOR)}).encode()
    etag = take_lock(store, mine, clock)
    try:
        yield
    finally:
        if store.stat(LOCK):
            store.delete([LOCK], if_match=etag)


def take_lock(store: BucketStore, mine: bytes, clock: Clock) -> str:
    info = store.stat(LOCK)
    if info:
        other = json.loads(store.read(LOCK))
        if parse_rfc3339(other["until"]) > clock():
            raise DeployFailed(f"{other['who']} is deploying this stage (until {other['until']} at most)")
    try:
        return store.replace(LOCK, mine, if_match=info.etag if info else None)
    except WriteConflict:
        raise DeployFailed("somebody else has just begun to deploy this stage") from None


def choices(store: BucketStore) -> dict[str, Any]:
    """What was chosen when the stage was last deployed; nothing where it never was."""
    told: dict[str, Any] = json.loads(store.read(CHOICES)) if store.stat(CHOICES) else {}
    return told


def remember(store: BucketStore, chosen: dict[str, Any]) -> None:
    if choices(store) != chosen:
        store.write(CHOICES, json.dumps(chosen).encode(), content_type="application/json")


def fetch(folder: Path, names: Names, store: BucketStore, session: Any) -> dict[str, Any]:
    """Put the record where Chalice looks for it: as it was stored, and whatever else is found by name."""
    stored = json.loads(store.read(RECORD)) if store.stat(RECORD) else {"resources": []}
    known = {resource["name"] for resource in stored["resources"]}
    found = [resource for resource in discover(names, session) if resource["name"] not in known]
    record = {"resources": [*stored["resources"], *found], "schema_version": "2.0", "backend": "api"}
    path = folder / ".chalice" / "deployed" / f"{names.stage}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if record["resources"]:
        path.write_text(json.dumps(record, indent=2))
    else:
        path.unlink(missing_ok=True)
    return record


def keep(folder: Path, names: Names, store: BucketStore) -> dict[str, Any]:
    """Store the record that Chalice wrote. Raises DeployFailed where it has written none."""
    path = folder / ".chalice" / "deployed" / f"{names.stage}.json"
    if not path.is_file():
        raise DeployFailed(
            f"{path} is not there: nothing is deployed from here yet (chalice deploy --stage {names.stage})"
        )
    data = path.read_bytes()
    store.write(RECORD, data, content_type="application/json")
    record: dict[str, Any] = json.loads(data)
    return record


def api_url(record: dict[str, Any]) -> str:
    return next((each["rest_api_url"] for each in record["resources"] if each["resource_type"] == "rest_api"), "")


def api_id(record: dict[str, Any]) -> str:
    return next((each["rest_api_id"] for each in record["resources"] if each["resource_type"] == "rest_api"), "")


def discover(names: Names, session: Any) -> Iterator[dict[str, Any]]:
    """What Chalice has made for this stage, in its own words, found by name; in the order it makes it."""
    for function in FUNCTIONS:
        yield from found_role(names, function.handler, session.client("iam"))
        arn = found_function(names, function.handler, session.client("lambda"))
        if arn:
            kind = {"name": function.handler, "resource_type": "lambda_function", "lambda_arn": arn}
            yield kind
            if function.handler in ON_OBJECTS:
                yield {"name": f"{function.handler}-s3event", "resource_type": "s3_event", "bucket": names.bucket,
                       "lambda_arn": arn}  # fmt: skip
        if function.handler in SCHEDULED:
            yield from found_rule(names, function.handler, session.client("events"))
    yield from found_api(names, session.client("apigateway"))


def found_role(names: Names, handler: str, iam: Any) -> Iterator[dict[str, Any]]:
    try:
        role = iam.get_role(RoleName=names.role(handler))["Role"]
    except iam.exceptions.NoSuchEntityException:
        return
    yield {"name": f"{handler}_role", "resource_type": "iam_role", "role_arn": role["Arn"],
           "role_name": role["RoleName"]}  # fmt: skip


def found_function(names: Names, handler: str, lambda_: Any) -> str | None:
    try:
        return str(lambda_.get_function(FunctionName=names.function(handler))["Configuration"]["FunctionArn"])
    except lambda_.exceptions.ResourceNotFoundException:
        return None


def found_rule(names: Names, handler: str, events: Any) -> Iterator[dict[str, Any]]:
    rule = f"{names.base}-{handler}-event"
    try:
        events.describe_rule(Name=rule)
    except events.exceptions.ResourceNotFoundException:
        return
    yield {"name": f"{handler}-event", "resource_type": "cloudwatch_event", "rule_name": rule}


def found_api(names: Names, gateway: Any) -> Iterator[dict[str, Any]]:
    """The API whose ``/health`` calls this stage's function: two stages' APIs bear the same name."""
    wanted = names.function_arn(API_HANDLER)
    for page in gateway.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            if api["name"] == names.app and calls(gateway, api["id"], wanted):
                url = f"https://{api['id']}.execute-api.{names.region}.{names.domain}/{API_STAGE}/"
                yield {"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api["id"], "rest_api_url": url}
                return


def calls(gateway: Any, api_id: str, function_arn: str) -> bool:
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
    resources = [resource for page in pages for resource in page["items"]]
    health = next((resource for resource in resources if resource["path"] == "/health"), None)
    if health is None or "GET" not in health.get("resourceMethods", {}):
        return False
    method = gateway.get_method(restApiId=api_id, resourceId=health["id"], httpMethod="GET")
    return f"{function_arn}/invocations" in method.get("methodIntegration", {}).get("uri", "")
