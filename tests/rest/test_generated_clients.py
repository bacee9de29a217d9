"""Clients that generators make of the OpenAPI document, calling the service that it describes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import jsonschema
import pytest

from chalicelib.rest.openapi import document
from tests.support import tools
from tests.support.server import LakeServer, filled, sandboxed

LISTEN = {
    "ts": "2020-03-01T10:00:00Z", "username": "me", "platform": "ios", "ms_played": 180000, "conn_country": "DE",
    "master_metadata_track_name": "Sea", "master_metadata_album_artist_name": "The Velvet Cinemas",
    "master_metadata_album_album_name": "Early Garden", "spotify_track_uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC",
    "episode_name": None, "episode_show_name": None, "spotify_episode_uri": None, "reason_start": "clickrow",
    "reason_end": "trackdone", "shuffle": False, "skipped": False, "offline": False, "offline_timestamp": None,
    "incognito_mode": False,
}  # fmt: skip

PYTHON = """
import io, sys, time
from listening_lake_client import AuthenticatedClient
from listening_lake_client.api.imports import get_import, start_import, upload_import
from listening_lake_client.api.queries import query_rows, sql, start_query
from listening_lake_client.api.reports import run_report
from listening_lake_client.api.runs import get_run, start_run
from listening_lake_client.models import (
    Query, QueryRows, ReportRows, RunReportParameters, StartImportBody, StartQueryBody, StartRunBody,
)
from listening_lake_client.types import File

lake = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], timeout=60)


def ended(ask, states):
    while (found := ask()).state in states:
        time.sleep(0.2)
    return found


run = start_run.sync(client=lake, body=StartRunBody(sources=["recently_played"]))
print("run", ended(lambda: get_run.sync(run.run_id, client=lake), ("queued", "running")).state)

query = start_query.sync(client=lake, body=StartQueryBody(sql="SELECT count(*) AS plays FROM plays WHERE item_type = ?",
                                                          parameters=["track"]))
assert isinstance(query, Query), query
rows = query_rows.sync(query.query_id, client=lake, wait=20)
print("query", [column.name for column in rows.columns], rows.rows[0][0] > 0)

at_once = sql.sync(client=lake, sql="SELECT item_name FROM plays WHERE item_type = ?", p1="track", sort="-item_name",
                   limit=2)
assert isinstance(at_once, QueryRows), at_once
print("sql", len(at_once.rows), at_once.query.state)

parameters = RunReportParameters()
parameters["limit"] = "3"
report = run_report.sync("top_tracks", client=lake, parameters=parameters)
assert isinstance(report, ReportRows), report
print("report", report.report.name, 0 < len(report.rows) <= 3)

with open(sys.argv[3], "rb") as export:
    data = export.read()
