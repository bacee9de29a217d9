"""What a deployment finds in an account: executions to reserve, other regions, earlier buckets, budgets."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from chalicelib.views import physical_tables
from deploy.budget import put_budget, remove_budget
from deploy.checks import can_reserve, check_account, reserved_executions
from deploy.errors import DeployFailed
from deploy.functions import BY_HANDLER, FUNCTIONS
from deploy.names import API_HANDLER, Names
from deploy.policies import policy
from deploy.steps import CRAWL_LOGS, digest_of_views, end_logs_of_crawls
from tests.emulator import ACCOUNT, REGION, Emulator, shared
from tests.emulator.stage import make_bucket, make_role
from tests.support.server import free_port

NUMBERS = itertools.count(1)


@pytest.fixture
def aws() -> Emulator:
    return shared()


@pytest.fixture
def names() -> Names:
    return Names(f"a{next(NUMBERS)}", ACCOUNT, REGION)


def session(aws: Emulator) -> Any:
    """boto3's session as far as a deployment uses it."""

    class Session:
        region_name = REGION

        def client(self, service: str, **_: Any) -> Any:
            return aws.client(service)

    return Session()


@pytest.mark.parametrize(("executions", "may"), [(10, False), (50, False), (100, False), (131, False), (132, True),
                                                 (1000, True)])  # fmt: skip
def test_executions_are_reserved_only_where_lambda_allows_it(
    aws: Emulator, names: Names, executions: int, may: bool
) -> None:
    assert reserved_executions() == 32
    aws.functions.concurrency = executions
    try:
        assert can_reserve(names, aws.client("lambda")) is may
        assert (aws.functions.refusal_to_reserve("x", reserved_executions()) is None) is may
    finally:
        aws.functions.concurrency = 1000


def test_what_others_have_reserved_counts_and_what_the_stage_has_itself_does_not(aws: Emulator, names: Names) -> None:
    client = aws.client("lambda")
    make_role(aws, f"role-{names.stage}", policy(BY_HANDLER["bearer"], names))
    aws.functions.concurrency = 140
    try:
        for name, reserved in ((names.function("maintain"), 1), (names.function(API_HANDLER), 20), ("others", 10)):
            client.create_function(
                FunctionName=name, Runtime="python3.12", Handler="app.app", Code={"ZipFile": b""},
                Role=f"arn:aws:iam::{ACCOUNT}:role/role-{names.stage}",
            )  # fmt: skip
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        assert not can_reserve(names, client)
        client.delete_function(FunctionName="others")
        assert can_reserve(names, client)
        with pytest.raises(ClientError, match="below its minimum value of"):
            client.put_function_concurrency(FunctionName=names.function("maintain"), ReservedConcurrentExecutions=50)
    finally:
        for name in (names.function("maintain"), names.function(API_HANDLER)):
            client.delete_function(FunctionName=name)
        aws.functions.concurrency = 1000


def test_a_stage_that_lives_in_another_region_is_refused_before_anything_is_made(aws: Emulator, names: Names) -> None:
    elsewhere = Names(names.stage, ACCOUNT, "us-west-2")
    make_role(aws, elsewhere.role(API_HANDLER), policy(BY_HANDLER[API_HANDLER], elsewhere))
    before = aws.client("s3").list_buckets()["Buckets"]
    with pytest.raises(DeployFailed, match=r"lives in us-west-2: .*--stage"):
        check_account(names.stage, session(aws))
    assert aws.client("s3").list_buckets()["Buckets"] == before


def test_a_stage_of_this_region_goes_on(aws: Emulator, names: Names) -> None:
    make_role(aws, names.role(API_HANDLER), policy(BY_HANDLER[API_HANDLER], names))
    assert check_account(names.stage, session(aws)).names == names


def test_a_buckets_name_is_the_accounts_own_but_a_stage_keeps_the_bucket_that_it_has(
    aws: Emulator, names: Names
) -> None:
    assert check_account(names.stage, session(aws)).names.bucket == f"{names.base}-{ACCOUNT}-{REGION}-an"
    make_bucket(aws, names.former_bucket)
    kept = check_account(names.stage, session(aws)).names
    assert kept.bucket == names.former_bucket and not kept.in_own_namespace
    assert kept.bucket in json.dumps(policy(BY_HANDLER["maintain"], kept))


LOOKS = {  # what is looked at before anything is made, and the right that it needs
    ("s3", "^HEAD"): "s3:ListBucket",
    ("iam", ""): "iam:ListRolePolicies",
    ("lambda", "concurrency"): "lambda:GetFunctionConcurrency",
    ("lambda", "account-settings"): "lambda:GetAccountSettings",
}


@pytest.mark.parametrize(("looked", "right"), LOOKS.items())
def test_a_right_that_is_missing_is_one_line_that_names_it(
    aws: Emulator, names: Names, looked: tuple[str, str], right: str
) -> None:
    aws.inject("denied", *looked, times=10)
    try:
        with pytest.raises(DeployFailed) as told:
            check_account(names.stage, session(aws))
    finally:
        aws.faults.clear()
    assert str(told.value).splitlines() == [
        f"these credentials lack the right {right}: whoever runs the account can give it"
    ]


