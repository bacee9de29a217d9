"""The commands of docs/api.md, run as they stand there against a served lake."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import pytest

from chalicelib.rest.routes import ROUTES
from tests.support.server import PROJECT, LakeServer, environment, eventually, filled, sandboxed

PAGE = (PROJECT / "docs" / "api.md").read_text()
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def recipes(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    folder = filled(tmp_path_factory, "recipes")
    with sandboxed(folder) as spotify, LakeServer(folder, spotify) as running:
        yield running


def environ(server: LakeServer) -> dict[str, str]:
    """The two variables as the page's own first lines set them; only the port is another."""
    (lines,) = re.findall(r"^```\n(export LAKE=.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    settings = environment(server.folder, {})
    port = str(urlsplit(server.url).port)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{lines.replace('8000', port)}env"],
        env=settings, cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    wanted = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith(("LAKE=", "TOKEN=")))
    assert wanted["LAKE"] == server.url and wanted["TOKEN"].startswith("lake_")
    return {**os.environ, **wanted}


def test_there_is_a_recipe_of_each_kind():
    assert len(recipes("sh")) >= 3 and len(recipes("python")) == 1 and len(recipes("python notebook")) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("text", recipes("sh"))
def test_each_curl_recipe_works(server, tmp_path, text):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=environ(server), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout and '"error":{' not in done.stdout
    for file in re.findall(r"-o (\S+)", text):
        assert (tmp_path / file).stat().st_size > 0
    if "/runs" in text:
        assert eventually(lambda: server.get("/runs").json()["runs"][0]["ended_at"])


@pytest.mark.thorough
@pytest.mark.parametrize("text", [*recipes("python"), *recipes("python notebook")])
def test_each_python_recipe_works(server, tmp_path: Path, text):
    shown = (
        text
        if "print(" in text
        else "\n".join(text.rstrip().split("\n")[:-1]) + f"\nprint({text.rstrip().splitlines()[-1]})"
    )
    done = subprocess.run(
        [sys.executable, "-c", shown], env=environ(server), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 1


@pytest.mark.thorough
def test_the_readmes_calls_lead_to_the_rows_in_lines_of_80_columns(server: LakeServer) -> None:
    (text,) = re.findall(r"^```sh\n(export LAKE=.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert max(map(len, text.splitlines())) <= 80
    lines = text.replace("8000", str(urlsplit(server.url).port)).replace("lake --sandbox", "lake")

    def typed(script: str) -> str:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environment(server.folder, {}), cwd=PROJECT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    *before, last = lines.splitlines()
    assert eventually(lambda: server.get("/crawls/latest").json().get("state") != "running")  # another test's
    answers = typed("\n".join(before))
    assert '"run_id"' in answers and '"tables"' in answers and '"error":{' not in answers
    query = re.findall(r'"query_id":\s*"([^"]+)"', answers)[-1]
    assert eventually(lambda: server.get(f"/queries/{query}").json()["state"] == "succeeded")
    rows = json.loads(typed("\n".join([*before[:3], last.replace("QUERY_ID", query)])))
    assert rows["rows"] == server.rows("SELECT count(*) FROM heard WHERE play_seconds >= 30")


def test_the_page_names_every_endpoint_people_call_and_every_error_status():
    named = {"/runs", "/crawls", "/tables", "/queries", "/reports", "/imports", "/health", "/openapi.json"}
    assert named <= {"/" + route.path.split("/")[1] for route in ROUTES}
    assert [path for path in named if path not in PAGE] == []


# --- lines for tools ----------------------------------------------------------------------------------------------

STATEMENT = "SELECT artist_name, count(*) AS plays FROM plays GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"


def line_for(tool: str) -> str:
    """What the page's table says to write into a tool, with a statement where it leaves room for one."""
    (line,) = re.findall(rf"^\| {re.escape(tool)} \| `(.+?)`[^`|]*(?:`[^`]+`)?\s*\|$", PAGE, re.MULTILINE)
    return str(line).replace("SELECT …", STATEMENT).replace("SELECT+…", quote_plus(STATEMENT))


def three_artists(server: LakeServer) -> list[list[object]]:
    found = server.rows(STATEMENT)
    assert len(found) == 3
    return found


def test_the_line_for_curl_has_the_rows(server: LakeServer, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", line_for("curl")], env=environ(server), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [[row["artist_name"], int(row["plays"])] for row in csv.DictReader(done.stdout.splitlines())] == (
        three_artists(server)
    )


@pytest.mark.thorough
def test_the_line_for_pandas_has_the_rows(server: LakeServer, tmp_path: Path) -> None:
    names = "import os, pandas\nLAKE, TOKEN = os.environ['LAKE'], os.environ['TOKEN']\n"
    program = f"{names}frame = {line_for('pandas')}\nprint(frame.to_json(orient='values'))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ(server), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == three_artists(server)


def test_the_line_for_observable_has_the_rows(server: LakeServer, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("no node to run JavaScript: apt install nodejs")
    names = "const { LAKE, TOKEN } = process.env;\n"
    program = f"{names}{line_for('Observable')}.then((rows) => console.log(JSON.stringify(rows)))"
    done = subprocess.run(["node", "-e", program], env=environ(server), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [list(row.values()) for row in json.loads(done.stdout)] == three_artists(server)


def test_the_addresses_for_grafana_and_excel_have_the_rows(server: LakeServer) -> None:
    """Neither runs here: their lines ask by these addresses and parameters."""
    (grafana,) = re.findall(r"^\| Grafana, Infinity \|(.*)\|$", PAGE, re.MULTILINE)
    address, parameter = re.findall(r"`([^`]+)`", grafana)
    rows = server.get(urlsplit(address).path, params={parameter: STATEMENT}).json()
    assert [list(row.values()) for row in rows] == three_artists(server)
    excel = line_for("Excel, Power Query")
    (path,) = re.findall(r'RelativePath = "([^"]+)"', excel)
    parameters = dict(re.findall(r'(\w+) = "([^"]*)"', excel.split("Query = [")[1].split("]")[0]))
    text = server.get(f"/{path}", params=parameters).text
    assert list(csv.reader(text.splitlines()))[1:] == [[name, str(plays)] for name, plays in three_artists(server)]
