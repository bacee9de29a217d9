"""Secrets on AWS, behind the same protocol as the folder.

``secretsmanager:NAME`` is two secrets of Secrets Manager, ``NAME/api`` (digests of the API's tokens) and
``NAME/spotify`` (the app's and the listeners' credentials), so that the authorizer cannot read the latter. Each
holds one JSON object of name and value, 64 kB at most. Of each it keeps 100 versions, and none of the last day is ever
taken away: what is written here has to change seldom. Secrets Manager has no conditional write, but the label
AWSCURRENT moves only from the version that is said to hold it: that is the condition here, so that no writer undoes
another's.

``ssm:/NAME`` is one SecureString parameter a secret below the same two names, ``/NAME/api/api-tokens``…; free of
charge, at most 4 kB each.

Neither has locks. Inside ``exclusive`` a write is refused instead when the value is no longer the one that was read
there, so that of two changes at once the later one fails and says so. SSM has no condition either: there the value is
looked at right before it is written.
"""

from __future__ import annotations

import json
import re
import secrets as randomness
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from chalicelib.clock import Sleep
from chalicelib.errors import InvalidSetting, NotFound, StorageFailed, StorageUnavailable
from chalicelib.secrets import SecretStore
from chalicelib.stores.aws import client, code_of, lake_errors

API, SPOTIFY = "api", "spotify"
WRITE_ATTEMPTS = 6  # of a read, change, write round that another writer got ahead of
CURRENT = "AWSCURRENT"
LONGEST = 65_536  # bytes of a secret ("Secrets Manager quotas")
ABSENT = frozenset({"ResourceNotFoundException", "ParameterNotFound"})
OVERTAKEN = frozenset({"InvalidParameterException", "InvalidRequestException"})
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def open_aws_secrets(url: str) -> SecretStore:
    """The store that an AWS ``SECRETS_URL`` names. Opens no connection."""
    scheme, _, name = url.partition(":")
    if scheme == "ssm":
        if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", name):
            raise InvalidSetting(f"SECRETS_URL={url!r} must be ssm: and a parameter path such as ssm:/spotify-lake/dev")
        return ParameterSecrets(name)
    if not re.fullmatch(r"[A-Za-z0-9/_+=.@-]{1,490}", name):
        raise InvalidSetting(f"SECRETS_URL={url!r} must be secretsmanager: and a name such as spotify-lake-dev")
    return ManagedSecrets(name)


def group_of(name: str) -> str:
    """Which of the two secrets holds ``name``."""
    if not NAME.fullmatch(name):
        raise StorageFailed(f"{name!r} is not the name of a secret", name=name)
    return API if name.startswith("api-") else SPOTIFY


class FirstReads(threading.local):
    """What each secret held when it was first read inside ``exclusive``; for each thread its own."""

    def __init__(self) -> None:
        self.values: dict[str, str | None] = {}  # only of secrets that were read
        self.within: set[str] = set()

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        group_of(name)
        self.within.add(name)
        try:
            yield
        finally:
            self.within.discard(name)
            self.values.pop(name, None)

    def note(self, name: str, value: str | None) -> None:
        if name in self.within:
            self.values.setdefault(name, value)

    def require(self, name: str, value: str | None) -> None:
        """Raises StorageUnavailable when ``value`` is not what was read."""
        if name in self.values and self.values[name] != value:
            raise StorageUnavailable(f"secret {name} was changed by somebody else meanwhile: try again", name=name)

    def replaced(self, name: str, value: str | None) -> None:
        if name in self.values:
            self.values[name] = value


