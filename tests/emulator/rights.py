"""Who may do what: every request of a role is held against that role's policies, with resources and conditions.

moto's own check knows neither resources (but S3's) nor bucket policies' conditions. Here a request becomes actions on
resources as AWS documents them; what no statement allows is denied.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.emulator.server import Call, Emulator


@dataclass(frozen=True)
class Need:
    """One action on one resource, and what of the request a condition may look at."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def allowed(aws: Emulator, role: str, need: Need) -> bool:
    allowing: list[str] = []
    for statement in statements(aws, role):
        if not any(matches(pattern, need.action, ignore_case=True) for pattern in listed(statement["Action"])):
            continue
        if not any(matches(pattern, need.resource) for pattern in listed(statement["Resource"])):
            continue
        if not holds(statement.get("Condition", {}), dict(need.context)):
            continue
        if statement["Effect"] == "Deny":
            return False
        allowing.append(statement.get("Sid", ""))
    if len(allowing) == 1:  # what two statements allow needs neither of them
        aws.used.add((role, allowing[0], need.action))
    return bool(allowing)


def statements(aws: Emulator, role: str) -> Iterator[dict[str, Any]]:
    from moto.iam.models import iam_backends

    from tests.emulator.server import ACCOUNT

    found = iam_backends[ACCOUNT]["aws"].get_role(role)
    for text in found.policies.values():
        document = json.loads(text) if isinstance(text, str) else text
        yield from listed(document["Statement"])


def matches(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    if ignore_case:
        pattern, value = pattern.lower(), value.lower()
    return fnmatchcase(value, re.sub(r"\[", "[[]", pattern))


def holds(conditions: dict[str, Any], context: dict[str, str]) -> bool:
    for operator, keys in conditions.items():
        for key, patterns in keys.items():
            value = context.get(key)
            if operator == "StringLikeIfExists":
                if value is not None and not any(matches(pattern, value) for pattern in listed(patterns)):
                    return False
            elif operator in ("StringLike", "StringEquals"):
                if value is None or not any(matches(pattern, value) for pattern in listed(patterns)):
                    return False
            else:
                raise NotImplementedError(f"condition {operator}")
    return True


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- what a request needs -----------------------------------------------------------------------------------------


def needs(aws: Emulator, call: Call) -> list[Need]:
    if call.service == "s3":
        return list(s3_needs(call))
    rules = {"glue": glue_needs, "athena": athena_needs, "secretsmanager": secret_needs, "lambda": lambda_needs,
             "ssm": parameter_needs}  # fmt: skip
    rule = rules.get(call.service)
    return list(rule(aws, call)) if rule else [Need(f"{call.service}:{call.operation}", "*")]


def s3_needs(call: Call) -> Iterator[Need]:
    bucket, _, key = urllib.parse.unquote(call.path).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    one = f"{arn}/{key}"
    if not key:
        if call.method == "POST" and "delete" in call.query:
            for name in re.findall(r"<Key>(.*?)</Key>", call.text):
                yield Need("s3:DeleteObject", f"{arn}/{name}")
        elif call.method in ("GET", "HEAD"):
            if "location" in call.query:
                yield Need("s3:GetBucketLocation", arn)
            else:
                yield Need("s3:ListBucket", arn, (("s3:prefix", call.query.get("prefix", "")),))
        else:
            yield Need(f"s3:{call.method}Bucket", arn)
    elif call.method in ("GET", "HEAD"):
        yield Need("s3:GetObject", one)
    elif call.method == "DELETE":
        yield Need("s3:AbortMultipartUpload" if "uploadId" in call.query else "s3:DeleteObject", one)
    else:
        yield Need("s3:PutObject", one)
        source = call.headers.get("x-amz-copy-source")
        if source:
            yield Need("s3:GetObject", f"arn:aws:s3:::{urllib.parse.unquote(source).lstrip('/')}")


def glue_needs(aws: Emulator, call: Call) -> Iterator[Need]:
    action = f"glue:{call.operation}"
    if "Crawl" in call.operation:
        yield Need(action, aws.arn("glue", f"crawler/{call.body.get('CrawlerName') or call.body.get('Name')}"))
        return
    database = call.body.get("DatabaseName") or call.body.get("Name", "*")
    yield Need(action, aws.arn("glue", "catalog"))
    yield Need(action, aws.arn("glue", f"database/{database}"))
    if "Database" not in call.operation:
        table = call.body.get("TableName") or call.body.get("TableInput", {}).get("Name") or call.body.get("Name", "*")
        yield Need(action, aws.arn("glue", f"table/{database}/{table}"))


def athena_needs(aws: Emulator, call: Call) -> Iterator[Need]:
    group = call.body.get("WorkGroup")
    if group is None:
        ids = call.body.get("QueryExecutionIds") or [call.body.get("QueryExecutionId")]
        groups = {aws.athena.group_of(each) for each in ids} or {"primary"}
    else:
        groups = {group}
    for each in sorted(groups):
        yield Need(f"athena:{call.operation}", aws.arn("athena", f"workgroup/{each}"))


def secret_needs(aws: Emulator, call: Call) -> Iterator[Need]:
    from moto.secretsmanager.models import secretsmanager_backends

    from tests.emulator.server import ACCOUNT, REGION

    name = call.body.get("SecretId", "*")
    held = secretsmanager_backends[ACCOUNT][REGION].secrets.get(name)
    arn = held.arn if held else aws.arn("secretsmanager", f"secret:{name}-abcdef")
    yield Need(f"secretsmanager:{call.operation}", arn)


def parameter_needs(aws: Emulator, call: Call) -> Iterator[Need]:
    name = call.body.get("Name") or call.body.get("Path") or "*"
    yield Need(f"ssm:{call.operation}", aws.arn("ssm", f"parameter{name}"))


def lambda_needs(aws: Emulator, call: Call) -> Iterator[Need]:
    match = re.match(r"/2015-03-31/functions/([^/]+)/invocations", call.path)
    if match:
        name = urllib.parse.unquote(match[1]).rpartition(":")[2]
        yield Need("lambda:InvokeFunction", aws.arn("lambda", f"function:{name}"))
    else:
        yield Need(f"lambda:{call.operation}", "*")
