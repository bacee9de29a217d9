"""What lies in AWS after `python -m deploy up`, and that it works."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import struct
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chalicelib.errors import StorageUnavailable
from chalicelib.stores.s3 import PART, BucketStore
from chalicelib.tables import PHYSICAL
from chalicelib.views import views as views_of_the_lake
from deploy.functions import FUNCTIONS, PANDAS, PYARROW
from deploy.package import LAMBDA_UNZIPPED, MOST_LAYERS_ZIPPED, MOST_UNZIPPED, MOST_ZIPPED
from deploy.policies import policies
from deploy.record import calls
from deploy.template import Options, app_template, data_template
from tests.deployed.conftest import Deployed, scheduled_event
from tests.emulator.rights import Need, allowed

PROJECT = Path(__file__).resolve().parent.parent.parent
PUBLIC = {(verb, path) for verb in ("GET", "HEAD") for path in ("/", "/health", "/openapi.json")} | {
    ("GET", "/static/{name}"),
    ("GET", "/static/{name}/{below}"),
    ("POST", "/session"),  # brings a code that signs in once
    ("GET", "/join"),  # brings an invitation's code
    ("GET", "/callback"),  # brings Spotify's code, and the cookie of the browser that was sent there
}


def function(deployed: Deployed, handler: str) -> dict[str, Any]:
    found: dict[str, Any] = deployed.aws.client("lambda").get_function(FunctionName=deployed.names.function(handler))
    return found


def check_every_function_is_configured_as_declared(deployed: Deployed) -> None:
    config = json.loads((PROJECT / ".chalice" / "config.json").read_text())["stages"]["dev"]
    listed = deployed.aws.client("lambda").list_functions()["Functions"]
    assert {each["FunctionName"] for each in listed} == {deployed.names.function(each.handler) for each in FUNCTIONS}
    for each in FUNCTIONS:
        found = function(deployed, each.handler)["Configuration"]
        wanted = {**config, **config["lambda_functions"].get(each.handler, {})}
        assert found["Handler"] == ("app.app" if each.handler == "api_handler" else f"app.{each.handler}")
        assert (found["MemorySize"], found["Timeout"]) == (wanted["lambda_memory_size"], wanted["lambda_timeout"])
        assert found["Runtime"] in ("python3.12", "python3.13", "python3.14")
        kinds = {PYARROW: "spotify-lake-dev-pyarrow", PANDAS: "spotify-lake-dev-pandas"}
        assert [layer["Arn"].split(":")[6] for layer in found.get("Layers", [])] == [kinds[k] for k in each.layers]
        variables = found["Environment"]["Variables"]
        assert variables["LAKE_URL"] == deployed.names.lake_url and variables["GLUE_DATABASE"] == "spotify_lake_dev"
        assert not {"SPOTIPY_CLIENT_SECRET", "API_TOKEN"} & variables.keys()
        assert found["Role"].endswith(f"role/{deployed.names.role(each.handler)}")
        assert allowed_documents(deployed, each.handler) == [policies(deployed.names)[each.policy]]
        reserved = function(deployed, each.handler).get("Concurrency", {}).get("ReservedConcurrentExecutions")
        assert int(reserved or 0) == each.reserved


def allowed_documents(deployed: Deployed, handler: str) -> list[Any]:
    iam = deployed.aws.client("iam")
    role = deployed.names.role(handler)
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]


def check_objects_and_the_schedule_reach_their_functions(deployed: Deployed) -> None:
    told = deployed.aws.client("s3").get_bucket_notification_configuration(Bucket=deployed.names.bucket)
    found = {
        each["LambdaFunctionArn"].rpartition(":")[2]: {
            rule["Name"].lower(): rule["Value"] for rule in each["Filter"]["Key"]["FilterRules"]
        }
        for each in told["LambdaFunctionConfigurations"]
    }
    assert found == {
        "spotify-lake-dev-transform": {"prefix": "raw/spotify/", "suffix": ".gz"},
        "spotify-lake-dev-transform_run": {"prefix": "raw/runs/", "suffix": ".json"},
        "spotify-lake-dev-import_history": {"prefix": "raw/history/"},
    }
    events = deployed.aws.client("events")
    rules = {rule["Name"]: rule for rule in events.list_rules()["Rules"]}
    for handler in ("scheduled_extraction", "maintain"):
        rule = rules[f"spotify-lake-dev-{handler}-event"]
        assert rule["ScheduleExpression"] == "rate(1 hour)" and rule["State"] == "ENABLED"
        (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        assert target["Arn"].endswith(f":{deployed.names.function(handler)}")


def check_every_route_that_needs_it_has_the_authorizer(deployed: Deployed) -> None:
    from chalicelib.rest.routes import ROUTES

    routes = deployed.api().routes()
    assert {(route.method, route.path) for route in ROUTES} <= routes.keys()
    for (verb, path), kind in routes.items():
        if verb != "OPTIONS":
            assert kind == ("NONE" if (verb, path) in PUBLIC else "CUSTOM"), (verb, path)


def check_the_api_is_of_its_region_and_takes_so_much_at_once(deployed: Deployed) -> None:
    from deploy.throttle import BURST, RATE

    client, api = deployed.aws.client("apigateway"), deployed.api().id
    assert client.get_rest_api(restApiId=api)["endpointConfiguration"]["types"] == ["REGIONAL"]
    settings = client.get_stage(restApiId=api, stageName="api")["methodSettings"]["*/*"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (RATE, BURST)


def check_failed_events_go_to_the_dead_letter_queue(deployed: Deployed) -> None:
    client = deployed.aws.client("lambda")
    for each in FUNCTIONS:
        if each.asynchronous:
            held = client.get_function_event_invoke_config(FunctionName=deployed.names.function(each.handler))
            assert held["DestinationConfig"]["OnFailure"]["Destination"] == deployed.names.dead_letters_arn


def check_every_resource_of_the_templates_is_really_there(deployed: Deployed) -> None:
    names, client = deployed.names, deployed.aws.client
    seen = set()
    both = {**data_template(names)["Resources"], **app_template(names, Options())["Resources"]}
    for logical, resource in both.items():
        assert exists(client, names, resource), logical
        seen.add(resource["Type"])
    assert len(seen) == 13
    tables = client("glue").get_tables(DatabaseName=names.database)["TableList"]
    described = {table["Name"]: table for table in tables}
    assert PHYSICAL.keys() <= described.keys()
    for name, table in PHYSICAL.items():
        columns = described[name]["StorageDescriptor"]["Columns"]
        assert [(c["Name"], c["Comment"]) for c in columns] == [
            (column.name, column.description) for column in table.physical_columns
        ]
    views = [table for table in described.values() if table["TableType"] == "VIRTUAL_VIEW"]
    assert {view["Name"] for view in views} == {name for name, _ in views_of_the_lake()}
    group = client("athena").get_work_group(WorkGroup=names.workgroup)["WorkGroup"]["Configuration"]
    assert group["EnforceWorkGroupConfiguration"] and group["BytesScannedCutoffPerQuery"] == 10**10
    alarms = {each["AlarmName"]: each for each in client("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert {name.rpartition("-")[2] for name in alarms} == {
        "errors", "throttles", "answers", "deadletters", "quarantine", "laterun", "authorization",
    }  # fmt: skip
    assert all(each["AlarmActions"] == [names.topic_arn] for each in alarms.values())
    late = alarms[f"{names.base}-laterun"]
    assert (late["MetricName"], late["Period"], late["Threshold"]) == ("SuccessfulRuns", 3 * 3600, 1)
    assert late["InsufficientDataActions"] == late["AlarmActions"]
    assert alarms[f"{names.base}-authorization"]["Threshold"] == 30
    (crawls,) = client("logs").describe_log_groups(logGroupNamePrefix="/aws-glue/crawlers")["logGroups"]
    assert crawls["retentionInDays"] == Options().log_days
    for which in ("api", "spotify"):
        assert client("secretsmanager").describe_secret(SecretId=f"{names.secret}/{which}")
    limit = client("budgets").describe_budget(AccountId=names.account, BudgetName=names.base)["Budget"]["BudgetLimit"]
    assert float(limit["Amount"]) == 10
    closed = client("s3").get_public_access_block(Bucket=names.bucket)["PublicAccessBlockConfiguration"]
    assert all(closed.values())


def exists(client: Any, names: Any, resource: dict[str, Any]) -> bool:
    kind, p = resource["Type"], resource["Properties"]
    look = {
        "AWS::S3::Bucket": lambda: client("s3").get_bucket_versioning(Bucket=p["BucketName"])["Status"] == "Enabled"
        and client("s3").get_bucket_encryption(Bucket=p["BucketName"])
        and len(client("s3").get_bucket_lifecycle_configuration(Bucket=p["BucketName"])["Rules"]) == 8
        and client("s3").get_bucket_cors(Bucket=p["BucketName"])["CORSRules"][0]["AllowedMethods"] == ["GET", "PUT"],
        "AWS::S3::BucketPolicy": lambda: "TlsOnly" in client("s3").get_bucket_policy(Bucket=names.bucket)["Policy"],
        "AWS::Glue::Database": lambda: client("glue").get_database(Name=p["DatabaseInput"]["Name"]),
        "AWS::Glue::Table": lambda: client("glue").get_table(
            DatabaseName=p["DatabaseName"], Name=p["TableInput"]["Name"]
        ),
        "AWS::Glue::Crawler": lambda: client("glue").get_crawler(Name=p["Name"]),
        "AWS::IAM::Role": lambda: client("iam").get_role_policy(RoleName=p["RoleName"], PolicyName="rights"),
        "AWS::Athena::WorkGroup": lambda: client("athena").get_work_group(WorkGroup=p["Name"]),
        "AWS::SQS::Queue": lambda: client("sqs").get_queue_url(QueueName=p["QueueName"]),
        "AWS::SNS::Topic": lambda: client("sns").get_topic_attributes(TopicArn=names.topic_arn),
        "AWS::SNS::TopicPolicy": lambda: "budgets"
        in client("sns").get_topic_attributes(TopicArn=names.topic_arn)["Attributes"]["Policy"],
        "AWS::CloudWatch::Alarm": lambda: client("cloudwatch").describe_alarms(AlarmNames=[p["AlarmName"]])[
            "MetricAlarms"
        ],
        "AWS::CloudWatch::Dashboard": lambda: client("cloudwatch").get_dashboard(DashboardName=p["DashboardName"]),
        "AWS::Logs::LogGroup": lambda: (
            client("logs").describe_log_groups(logGroupNamePrefix=p["LogGroupName"])["logGroups"][0]["retentionInDays"]
            == p["RetentionInDays"]
        ),
    }  # fmt: skip
    return bool(look[kind]())


def check_sizes_stay_within_bounds(deployed: Deployed) -> None:
    data = deployed.aws.functions.get(deployed.names.function("api_handler")).code_bytes
    assert len(data) < MOST_ZIPPED == 15_000_000
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        unzipped = sum(entry.file_size for entry in zipped.infolist())
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    client = deployed.aws.client("lambda")
    layers = {}
    for each in FUNCTIONS:
        found = function(deployed, each.handler)["Configuration"]
        assert found["CodeSha256"] == digest
        total = unzipped
        for layer in found.get("Layers", []):
            name, version = layer["Arn"].split(":")[6:8]
            content = client.get_layer_version(LayerName=name, VersionNumber=int(version))["Content"]
            layers[name] = content["CodeSize"]
            total += unpacked_size(deployed, layer["Arn"])
        assert total < MOST_UNZIPPED == 200_000_000 < LAMBDA_UNZIPPED
    assert sum(layers.values()) < MOST_LAYERS_ZIPPED == 52_000_000


def unpacked_size(deployed: Deployed, arn: str) -> int:
    from moto.awslambda.utils import get_backend

    layer = get_backend("123456789012", deployed.names.region).layers_versions_by_arn(arn)
    assert layer
    with zipfile.ZipFile(io.BytesIO(layer.code_bytes)) as zipped:
        return sum(entry.file_size for entry in zipped.infolist())


MACHINES = {"x86_64": 62, "arm64": 183}  # EM_X86_64 and EM_AARCH64 of the ELF specification, by Lambda's names


def check_libraries_are_for_the_processor_that_each_function_has(deployed: Deployed) -> None:
    """Of the zip and of every layer, which say so themselves, too."""
    client, functions = deployed.aws.client("lambda"), deployed.aws.functions
    for each in FUNCTIONS:
        found = function(deployed, each.handler)["Configuration"]
        (processor,) = found["Architectures"]
        zips = [functions.get(found["FunctionName"]).code_bytes]
        for layer in found.get("Layers", []):
            told = client.get_layer_version_by_arn(Arn=layer["Arn"])
            assert told.get("CompatibleArchitectures") == [processor]
            zips.append(functions.layer_zip(layer["Arn"]))
        assert [machines_in(data) for data in zips] == [{MACHINES[processor]}] * len(zips)


def machines_in(data: bytes) -> set[int]:
    """For which machines the shared libraries of a zip are, as their headers say."""
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        names = [name for name in zipped.namelist() if ".so" in name.rpartition("/")[2]]
        return {int.from_bytes(zipped.read(name)[18:20], "little") for name in names}


@pytest.mark.parametrize("where", ["the zip", "a layer"])
def check_a_library_for_another_processor_would_be_noticed(deployed: Deployed, where: str) -> None:
    """By the check above: each of Lambda's processors takes the other's for no library."""
    functions, name = deployed.aws.functions, deployed.names.function("maintain")
    held = functions.get(name) if where == "the zip" else functions.layer_version(functions.get(name).layers[0]["Arn"])
    before = held.code_bytes
    held.code_bytes = with_library(before, "numpy/linalg/_umath_linalg.so", MACHINES["arm64"])
    try:
        with pytest.raises(AssertionError):
            check_libraries_are_for_the_processor_that_each_function_has(deployed)
    finally:
        held.code_bytes = before
    check_libraries_are_for_the_processor_that_each_function_has(deployed)


def with_library(data: bytes, name: str, machine: int) -> bytes:
    """A zip that holds a shared library for a machine, too."""
    made = io.BytesIO(data)
    with zipfile.ZipFile(made, "a") as zipped:
        zipped.writestr(name, b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44))
    return made.getvalue()


def check_importing_the_app_is_quick(deployed: Deployed) -> None:
    """From the deployed zip, without a bytecode cache of its own; the best of five."""
    from bench.coldstart import milliseconds

    for handler in ("api_handler", "bearer"):
        assert milliseconds(deployed.aws, deployed.names.function(handler)) < 150


def check_a_scheduled_run_becomes_rows(filled: Deployed) -> None:
    runs = filled.aws.functions.runs
    assert filled.aws.functions.failures == []
    assert {"spotify-lake-dev-transform", "spotify-lake-dev-transform_run"} <= {name for name, _ in runs}
    assert filled.aws.denied == []
    token = filled.token("read")
    expected = filled.sandbox.expected()
    for table in ("tracks", "artists", "albums", "playlists", "saved_items", "plays"):
        assert ask(filled, f"SELECT count(*) FROM {table}", token) == [[rows_of(expected[table])]], table
    assert ask(filled, "SELECT count(*) FROM runs", token) == [[1]]


def rows_of(told: Any) -> int:
    return int(told["rows"] if isinstance(told, dict) and "rows" in told else told)


def ask(deployed: Deployed, sql: str, token: str, parameters: list[Any] | None = None) -> Any:
    api = deployed.api()
    started = api("POST", "/queries", {"sql": sql, "parameters": parameters or []}, token)
    assert started.status == 202, started.body
    deadline = time.monotonic() + 60
    while True:
        query = api("GET", f"/queries/{started.json['query_id']}?wait=10", token=token)
        assert query.status == 200, query.body
        if query.json["state"] not in ("queued", "running") or time.monotonic() > deadline:
            break
    assert query.json["state"] == "succeeded", query.body
    rows = api("GET", f"/queries/{started.json['query_id']}/rows", token=token)
    assert rows.status == 200, rows.body
    return rows.json["rows"]


def check_what_is_told_at_the_end_is_what_one_needs(deployed: Deployed) -> None:
    told = "\n".join(deployed.lines)
    url = next(line for line in deployed.lines if "The API: https://" in line)
    assert url.rstrip("/").endswith("/api") and "token add --name NAME --scope run" in told
    for name in ("LAKE_URL=s3://spotify-lake-dev-", "SECRETS_URL=secretsmanager:spotify-lake-dev", "AWS_REGION="):
        assert f"export {name}" in told
    assert "together, USD a month" in told and "9 functions with a role each" in told
    assert deployed.sandbox.client_secret not in told


def check_the_api_answers_only_those_with_a_token(filled: Deployed) -> None:
    filled.log_in()  # again, so that the run must renew its access
    api = filled.api()
    assert api("GET", "/health").status == 200
    assert api("GET", "/").status == 200
    assert api("GET", "/runs").status == 401
    assert api("GET", "/runs", token="lake_wrong").status == 401
    reader, runner = filled.token("read"), filled.token("run")
    listed = api("GET", "/runs", token=reader)
    assert listed.status == 200 and len(listed.json["runs"]) == 1
    assert api("POST", "/runs", {}, reader).status == 403
    started = api("POST", "/runs", {"sources": ["recently_played"]}, runner)
    assert started.status == 202, started.body
    filled.aws.settle(120)
    run = api("GET", f"/runs/{started.json['run_id']}", token=reader)
    assert run.status == 200 and run.json["state"] in ("succeeded", "partial"), run.body


def check_what_the_gateway_refuses_itself_has_the_apis_shape_and_cors(filled: Deployed) -> None:
    api, token = filled.api(), filled.token("read")
    refused = {
        "unauthorized": (401, api("GET", "/runs")),
        "not_found": (404, api("GET", "/no/such/address", token=token)),
        "not_found ": (404, api("PATCH", "/runs", token=token)),
    }
    assert api("GET", "/runs", token="lake_wrong").json == refused["unauthorized"][1].json
    api.throttled = True
    refused["too_many_requests"] = (429, api("GET", "/health"))
    api.throttled = False
    filled.aws.inject("denied", "secretsmanager", times=100)
    filled.aws.functions.cool_down()
    refused["internal_error"] = (500, api("GET", "/runs", token=token))
    filled.aws.faults.clear()
    filled.aws.functions.failures.clear()
    for code, (status, answer) in refused.items():
        assert answer.status == status, code
        assert answer.json["error"].keys() == {"code", "message", "details"}
        assert answer.json["error"]["code"] == code.strip() and len(answer.json["error"]["message"]) > 20
        assert answer.headers["x-request-id"] and answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "https://lake.example"
    assert refused["unauthorized"][1].headers["www-authenticate"] == 'Bearer realm="lake"'
    assert refused["too_many_requests"][1].headers["retry-after"] == "1"


def check_crawls_catalogue_parameters_reports_and_downloads(filled: Deployed) -> None:
    import urllib.request

    api, token = filled.api(), filled.token("run")
    filled.aws.settle(60)
    started = api("POST", "/crawls", token=token)
    assert started.status == 202, started.body
    filled.aws.settle(60)
    assert api("GET", "/crawls/latest", token=token).json["state"] == "succeeded"
    tables = api("GET", "/tables", token=token)
    assert tables.status == 200 and {"plays", "tracks", "tracks_history"} <= {t["name"] for t in tables.json["tables"]}
    table = api("GET", "/tables/tracks", token=token).json
    assert table["partitions"] and table["bytes"] > 0
    assert ask(filled, "SELECT ?, ?", token, ["O'Neill", 5]) == [["O'Neill", 5]]
    report = api("GET", "/reports/top_tracks", token=token)
    assert report.status in (200, 202), report.body
    assert api("GET", "/reports", token=token).status == 200
    query = api("POST", "/queries", {"sql": "SELECT name FROM artists ORDER BY name"}, token).json
    api("GET", f"/queries/{query['query_id']}?wait=10", token=token)
    assert api("GET", "/queries", token=token).json["queries"]
    for kind, start in (("csv", b"name\r\n"), ("parquet", b"PAR1")):
        answer = api("GET", f"/queries/{query['query_id']}/download?format={kind}", token=token)
        assert answer.status == 302, answer.body
        with urllib.request.urlopen(answer.headers["location"]) as found:
            assert found.read().startswith(start)
    assert api("DELETE", f"/queries/{query['query_id']}", token=token).status == 200
    saved = api("PUT", "/reports/mine", {"sql": '-- title = "Mine"\n-- description = "One"\nSELECT 1 AS one'}, token)
    assert saved.status == 201, saved.body
    assert api("DELETE", "/reports/mine", token=token).status == 200


def check_an_upload_link_takes_a_file_and_the_import_runs(filled: Deployed) -> None:
    import urllib.request

    api, token = filled.api(), filled.token("run")
    listener = filled.sandbox.world.default_listener.id
    announced = api("POST", "/imports", {"filename": "Streaming_History_Audio_2020.json", "user_id": listener}, token)
    assert announced.status == 201, announced.body
    headers = {"Content-Type": "application/octet-stream"}
    url = announced.json["upload"]["url"]
    request = urllib.request.Request(url, export_of("2020-01-02"), headers, method="PUT")
    urllib.request.urlopen(request).close()
    filled.aws.settle(120)
    assert [each for each in filled.aws.functions.failures if "-bearer: " not in each] == []
    assert ask(filled, "SELECT count(*) FROM plays WHERE year(ended_at) = 2020", token) == [[1]]


def export_of(day: str, **more: Any) -> bytes:
    """A privacy export of one play; ``more`` of its row."""
    row = {
        "ts": f"{day}T03:04:05Z", "platform": "linux", "ms_played": 60000, "conn_country": "DE",
        "master_metadata_track_name": "Song", "master_metadata_album_artist_name": "Band",
        "master_metadata_album_album_name": "LP", "spotify_track_uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC",
        "episode_name": None, "episode_show_name": None, "spotify_episode_uri": None, "reason_start": "trackdone",
        "reason_end": "trackdone", "shuffle": False, "skipped": False, "offline": False, "offline_timestamp": None,
        "incognito_mode": False,
    }  # fmt: skip
    return json.dumps([row | more]).encode()


def check_maintenance_runs_and_tells_its_metrics(filled: Deployed) -> None:
    outcome = filled.aws.functions.call("spotify-lake-dev-maintain", scheduled_event())
    assert not outcome.failed, outcome.payload.decode() + outcome.log
    (line,) = reported(outcome.log)
    assert line["Stage"] == "spotify-lake-dev" and line["HoursSinceSuccess"] < 1
    assert line["_aws"]["CloudWatchMetrics"] == []  # for Logs Insights: no alarm reads it
    log = "\n".join(filled.aws.functions.logs["/aws/lambda/spotify-lake-dev-scheduled_extraction"])
    (metrics,) = reported(log)[-1]["_aws"]["CloudWatchMetrics"]
    assert {each["Name"] for each in metrics["Metrics"]} == {"SuccessfulRuns", "AuthorizationDaysLeft"}


def reported(log: str) -> list[dict[str, Any]]:
    """What a function has told of its work."""
    return [json.loads(line) for line in log.splitlines() if line.startswith('{"_aws"')]


def check_a_failing_event_is_retried_then_dead_lettered_and_later_mended(filled: Deployed) -> None:
    s3, bucket = filled.aws.client("s3"), filled.names.bucket
    known = next(info.key for info in filled.lake.store.list("raw/spotify/") if "saved_tracks" in info.key)
    before = len(filled.aws.functions.runs)
    filled.aws.inject("denied", "s3", "^PUT .*/transformed/", times=1000)
    s3.copy_object(Bucket=bucket, Key=known.replace("-0001", "-0009"), CopySource={"Bucket": bucket, "Key": known})
    filled.aws.settle(200)
    filled.aws.faults.clear()
    tries = [failed for name, failed in filled.aws.functions.runs[before:] if name.endswith("transform")]
    assert tries == [True, True, True]
    (told,) = receive(filled)
    assert told["responsePayload"]["errorType"] == "StorageFailed"
    assert "-0009" in json.dumps(told["requestPayload"]) and "transformed/" in told["responsePayload"]["errorMessage"]
    filled.aws.functions.failures.clear()
    outcome = filled.aws.functions.call("spotify-lake-dev-maintain", scheduled_event())
    assert not outcome.failed and json.loads(outcome.payload)["handled"] == 1, outcome.payload


@pytest.mark.parametrize(
    ("handler", "zone", "end"), [("transform", "raw/spotify/", ".jsonl.gz"), ("transform_run", "raw/runs/", ".json")]
)
def check_what_is_not_ours_ends_in_quarantine_and_takes_its_rows_back(
    filled: Deployed, handler: str, zone: str, end: str
) -> None:
    known = next(info.key for info in filled.lake.store.list(zone))
    key = f"{zone}2026/11/19/20261119T120000Z-0ddba1{'/odd-0001' if end == '.jsonl.gz' else ''}{end}"
    filled.put(key, filled.lake.store.read(known))
    assert rows_of_object(filled, "0ddba1")
    filled.put(key, b"not ours")
    assert not rows_of_object(filled, "0ddba1")
    told = filled.api()("GET", "/quarantine?limit=200", token=filled.token("read")).json["objects"]
    assert [each["code"] for each in told if each["raw_key"] == key] == ["raw_object_invalid"]
    assert filled.aws.functions.failures == [] and receive(filled) == []  # kept, with its reason: nobody tries again
    log = "\n".join(filled.aws.functions.logs[f"/aws/lambda/spotify-lake-dev-{handler}"])
    assert '"Quarantined": 1' in log and f"{key} is in quarantine" in log
    filled.lake.store.delete([key])


def rows_of_object(filled: Deployed, name: str) -> list[str]:
    return [info.key for info in filled.lake.store.list("transformed/") if name in info.key]


def check_what_was_replaced_is_deleted_an_hour_later(filled: Deployed) -> None:
    listener = filled.sandbox.world.default_listener.id
    for day in (1, 2, 3):  # of one month: each import resolves it anew
        filled.put(f"raw/history/{listener}/Streaming_History_Audio_2019_{day}.json", export_of(f"2019-03-0{day}"))
        filled.two_hours_pass()
    assert len(list(filled.lake.store.list("transformed/g1/plays_resolved/month=2019-03/"))) == 2
    filled.aws.functions.paused = True  # an event is lost: the schedule finds the file
    filled.put(f"raw/history/{listener}/Streaming_History_Audio_2019_4.json", export_of("2019-03-04"))
    filled.aws.functions.paused = False
    before = {info.key for info in filled.lake.store.list("transformed/")}
    assert maintained(filled)["handled"] == 1
    filled.two_hours_pass()
    maintained(filled)
    assert before - {info.key for info in filled.lake.store.list("transformed/")}, "what was merged is still there"
    glue = filled.aws.client("glue")
    partitions = glue.get_partitions(DatabaseName=filled.names.database, TableName="plays_resolved")["Partitions"]
    months = {partition["Values"][0] for partition in partitions}
    assert "2019" in months and "2019-03" not in months, "old months lie together, and what is empty is not listed"
    assert ask(filled, "SELECT count(*) FROM plays WHERE year(ended_at) = 2019", filled.token("read")) == [[4]]
    assert filled.aws.functions.failures == []


def maintained(filled: Deployed) -> dict[str, Any]:
    outcome = filled.aws.functions.call("spotify-lake-dev-maintain", scheduled_event())
    assert not outcome.failed, outcome.payload.decode() + outcome.log
    told: dict[str, Any] = json.loads(outcome.payload)
    return told


def check_a_query_can_be_cancelled(filled: Deployed) -> None:
    api, token = filled.api(), filled.token("read")
    filled.aws.athena.gate.clear()
    try:
        query = api("POST", "/queries", {"sql": "SELECT 1"}, token).json
        assert api("DELETE", f"/queries/{query['query_id']}", token=token).json["state"] == "cancelled"
    finally:
        filled.aws.athena.gate.set()


@pytest.mark.parametrize(
    ("handler", "method", "key"),
    [
        ("api_handler", "put_object", "raw/spotify/x.gz"),
        ("api_handler", "put_object", "state/lock"),
        ("api_handler", "put_object", "transformed/g1/plays_history/month=2026-11/x.parquet"),
        ("api_handler", "put_object", "raw/history/x.parquet"),
        ("api_handler", "put_object", "reports/x.parquet"),
        ("api_handler", "delete_object", "transformed/g1/x"),
        ("api_handler", "get_object", "raw/spotify/x.gz"),
        ("scheduled_extraction", "put_object", "transformed/g1/x"),
        ("scheduled_extraction", "delete_object", "raw/spotify/x.gz"),
        ("scheduled_extraction", "put_object", "results/x"),
        ("transform", "put_object", "raw/spotify/x.gz"),
        ("transform", "delete_object", "raw/spotify/x.gz"),
        ("bearer", "get_object", "state/x"),
        ("result_file", "get_object", "transformed/g1/x"),
        *(
            (each.handler, method, key)
            for each in FUNCTIONS
            for method in ("put_object", "delete_object")
            for key in ("state/deploy/choices.json", "state/generation.json")
        ),
    ],
)
def check_a_role_can_touch_only_its_own(deployed: Deployed, handler: str, method: str, key: str) -> None:
    client = deployed.aws.client("s3", deployed.aws.credentials(deployed.names.role(handler)))
    more = {"Body": b"x"} if method == "put_object" else {}
    with pytest.raises(client.exceptions.ClientError, match=r"AccessDenied|403"):
        getattr(client, method)(Bucket=deployed.names.bucket, Key=key, **more)


@pytest.mark.parametrize("sql", ["CREATE TABLE t AS SELECT 1 AS a", "DROP TABLE tracks_history"])
def check_a_hole_in_the_guard_could_change_nothing(deployed: Deployed, sql: str) -> None:
    role = deployed.names.role("api_handler")
    for action in ("glue:CreateTable", "glue:DeleteTable", "glue:UpdateTable", "glue:DeletePartition"):
        for what in ("catalog", "database/spotify_lake_dev", "table/spotify_lake_dev/tracks_history"):
            assert not allowed(deployed.aws, role, Need(action, deployed.aws.arn("glue", what)))


def check_bearer_cannot_read_spotifys_credentials(deployed: Deployed) -> None:
    client = deployed.aws.client("secretsmanager", deployed.aws.credentials(deployed.names.role("bearer")))
    assert client.get_secret_value(SecretId="spotify-lake-dev/api")
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.get_secret_value(SecretId="spotify-lake-dev/spotify")


def check_no_policy_names_everything(deployed: Deployed) -> None:
    for name, document in policies(deployed.names).items():
        for statement in document["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            assert all("*" not in action for action in actions), name
            assert "*" not in resources, name


def check_each_function_gives_up_into_the_queue_by_its_own_right(filled: Deployed) -> None:
    aws, base = filled.aws, filled.names.base
    known = next(info.key for info in filled.lake.store.list("raw/spotify/"))
    run = next(info.key for info in filled.lake.store.list("raw/runs/"))
    events = {
        "scheduled_extraction": scheduled_event(),
        "run_extraction": {"run_id": "20261120T120000Z-abcdef", "sources": ["recently_played"]},
        "transform": arrived(known),
        "transform_run": arrived(run),
        "import_history": arrived("raw/history/x.json"),
        "maintain": scheduled_event(),
    }
    assert events.keys() == {each.handler for each in FUNCTIONS if each.asynchronous}
    receive(filled)
    before = len(aws.functions.runs)
    for handler, event in events.items():
        key = aws.credentials(filled.names.role(handler))["aws_access_key_id"]
        aws.inject("denied", times=10**6, key=key)
        aws.functions.send(filled.names.function(handler), event)
    aws.settle(120)
    aws.faults.clear()
    assert Counter(aws.functions.runs[before:]) == {(f"{base}-{handler}", True): 3 for handler in events}
    letters = receive(filled)
    assert sorted(letter["requestContext"]["functionArn"].rpartition(":")[2] for letter in letters) == sorted(
        f"{base}-{handler}" for handler in events
    )
    for letter in letters:
        assert letter["responsePayload"]["errorType"] == "StorageFailed", letter
        assert letter["requestPayload"] == events[letter["requestContext"]["functionArn"].rpartition(f"{base}-")[2]]
    aws.functions.failures.clear()


def arrived(key: str) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": key}}}]}


def receive(filled: Deployed) -> list[dict[str, Any]]:
    """The dead letters, taken out of their queue."""
    sqs = filled.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=filled.names.dead_letters)["QueueUrl"]
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


@pytest.mark.parametrize(
    ("handler", "key"),
    [
        ("transform", "quarantine/spotify/large"),
        ("transform_run", "quarantine/runs/large"),
        ("maintain", "quarantine/spotify/large"),
        ("maintain", "raw/history/anna/large"),
        ("import_history", "raw/history/anna/large"),
        ("result_file", "results/athena/large.csv"),
    ],
)
def check_an_upload_in_parts_that_breaks_off_leaves_nothing(
    filled: Deployed, handler: str, key: str, tmp_path: Path
) -> None:
    client = filled.aws.client("s3", filled.aws.credentials(filled.names.role(handler)))
    store = BucketStore(filled.names.bucket, s3=lambda: client)
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(PART + 1)
    filled.aws.inject("error", "s3", "^PUT .*large", times=100)
    with pytest.raises(StorageUnavailable):
        store.write_file(key, large)
    filled.aws.faults.clear()
    assert not filled.aws.client("s3").list_multipart_uploads(Bucket=filled.names.bucket).get("Uploads")


def check_a_listener_renews_by_a_link(filled: Deployed) -> None:
    """From the API's own link to Spotify's page and back, and the login is there."""
    import urllib.request

    class Here(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    api, token = filled.api(), filled.token("run")
    listener = filled.sandbox.world.default_listener.account_id
    made = api("POST", "/invitations", {"listener": listener}, token)
    assert made.status == 201, made.body
    joined = api("GET", f"/join?{urlsplit(made.json['url']).query}")
    assert joined.status == 302, joined.body
    with pytest.raises(urllib.error.HTTPError) as consent:
        urllib.request.build_opener(Here).open(joined.headers["location"])
    back = urlsplit(consent.value.headers["Location"])
    consent.value.close()
    cookie = joined.headers["set-cookie"].partition(";")[0]
    told = api("GET", f"/callback?{back.query}", Cookie=cookie)
    assert told.status == 200 and "is logged in until" in told.body, told.body
    assert api("GET", f"/callback?{back.query}", Cookie=cookie).status in (401, 403)
    filled.aws.settle(60)


def check_what_an_export_says_of_its_listener_is_noted(filled: Deployed) -> None:
    """By the import, or by maintenance where the import had failed for good."""
    filled.put("raw/history/Cleo/endsong_0.json", export_of("2019-01-02", username="cleo77"))
    filled.aws.inject("denied", "s3", "^PUT .*/raw/spotify/listeners/", times=1000)
    filled.put("raw/history/Dora/endsong_0.json", export_of("2019-01-03", username="dora88"))
    filled.aws.faults.clear()
    assert len(receive(filled)) == 1
    filled.aws.functions.failures.clear()
    outcome = filled.aws.functions.call("spotify-lake-dev-maintain", scheduled_event())
    assert not outcome.failed, outcome.payload.decode() + outcome.log
    filled.aws.settle(120)
    known = filled.api()("GET", "/listeners", token=filled.token("run")).json["listeners"]
    names = {each["user_id"]: each["spotify_user_ids"] for each in known}
    assert names["Cleo"] == ["cleo77"] and names["Dora"] == ["dora88"]


def check_what_is_left_out_counts_no_more_until_it_is_taken_back(filled: Deployed) -> None:
    api, token = filled.api(), filled.token("run")
    named = "SELECT artist_name, count(*) FROM heard WHERE item_type = 'track' GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    ((artist, count),) = ask(filled, named, token)
    counted = "SELECT count(*) FROM heard WHERE item_type = 'track' AND artist_name = ?"
    left = api("POST", "/exclusions", {"kind": "artist", "artist_name": artist}, token)
    assert left.status == 201, left.body
    filled.aws.settle(120)
    (listed,) = api("GET", "/exclusions", token=token).json["exclusions"]
    assert (listed["artist_name"], listed["in_force"]) == (artist, True)
    assert ask(filled, counted, token, [artist]) == [[0]]
    taken = api("DELETE", f"/exclusions/{listed['exclusion_id']}", token=token)
    assert taken.status == 200 and not taken.json["is_active"], taken.body
    filled.aws.settle(120)
    assert api("GET", "/exclusions", token=token).json == {"exclusions": []}
    assert ask(filled, counted, token, [artist]) == [[count]]


def check_pictures_that_are_kept_are_had_behind_a_link(filled: Deployed) -> None:
    """The owner's own command keeps them, see `lake images`; the API only reads them."""
    import urllib.request

    api, token, name, picture = filled.api(), filled.token("read"), "ab67616d00001e02" + "0" * 24, b"\xff\xd8\xff of it"
    filled.lake.store.write(f"raw/images/{name}", picture)
    assert api("GET", "/images", token=token).json == {"images": [name]}
    answer = api("GET", f"/images/{name}", token=token)
    assert answer.status == 302, answer.body
    with urllib.request.urlopen(answer.headers["location"]) as found:
        assert found.read() == picture and found.headers["Content-Type"] == "image/jpeg"
    assert api("GET", f"/images/{name[::-1]}", token=token).status == 404


