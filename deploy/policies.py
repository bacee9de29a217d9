"""One IAM policy a function, from the templates ``.chalice/policy-<handler>.json`` with this stage's names.

The templates name resources as ``${bucket_arn}``. Only ListBucket looks wider than its zone: S3 answers 404 and not
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
TRACING = {
    "Sid": "TraceHasNoResources",  # X-Ray's write actions know no resources
    "Effect": "Allow",
    "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    "Resource": "*",
}


def policy(function: Function, names: Names, *, tracing: bool = False, folder: Path = TEMPLATES) -> dict[str, Any]:
    """The policy of one function in one stage. Raises KeyError for an unknown ``${name}`` in the template."""
    text = Template((folder / function.policy).read_text()).substitute(resources(function, names))
    document: dict[str, Any] = json.loads(text)
    if tracing:
        document["Statement"].append(TRACING)
    return document


def policies(names: Names, *, tracing: bool = False) -> dict[str, dict[str, Any]]:
    """File name and policy of every function."""
    return {function.policy: policy(function, names, tracing=tracing) for function in FUNCTIONS}


def resources(function: Function, names: Names) -> dict[str, str]:
    return {
        "log_group_arn": names.arn("logs", f"log-group:{names.log_group(function.handler)}"),
        "dead_letters_arn": names.dead_letters_arn,
        "bucket_arn": names.bucket_arn,
        "secret_arn": names.arn("secretsmanager", f"secret:{names.secret}"),
        "catalog_arn": names.arn("glue", "catalog"),
        "database_arn": names.arn("glue", f"database/{names.database}"),
        "tables_arn": names.arn("glue", f"table/{names.database}/*"),
        "crawler_arn": names.arn("glue", f"crawler/{names.crawler}"),
        "workgroup_arn": names.arn("athena", f"workgroup/{names.workgroup}"),
        **{f"{each.handler}_arn": names.function_arn(each.handler) for each in FUNCTIONS},
    }
