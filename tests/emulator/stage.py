"""A stage without functions: bucket, catalogue, workgroup, views and a role, made from the real templates."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

from chalicelib.lake import Lake
from chalicelib.settings import Settings
from chalicelib.stores.s3 import BucketStore
from chalicelib.views import views
from deploy.functions import BY_HANDLER
from deploy.names import API_HANDLER, Names
from deploy.policies import policy
from deploy.template import Options, app_template
from tests.emulator.server import ACCOUNT, REGION, Emulator
from tests.emulator.stacks import KINDS
from tests.support import trino

NUMBERS = itertools.count(1)
WANTED = ("AWS::Glue::Database", "AWS::Glue::Table", "AWS::Glue::Crawler", "AWS::Athena::WorkGroup")


@dataclass
class Stage:
    names: Names
    lake: Lake
    settings: Settings

    def clients(self, aws: Emulator, handler: str = API_HANDLER) -> Any:
        """Clients with the rights of one of the app's functions."""
        made: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service not in made:
                made[service] = aws.client(service, aws.credentials(self.names.role(handler)))
            return made[service]

        return client


def make_stage(aws: Emulator, **settings: Any) -> Stage:
    """A stage of its own. Its views need Trino: without one the test that asks is skipped."""
    trino.needed()
    names = Names(f"t{next(NUMBERS)}", ACCOUNT, REGION)
    s3 = aws.client("s3")
    make_bucket(aws, names.bucket)
    resources = app_template(names, Options())["Resources"]
    crawler_role = resources["CrawlerRole"]["Properties"]
    make_role(aws, crawler_role["RoleName"], crawler_role["Policies"][0]["PolicyDocument"])
    make_role(aws, names.role(API_HANDLER), policy(BY_HANDLER[API_HANDLER], names))
    ordered = sorted(resources.values(), key=lambda each: WANTED.index(each["Type"]) if each["Type"] in WANTED else 9)
    for resource in ordered:
        if resource["Type"] in WANTED:
            service, make = KINDS[resource["Type"]]
            properties = {key: value for key, value in resource["Properties"].items() if key != "CatalogId"}
            if "Role" in properties:
                properties["Role"] = f"arn:aws:iam::{ACCOUNT}:role/{crawler_role['RoleName']}"
            make(aws.client(service), properties)
    for name, sql in views():
        aws.athena.deploy_view(names.database, name, sql)
    chosen = Settings(
        lake_url=names.lake_url,
        glue_database=names.database,
        glue_crawler=names.crawler,
        athena_workgroup=names.workgroup,
        **settings,
    )
    return Stage(names, Lake(BucketStore(names.bucket, s3=lambda: s3)), chosen)


def make_bucket(aws: Emulator, name: str) -> None:
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})


def make_role(aws: Emulator, name: str, document: dict[str, Any]) -> None:
    iam = aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=json.dumps(document))