def check_every_right_was_needed(filled: Deployed) -> None:
    """Runs after the others: whatever right a policy gives, one of them has used, and no other statement gave it."""
    spare = []
    for each in FUNCTIONS:
        role = filled.names.role(each.handler)
        for statement in policies(filled.names)[each.policy]["Statement"]:
            if statement["Effect"] == "Deny":  # tried by check_a_role_can_touch_only_its_own
                continue
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            used = {action for holder, sid, action in filled.aws.used if (holder, sid) == (role, statement["Sid"])}
            spare += [f"{each.handler}: {statement['Sid']}: {action}" for action in actions if action not in used]
    assert spare == [], "\n".join(spare)
    assert filled.aws.functions.logs.keys() == {filled.names.log_group(each.handler) for each in FUNCTIONS}
    assert filled.aws.functions.failures == []


def check_deploying_again_changes_nothing(filled: Deployed) -> None:
    client = filled.aws.client("lambda")
    before = {each["FunctionName"]: each["LastModified"] for each in client.list_functions()["Functions"]}
    filled.lines.clear()
    filled.aws.trace = []
    filled.again().up()
    changing = ("Create", "Update", "Put", "Delete", "Publish", "Start", "Import")
    done = [call for call in filled.aws.trace if call.split(":")[1].startswith(changing)]
    filled.aws.trace = None
    assert done == []
    assert {each["FunctionName"]: each["LastModified"] for each in client.list_functions()["Functions"]} == before
    text = "\n".join(filled.lines)
    assert "functions and API: unchanged" in text and "stack spotify-lake-dev: unchanged" in text