body = StartImportBody(filename="endsong_0.json", user_id="me", bytes_=len(data))
announced = start_import.sync(client=lake, body=body)
upload_import.sync(announced.import_id, client=lake, body=File(payload=io.BytesIO(data)))
done = ended(lambda: get_import.sync(announced.import_id, client=lake), ("waiting", "received"))
print("import", done.state, done.summary["new"])
"""

TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { paths } from "./lake";

const [address, token] = process.argv.slice(2);
const lake = createClient<paths>({
  baseUrl: address, headers: { Authorization: `Bearer ${token}` },
  querySerializer: { object: { style: "form", explode: true } },
});

const run = await lake.POST("/runs", { body: { sources: ["recently_played"] } });
console.log("run", run.data!.state);
const answer = await lake.POST("/queries", {
  params: { query: { wait: 20 } }, body: { sql: "SELECT count(*) AS plays FROM plays" },
});
if (answer.data && "query" in answer.data) {
  const rows: unknown[][] = answer.data.rows;
  console.log("query", answer.data.columns[0].name, rows.length);
}
const report = await lake.GET("/reports/{name}", {
  params: { path: { name: "top_tracks" }, query: { parameters: { limit: "3" } } },
});
if (typeof report.data === "object" && "report" in report.data) {
  console.log("report", report.data.report.name, report.data.rows.length > 0);
}
const announced = await lake.POST("/imports", { body: { filename: "endsong_1.json", user_id: "me" } });
const sent = await lake.PUT("/imports/{import_id}", {
  params: { path: { import_id: announced.data!.import_id } },
  headers: { "Content-Type": "application/octet-stream" },
  body: "[]", bodySerializer: (body) => body,
});
console.log("import", sent.data!.state);
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    folder = filled(tmp_path_factory, "generated")
    with sandboxed(folder) as spotify, LakeServer(folder, spotify) as running:
        yield running


@pytest.fixture
def described(server: LakeServer, tmp_path: Path) -> Path:
    """The document, as the service hands it out."""
    path = tmp_path / "openapi.json"
    path.write_text(server.get("/openapi.json").text)
    return path


def shown(command: Sequence[object], folder: Path, **environ: str) -> list[str]:
    """What a command printed that has to succeed."""
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout.splitlines()


@pytest.mark.thorough
def test_a_python_client_runs_asks_reports_and_imports(server: LakeServer, described: Path, tmp_path: Path) -> None:
    made = shown(
        [tools.script("openapi-python-client"), "generate", "--path", described, "--output-path", tmp_path / "client"],
        tmp_path,
    )
    faults = "\n".join(made)
    assert "Unable to" not in faults and "ERROR" not in faults, faults
    export, program = tmp_path / "endsong_0.json", tmp_path / "program.py"
    export.write_text(json.dumps([LISTEN]))
    program.write_text(PYTHON)
    command = [tools.python(), program, server.url, server.token, export]
    assert shown(command, tmp_path, PYTHONPATH=str(tmp_path / "client")) == [
        "run succeeded",
        "query ['plays'] True",
        "sql 2 succeeded",
        "report top_tracks True",
        "import succeeded 1",
    ]


@pytest.mark.thorough
def test_a_typescript_client_is_typed_and_answered(server: LakeServer, described: Path, tmp_path: Path) -> None:
    modules = tools.node_modules()
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shown(["node", modules / "openapi-typescript/bin/cli.js", described, "-o", tmp_path / "lake.ts"], tmp_path)
    (tmp_path / "program.ts").write_text(TYPESCRIPT)
    options = ["--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"]
    types = tmp_path / "node.d.ts"
    types.write_text("declare const process: { argv: string[] };\n")
    compiler = modules / "typescript/bin/tsc"
    shown(["node", compiler, *options, "--lib", "es2022,dom", tmp_path / "program.ts", types], tmp_path)
    said = shown(["node", tmp_path / "program.js", server.url, server.token], tmp_path)
    assert said[0] in ("run queued", "run running")
    assert said[1:] == ["query plays 1", "report top_tracks true", "import received"]


# --- examples -----------------------------------------------------------------------------------------------------


def test_every_answer_in_json_has_an_example_that_fits_its_schema() -> None:
    whole = document()
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    if kind in ("application/json", "text/csv"):
                        schema = {**content["schema"], "components": whole["components"]}
                        assert "example" in content, (path, method, status, kind)
                        jsonschema.validate(content["example"], schema, jsonschema.Draft202012Validator)


def test_every_list_says_what_is_in_it() -> None:
    def lists(part: object) -> Iterator[dict[str, object]]:
        if isinstance(part, dict):
            if part.get("type") == "array":
                yield part
            for inner in part.values():
                yield from lists(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from lists(inner)

    found = list(lists(document()))
    assert found and [each for each in found if "items" not in each] == []


def test_every_body_in_json_has_an_example_that_fits_its_schema() -> None:
    for operations in document()["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                jsonschema.validate(content["example"], content["schema"], jsonschema.Draft202012Validator)


def test_every_example_of_a_parameter_is_one_that_the_service_takes(server: LakeServer) -> None:
    """A request made of nothing but the document's own examples is answered."""
    asked = 0
    for path, operations in document()["paths"].items():
        parameters = operations.get("get", {}).get("parameters", [])
        examples = {each["name"]: each["example"] for each in parameters if each["in"] == "query" and "example" in each}
        if "get" not in operations or not examples or any(word in path for word in ("{", "callback", "join")):
            continue
        answer = server.get(path, params={**examples.pop("parameters", {}), **examples})
        assert answer.status_code == 200, (path, answer.text[:500])
        asked += 1
    assert asked > 5
    body = document()["paths"]["/queries"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert server.post("/queries?wait=20", json=body).status_code == 200
