"""What each deployed function needs before it can work: its modules, and its clients of AWS.

Lambda gives a whole processor to what happens while ``app`` is imported (its INIT phase) and a share of one, by memory,
to what happens afterwards; boto3 and a client of S3 alone take 0.2 s of a processor. So both are done at once there
(Lambda operator guide, "Static initialization"). Elsewhere nothing is imported before it is needed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.errors import LakeError
from chalicelib.settings import COMMAND

if TYPE_CHECKING:
    from chalicelib.settings import Settings
    from chalicelib.wiring import Parts

SERVICE = ("chalicelib.wiring", "chalicelib.lake", "chalicelib.stores.s3")
EXTRACTION = ("chalicelib.extraction.extract", "chalicelib.stores.secrets_aws", *SERVICE)
TRANSFORM = (
    "chalicelib.pipeline",
    "chalicelib.transformation.transform",
    "chalicelib.plays.resolutions",
    "chalicelib.queries.athena.glue",
    *SERVICE,
)
RESOLVE = ("chalicelib.plays.matching", "chalicelib.plays.owners", *TRANSFORM)
IMPORT = ("chalicelib.exports.importing", *RESOLVE)

#: By handler, what it imports when it is called.
MODULES = {
    "api_handler": (
        "chalicelib.rest.api",
        "chalicelib.rest.gateway",
        "chalicelib.queries.athena.engine",
        "chalicelib.extraction.starting",
        *SERVICE,
    ),
    "bearer": ("chalicelib.rest.access", "chalicelib.rest.gateway", "chalicelib.stores.secrets_aws"),
    "scheduled_extraction": EXTRACTION,
    "run_extraction": EXTRACTION,
    "transform": RESOLVE,
    "transform_run": TRANSFORM,
    "import_history": IMPORT,
    "maintain": IMPORT,
    "result_file": ("chalicelib.queries.athena.conversion", *SERVICE),
}
SECRETS = "secrets"  # whichever service SECRETS_URL names
#: By handler, the services that it calls each time.
CLIENTS = {
    "api_handler": ("s3", "athena"),
    "bearer": (SECRETS,),
    "scheduled_extraction": ("s3", SECRETS),
    "run_extraction": ("s3", SECRETS),
    "transform": ("s3", "glue"),
    "transform_run": ("s3", "glue"),
    "import_history": ("s3", "glue"),
    "maintain": ("s3", "glue"),
    "result_file": ("s3",),
}


def begin(parts: Parts) -> None:
    """On Lambda: import and build what this function needs. What is wrong with its settings, its first event says."""
    if "AWS_CHALICE_CLI_MODE" in os.environ:  # Chalice's own command has set it
        meet_chalice(sys.argv[1:])
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return
    handler = os.environ.get("_HANDLER", "").removeprefix("app.").replace("app", "api_handler")
    from chalicelib.stores.aws import client

    for name in MODULES.get(handler, ()):
        import_module(name)
    with suppress(LakeError):
        for service in services(handler, parts.settings):
            client(service)


def meet_chalice(words: Sequence[str]) -> None:
    """Say what Chalice's own commands do not: that a stage is not prepared, and how to open the page signed in.

    Raises SystemExit with one sentence, which Chalice lets through, before `chalice deploy` or `chalice package` fails
    over a file that is missing.
    """
    if "local" in words:
        port = option(words, "--port", "8000")
        sys.stderr.write(f"`{COMMAND} open --port {port}` opens the page, signed in\n")
        leave_refusals_to_the_app()
    if not {"deploy", "package"} & set(words):
        return
    stage, chalice = option(words, "--stage", "dev"), Path.cwd() / ".chalice"
    config = chalice / "config.json"
    declared = json.loads(config.read_text("utf-8"))["stages"].get(stage, {}) if config.is_file() else {}
    needed = [each.get("iam_policy_file") for each in (declared, *declared.get("lambda_functions", {}).values())]
    if not declared or any(name and not (chalice / name).is_file() for name in needed):
        raise SystemExit(
            f"stage {stage} is not prepared: `python -m deploy prepare --stage {stage}` makes what Chalice does not, "
            f"or `make deploy STAGE={stage}` does everything"
        )


def leave_refusals_to_the_app() -> None:
    """Let `chalice local` ask the authorizer about requests without a token, too.

    Its gateway would answer these itself, and not in the API's shape. API Gateway does the same, but can be told how.
    """
    from chalice.local import LocalGatewayAuthorizer

    authorize = LocalGatewayAuthorizer.authorize

    def with_a_token(gateway: Any, path: str, event: dict[str, Any], context: Any) -> Any:
        event["headers"].setdefault("authorization", "")
        return authorize(gateway, path, event, context)

    LocalGatewayAuthorizer.authorize = with_a_token  # type: ignore[method-assign, assignment]


def option(words: Sequence[str], name: str, otherwise: str) -> str:
    """The value of an option of a command, ``--name value`` or ``--name=value``."""
    for at, word in enumerate(words):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and at + 1 < len(words):
            return words[at + 1]
    return otherwise


def services(handler: str, settings: Settings) -> list[str]:
    """The services of AWS that a function has clients of, by boto3's names."""
    secrets = "ssm" if settings.secrets_url.startswith("ssm:") else "secretsmanager"
    return [secrets if service == SECRETS else service for service in CLIENTS.get(handler, ())]
