"""The two CloudFormation stacks of a stage, as plain documents.

The *data* stack holds what cannot be made again: the bucket (secrets are made beside it, see secret_stores.py).
Everything else is the *app* stack; removing it loses nothing. Its template describes every column, which is more than
CloudFormation takes directly, so that it goes by way of the bucket. The budget is in neither: CloudFormation knows it
in few regions only. Chalice makes the functions, their roles, the API, the schedule and the bucket's notifications.
Names are written out instead of referenced, so that policies, stacks and Chalice agree by names.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.lake import FIRST_GENERATION, RESULTS, table_prefix
from chalicelib.metrics import NAMESPACE
from chalicelib.tables import PHYSICAL, Column
from chalicelib.tables import Table as DeclaredTable
from deploy.functions import FUNCTIONS
from deploy.names import Names

DAY = 86_400  # s
RESULT_DAYS = 2  # results_kept is 24 h, lifecycle rules count whole days from midnight UTC
COLD_AFTER, COLDER_AFTER = 60, 180  # days; S3 moves only objects of 128 kB and more
RESULT_FILE = "result_file"  # a handler
SCAN_LIMIT = 10 * 10**9  # bytes a query may scan: 5 cents
SERVICES = {"CatalogId": {"Ref": "AWS::AccountId"}}
PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
MONTH = {"Name": "month", "Type": "string", "Comment": "YYYY-MM, UTC; earlier or YYYY where old months lie together"}

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose. ``late_hours``: hours without a successful run that raise the alarm."""

    late_hours: float = 3.0
    log_days: int = 30
    email: str = ""
    generation: str = FIRST_GENERATION


def data_template(names: Names) -> dict[str, Any]:
    resources = {"LakeBucket": bucket(names), "LakeBucketPolicy": bucket_policy(names)}
    return document(f"The data of {names.base}: everything that cannot be made again", resources)


def app_template(names: Names, options: Options) -> dict[str, Any]:
    resources: dict[str, Resource] = {
        "Database": database(names),
        "Crawler": crawler(names),
        "CrawlerRole": crawler_role(names),
        "WorkGroup": workgroup(names),
        "DeadLetters": dead_letters(names),
        "Alarms": topic(names, options),
        "AlarmsPolicy": topic_policy(names),
        "Dashboard": dashboard(names),
    }
    for name, table in PHYSICAL.items():
        resources[f"Table{camel(name)}"] = glue_table(names, name, table, options.generation)
    for function in FUNCTIONS:
        resources[f"Log{camel(function.handler)}"] = log_group(names, function.handler, options)
    resources |= alarms(names, options)
    return document(f"{names.base}: catalogue, queries, alarms; all of it can be made again", resources)


def document(description: str, resources: dict[str, Resource]) -> dict[str, Any]:
    return {"AWSTemplateFormatVersion": "2010-09-09", "Description": description, "Resources": resources}


def resource(kind: str, properties: dict[str, Any], **attributes: Any) -> Resource:
    return {"Type": kind, **attributes, "Properties": properties}


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


# --- data ---------------------------------------------------------------------------------------------------------

GONE = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


def bucket(names: Names) -> Resource:
    closed = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
    return resource(
        "AWS::S3::Bucket",
        {
            "BucketName": names.bucket,
            **({"BucketNamespace": "account-regional"} if names.in_own_namespace else {}),
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "PublicAccessBlockConfiguration": closed,
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {"Rules": lifecycle()},
            "CorsConfiguration": {"CorsRules": [FROM_THE_DASHBOARD]},
        },
        **KEPT,
    )


#: Exports go to presigned links and results come from them; such a link is what gives the right, not the origin.
FROM_THE_DASHBOARD = {
    "AllowedMethods": ["GET", "PUT"],
    "AllowedOrigins": ["*"],
    "AllowedHeaders": ["*"],
    "ExposedHeaders": ["Content-Disposition"],
    "MaxAge": 3600,
}


def lifecycle() -> list[dict[str, Any]]:
    """Old versions of ``state/`` are kept a month, to go back by hand; of anything else a week."""
    return [
        rule("raw-gets-cheaper", "raw/", Transitions=[
            {"StorageClass": "STANDARD_IA", "TransitionInDays": COLD_AFTER},
            {"StorageClass": "GLACIER_IR", "TransitionInDays": COLDER_AFTER},
        ]),
        rule("results-expire", RESULTS, ExpirationInDays=RESULT_DAYS,
             NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        rule("old-state", "state/", NoncurrentVersionExpiration={"NoncurrentDays": 30}),
        *(rule(f"old-{zone}", f"{zone}/", NoncurrentVersionExpiration={"NoncurrentDays": 7})
          for zone in ("raw", "transformed", "quarantine", "reports")),
        rule("leftovers", "", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2},
             ExpiredObjectDeleteMarker=True),
    ]  # fmt: skip