def test_everything_that_is_wrong_with_an_account_is_said_at_once(aws: Emulator, names: Names) -> None:
    elsewhere = Names(names.stage, ACCOUNT, "us-west-2")
    make_role(aws, elsewhere.role(API_HANDLER), policy(BY_HANDLER[API_HANDLER], elsewhere))
    aws.inject("denied", "s3", "^HEAD", times=10)
    aws.inject("throttle", "lambda", "account-settings", times=10)
    try:
        with pytest.raises(DeployFailed) as told:
            check_account(names.stage, session(aws))
    finally:
        aws.faults.clear()
    bucket, region, limits = str(told.value).splitlines()
    assert "s3:ListBucket" in bucket and "lives in us-west-2" in region
    assert limits.startswith("lambda: ") and "GetAccountSettings" in limits


def test_a_region_in_which_nobody_answers_is_said_to_be_one() -> None:
    class Session:
        region_name = "eu-cenral-1"

        def client(self, service: str, **_: Any) -> Any:
            nowhere = f"http://127.0.0.1:{free_port()}"
            keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
            once = Config(retries={"total_max_attempts": 1})
            return boto3.client(service, region_name=self.region_name, endpoint_url=nowhere, config=once, **keys)

    with pytest.raises(DeployFailed, match=r"^nobody answers in region eu-cenral-1: .*AWS_REGION") as told:
        check_account("dev", Session())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("error", ["ExpiredToken", "InvalidClientTokenId"])
def test_credentials_that_aws_does_not_take_are_one_line_with_the_remedy(error: str) -> None:
    client = boto3.client("sts", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")

    class Session:
        region_name = REGION

        def client(self, _: str) -> Any:
            return client

    with Stubber(client) as stubber:
        stubber.add_client_error("get_caller_identity", error, "The security token is not valid", 403)
        with pytest.raises(DeployFailed, match=f"does not know who you are .*{error}.*AWS_PROFILE") as told:
            check_account("dev", Session())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("region", sorted(boto3.session.Session().get_available_regions("lambda")))
def test_a_bucket_name_fits_every_region(region: str) -> None:
    assert len(Names("a" * 12, ACCOUNT, region).bucket) <= 63


@pytest.mark.parametrize(
    ("partition", "region", "domain"),
    [("aws", "eu-west-1", "amazonaws.com"), ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
     ("aws-us-gov", "us-gov-west-1", "amazonaws.com"), ("aws-eusc", "eusc-de-east-1", "amazonaws.eu")],
)  # fmt: skip
def test_names_and_addresses_are_of_the_partition(partition: str, region: str, domain: str) -> None:
    names = Names("dev", ACCOUNT, region, partition=partition)
    assert names.domain == domain
    for function in FUNCTIONS:
        arns = [each for each in json.dumps(policy(function, names)).split('"') if each.startswith("arn:")]
        assert arns and all(each.startswith(f"arn:{partition}:") for each in arns)


def test_the_budget_is_made_by_its_api_and_follows_the_choice(aws: Emulator, names: Names) -> None:
    client = aws.client("budgets")
    told = [put_budget(client, names, usd) for usd in (10.0, 10.0, 25.0)]
    assert told == ["created", "unchanged", "updated"]
    held = client.describe_budget(AccountId=ACCOUNT, BudgetName=names.base)["Budget"]
    assert float(held["BudgetLimit"]["Amount"]) == 25
    assert remove_budget(client, names) and not remove_budget(client, names)


def test_an_account_without_budgets_is_deployed_all_the_same(aws: Emulator, names: Names) -> None:
    aws.inject("denied", "budgets", times=10)
    try:
        assert put_budget(aws.client("budgets"), names, 10.0).startswith("none: this account may not make budgets")
        assert not remove_budget(aws.client("budgets"), names)
    finally:
        aws.faults.clear()


def test_views_are_made_anew_when_a_columns_type_changes() -> None:
    tables = physical_tables()
    before = digest_of_views([("a", "SELECT 1")], tables)
    assert digest_of_views([("a", "SELECT 1")], tables) == before != digest_of_views([("a", "SELECT 2")], tables)
    name, columns = next(iter(tables.items()))
    wider = {**tables, name: (replace(columns[0], type="bigint"), *columns[1:])}
    assert digest_of_views([("a", "SELECT 1")], wider) != before


@pytest.mark.parametrize(
    ("held", "kept"), [(None, 30), (0, 30), (7, 7)], ids=["no group", "Glue's, without an end", "with an end"]
)
def test_the_logs_of_crawls_end_but_as_somebody_has_said_it_already(aws: Emulator, held: int | None, kept: int) -> None:
    logs = aws.client("logs")
    with suppress(logs.exceptions.ResourceNotFoundException):
        logs.delete_log_group(logGroupName=CRAWL_LOGS)
    logs.create_log_group(logGroupName=f"{CRAWL_LOGS}-role")  # as groups of crawlers with a configuration are called
    if held is not None:
        logs.create_log_group(logGroupName=CRAWL_LOGS)
    if held:
        logs.put_retention_policy(logGroupName=CRAWL_LOGS, retentionInDays=held)
    try:
        assert [end_logs_of_crawls(logs, 30), end_logs_of_crawls(logs, 90)] == [not held, False]
        found = logs.describe_log_groups(logGroupNamePrefix=CRAWL_LOGS)["logGroups"]
        assert {group["logGroupName"]: group.get("retentionInDays") for group in found} == {
            CRAWL_LOGS: kept,
            f"{CRAWL_LOGS}-role": None,
        }
    finally:
        logs.delete_log_group(logGroupName=f"{CRAWL_LOGS}-role")
