"""What must hold before anything is made, each fault with its remedy, and all of them at once."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from deploy.errors import DeployFailed
from deploy.functions import FUNCTIONS
from deploy.names import API_HANDLER, Names

PYTHONS = ((3, 12), (3, 13), (3, 14))
UNRESERVED = 100  # executions that Lambda keeps for functions without a reservation ("Reserved concurrency", its guide)


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
    """Credentials, region, and what the account has already. Raises DeployFailed with what to set."""
    from botocore.exceptions import BotoCoreError, ClientError

    if not session.region_name:
        raise DeployFailed(NO_REGION)
    try:
        caller = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise DeployFailed(f"AWS does not know who you are ({error}): set AWS_PROFILE or run `aws configure`") from None
    partition = caller["Arn"].split(":")[1]
    try:
        names = Names(stage, caller["Account"], session.region_name, partition=partition)
    except ValueError as error:
        raise DeployFailed(str(error)) from None
    s3 = session.client("s3")
    if not bucket_exists(s3, names.bucket) and bucket_exists(s3, names.former_bucket, others=("403", "301")):
        names = replace(names, bucket_name=names.former_bucket)
    require_one_region(names, session.client("iam"))
    return Account(names, caller["Arn"], can_reserve(names, session.client("lambda")))


def bucket_exists(s3: Any, bucket: str, *, others: tuple[str, ...] = ()) -> bool:
    """Whether the bucket is there; ``others`` are the errors that tell of somebody else's bucket of that name."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket", *others):
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