def check_another_machine_does_not_make_a_second_api(filled: Deployed) -> None:
    shutil.rmtree("build/dev/.chalice/deployed")
    filled.again(force=True).up()
    assert len(filled.aws.client("apigateway").get_rest_apis()["items"]) == 1
    rules = filled.aws.client("s3").get_bucket_notification_configuration(Bucket=filled.names.bucket)
    assert len(rules["LambdaFunctionConfigurations"]) == 3


def check_a_failure_is_named_and_running_again_mends_it(filled: Deployed) -> None:
    from deploy.errors import DeployFailed

    filled.lake.store.delete(["state/deploy/chalice.json"])  # as if the record had never been kept
    filled.aws.inject("denied", "apigateway", "deployments", times=50)
    with pytest.raises(DeployFailed, match="chalice deploy"):
        filled.again(force=True).up()
    filled.aws.faults.clear()
    filled.again().up()
    assert len(filled.aws.client("apigateway").get_rest_apis()["items"]) == 1
    assert filled.api()("GET", "/health").status == 200


def check_chalice_deploys_from_the_project_itself(filled: Deployed) -> None:
    from deploy.errors import DeployFailed
    from deploy.steps import run_chalice

    config = PROJECT / ".chalice" / "config.json"
    tracked = config.read_text()
    try:
        with pytest.raises(DeployFailed, match="stage dev is not prepared"):
            run_chalice("deploy", PROJECT, filled.names, filled.session)
        filled.again().prepare()
        run_chalice("deploy", PROJECT, filled.names, filled.session)
        filled.again().finish()
    finally:
        config.write_text(tracked)
        for made in ("deployed", "deployments", "made-by-python-m-deploy-prepare"):
            shutil.rmtree(PROJECT / ".chalice" / made, ignore_errors=True)
    assert len(filled.aws.client("apigateway").get_rest_apis()["items"]) == 1
    check_every_function_is_configured_as_declared(filled)
    check_failed_events_go_to_the_dead_letter_queue(filled)
    api = filled.api()
    assert api("GET", "/health").status == 200 and "error" in api("GET", "/runs").json
    assert api("GET", "/runs", token=filled.token("read")).status == 200
    filled.again().up()  # and back to the other way


