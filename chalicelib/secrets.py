"""Where tokens and client secrets are kept: a folder only its owner can read, or a store on AWS.

``SECRETS_URL`` chooses: a folder (files of mode 600), ``secretsmanager:NAME`` or ``ssm:/NAME``. A secret has a
name of letters, digits, ``.``, ``_`` and ``-``; what it holds is its user's business. The stores lie in ``stores/``.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import AbstractContextManager
from typing import Protocol

LISTENER = "listener-"  # names of listeners' secrets start so


class SecretStore(Protocol):
    """What a folder, Secrets Manager and SSM must all do. A write is seen whole or not at all.

    Errors: StorageFailed and StorageUnavailable. No error and no log line ever holds a value.
    """

    def read(self, name: str) -> str | None:
        """The secret's value, None when there is none of that name."""

    def write(self, name: str, value: str) -> None:
        """Write or overwrite one secret. Raises StorageFailed."""

    def names(self, prefix: str = "") -> list[str]:
        """The names of all secrets that start with ``prefix``, sorted."""

    def delete(self, name: str) -> None:
        """Delete; an absent secret is no error."""

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Held while a secret is read, changed and written back, so that no change undoes another.

        A store without locks refuses a write inside whose secret has changed since it was read there, with
        StorageUnavailable.
        """


def listener_secret(user_id: str) -> str:
    """The name of the secret that holds a listener's login, and of what a run keeps of that listener."""
    plain = re.fullmatch(r"[A-Za-z0-9._-]{1,64}", user_id)
    return LISTENER + (user_id if plain else hashlib.sha256(user_id.encode()).hexdigest()[:32])
