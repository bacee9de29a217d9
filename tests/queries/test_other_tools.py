"""Tools that nobody here wrote, given the lines that `lake duckdb --print` says, find what was played."""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from chalicelib.commands.opening import SQL, athena_snippets, duckdb_snippets
from chalicelib.queries.embedded.duckdb_file import default_path, write_duckdb
from tests.support import tools
from tests.support.engines import Opened, athena, embedded, on

ARTISTS = ("Ärzte", "B & C", 'D "E"', "F", "G", "H", "I", "J", "K", "L", "M", "N")  # of the first 12 plays, and so on
TEN = [[name, 12 - number] for number, name in enumerate(ARTISTS)][:10]
SEEN = "import json\nprint(json.dumps({found}))"
ROWS = "[list(row) for row in rows]"
SHOWN_BY_R = r'cat(sprintf("%s\t%d\n", plays$artist_name, plays$plays), sep = "")'
BY_COMMAND = "R, by DuckDB's command"
FRAME = "frame[['artist_name', 'plays']].to_numpy().tolist()"


def listened(opened: Opened) -> None:
    """Twelve artists, the first of whom was heard twelve times and the last once."""
    said = {"user_id": "u", "item_type": "track", "origin": "api", "item_name": "x", "resolution": 1}
    plays = (
        {"play_id": f"p{number}-{time}", "ended_at": on(number + 1, 3, time), "item_id": "t1", "artist_name": artist}
        for number, artist in enumerate(ARTISTS)
        for time in range(12 - number)
    )
    opened.put("plays_resolved", *({**said, **play} for play in plays), name="resolution-000001")
    opened.put("tracks", {"track_id": "t1", "name": "One", "observed_at": on(1)})


def printed(
    command: Sequence[object], folder: Path, environ: dict[str, str] | None = None, stdin: str | None = None
) -> str:
    """What a command says that has to succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder, env={**os.environ, **(environ or {})}, input=stdin, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout


def python_rows(lines: str, found: str, folder: Path, environ: dict[str, str] | None = None) -> object:
    """The rows that lines of Python leave, in a process of the tools' own environment."""
    program = f"{lines}\n{SEEN.format(found=found)}"
    return json.loads(printed([tools.python(), "-c", program], folder, environ).splitlines()[-1])


# --- on a laptop --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The DuckDB file of a lake, in a folder whose name has a blank."""
    with embedded(tmp_path_factory.mktemp("a lake")) as opened:
        listened(opened)
        path = default_path(opened.lake)
        write_duckdb(opened.lake, path)
        yield path


@pytest.fixture(scope="module")
def told(file: Path) -> dict[str, str]:
    """What is said to paste, by tool."""
    return {snippet.tool: snippet.lines for snippet in duckdb_snippets(file)}


@pytest.mark.parametrize(
    ("tool", "found"),
    [("Python", ROWS), ("pandas", FRAME), ("polars", FRAME), ("SQLAlchemy (Superset)", ROWS)],
)
def test_python_and_its_libraries_read_the_file(told: dict[str, str], tmp_path: Path, tool: str, found: str) -> None:
    assert python_rows(told[tool], found, tmp_path) == TEN


def test_duckdbs_own_command_reads_the_file(told: dict[str, str], tmp_path: Path) -> None:
    shown = printed(["bash", "-c", told["DuckDB"]], tmp_path, {"PATH": tools.path_with()})
    assert [[name, int(plays)] for name, plays in re.findall(r"^│ (.+?) +│ +(\d+) │$", shown, re.M)] == TEN


@pytest.mark.thorough
def test_r_reads_the_file_by_duckdbs_command(told: dict[str, str], tmp_path: Path) -> None:
    """R's own package `duckdb` is on CRAN alone, and none of the registries that the tests install from has it."""
    program = tmp_path / "plays.R"
    program.write_text(f"{told[BY_COMMAND]}\n{SHOWN_BY_R}\n")
    said = printed([tools.r(), program], tmp_path, {"PATH": tools.path_with(), "LC_ALL": "C.UTF-8"})
    assert [[name, int(plays)] for name, plays in (line.split("\t") for line in said.splitlines())] == TEN


@pytest.mark.thorough
def test_what_is_said_of_rs_own_package_is_r(told: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "plays.R").write_text(told["R"])
    printed([tools.r(), "-e", "length(parse('plays.R'))"], tmp_path)


@pytest.mark.thorough
def test_a_notebook_shows_the_file(told: dict[str, str], tmp_path: Path) -> None:
    program = textwrap.dedent("""\
        import sys, nbclient, nbformat
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sys.stdin.read())])
        (cell,) = nbclient.NotebookClient(notebook, timeout=90, kernel_name="python3").execute().cells
        print(cell.outputs[-1].data["text/html"])
    """)
    environ = {"IPYTHONDIR": str(tmp_path), "JUPYTER_PREFER_ENV_PATH": "1", "PATH": tools.path_with()}
    shown = printed([tools.python(), "-c", program], tmp_path, environ, told["Jupyter"])
    assert [int(plays) for plays in re.findall(r"<td>(\d+)</td>", shown)] == [plays for _, plays in TEN]


