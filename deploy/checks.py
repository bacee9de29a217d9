"""What must hold before anything is made, each fault with its remedy, and all of them at once."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.stores.aws import code_of, is_denied
from deploy.errors import DeployFailed
from deploy.functions import FUNCTIONS
from deploy.names import API_HANDLER, Names

PYTHONS = ((3, 12), (3, 13), (3, 14))
UNRESERVED = 100  # executions that Lambda keeps for functions without a reservation ("Reserved concurrency", its guide)

RIGHTS = {"HeadBucket": "ListBucket"}  # by operation, where a right has another name
NO_REGION = "no region: set AWS_REGION, or choose one with `aws configure`"


@dataclass(frozen=True, slots=True)
class Account:
    """Where the stage goes, and whether the account has room for the functions' reserved concurrency."""

    names: Names
    who: str
    can_reserve: bool


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    if version not in PYTHONS:
        raise DeployFailed(
            f"deploying needs Python 3.12, 3.13 or 3.14, this is {version[0]}.{version[1]}: pyarrow needs glibc 2.28,"
            " which Lambda's runtimes have from python3.12 on, and the runtime is the Python that deploys. "
            "make clean, then make deploy PYTHON=python3.12"
        )


def check_start(session: Any, version: tuple[int, int] = sys.version_info[:2]) -> None:
    """What must hold before AWS can be asked anything: Python, a region, credentials. Raises DeployFailed, which names
    all that does not, one a line."""
    found = []
    try:
        check_python(version)
    except DeployFailed as error:
        found.append(str(error))
    if not session.region_name:
        found.append(NO_REGION)
    if session.get_credentials() is None:
        found.append("AWS does not know who you are (there are no credentials): set AWS_PROFILE or run `aws configure`")
    if found:
        raise DeployFailed("\n".join(found))


def check_account(stage: str, session: Any) -> Account:
    """Credentials, region, and what the account has already. Raises DeployFailed with what to set or to ask for, all
    of it at once once AWS knows who asks."""
    if not session.region_name:
        raise DeployFailed(NO_REGION)
    caller = who_asks(session)
    partition = caller["Arn"].split(":")[1]
    try:
        names = Names(stage, caller["Account"], session.region_name, partition=partition)
    except ValueError as error:
        raise DeployFailed(str(error)) from None
    found: list[str] = []
    reserve = False
    with named("s3", found):
        names = with_its_bucket(names, session.client("s3"))
    with named("iam", found):
        require_one_region(names, session.client("iam"))
    with named("lambda", found):
        reserve = can_reserve(names, session.client("lambda"))
    if found:
        raise DeployFailed("\n".join(found))
    return Account(names, caller["Arn"], reserve)


def who_asks(session: Any) -> dict[str, Any]:
    """Whose credentials these are, as STS tells it. Raises DeployFailed."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NobodyThere

    try:
        caller: dict[str, Any] = session.client("sts").get_caller_identity()
    except (NobodyThere, HTTPClientError):
        raise DeployFailed(
            f"nobody answers in region {session.region_name}: is it spelled right (AWS_REGION), and is there a network?"
        ) from None
    except (BotoCoreError, ClientError) as error:
        raise DeployFailed(f"AWS does not know who you are ({error}): set AWS_PROFILE or run `aws configure`") from None
    return caller


@contextmanager
def named(service: str, found: list[str]) -> Iterator[None]:
    """Add what goes wrong with a service to what was found, a line each, with what to do about it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except DeployFailed as error:
        found.append(str(error))
    except ClientError as error:
        if is_denied(error):
            right = RIGHTS.get(error.operation_name, error.operation_name)
            found.append(f"these credentials lack the right {service}:{right}: whoever runs the account can give it")
        else:
            found.append(f"{service}: {error}")
    except BotoCoreError as error:
        found.append(f"{service}: {error}")


def with_its_bucket(names: Names, s3: Any) -> Names:
    """The stage's names with the bucket that it has, which an earlier release may have named otherwise."""
    if not bucket_exists(s3, names.bucket) and bucket_exists(s3, names.former_bucket, others=("403", "301")):
        return replace(names, bucket_name=names.former_bucket)
    return names


def bucket_exists(s3: Any, bucket: str, *, others: tuple[str, ...] = ()) -> bool:
    """Whether the bucket is there; ``others`` are the errors that tell of somebody else's bucket of that name."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if code_of(error) in ("404", "NoSuchBucket", *others):
            return False
        raise
    return True


def require_one_region(names: Names, iam: Any) -> None:
    """Raises DeployFailed where the stage lives in another region: roles belong to the whole account, and Chalice names
    them after stage and function alone."""
    try:
        found = iam.list_role_policies(RoleName=names.role(API_HANDLER))["PolicyNames"]
    except iam.exceptions.NoSuchEntityException:
        return
    for name in found:
        document = iam.get_role_policy(RoleName=names.role(API_HANDLER), PolicyName=name)["PolicyDocument"]
        regions = {arn.split(":")[3] for arn in re.findall(r"arn:[^\"]+", json.dumps(document))} - {""}
        if regions and names.region not in regions:
            raise DeployFailed(
                f"stage {names.stage} of this account lives in {', '.join(sorted(regions))}: go on there (AWS_REGION),"
                f" or give the stage in {names.region} a name of its own (--stage)"
            )


def can_reserve(names: Names, functions: Any) -> bool:
    """Whether what the functions reserve leaves the account what Lambda keeps for all others. What is reserved by this
    stage already is counted as free."""
    held = 0
    for function in FUNCTIONS:
        try:
            answer = functions.get_function_concurrency(FunctionName=names.function(function.handler))
        except functions.exceptions.ResourceNotFoundException:
            continue
        held += int(answer.get("ReservedConcurrentExecutions") or 0)
    limits = functions.get_account_settings()["AccountLimit"]
    return int(limits["UnreservedConcurrentExecutions"]) + held - reserved_executions() >= UNRESERVED


def reserved_executions() -> int:
    """What the functions reserve together, where they may."""
    return sum(function.reserved for function in FUNCTIONS)


def check_settings(settings: Any) -> Iterator[str]:
    """Lines about settings that will not work as they are; none stops a deployment."""
    if settings.api_token:
        yield "API_TOKEN is not deployed: make tokens with `.venv/bin/lake token add --name NAME`"
    if not (settings.spotipy_client_id and settings.spotipy_client_secret):
        yield "SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET are not set: set them in .env and deploy again"
