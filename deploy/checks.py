"""What must hold before anything is made, each fault with its remedy, and all of them at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.errors import DeployFailed
from deploy.names import Names

PYTHONS = ((3, 12), (3, 13))
UNRESERVED = 10  # executions that Lambda keeps for functions without a reservation; a new account has no more


@dataclass(frozen=True, slots=True)
class Account:
    """Where the stage goes, and whether the account has room for reserved concurrency."""

    names: Names
    who: str
    can_reserve: bool


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    if version not in PYTHONS:
        raise DeployFailed(
            f"deploying needs Python 3.12 or 3.13, this is {version[0]}.{version[1]}: pyarrow needs glibc 2.28, which"
            " Lambda's runtimes have from python3.12 on, and the runtime is the Python that deploys. "
            "make clean, then make deploy PYTHON=python3.12"
        )


def check_account(stage: str, session: Any) -> Account:
    """Credentials and region. Raises DeployFailed with what to set."""
    from botocore.exceptions import BotoCoreError, ClientError

    if not session.region_name:
        raise DeployFailed("no region: set AWS_REGION, or choose one with `aws configure`")
    try:
        caller = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise DeployFailed(f"AWS does not know who you are ({error}): set AWS_PROFILE or run `aws configure`") from None
    partition = caller["Arn"].split(":")[1]
    try:
        names = Names(stage, caller["Account"], session.region_name, partition=partition)
    except ValueError as error:
        raise DeployFailed(str(error)) from None
    limits = session.client("lambda").get_account_settings()["AccountLimit"]
    room = limits["ConcurrentExecutions"] - UNRESERVED
    return Account(names, caller["Arn"], room >= 2)


def check_settings(settings: Any) -> Iterator[str]:
    """Lines about settings that will not work as they are; none stops a deployment."""
    if settings.api_token:
        yield "API_TOKEN is not deployed: make tokens with `.venv/bin/lake token add --name NAME`"
    if not (settings.spotipy_client_id and settings.spotipy_client_secret):
        yield "SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET are not set: set them in .env and deploy again"