def test_a_client_of_jdbc_reads_the_file(told: dict[str, str], tmp_path: Path) -> None:
    address, option = told["JDBC (Metabase, DBeaver)"].splitlines()
    connect = f'!connect -p {option.replace("=", " ")} "{address}" "" ""'
    shown = printed([*tools.sqlline(), "--outputformat=json"], tmp_path, stdin=f"{connect}\n{SQL};\n")
    rows = json.loads(shown[shown.index('{"resultset"') :])["resultset"]
    assert [list(row.values()) for row in rows] == TEN


@pytest.mark.thorough
def test_dbt_makes_models_of_the_file(told: dict[str, str], tmp_path: Path) -> None:
    profile = told["dbt-duckdb (profiles.yml)"]
    built = dbt_build(tmp_path, profile, database="lake", schema="main", materialized="table")
    assert built == {"model": 1, "test": 3}


# --- dbt ----------------------------------------------------------------------------------------------------------

#: What the model has and should not have, or the other way round.
TELLS_APART = """\
SELECT * FROM (VALUES {values}) AS wanted(artist_name, plays)
FULL JOIN {{{{ ref('artists') }}}} AS found ON wanted.artist_name = found.artist_name AND wanted.plays = found.plays
WHERE wanted.plays IS NULL OR found.plays IS NULL
"""


def dbt_build(
    folder: Path, profile: str, environ: dict[str, str] | None = None, *, database: str, schema: str, materialized: str
) -> dict[str, int]:
    """How many models dbt made of the lake's plays and how many tests of them passed; one that fails fails here."""
    values = ", ".join(f"('{name}', {plays})" for name, plays in TEN)
    files = {
        "profiles.yml": profile,
        "dbt_project.yml": "name: listening\nversion: '1.0.0'\nprofile: lake\n",
        "models/artists.sql": f"{{{{ config(materialized='{materialized}') }}}}\n"
        + SQL.replace("FROM plays", "FROM {{ source('lake', 'plays') }}"),
        "models/sources.yml": f"sources:\n  - name: lake\n    database: {database}\n    schema: {schema}\n    tables:\n"
        "      - name: plays\n        columns:\n          - {name: play_id, data_tests: [not_null, unique]}\n",
        "tests/ten_artists.sql": TELLS_APART.format(values=values),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    options = ("--no-use-colors", "--no-version-check", "--no-send-anonymous-usage-stats")
    printed([tools.script("dbt", "dbt"), *options, "build"], folder, environ)
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    return Counter(each["unique_id"].partition(".")[0] for each in results if each["status"] in ("success", "pass"))


# --- on AWS -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    tools.python()
    with athena(tmp_path_factory.mktemp("aws")) as opened:
        listened(opened)
        yield opened


@pytest.fixture(scope="module")
def told_on_aws(deployed: Opened) -> dict[str, str]:
    from tests.emulator import REGION

    return {snippet.tool: snippet.lines for snippet in athena_snippets(deployed.settings, REGION)}


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """The emulated AWS as its clients find it; of the region they know what the lines say."""
    from tests.emulator import shared

    return {name: value for name, value in shared().environ.items() if name != "AWS_REGION"}


@pytest.mark.parametrize(("tool", "found"), [("PyAthena", ROWS), ("AWS SDK for pandas", FRAME)])
def test_clients_of_athena_read_the_tables(
    told_on_aws: dict[str, str], environ: dict[str, str], tmp_path: Path, tool: str, found: str
) -> None:
    assert python_rows(told_on_aws[tool], found, tmp_path, environ) == TEN


def test_awss_command_line_asks_athena(told_on_aws: dict[str, str], environ: dict[str, str], tmp_path: Path) -> None:
    environ = {**environ, "PATH": tools.path_with()}
    started = printed(["bash", "-c", told_on_aws["AWS's command line"]], tmp_path, environ)
    ask = f"aws athena {{}} --region eu-central-1 --query-execution-id {json.loads(started)['QueryExecutionId']}"
    while "SUCCEEDED" not in (state := printed(["bash", "-c", ask.format("get-query-execution")], tmp_path, environ)):
        assert "FAILED" not in state, state
    rows = json.loads(printed(["bash", "-c", ask.format("get-query-results")], tmp_path, environ))["ResultSet"]["Rows"]
    assert [[cell["VarCharValue"] for cell in row["Data"]] for row in rows[1:]] == [[a, str(n)] for a, n in TEN]


def test_dbt_makes_models_of_athenas_tables(
    deployed: Opened, told_on_aws: dict[str, str], environ: dict[str, str], tmp_path: Path
) -> None:
    profile = told_on_aws["dbt-athena (profiles.yml)"]
    schema = deployed.settings.glue_database
    built = dbt_build(tmp_path, profile, environ, database="awsdatacatalog", schema=schema, materialized="view")
    assert built == {"model": 1, "test": 3}