def check_a_dependency_that_cannot_be_installed_fails_the_deployment(filled: Deployed, tmp_path: Path) -> None:
    """Chalice says so, deploys what it has, and ends with status 0."""
    from deploy.errors import DeployFailed
    from deploy.steps import NO_DEPENDENCIES, run_chalice

    project = tmp_path / "project"
    (project / ".chalice").mkdir(parents=True)
    (project / ".chalice" / "config.json").write_text('{"version": "2.0", "app_name": "tiny", "stages": {"dev": {}}}')
    (project / "app.py").write_text(
        "from chalice import Chalice\napp = Chalice(app_name='tiny')\n"
        "@app.lambda_function()\ndef one(event, context): ...\n"
    )
    source = tmp_path / "broken-1.0"
    source.mkdir()
    (source / "setup.py").write_text(
        "import sys\nfrom setuptools import setup\nassert 'bdist_wheel' not in sys.argv\n"
        "setup(name='broken', version='1.0')\n"
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: broken\nVersion: 1.0\n")
    shutil.make_archive(str(source), "gztar", tmp_path, source.name)
    (project / "requirements.txt").write_text("broken==1.0\n")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_NO_BUILD_ISOLATION": "0"}
    os.environ.update(offline)
    try:
        with pytest.raises(DeployFailed, match=f"{NO_DEPENDENCIES}:\n *broken==1.0"):
            run_chalice("deploy", project, filled.names, filled.session)
    finally:
        run_chalice("delete", project, filled.names, filled.session)  # it has deployed all the same
        for name in offline:
            del os.environ[name]


def check_two_deployments_at_once_are_kept_apart(filled: Deployed) -> None:
    from deploy.errors import DeployFailed
    from deploy.record import deploying

    with deploying(filled.deployment().store), pytest.raises(DeployFailed, match="is deploying this stage"):
        filled.again().up()


def check_a_second_stage_with_other_choices_stands_beside_the_first(filled: Deployed) -> None:
    """Layers that are published already, and secrets that are SSM's parameters."""
    aws, client = filled.aws, filled.aws.client
    denied, failed = len(aws.denied), len(aws.functions.failures)
    pyarrow, pandas = (layer["Arn"] for layer in function(filled, "maintain")["Configuration"]["Layers"])
    before = {name: inventory(filled, name) for name in ("spotify-lake-dev", "spotify-lake-prod")}
    assert before["spotify-lake-prod"] == {}
    other = replace(filled, stage="prod", secrets_url="ssm:/spotify-lake/prod", lines=[], tokens={}, checked={})
    told: dict[str, Any] = {"email": "me@example.org", "secrets_url": other.secrets_url}
    other.deployment(pyarrow_layer=pyarrow, pandas_layer=pandas, **told).up()
    other.run()
    assert (aws.denied[denied:], aws.functions.failures[failed:]) == ([], [])
    assert ask(other, "SELECT count(*) FROM runs", other.token("read")) == [[1]]
    made = inventory(filled, "spotify-lake-prod")
    assert {kind: len(names) for kind, names in made.items()} == {
        **{kind: len(names) for kind, names in before["spotify-lake-dev"].items() if kind not in ("layers", "secrets")},
        "parameters": 3,
    }
    assert [layer["Arn"] for layer in function(other, "maintain")["Configuration"]["Layers"]] == [pyarrow, pandas]
    for handler, rights in {"bearer": {"ssm:GetParameter"},
                            "scheduled_extraction": {"ssm:GetParameter", "ssm:PutParameter", "ssm:GetParametersByPath"},
                            }.items():  # fmt: skip
        used = {action for holder, _, action in aws.used if holder == other.names.role(handler)}
        assert rights <= used and not {action for action in used if action.startswith("secretsmanager:")}
    other.lines.clear()
    other.deployment().up()  # what is not said again stays as it was
    text = "\n".join(other.lines)
    assert "as last time: email me@example.org" in text and f"as last time: pyarrow layer {pyarrow}" in text
    assert "functions and API: unchanged" in text and "stack spotify-lake-prod: unchanged" in text
    assert inventory(filled, "spotify-lake-dev") == before["spotify-lake-dev"]
    assert filled.api()("GET", "/health").status == other.api()("GET", "/health").status == 200
    other.deployment().down(data=True)
    assert inventory(filled, "spotify-lake-prod") == {}
    assert inventory(filled, "spotify-lake-dev") == before["spotify-lake-dev"]
    told = client("s3").get_bucket_notification_configuration(Bucket=filled.names.bucket)
    assert len(told["LambdaFunctionConfigurations"]) == 3


def inventory(deployed: Deployed, base: str) -> dict[str, list[str]]:
    """Everything whose name begins with a stage's, by kind."""
    client = deployed.aws.client
    apis = client("apigateway").get_rest_apis()["items"]
    found = {
        "functions": [each["FunctionName"] for each in client("lambda").list_functions()["Functions"]],
        "layers": [each["LayerName"] for each in client("lambda").list_layers()["Layers"]],
        "roles": [each["RoleName"] for each in client("iam").list_roles()["Roles"]],
        "rules": [each["Name"] for each in client("events").list_rules()["Rules"]],
        "buckets": [each["Name"] for each in client("s3").list_buckets()["Buckets"]],
        "secrets": [each["Name"] for each in client("secretsmanager").list_secrets()["SecretList"]],
        "parameters": [
            each["Name"].replace("/", "-")[1:] for each in client("ssm").describe_parameters()["Parameters"]
        ],
        "databases": [each["Name"].replace("_", "-") for each in client("glue").get_databases()["DatabaseList"]],
        "crawlers": client("glue").list_crawlers()["CrawlerNames"],
        "workgroups": [each["Name"] for each in client("athena").list_work_groups()["WorkGroups"]],
        "queues": [url.rpartition("/")[2] for url in client("sqs").list_queues().get("QueueUrls", [])],
        "topics": [each["TopicArn"].rpartition(":")[2] for each in client("sns").list_topics()["Topics"]],
        "alarms": [each["AlarmName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "logs": [each["logGroupName"].rpartition("/")[2] for each in client("logs").describe_log_groups()["logGroups"]],
        "stacks": [each["StackName"] for each in client("cloudformation").describe_stacks()["Stacks"]],
        "apis": [
            base
            for each in apis
            if calls(client("apigateway"), each["id"], deployed.aws.arn("lambda", f"function:{base}"))
        ],
    }
    ours = {kind: sorted(name for name in names if name == base or name.startswith(f"{base}-"))
            for kind, names in found.items()}  # fmt: skip
    return {kind: names for kind, names in ours.items() if names}


def check_a_layer_for_another_python_is_refused_before_anything_is_made(filled: Deployed) -> None:
    from deploy.errors import DeployFailed

    client = filled.aws.client("lambda")
    made = client.publish_layer_version(
        LayerName="old", Content={"ZipFile": b"PK"}, CompatibleRuntimes=["python3.9"]
    )["LayerVersionArn"]  # fmt: skip
    other = replace(filled, stage="prod", lines=[], checked={})
    with pytest.raises(DeployFailed, match=r"pandas layer: .* is for python3\.9"):
        other.deployment(pandas_layer=made).up()
    with pytest.raises(DeployFailed, match="pandas layer"):
        other.deployment(pandas_layer=f"{made}9").up()
    client.delete_layer_version(LayerName="old", VersionNumber=1)
    assert inventory(filled, "spotify-lake-prod") == {}


def check_destroying_keeps_the_data_unless_told_otherwise(filled: Deployed) -> None:
    client = filled.aws.client
    filled.deployment().down()
    assert client("lambda").list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("events").list_rules()["Rules"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert client("lambda").list_layers()["Layers"] == []
    assert client("glue").get_databases()["DatabaseList"] == []
    groups = [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]]
    assert groups in ([], ["/aws-glue/crawlers"])  # the latter is the account's, shared by all its crawlers
    assert client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert any(info.key.startswith("raw/spotify/") for info in filled.lake.store.list("raw/"))
    filled.deployment().down()  # nothing is left to do, and that is no error
    filled.deployment().down(data=True)
    assert client("s3").list_buckets()["Buckets"] == []
    assert client("secretsmanager").list_secrets()["SecretList"] == []
    assert client("sqs").list_queues().get("QueueUrls", []) == []
