"""Athena that answers: a real Trino, over what Glue's catalogue names, with the rights of whoever asks, and around it
what Athena refuses or prints otherwise (athena_statements, athena_results). Without Trino it raises TrinoAbsent."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.emulator.athena_catalogue import CATALOGUE, Catalogues, catalogue_named, view_table
from tests.emulator.athena_results import Unprintable, column_info, result_file, texts
from tests.emulator.athena_statements import reads, refusal
from tests.emulator.rights import Need, allowed
from tests.support import trino

if TYPE_CHECKING:
    from tests.emulator.server import Call, Emulator

IGNORED = r"\A(?:\s|--[^\n]*\n|/\*.*?\*/)*"  # blanks and comments
NAME = r'(?:"?\w+"?\.)?(?:"?(?P<database>\w+)"?\.)?"?(?P<name>\w+)"?'
VIEW = re.compile(IGNORED + rf"CREATE OR REPLACE VIEW\s+{NAME}\s+AS\s(?P<sql>.*)\Z", re.DOTALL | re.IGNORECASE)
#: A statement of Hive's, as "CREATE DATABASE" of Athena's guide has it, backquotes included.
DATABASE = re.compile(
    IGNORED + r"CREATE (?:DATABASE|SCHEMA)(?: IF NOT EXISTS)? `?(?P<name>\w+)`?\s*\Z", re.DOTALL | re.IGNORECASE
)
#: Analyses a statement and runs nothing; it stands on a line of its own before the statement.
VALIDATE = "EXPLAIN (TYPE VALIDATE)\n"
PLACE = re.compile(r"\Aline (\d+):")
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
    columns: list[trino.Column] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    answer: trino.Answer | None = None  # while Trino works on it


class Refused(Exception):
    """What fails a query: Athena's reason."""


