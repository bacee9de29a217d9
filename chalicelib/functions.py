"""What each deployed function needs before it can work: its modules, and its clients of AWS.

Lambda gives a whole processor to what happens while ``app`` is imported (its INIT phase) and a share of one, by memory,
to what happens afterwards; boto3 and a client of S3 alone take 0.2 s of a processor. So both are done at once there
(Lambda operator guide, "Static initialization"). Elsewhere nothing is imported before it is needed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from chalicelib.errors import LakeError

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
RESOLVE = ("chalicelib.plays.matching", *TRANSFORM)
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
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return
    handler = os.environ.get("_HANDLER", "").removeprefix("app.").replace("app", "api_handler")
    from chalicelib.stores.aws import client

    for name in MODULES.get(handler, ()):
        import_module(name)
    with suppress(LakeError):
        for service in services(handler, parts.settings):
            client(service)


def services(handler: str, settings: Settings) -> list[str]:
    """The services of AWS that a function has clients of, by boto3's names."""
    secrets = "ssm" if settings.secrets_url.startswith("ssm:") else "secretsmanager"
    return [secrets if service == SECRETS else service for service in CLIENTS.get(handler, ())]