def rule(name: str, prefix: str, **what: Any) -> dict[str, Any]:
    return {"Id": name, "Status": "Enabled", "Prefix": prefix, **what}


def bucket_policy(names: Names) -> Resource:
    both = [names.bucket_arn, f"{names.bucket_arn}/*"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": both}
    return resource(
        "AWS::S3::BucketPolicy",
        {
            "Bucket": {"Ref": "LakeBucket"},
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Sid": "TlsOnly", **statement, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
                    {"Sid": "NewTlsOnly", **statement, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
                ],
            },
        },
        **KEPT,
    )


# --- catalogue and queries ----------------------------------------------------------------------------------------


def database(names: Names) -> Resource:
    described = {"Name": names.database, "Description": f"The tables of {names.base}"}
    return resource("AWS::Glue::Database", {**SERVICES, "DatabaseInput": described})


def glue_table(names: Names, name: str, table: DeclaredTable, generation: str) -> Resource:
    return resource(
        "AWS::Glue::Table",
        {
            **SERVICES,
            "DatabaseName": names.database,
            "TableInput": {
                "Name": name,
                "Description": table.description,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
                "PartitionKeys": [MONTH],
                "StorageDescriptor": {
                    "Columns": [glue_column(column) for column in table.physical_columns],
                    "Location": f"{names.lake_url}/{table_prefix(generation, name)}",
                    "InputFormat": f"{PARQUET}.MapredParquetInputFormat",
                    "OutputFormat": f"{PARQUET}.MapredParquetOutputFormat",
                    "SerdeInfo": {"SerializationLibrary": f"{PARQUET}.serde.ParquetHiveSerDe"},
                },
            },
        },
        DependsOn=["Database"],
    )


def glue_column(column: Column) -> dict[str, str]:
    return {"Name": column.name, "Type": column.type, "Comment": column.description[:255]}  # Glue's limit


def crawler(names: Names) -> Resource:
    """Crawls the declared tables, so that it adds partitions and reports change, but redefines nothing.

    With catalogue targets Glue insists on DeleteBehavior LOG. It has no schedule: Glue bills each crawl for ten
    minutes at least, and the functions register the partitions they write.
    """
    configuration = {
        "Version": 1.0,
        "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
        "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"},
    }
    return resource(
        "AWS::Glue::Crawler",
        {
            "Name": names.crawler,
            "Description": f"Looks for partitions and changes in the tables of {names.base}",
            "Role": {"Fn::GetAtt": ["CrawlerRole", "Arn"]},
            "Targets": {"CatalogTargets": [{"DatabaseName": names.database, "Tables": sorted(PHYSICAL)}]},
            "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
            "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
            "Configuration": json.dumps(configuration, sort_keys=True),
        },
        DependsOn=["Database", *(f"Table{camel(name)}" for name in PHYSICAL)],
    )


def crawler_role(names: Names) -> Resource:
    tables = [names.arn("glue", what) for what in ("catalog", f"database/{names.database}")]
    tables.append(names.arn("glue", f"table/{names.database}/*"))
    logs = names.arn("logs", "log-group:/aws-glue/crawlers")
    partitions = ["GetPartition", "GetPartitions", "BatchGetPartition", "CreatePartition", "BatchCreatePartition"]
    statements = [
        allow("ReadTables", ["s3:GetObject"], f"{names.bucket_arn}/transformed/*"),
        allow("ListTables", ["s3:ListBucket", "s3:GetBucketLocation"], names.bucket_arn),
        allow("AddPartitions", [f"glue:{action}" for action in (
            "GetDatabase", "GetTable", "GetTables", "UpdateTable", *partitions, "UpdatePartition",
            "BatchUpdatePartition")], tables),
        allow("Log", ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], [logs, f"{logs}:*"]),
    ]  # fmt: skip
    return role(names, f"{names.base}-crawler", "glue.amazonaws.com", statements)


def role(names: Names, name: str, service: str, statements: list[dict[str, Any]]) -> Resource:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": names.account}},  # not on behalf of somebody else's crawler
    }
    return resource(
        "AWS::IAM::Role",
        {
            "RoleName": name,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {"PolicyName": "rights", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}
            ],
        },
    )


