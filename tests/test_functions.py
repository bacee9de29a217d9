"""What a deployed function imports and builds before its first event, and that nothing is elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.functions import CLIENTS, MODULES, meet_chalice, services
from chalicelib.settings import Settings
from deploy.functions import FUNCTIONS
from tests.support import PROJECT

SHOW = (
    "import sys, app; from chalicelib.stores import aws;"
    " print(*sorted(aws._clients), 'modules',"
    " *sorted(n for n in sys.modules if n.startswith(('chalicelib.', 'boto3'))))"
)


def imported(**environment: str) -> tuple[set[str], set[str]]:
    """The clients and the modules that importing the app leaves behind, without a network."""
    given = {"PATH": os.environ["PATH"], "AWS_REGION": "eu-central-1", "LAKE_URL": "s3://bucket-1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=given, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    clients, _, modules = done.stdout.partition("modules")
    return set(clients.split()), set(modules.split())


CHALICE = "import sys; from chalice.cli import main; sys.argv[0] = 'chalice'; main()"


@pytest.mark.parametrize("command", ["deploy", "package"])
def test_chalice_says_in_one_sentence_that_a_stage_is_not_prepared(command: str, tmp_path: Path) -> None:
    shutil.copy(PROJECT / "app.py", tmp_path)
    shutil.copytree(
        PROJECT / "chalicelib", tmp_path / "chalicelib", ignore=shutil.ignore_patterns("web", "__pycache__")
    )
    (tmp_path / ".chalice").mkdir()
    shutil.copy(PROJECT / ".chalice" / "config.json", tmp_path / ".chalice")
    words = [command, *(["out"] if command == "package" else [])]
    given = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-central-1"}
    done = subprocess.run(
        [sys.executable, "-c", CHALICE, *words], env=given, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "stage dev is not prepared" in done.stderr and "make deploy STAGE=dev" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "port"), [(["local"], "8000"), (["local", "--port", "8123"], "8123"), (["local", "--port=8124"], "8124")]
)
def test_chalice_local_says_how_to_open_the_page_signed_in(
    words: list[str], port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    meet_chalice(words)
    assert capsys.readouterr().err == f"`.venv/bin/lake open --port {port}` opens the page, signed in\n"


def test_every_function_is_declared() -> None:
    assert MODULES.keys() == CLIENTS.keys() == {function.handler for function in FUNCTIONS}


@pytest.mark.parametrize("handler", ["api_handler", "bearer", "scheduled_extraction", "transform_run"])
def test_a_function_has_its_modules_and_clients_before_its_first_event(handler: str) -> None:
    named = "app.app" if handler == "api_handler" else f"app.{handler}"
    clients, modules = imported(
        AWS_LAMBDA_FUNCTION_NAME="lake-dev", _HANDLER=named, SECRETS_URL="secretsmanager:lake-dev"
    )
    settings = Settings(secrets_url="secretsmanager:lake-dev")
    assert clients == set(services(handler, settings)) and set(MODULES[handler]) <= modules


def test_where_secrets_are_parameters_the_client_is_ssms() -> None:
    assert services("bearer", Settings(secrets_url="ssm:/lake/dev")) == ["ssm"]


def test_elsewhere_importing_the_app_builds_nothing() -> None:
    clients, modules = imported(_HANDLER="app.app")
    assert clients == set() and "boto3" not in modules and "chalicelib.rest.api" not in modules


def test_settings_that_are_wrong_are_left_to_the_first_event_to_tell() -> None:
    assert imported(AWS_LAMBDA_FUNCTION_NAME="x", _HANDLER="app.bearer", QUERY_SECONDS="soon")[0] == set()