class Athena:
    def __init__(self, aws: Emulator) -> None:
        self.aws = aws
        self.executions: dict[str, Execution] = {}
        self.asked: dict[str, str] = {}  # ClientRequestToken -> id
        self.gate = threading.Event()
        self.gate.set()  # cleared: queries stay queued
        self.statistics = True
        self.reads: list[str] | None = None  # when a list: what queries ask of S3, "LIST prefix" or "GET key"
        self.catalogues = Catalogues(aws)
        self._views: dict[str, list[trino.Column]] = {}  # the columns of the deployment's views, by their SQL

    def close(self) -> None:
        self.catalogues.close()

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
        execution.location = f"{location}{execution.id}.{'csv' if reads(sql) else 'txt'}"
        try:
            self._need_documented(execution)
            require_statement(sql, len(parameters))
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
        names = [column.name for column in execution.columns]
        rows = [*([names] if execution.location.endswith(".csv") else []), *execution.rows]
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
                "ResultSetMetadata": {"ColumnInfo": [column_info(column) for column in execution.columns]},
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
            if execution.answer is not None:
                trino.cancel(execution.answer)
        return 200, {}

    # --- running --------------------------------------------------------------------------------------------------

    def _run(self, execution: Execution) -> None:
        self.gate.wait(60)
        if execution.state != "QUEUED":
            return
        execution.state = "RUNNING"
        try:
            rows: list[list[str | None]] = []
            if view := VIEW.match(execution.sql):
                execution.database = view["database"] or execution.database
                self.create_view(execution, view["name"], view["sql"])
            elif database := DATABASE.match(execution.sql):
                self.create_database(execution, database["name"])
            else:
                rows = self._answer(execution)
            if execution.state == "RUNNING":
                self._store(execution, rows)
                execution.rows, execution.state = rows, "SUCCEEDED"
        except Exception as error:
            if execution.state == "RUNNING":
                execution.state, execution.reason = "FAILED", str(error)
        execution.answer = None
        execution.ended = execution.ended or time.time()

    def create_view(self, execution: Execution, name: str, sql: str) -> None:
        """Analyse a view as its creator, and store it as Athena does."""
        for action in ("glue:CreateTable", "glue:UpdateTable", "glue:GetTable"):
            self._need_glue(execution, action, name)
        columns = self._ask(execution, f"SELECT * FROM (\n{sql}\n) LIMIT 0", lines_before=1).columns
        self._store_view(execution.database, name, sql, columns)

    def create_database(self, execution: Execution, name: str) -> None:
        self._need_on(execution, "glue:CreateDatabase", f"database/{name}")
        glue = self.aws.client("glue")
        with contextlib.suppress(glue.exceptions.AlreadyExistsException):
            glue.create_database(DatabaseInput={"Name": name})

    def deploy_view(self, database: str, name: str, sql: str) -> None:
        """The same for a stage made from the templates, whose views are analysed once."""
        if sql not in self._views:
            owner = Execution("", sql, [], "", database, None, "")
            self._views[sql] = self._ask(owner, f"SELECT * FROM (\n{sql}\n) LIMIT 0", lines_before=1).columns
        self._store_view(database, name, sql, self._views[sql])

    def _store_view(self, database: str, name: str, sql: str, columns: Sequence[trino.Column]) -> None:
        glue = self.aws.client("glue")
        table = view_table(database, name, sql, columns)
        try:
            glue.create_table(DatabaseName=database, TableInput=table)
        except glue.exceptions.AlreadyExistsException:
            glue.update_table(DatabaseName=database, TableInput=table)

    def _answer(self, execution: Execution) -> list[list[str | None]]:
        answer = self._ask(execution, execution.sql, execution.parameters)
        execution.columns, execution.scanned = answer.columns, answer.stats.get("physicalInputBytes", 0)
        try:
            rows = texts(answer)
        except Unprintable as error:
            raise Refused(str(error)) from None
        if execution.location.endswith(".csv"):
            return rows
        return [[line] for row in rows for line in str(row[-1]).splitlines()]

    def _ask(
        self, execution: Execution, sql: str, parameters: Sequence[str] = (), *, lines_before: int = 0
    ) -> trino.Answer:
        """Trino's answer. Raises Refused with Athena's reason."""
        catalogue = self.catalogues.of(execution.role)
        session = trino.shared().session(catalog=catalogue, schema=execution.database)
        denied = len(self.aws.denied)
        try:
            execution.answer = answer = trino.start(session, catalogue_named(sql, catalogue), parameters)
            while answer.next:
                trino.advance(answer)
        except trino.TrinoFailed as error:
            if reason := self.catalogues.incompatible.pop(catalogue, None):
                raise Refused(reason) from None
            if told := [each for each in self.aws.denied[denied:] if each.startswith(f"{execution.role} ")]:
                raise Refused(f"PERMISSION_DENIED: {told[0]}") from None
            raise Refused(f"{error.name}: {in_athenas_words(error, catalogue, lines_before)}") from None
        return answer

    def _store(self, execution: Execution, rows: list[list[str | None]]) -> None:
        self._need(execution.role, "s3:PutObject", execution.location)
        if execution.location.endswith(".csv"):
            written = result_file([column.name for column in execution.columns], rows)
        else:
            written = "".join(f"{line}\n" for (line,) in rows).encode()
        bucket, _, key = execution.location.removeprefix("s3://").partition("/")
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=written)

    def _need(self, role: str | None, action: str, location: str, prefix: str | None = None) -> None:
        resource = "arn:aws:s3:::" + location.removeprefix("s3://")
        context = (("s3:prefix", prefix),) if prefix is not None else ()
        if role is not None and not allowed(self.aws, role, Need(action, resource, context)):
            raise Refused(f"PERMISSION_DENIED: not authorized to perform {action} on {resource}")

    def _need_documented(self, execution: Execution) -> None:
        """What AWS asks of whoever queries, whether or not a query comes to use it: S3's rights to write results
        ("Access to Amazon S3" in Athena's user guide), a look at the database, one partition, and the account's
        database ``default`` ("Configure access to databases and tables in the AWS Glue Data Catalog")."""
        bucket, _, _ = execution.location.removeprefix("s3://").partition("/")
        self._need(execution.role, "s3:GetBucketLocation", f"s3://{bucket}")
        for action in ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"):
            self._need(execution.role, action, execution.location)
        self._need_glue(execution, "glue:GetDatabase", "*")
        self._need_glue(execution, "glue:GetPartition", "*")
        self._need_on(execution, "glue:GetDatabase", "database/default")

    def _need_glue(self, execution: Execution, action: str, table: str) -> None:
        for what in ("catalog", f"database/{execution.database}", f"table/{execution.database}/{table}"):
            self._need_on(execution, action, what)

    def _need_on(self, execution: Execution, action: str, what: str) -> None:
        resource = self.aws.arn("glue", what)
        if execution.role is not None and not allowed(self.aws, execution.role, Need(action, resource)):
            raise Refused(f"PERMISSION_DENIED: not authorized to perform {action} on {resource}")


def require_statement(sql: str, parameters: int) -> None:
    """What Athena answers to at once: Trino's parser is asked, in a catalogue that knows no table. Raises Refused."""
    if reason := refusal(sql, parameters):
        raise Refused(reason)
    if DATABASE.match(sql):
        return
    try:
        trino.shared().ask(VALIDATE + sql)
    except trino.TrinoFailed as error:
        if error.by_the_parser:
            raise Refused(moved(error.message, 1)) from None


def in_athenas_words(error: trino.TrinoFailed, catalogue: str, lines_before: int) -> str:
    message = moved(error.message, lines_before).replace(catalogue, CATALOGUE)
    if error.name == "COLUMN_NOT_FOUND":  # AWS's own tail, as reports of users have it
        return f"{message} or requester is not authorized to access requested resources"
    return message


def moved(message: str, lines_before: int) -> str:
    """A message whose place counts from the statement's own first line."""
    return PLACE.sub(lambda found: f"line {int(found[1]) - lines_before}:", message)


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