def allow(sid: str, actions: list[str], resources: str | list[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def workgroup(names: Names) -> Resource:
    return resource(
        "AWS::Athena::WorkGroup",
        {
            "Name": names.workgroup,
            "Description": f"Queries of {names.base}; its settings cannot be overruled",
            "RecursiveDeleteOption": True,
            "WorkGroupConfiguration": {
                "EnforceWorkGroupConfiguration": True,
                "PublishCloudWatchMetricsEnabled": True,
                "BytesScannedCutoffPerQuery": SCAN_LIMIT,
                "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
                "ResultConfiguration": {
                    "OutputLocation": f"{names.lake_url}/{RESULTS}athena/",
                    "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
                    "ExpectedBucketOwner": names.account,
                },
            },
        },
    )


# --- watching -----------------------------------------------------------------------------------------------------


def dead_letters(names: Names) -> Resource:
    return resource(
        "AWS::SQS::Queue",
        {"QueueName": names.dead_letters, "MessageRetentionPeriod": 14 * DAY, "SqsManagedSseEnabled": True},
        **GONE,
    )


def topic(names: Names, options: Options) -> Resource:
    """Not encrypted: CloudWatch cannot publish to a topic under AWS's own key. Messages hold names and numbers."""
    subscribers = [{"Protocol": "email", "Endpoint": options.email}] if options.email else []
    properties: dict[str, Any] = {"TopicName": names.topic}
    return resource("AWS::SNS::Topic", properties | ({"Subscription": subscribers} if subscribers else {}))


def topic_policy(names: Names) -> Resource:
    own = {"StringEquals": {"aws:SourceAccount": names.account}}
    statement = {"Effect": "Allow", "Action": "sns:Publish", "Resource": names.topic_arn, "Condition": own}
    services = {"Alarms": "cloudwatch.amazonaws.com", "Budgets": "budgets.amazonaws.com"}
    statements = [{"Sid": sid, "Principal": {"Service": name}, **statement} for sid, name in services.items()]
    return resource(
        "AWS::SNS::TopicPolicy",
        {"Topics": [{"Ref": "Alarms"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}},
    )


def log_group(names: Names, handler: str, options: Options) -> Resource:
    """Made before the function writes its first line, so that Lambda makes none without an end."""
    properties = {"LogGroupName": names.log_group(handler), "RetentionInDays": options.log_days}
    return resource("AWS::Logs::LogGroup", properties, **GONE)


def alarms(names: Names, options: Options) -> dict[str, Resource]:
    """What a person is told of. An event's function that fails is tried again and then a dead letter, so that only
    functions that somebody waits for are watched for errors and throttles of their own.

    No alarm speaks before there is something to watch: LateRun begins with the first login (see telemetry.py).
    """
    ours = [{"Name": "Stage", "Value": names.base}]
    queue = [{"Name": "QueueName", "Value": names.dead_letters}]
    visible = metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, "Maximum", 300)
    runs = metric(NAMESPACE, "SuccessfulRuns", ours, "Sum", *late_periods(options.late_hours))
    days = metric(NAMESPACE, "AuthorizationDaysLeft", ours, "Minimum", 3600)
    unread = metric(NAMESPACE, "Quarantined", ours, "Sum", 300)
    answers = [{"Name": "ApiName", "Value": names.app}]  # Chalice calls the REST API of every stage so
    failed = metric("AWS/ApiGateway", "5XXError", answers, "Sum", 300)
    waited = [function.handler for function in FUNCTIONS if not function.asynchronous]
    served = [handler for handler in waited if handler != RESULT_FILE]
    return {
        "AlarmErrors": alarm(names, "errors", "A function of the API failed", summed(names, "Errors", waited), 1),
        "AlarmThrottles": alarm(
            names, "throttles", "The API's functions were throttled", summed(names, "Throttles", served), 1
        ),
        "AlarmAnswers": alarm(names, "answers", "The API answered 500 or more", failed, 1),
        "AlarmDeadLetters": alarm(names, "deadletters", "An event was given up after its retries", visible, 1),
        "AlarmQuarantine": alarm(
            names, "quarantine", "A raw object or an export cannot be read and lies in quarantine", unread, 1
        ),
        "AlarmLateRun": alarm(
            names, "laterun", f"No successful run for {options.late_hours:g} hours", runs, 1, below=True,
            missing="missing", unknown=True,
        ),
        "AlarmAuthorization": alarm(
            names, "authorization", "A listener must log in again within 30 days", days, 30, below=True,
            missing="ignore",
        ),
    }  # fmt: skip


def late_periods(hours: float) -> tuple[int, int]:
    """CloudWatch's period (s) and how many of them make up the time: periods are of a day at most, and of an hour at
    least where they cover more than one (at most seven together)."""
    whole = min(max(1, math.ceil(hours)), 7 * 24)
    days = math.ceil(whole / 24)
    return 3600 * math.ceil(whole / days), days


def alarm(
    names: Names, key: str, text: str, watched: dict[str, Any], bound: float, *, below: bool = False,
    missing: str = "notBreaching", unknown: bool = False,
) -> Resource:  # fmt: skip
    """``unknown``: tell also when data cease to come, which is no news as long as none ever came."""
    topic_of = [{"Ref": "Alarms"}]
    return resource(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmName": f"{names.base}-{key}",
            "AlarmDescription": f"{names.base}: {text}",
            "AlarmActions": topic_of,
            "OKActions": topic_of,
            **({"InsufficientDataActions": topic_of} if unknown else {}),
            "ComparisonOperator": "LessThanThreshold" if below else "GreaterThanOrEqualToThreshold",
            "Threshold": bound,
            "TreatMissingData": missing,
            "EvaluationPeriods": 1,
            **watched,
        },
    )


def metric(
    namespace: str, name: str, dimensions: list[dict[str, str]], statistic: str, period: int, periods: int = 1
) -> dict[str, Any]:
    shared = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {**shared, "Statistic": statistic, "Period": period, "EvaluationPeriods": periods}


def summed(names: Names, name: str, handlers: Sequence[str]) -> dict[str, Any]:
    """One alarm over several functions: CloudWatch adds up at most ten metrics, and bills each."""
    queries: list[dict[str, Any]] = [
        {
            "Id": f"m{number}",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": name,
                    "Dimensions": [{"Name": "FunctionName", "Value": names.function(handler)}],
                },
                "Stat": "Sum",
                "Period": 300,
            },
        }
        for number, handler in enumerate(handlers)
    ]
    total = {"Id": "total", "Expression": "SUM(METRICS())", "Label": name, "ReturnData": True}
    return {"Metrics": [*queries, total]}


