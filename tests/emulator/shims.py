"""Where moto is kinder than AWS, or silent: each shim says what AWS does. Installed for one emulator's lifetime."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.emulator.server import Emulator


@contextmanager
def installed(aws: Emulator) -> Iterator[None]:
    with ExitStack() as stack:
        for shim in (current_secret_version,):
            stack.enter_context(shim(aws))
        yield


@contextmanager
def current_secret_version(_: Emulator) -> Iterator[None]:
    """Secrets Manager: moving AWSCURRENT changes what GetSecretValue answers, and does so at once; moto goes on
    answering the version that was put last with that label."""
    from moto.secretsmanager.models import SecretsManagerBackend

    lock = threading.Lock()

    def move(
        self: Any, secret_id: str, version_stage: str, remove_from_version_id: str, move_to_version_id: str
    ) -> Any:
        with lock:
            answer = original(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)
            if version_stage == "AWSCURRENT" and move_to_version_id:
                self.secrets[secret_id].default_version_id = move_to_version_id
            return answer

    with replaced(SecretsManagerBackend, "update_secret_version_stage", move) as original:
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[Any]:
    """moto's own attribute replaced for a while; yields the original."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield original
    finally:
        setattr(owner, name, original)
