"""Transforms done by the deployed function: how a rebuild of a lake on AWS is shared out.

Each raw object is one invocation of the transform function, with the event that its arrival would have caused and,
beside it, the generation that is being built.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

from chalicelib.errors import StorageFailed
from chalicelib.settings import Settings


class RemoteTransform:
    """Transforms one key into one generation, in the cloud; returns when it is done.

    Raises StorageFailed when the function fails, and what aws.py says when it cannot be called. An object that goes
    to quarantine is no failure.
    """

    def __init__(self, settings: Settings, functions: Any = None) -> None:
        self._functions = functions  # a client of Lambda; the process's own by default
        self._function = settings.transform_function
        self._bucket, self._prefix = settings.bucket, settings.prefix

    def __call__(self, generation: str, key: str) -> None:
        from chalicelib.stores.aws import client, lake_errors

        place = {"bucket": {"name": self._bucket}, "object": {"key": quote_plus(self._prefix + key, safe="/")}}
        event = {"Records": [{"s3": place}], "generation": generation}
        with lake_errors(f"call {self._function}", key=key):
            functions = self._functions or client("lambda")
            answer = functions.invoke(FunctionName=self._function, Payload=json.dumps(event).encode())
        said: Any = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise StorageFailed(f"{self._function} failed on {key}: {said.get('errorMessage', said)}", key=key)


def remote_transform(settings: Settings) -> RemoteTransform | None:
    """For a lake on AWS whose transform function is known; None where the work is to be done here."""
    return RemoteTransform(settings) if settings.on_aws and settings.transform_function else None