class ManagedSecrets:
    """Secrets Manager. Reading costs one call, writing five."""

    def __init__(
        self, name: str, *, manager: Callable[[], Any] = lambda: client("secretsmanager"), sleep: Sleep = time.sleep
    ) -> None:
        self.name = name
        self._manager = manager
        self._sleep = sleep
        self._first = FirstReads()

    def read(self, name: str) -> str | None:
        document, _ = self._load(group_of(name))
        self._first.note(name, document.get(name))
        return document.get(name)

    def write(self, name: str, value: str) -> None:
        def change(document: dict[str, str]) -> dict[str, str]:
            self._first.require(name, document.get(name))
            return document | {name: value}

        self._change(group_of(name), change)
        self._first.replaced(name, value)

    def names(self, prefix: str = "") -> list[str]:
        """With a ``prefix`` only the secret that holds such names is read, which is all that a function may."""
        groups = [group_of(prefix)] if prefix else [API, SPOTIFY]
        return sorted(name for group in groups for name in self._load(group)[0] if name.startswith(prefix))

    def delete(self, name: str) -> None:
        group = group_of(name)
        if name in self._load(group)[0]:
            self._change(group, lambda document: {key: kept for key, kept in document.items() if key != name})

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        return self._first.exclusive(name)

    def _change(self, group: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            document, version = self._load(group)
            text = json.dumps(change(document))
            if len(text) > LONGEST:
                raise StorageFailed(
                    f"secret {self.name}/{group} is full: it holds {LONGEST:,} bytes at most; delete what is not needed"
                    " any more, or keep secrets in SSM (SECRETS_URL=ssm:/…)"
                )
            if self._publish(group, text, version):
                return
            self._sleep(0.05 * attempt)
        raise StorageUnavailable(f"secret {self.name}/{group} is being written by others all the time")

    def _load(self, group: str) -> tuple[dict[str, str], str | None]:
        """The group's secrets and their version; none where nothing was ever stored."""
        secret = f"{self.name}/{group}"
        try:
            with lake_errors(f"read secret {secret}", missing=ABSENT, secret=secret):
                answer = self._manager().get_secret_value(SecretId=secret)
        except NotFound:
            return {}, None
        try:
            document: dict[str, str] = json.loads(answer["SecretString"])
        except (KeyError, ValueError):
            raise StorageFailed(f"secret {secret} is not a JSON object of names and values", secret=secret) from None
        return document, answer["VersionId"]

    def _publish(self, group: str, text: str, version: str | None) -> bool:
        """Make ``text`` the current version in place of ``version``; False when another one is current by now."""
        secret, label = f"{self.name}/{group}", f"writing-{randomness.token_hex(6)}"
        with lake_errors(f"write secret {secret}", secret=secret):
            stages = {"VersionStages": [label]} if version else {}
            written = self._manager().put_secret_value(SecretId=secret, SecretString=text, **stages)["VersionId"]
            if version is None:
                return True
            moved = self._move(secret, CURRENT, RemoveFromVersionId=version, MoveToVersionId=written)
            self._move(secret, label, RemoveFromVersionId=written)
        return moved or self._load(group)[1] == written  # it may have been the answer to a retried call

    def _move(self, secret: str, label: str, **versions: str) -> bool:
        """Move a label; False when it was not where it was said to be."""
        try:
            self._manager().update_secret_version_stage(SecretId=secret, VersionStage=label, **versions)
        except Exception as error:
            if code_of(error) in OVERTAKEN:
                return False
            raise
        return True


class ParameterSecrets:
    """SSM Parameter Store, one SecureString a secret."""

    def __init__(self, path: str, *, ssm: Callable[[], Any] = lambda: client("ssm")) -> None:
        self.path = path
        self._ssm = ssm
        self._first = FirstReads()

    def read(self, name: str) -> str | None:
        value = self._value(name)
        self._first.note(name, value)
        return value

    def _value(self, name: str) -> str | None:
        try:
            with self._errors("read", name):
                answer = self._ssm().get_parameter(Name=self._full(name), WithDecryption=True)
        except NotFound:
            return None
        return str(answer["Parameter"]["Value"])

    def write(self, name: str, value: str) -> None:
        if name in self._first.values:
            self._first.require(name, self._value(name))
        self._put(name, value)
        self._first.replaced(name, value)

    def _put(self, name: str, value: str) -> None:
        with self._errors("write", name):
            self._ssm().put_parameter(Name=self._full(name), Value=value, Type="SecureString", Overwrite=True)

    def names(self, prefix: str = "") -> list[str]:
        """With a ``prefix`` only the folder that holds such names is listed, which is all that a function may."""
        found: list[str] = []
        for group in [group_of(prefix)] if prefix else [API, SPOTIFY]:
            with lake_errors(f"list parameters below {self.path}/{group}"):
                pages = self._ssm().get_paginator("get_parameters_by_path").paginate(Path=f"{self.path}/{group}")
                found += [each["Name"].rpartition("/")[2] for page in pages for each in page["Parameters"]]
        return sorted(name for name in found if name.startswith(prefix))

    def delete(self, name: str) -> None:
        try:
            with self._errors("delete", name):
                self._ssm().delete_parameter(Name=self._full(name))
        except NotFound:
            return

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        return self._first.exclusive(name)

    def _errors(self, doing: str, name: str) -> AbstractContextManager[None]:
        full = self._full(name)
        return lake_errors(f"{doing} parameter {full}", missing=ABSENT, parameter=full)

    def _full(self, name: str) -> str:
        return f"{self.path}/{group_of(name)}/{name}"