def dashboard(names: Names) -> Resource:
    """Three dashboards of an account are free. What the functions report beside the alarms' metrics lies in their log
    lines alone, and is read from there by Logs Insights when somebody looks."""
    lambdas = [names.function(function.handler) for function in FUNCTIONS]

    def of_functions(name: str) -> list[list[str]]:
        first, *others = lambdas
        return [["AWS/Lambda", name, "FunctionName", first], *(["...", each] for each in others)]  # as the line before

    extraction, work = ("scheduled_extraction", "run_extraction"), ("transform", "transform_run", "maintain")
    logged = [
        ("Items and calls", extraction, "sum(Items) as items, sum(Calls) as calls, sum(Retries) as retries"),
        ("Waited for Spotify (s)", extraction, "sum(WaitedSeconds) as waited"),
        ("Runs", extraction, "sum(SuccessfulRuns) as successful, sum(FailedRuns) as failed, sum(Holes) as holes"),
        ("Rows written and rejected", work, "sum(RowsWritten) as written, sum(RowsRejected) as rejected"),
        ("Freshness of the newest play (h)", work, "min(FreshnessHours) as hours"),
        ("Raw objects still to transform", work, "max(Untransformed) as waiting, sum(Quarantined) as quarantined"),
    ]
    counted = [
        ("Errors", of_functions("Errors"), "Sum"),
        ("Throttles", of_functions("Throttles"), "Sum"),
        ("Duration (ms)", of_functions("Duration"), "p95"),
        ("Bytes scanned", [["AWS/Athena", "ProcessedBytes", "WorkGroup", names.workgroup]], "Sum"),
    ]
    drawn: list[tuple[str, dict[str, Any]]]
    drawn = [("log", {"title": title, "query": insights(names, handlers, what), "view": "timeSeries"})
             for title, handlers, what in logged]  # fmt: skip
    drawn += [("metric", {"title": title, "metrics": lines, "stat": stat, "period": 3600})
              for title, lines, stat in counted]  # fmt: skip
    widgets = [
        {
            "type": kind,
            "x": 12 * (number % 2),
            "y": 6 * (number // 2),
            "width": 12,
            "height": 6,
            "properties": {**what, "region": names.region},
        }
        for number, (kind, what) in enumerate(drawn)
    ]
    properties = {"DashboardName": names.base, "DashboardBody": json.dumps({"widgets": widgets}, separators=(",", ":"))}
    return resource("AWS::CloudWatch::Dashboard", properties)


def insights(names: Names, handlers: Sequence[str], what: str) -> str:
    """A query of Logs Insights over what functions have reported."""
    sources = " | ".join(f"SOURCE '{names.log_group(handler)}'" for handler in handlers)
    return f"{sources} | filter Stage = '{names.base}' | stats {what} by bin(1h)"
