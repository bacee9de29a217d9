"""One IAM policy a function, from the templates ``.chalice/policy-<handler>.json`` with this stage's names.

The templates name resources as ``${bucket_arn}``, and secrets as those of Secrets Manager; where they are SSM's
parameters, the statement becomes one of these. Only ListBucket looks wider than its zone: S3 answers 404 and not
403 for a missing key only to those who may list, and such a request names no prefix.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from deploy.functions import FUNCTIONS, Function
from deploy.names import Names

TEMPLATES = Path(__file__).resolve().parent.parent / ".chalice"
SECRETS = ("Secrets", "SpotifySecrets")  # the statements about them
RANDOM_SUFFIX = "-??????"  # what Secrets Manager adds to a name in its ARN
TRACING = {
    "Sid": "TraceHasNoResources",  # X-Ray's write actions know no resources
    "Effect": "Allow",
    "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    "Resource": "*",
}


def policy(
    function: Function, names: Names, *, tracing: bool = False, secrets_url: str = "", folder: Path = TEMPLATES
) -> dict[str, Any]:
    """The policy of one function in one stage. Raises KeyError for an unknown ``${name}`` in the template."""
    text = Template((folder / function.policy).read_text()).substitute(resources(function, names))
    document: dict[str, Any] = json.loads(text)
    if secrets_url:
        document["Statement"] = [
            each
            for statement in document["Statement"]
            for each in (of_parameters(statement, names, secrets_url) if statement["Sid"] in SECRETS else [statement])
        ]
    if tracing:
        document["Statement"].append(TRACING)
    return document


def of_parameters(statement: dict[str, Any], names: Names, secrets_url: str) -> list[dict[str, Any]]:
    """The same rights on SSM's parameters. The key that encrypts them, AWS's own, is open to the whole account by way
    of SSM ("Restricting access to Parameter Store parameters", Systems Manager user guide)."""
    group = statement["Resource"].rpartition("/")[2].removesuffix(RANDOM_SUFFIX)
    folder = names.arn("ssm", f"parameter{secrets_url.removeprefix('ssm:')}/{group}")
    sid = statement["Sid"]
    read = {"Sid": sid, "Effect": "Allow", "Action": ["ssm:GetParameter"], "Resource": f"{folder}/*"}
    if "secretsmanager:PutSecretValue" not in statement["Action"]:
        return [read]
    read["Action"] = ["ssm:GetParameter", "ssm:PutParameter"]
    return [read, {"Sid": f"List{sid}", "Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": folder}]


def policies(names: Names, *, tracing: bool = False, secrets_url: str = "") -> dict[str, dict[str, Any]]:
    """File name and policy of every function."""
    return {
        function.policy: policy(function, names, tracing=tracing, secrets_url=secrets_url) for function in FUNCTIONS
    }


def resources(function: Function, names: Names) -> dict[str, str]:
    return {
        "log_group_arn": names.arn("logs", f"log-group:{names.log_group(function.handler)}"),
        "dead_letters_arn": names.dead_letters_arn,
        "bucket_arn": names.bucket_arn,
        "secret_arn": names.arn("secretsmanager", f"secret:{names.secret}"),
        "catalog_arn": names.arn("glue", "catalog"),
        "database_arn": names.arn("glue", f"database/{names.database}"),
        "default_database_arn": names.arn("glue", "database/default"),
        "tables_arn": names.arn("glue", f"table/{names.database}/*"),
        "crawler_arn": names.arn("glue", f"crawler/{names.crawler}"),
        "workgroup_arn": names.arn("athena", f"workgroup/{names.workgroup}"),
        **{f"{each.handler}_arn": names.function_arn(each.handler) for each in FUNCTIONS},
    }
