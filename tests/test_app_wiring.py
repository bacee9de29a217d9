"""app.py holds to the declarations and costs nothing to import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from typing import Any

from chalice.app import ScheduledEventConfig
from chalice.deploy.validate import validate_route_content_types, validate_routes

import app as wired
from chalicelib.rest import assets
from chalicelib.rest.api import Api
from chalicelib.rest.openapi import document
from chalicelib.rest.routes import BY_ADDRESS, ROUTES
from deploy.package import PREPARED
from tests.support import PROJECT

HEAVY = ("pandas", "pyarrow", "spotipy", "sqlglot", "duckdb", "boto3", "botocore", "requests", "msgspec", "click")


def wired_routes() -> dict[tuple[str, str], Any]:
    return {(method, path): entry for path, methods in wired.app.routes.items() for method, entry in methods.items()}


def test_the_app_has_the_declared_routes_and_no_others():
    assert wired_routes().keys() == BY_ADDRESS.keys()
    assert {address: entry.view_name for address, entry in wired_routes().items()} == {
        address: route.name for address, route in BY_ADDRESS.items()
    }


def test_every_route_that_has_a_scope_has_the_authorizer_and_the_others_have_none():
    for address, entry in wired_routes().items():
        assert (entry.authorizer is wired.bearer) == (BY_ADDRESS[address].scope is not None), address


def test_every_route_has_a_method_of_the_api():
    assert [route.name for route in ROUTES if not callable(getattr(Api, route.name, None))] == []


def test_every_handler_is_three_lines_at_most():
    tree = ast.parse((PROJECT / "app.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions
    assert [node.name for node in functions if len(node.body) > 2] == []


def test_chalice_would_deploy_these_routes():
    validate_routes(wired.app.routes)
    validate_route_content_types(wired.app.routes, wired.app.api.binary_types)


def test_path_variables_beside_each_other_have_one_name_as_api_gateway_wants():
    names: dict[str, set[str]] = {}
    for route in ROUTES:
        parts = route.path.split("/")
        for place, part in enumerate(parts):
            if part.startswith("{"):
                names.setdefault("/".join(parts[:place]), set()).add(part)
    assert {parent: found for parent, found in names.items() if len(found) > 1} == {}


def test_importing_the_app_imports_nothing_heavy_reads_no_env_file_and_opens_nothing(tmp_path):
    (tmp_path / ".env").write_text("LAKE_URL=/nowhere\n")
    program = f"""
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event in ("open", "socket.connect") else None)
import app
print(json.dumps({{"heavy": [name for name in {HEAVY!r} if name in sys.modules],
  "made": list(app.parts._opened), "opened": [name for name in opened if not name.endswith((".py", ".pyc"))]}}))
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["heavy"] == []
    assert found["made"] == []
    assert [name for name in found["opened"] if str(tmp_path) in name or ".env" in name] == []
    assert list(tmp_path.iterdir()) == [tmp_path / ".env"]


def test_the_schedule_and_the_bucket_come_from_the_environment(tmp_path):
    program = """
import app
print([s.schedule_expression for s in app.app.event_sources if hasattr(s, "schedule_expression")][0])
print(sorted((s.bucket, s.prefix, s.suffix) for s in app.app.event_sources if hasattr(s, "bucket")))
print(app.app.routes["/health"]["GET"].cors.allow_origin)
"""
    environ = {
        "PYTHONPATH": str(PROJECT),
        "EXTRACT_SCHEDULE": "cron(0 6 ? * MON *)",
        "LAKE_URL": "s3://my-bucket/some/where",
        "CORS_ORIGIN": "https://example.org",
    }
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    schedule, sources, origin = done.stdout.splitlines()
    assert schedule == "cron(0 6 ? * MON *)"
    assert ast.literal_eval(sources) == [
        ("my-bucket", "some/where/raw/history/", None),
        ("my-bucket", "some/where/raw/runs/", ".json"),
        ("my-bucket", "some/where/raw/spotify/", ".gz"),
    ]
    assert origin == "https://example.org"


def test_extraction_is_scheduled_hourly_unless_told_otherwise():
    scheduled = {
        source.name: source.schedule_expression
        for source in wired.app.event_sources
        if isinstance(source, ScheduledEventConfig)
    }
    assert scheduled["scheduled_extraction"] == "rate(1 hour)"


def test_the_stages_configure_every_function_explicitly():
    config = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    assert config["autogen_policy"] is False
    functions = {source.name for source in wired.app.event_sources}
    functions |= {each.name for each in wired.app.pure_lambda_functions}
    functions |= {each.name for each in wired.app.builtin_auth_handlers}
    for stage in set(config["stages"]) - {"local"}:
        declared = config["stages"][stage]["lambda_functions"]
        assert declared.keys() == functions
        for name, each in declared.items():
            assert each["iam_policy_file"] == f"{PREPARED}/{stage}/policy-{name}.json"


def test_the_document_describes_every_route_and_nothing_else():
    described = {
        (method.upper(), path): operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    assert described.keys() == BY_ADDRESS.keys()
    for address, operation in described.items():
        assert operation["summary"] and operation["operationId"] == BY_ADDRESS[address].name
        assert {str(answer.status) for answer in BY_ADDRESS[address].answers} <= operation["responses"].keys()


def test_every_file_of_the_dashboard_has_a_content_type():
    files = [path for path in assets.FOLDER.rglob("*") if path.is_file()]
    assert [path.name for path in files if path.suffix not in assets.CONTENT_TYPES] == []
    assert [path for path in files if len(path.relative_to(assets.FOLDER).parts) > 2] == []
