"""Athena that answers: the lake's own dialect translation on DuckDB, over what Glue's catalogue names, with the
rights of whoever asks. Results are text, as Athena's are."""

from __future__ import annotations

import io
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emulator.rights import Need, allowed

if TYPE_CHECKING:
    from tests.emulator.server import Call, Emulator

VIEW = re.compile(r"\s*CREATE OR REPLACE VIEW (\w+) AS (.*)\Z", re.DOTALL)
PAGE = 1000


@dataclass
class Execution:
    id: str
    sql: str
    parameters: list[str]
    group: str
    database: str
    role: str | None
    location: str
    state: str = "QUEUED"
    reason: str | None = None
    submitted: float = field(default_factory=time.time)
    ended: float | None = None
    scanned: int = 0
    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    connection: Any = None


class Refused(Exception):
    """What fails a query: Athena's reason."""


WIDENINGS = {("int", "bigint"), ("float", "double")}


class Athena:
    def __init__(self, aws: Emulator) -> None:
        self.aws = aws
        self.executions: dict[str, Execution] = {}
        self.asked: dict[str, str] = {}  # ClientRequestToken -> id
        self.gate = threading.Event()
        self.gate.set()  # cleared: queries stay queued
        self.statistics = True

    def group_of(self, query_id: str | None) -> str:
        execution = self.executions.get(query_id or "")
        return execution.group if execution else "primary"

    def handle(self, call: Call) -> tuple[int, dict[str, Any]] | None:
        method = getattr(self, "on_" + snake(call.operation), None)
        return method(call) if method else None

    def on_start_query_execution(self, call: Call) -> tuple[int, dict[str, Any]]:
        group = call.body.get("WorkGroup", "primary")
        sql = call.body["QueryString"]
        asked = call.body["ClientRequestToken"]
        if asked in self.asked:  # the same request again, its answer having been lost
            return 200, {"QueryExecutionId": self.asked[asked]}
        settings = self.aws.client("athena").get_work_group(WorkGroup=group)["WorkGroup"]["Configuration"]
        location = settings["ResultConfiguration"]["OutputLocation"]
        parameters = call.body.get("ExecutionParameters", [])
        execution = Execution(str(uuid.uuid4()), sql, parameters, group,
                              call.body.get("QueryExecutionContext", {}).get("Database", "default"),
                              call.role, location)  # fmt: skip
        plan = re.match(r"\s*EXPLAIN\b", sql, re.IGNORECASE)
        execution.location = f"{location}{execution.id}.{'txt' if plan or VIEW.match(sql) else 'csv'}"
        try:
            self._need_documented(execution)
        except Refused as error:
            return invalid(str(error))
        self.executions[execution.id] = execution
        self.asked[asked] = execution.id
        self.aws.in_background(lambda: self._run(execution))
        return 200, {"QueryExecutionId": execution.id}

    def on_get_query_execution(self, call: Call) -> tuple[int, dict[str, Any]]:
        execution = self.executions.get(call.body["QueryExecutionId"])
        if execution is None:
            return invalid(f"QueryExecution {call.body['QueryExecutionId']} was not found")
        return 200, {"QueryExecution": described(execution)}

    def on_batch_get_query_execution(self, call: Call) -> tuple[int, dict[str, Any]]:
        found = [self.executions[each] for each in call.body["QueryExecutionIds"] if each in self.executions]
        return 200, {"QueryExecutions": [described(each) for each in found], "UnprocessedQueryExecutionIds": []}

    def on_list_query_executions(self, call: Call) -> tuple[int, dict[str, Any]]:
        group = call.body.get("WorkGroup", "primary")
        ids = [each.id for each in self.executions.values() if each.group == group][::-1]
        start, most = call.body.get("NextToken", ""), call.body.get("MaxResults", 50)
        if start and start not in ids:
            return invalid("Invalid NextToken")
        at = ids.index(start) if start else 0
        page = {"QueryExecutionIds": ids[at : at + most]}
        return 200, page | ({"NextToken": ids[at + most]} if len(ids) > at + most else {})

    def on_get_query_results(self, call: Call) -> tuple[int, dict[str, Any]]:
        execution = self.executions.get(call.body["QueryExecutionId"])
        if execution is None:
            return invalid("QueryExecution was not found")
        if execution.state != "SUCCEEDED":
            return invalid(f"Query has not yet finished. Current state: {execution.state}")
        self._need(call.role, "s3:GetObject", execution.location)
        rows = [*([] if execution.location.endswith(".txt") else [[n for n, _ in execution.columns]]), *execution.rows]
        token, most = call.body.get("NextToken", "0"), call.body.get("MaxResults", PAGE)
        if not token.isdigit() or not 1 <= most <= PAGE:
            return invalid("Invalid NextToken or MaxResults")
        at = int(token)
        page: dict[str, Any] = {
            "ResultSet": {
                "Rows": [
                    {"Data": [{} if each is None else {"VarCharValue": each} for each in row]}
                    for row in rows[at : at + most]
                ],
                "ResultSetMetadata": {"ColumnInfo": [column_info(name, kind) for name, kind in execution.columns]},
            }
        }
        return 200, page | ({"NextToken": str(at + most)} if len(rows) > at + most else {})

    def on_get_query_runtime_statistics(self, call: Call) -> tuple[int, dict[str, Any]]:
        execution = self.executions[call.body["QueryExecutionId"]]
        counted = {"Rows": {"OutputRows": len(execution.rows)}} if self.statistics else {}
        return 200, {"QueryRuntimeStatistics": counted}

    def on_stop_query_execution(self, call: Call) -> tuple[int, dict[str, Any]]:
        execution = self.executions.get(call.body["QueryExecutionId"])
        if execution is None:
            return invalid("QueryExecution was not found")
        if execution.state in ("QUEUED", "RUNNING"):
            execution.state, execution.ended = "CANCELLED", time.time()
            execution.reason = "Query cancelled by user"
            if execution.connection is not None:
                execution.connection.interrupt()
        return 200, {}

    # --- running --------------------------------------------------------------------------------------------------

    def _run(self, execution: Execution) -> None:
        self.gate.wait(60)
        if execution.state != "QUEUED":
            return
        execution.state = "RUNNING"
        try:
            view = VIEW.match(execution.sql)
            if view:
                self.create_view(execution, view[1], view[2])
                rows: list[list[str | None]] = []
            else:
                rows = self._answer(execution)
            if execution.state == "RUNNING":
                self._store(execution, rows)
                execution.rows, execution.state = rows, "SUCCEEDED"
        except Exception as error:
            if execution.state == "RUNNING":
                execution.state, execution.reason = "FAILED", str(error)
        execution.connection = None
        execution.ended = execution.ended or time.time()

    def create_view(self, execution: Execution, name: str, sql: str) -> None:
        from chalicelib.queries.sql import check
        from chalicelib.views import physical_tables

        checked = check(sql, physical_tables())
        for action in ("glue:CreateTable", "glue:UpdateTable", "glue:GetTable"):
            self._need_glue(execution, action, name)
        for physical in checked.tables:
            self._need_glue(execution, "glue:GetTable", physical)
        table = {
            "Name": name,
            "TableType": "VIRTUAL_VIEW",
            "ViewOriginalText": sql,
            "StorageDescriptor": {"Columns": [{"Name": each.name, "Type": "string"} for each in checked.columns]},
        }
        glue = self.aws.client("glue")
        try:
            glue.create_table(DatabaseName=execution.database, TableInput=table)
        except glue.exceptions.AlreadyExistsException:
            glue.update_table(DatabaseName=execution.database, TableInput=table)

    def _answer(self, execution: Execution) -> list[list[str | None]]:
        import duckdb

        from chalicelib.errors import QueryRefused
        from chalicelib.queries.sql import check
        from chalicelib.views import user_tables

        try:
            checked = check(with_literals(execution.sql, execution.parameters), user_tables())
        except QueryRefused as error:
            place = error.details.get("position")
            raise Refused(f"SYNTAX_ERROR: line {place['line']}:{place['column']}: {error.message}" if place
                          else f"SYNTAX_ERROR: {error.message}") from None  # fmt: skip
        connection = duckdb.connect(config={"threads": 1})
        execution.connection = connection
        for name in checked.tables:
            self._open(execution, connection, name)
        try:
            answered = connection.execute(checked.duckdb, dict(checked.values)).fetchall()
        except duckdb.Error as error:
            raise Refused(f"GENERIC_USER_ERROR: {str(error).splitlines()[0]}") from None
        if checked.kind == "explain":
            execution.columns = [("Query Plan", "varchar")]
            return [[line] for row in answered for line in str(row[-1]).splitlines()]
        execution.columns = [(column.name, column.type) for column in checked.columns]
        kinds = [kind for _, kind in execution.columns]
        return [[as_text(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in answered]

    def _open(self, execution: Execution, connection: Any, name: str) -> None:
        """A table or view under its name, as the catalogue has it."""
        from chalicelib.queries.sql import check
        from chalicelib.tables import BY_NAME, PHYSICAL
        from chalicelib.views import physical_tables, reads, view_sql

        self._need_glue(execution, "glue:GetTable", name)
        glue = self.aws.client("glue")
        try:
            glue.get_table(DatabaseName=execution.database, Name=name)
        except glue.exceptions.EntityNotFoundException:
            raise Refused(
                f"TABLE_NOT_FOUND: line 1:1: Table 'awsdatacatalog.{execution.database}.{name}' does not exist"
            ) from None
        for physical in reads(name):
            self._open_physical(execution, connection, physical)
        if name not in PHYSICAL:
            view = check(view_sql(BY_NAME[name]), physical_tables()).duckdb
            connection.execute(f'CREATE OR REPLACE VIEW "{name}" AS {view}')

    def _open_physical(self, execution: Execution, connection: Any, name: str) -> None:
        from chalicelib.queries.embedded.duck import stored_cell, stored_columns

        for action in ("GetTable", "GetPartitions", "GetPartition", "BatchGetPartition"):
            self._need_glue(execution, f"glue:{action}", name)
        paths = [str(path) for path in self._fetch(execution, name)]
        source, found = "WHERE false", {}
        if paths:
            source = f"FROM read_parquet({paths!r}, union_by_name = true, hive_partitioning = true)"
            found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * {source}").fetchall()}
        cells = ", ".join(stored_cell(column, found) for column in stored_columns(name))
        cells += ", month" if "month" in found else ", CAST(NULL AS VARCHAR) AS month"
        connection.execute(f'CREATE OR REPLACE VIEW "{name}" AS SELECT {cells} {source}')

    def _fetch(self, execution: Execution, name: str) -> Iterator[Path]:
        """Local copies of the files of the partitions that the catalogue names."""
        glue, s3 = self.aws.client("glue"), self.aws.client("s3")
        table = glue.get_table(DatabaseName=execution.database, Name=name)["Table"]
        pages = glue.get_paginator("get_partitions").paginate(DatabaseName=execution.database, TableName=name)
        for partition in (each for page in pages for each in page["Partitions"]):
            require_compatible(table, partition)
            location = partition["StorageDescriptor"]["Location"].rstrip("/") + "/"
            bucket, _, prefix = location.removeprefix("s3://").partition("/")
            self._need(execution.role, "s3:ListBucket", f"s3://{bucket}", prefix=prefix)
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    self._need(execution.role, "s3:GetObject", f"s3://{bucket}/{entry['Key']}")
                    path = self.aws.functions.folder / "athena" / entry["ETag"].strip('"') / entry["Key"]
                    if not path.exists():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        s3.download_file(bucket, entry["Key"], str(path))
                    execution.scanned += entry["Size"]
                    yield path

    def _store(self, execution: Execution, rows: list[list[str | None]]) -> None:
        self._need(execution.role, "s3:PutObject", execution.location)
        text = io.StringIO()
        table = execution.location.endswith(".csv")
        for row in [[name for name, _ in execution.columns], *rows] if table else rows:
            text.write(",".join("" if each is None else '"' + each.replace('"', '""') + '"' for each in row) + "\n")
        bucket, _, key = execution.location.removeprefix("s3://").partition("/")
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=text.getvalue().encode())

    def _need(self, role: str | None, action: str, location: str, prefix: str | None = None) -> None:
        resource = "arn:aws:s3:::" + location.removeprefix("s3://")
        context = (("s3:prefix", prefix),) if prefix is not None else ()
        if role is not None and not allowed(self.aws, role, Need(action, resource, context)):
            raise Refused(f"PERMISSION_DENIED: not authorized to perform {action} on {resource}")

    def _need_documented(self, execution: Execution) -> None:
        """What AWS asks of whoever queries, whether or not a query comes to use it: S3's rights to write results
        ("Access to Amazon S3" in Athena's user guide) and a look at the database and at the account's database
        ``default`` ("Configure access to databases and tables in the AWS Glue Data Catalog")."""
        bucket, _, _ = execution.location.removeprefix("s3://").partition("/")
        self._need(execution.role, "s3:GetBucketLocation", f"s3://{bucket}")
        for action in ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"):
            self._need(execution.role, action, execution.location)
        self._need_glue(execution, "glue:GetDatabase", "*")
        self._need_on(execution, "glue:GetDatabase", "database/default")

    def _need_glue(self, execution: Execution, action: str, table: str) -> None:
        for what in ("catalog", f"database/{execution.database}", f"table/{execution.database}/{table}"):
            self._need_on(execution, action, what)

    def _need_on(self, execution: Execution, action: str, what: str) -> None:
        resource = self.aws.arn("glue", what)
        if execution.role is not None and not allowed(self.aws, execution.role, Need(action, resource)):
            raise Refused(f"PERMISSION_DENIED: not authorized to perform {action} on {resource}")


def require_compatible(table: dict[str, Any], partition: dict[str, Any]) -> None:
    """Athena compares a Parquet partition's columns with its table's by name; a type may only become wider.

    Source: Athena's guide, "Updates in tables with partitions".
    """
    declared = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
    for each in partition["StorageDescriptor"]["Columns"]:
        name, kind = each["Name"], each["Type"]
        if declared.get(name, kind) != kind and (kind, declared[name]) not in WIDENINGS:
            raise Refused(
                f"HIVE_PARTITION_SCHEMA_MISMATCH: The column '{name}' in table '{table['Name']}' is declared as type "
                f"'{declared[name]}', but partition 'month={partition['Values'][0]}' declared it as type '{kind}'"
            )


def snake(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()


def invalid(message: str) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": "InvalidRequestException", "message": message}


def described(execution: Execution) -> dict[str, Any]:
    ended = execution.state in ("SUCCEEDED", "FAILED", "CANCELLED")
    status: dict[str, Any] = {"State": execution.state, "SubmissionDateTime": execution.submitted}
    if execution.ended:
        status["CompletionDateTime"] = execution.ended
    if execution.reason:
        status["StateChangeReason"] = execution.reason
    return {
        "QueryExecutionId": execution.id,
        "Query": execution.sql,
        "WorkGroup": execution.group,
        "QueryExecutionContext": {"Database": execution.database},
        "ResultConfiguration": {"OutputLocation": execution.location},
        "Status": status,
        "Statistics": {
            "DataScannedInBytes": execution.scanned,
            "TotalExecutionTimeInMillis": int(((execution.ended or time.time()) - execution.submitted) * 1000),
            "QueryQueueTimeInMillis": 0,
        } if ended else {},
    }  # fmt: skip


def with_literals(sql: str, parameters: list[str]) -> str:
    """EXECUTE … USING: each ``?`` is the expression given for it."""
    from chalicelib.queries.sql.parsing import tokenize

    places = [token.start for token in tokenize(sql) if token.text == "?" and sql[token.start] == "?"]
    if len(places) != len(parameters):
        raise Refused(f"INVALID_PARAMETER_USAGE: expected {len(places)} parameters but found {len(parameters)}")
    for place, literal in reversed(list(zip(places, parameters, strict=True))):
        sql = sql[:place] + literal + sql[place + 1 :]
    return sql


def column_info(name: str, kind: str) -> dict[str, Any]:
    match = re.fullmatch(r"decimal\((\d+),(\d+)\)", kind)
    base = re.sub(r"\(.*\)", "", kind)
    precision, scale = (int(match[1]), int(match[2])) if match else (0, 0)
    return {"Name": name, "Label": name, "Type": base, "Precision": precision, "Scale": scale, "Nullable": "UNKNOWN",
            "CaseSensitive": base == "varchar", "CatalogName": "hive", "SchemaName": "", "TableName": ""}  # fmt: skip


def as_text(value: Any, kind: str) -> str | None:
    """A value as Athena writes it."""
    if value is None:
        return None
    base = re.sub(r"\(.*\)", "", kind)
    if base == "json":
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, dict) and set(value) == {"u", "z"}:
        return f"{moment(value['u'])} {value['z']}"
    return nested(value)


def nested(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{nested(key)}={nested(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(nested(item) for item in value) + "]"
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(value), repr(value).replace("e", "E"))
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def moment(value: datetime) -> str:
    plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return plain.isoformat(" ", "milliseconds")
