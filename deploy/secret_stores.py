"""Where a stage's secrets are kept: two secrets of Secrets Manager, or parameters of SSM; made, moved and removed.

Not by CloudFormation, which cannot take up a secret that exists already (coming back from SSM), and keeps paying for
one that is left (going there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib.secrets import SecretStore
from chalicelib.stores.secrets_aws import API, SPOTIFY, ManagedSecrets, ParameterSecrets
from deploy.errors import DeployFailed
from deploy.names import Names

DESCRIPTIONS = {API: "Digests of the API's bearer tokens", SPOTIFY: "Credentials of the Spotify app and its listeners"}
LONGEST_PARAMETER = 4096  # bytes of a standard parameter's value, SSM's quota

Say = Callable[[str], None]


def store_at(url: str, session: Any) -> SecretStore:
    """The store that a stage's SECRETS_URL names, by the deployer's own session."""
    kind, _, name = url.partition(":")
    if kind == "ssm":
        ssm = session.client("ssm")
        return ParameterSecrets(name, ssm=lambda: ssm)
    manager = session.client("secretsmanager")
    return ManagedSecrets(name, manager=lambda: manager)


def make(url: str, names: Names, session: Any) -> int:
    """Make the two secrets of Secrets Manager where they are missing; answers how many were. SSM needs none."""
    if not url.startswith("secretsmanager:"):
        return 0
    manager = session.client("secretsmanager")
    return sum(made(manager, f"{names.secret}/{which}", text, names) for which, text in DESCRIPTIONS.items())


def made(manager: Any, name: str, description: str, names: Names) -> bool:
    try:
        held = manager.describe_secret(SecretId=name)
    except manager.exceptions.ResourceNotFoundException:
        tags = [{"Key": "app", "Value": names.app}, {"Key": "stage", "Value": names.stage}]
        manager.create_secret(Name=name, Description=description, SecretString="{}", Tags=tags)
        return True
    if held.get("DeletedDate"):
        manager.restore_secret(SecretId=name)
        return True
    return False


def copy(
    source: SecretStore, target: SecretStore, target_url: str, known: dict[str, str] | None = None
) -> dict[str, str]:
    """Copy what ``source`` holds; answers it. With ``known`` (what was copied before) only what has changed since.

    Raises DeployFailed, before anything is copied, for a value that does not fit.
    """
    held = {name: value for name in source.names() if (value := source.read(name)) is not None}
    if target_url.startswith("ssm:"):
        long = [name for name, value in held.items() if len(value.encode()) > LONGEST_PARAMETER]
        if long:
            raise DeployFailed(
                f"{', '.join(long)}: longer than the {LONGEST_PARAMETER} bytes of a parameter, so secrets cannot move"
                f" to {target_url}: keep them where they are (--secrets-url as before)"
            )
    for name, value in held.items():
        if (known is None or known.get(name) != value) and target.read(name) != value:
            target.write(name, value)
    return held


def remove(url: str, names: Names, session: Any, say: Say) -> None:
    """Remove a store with all that is in it."""
    if url.startswith("ssm:"):
        store = store_at(url, session)
        for name in store.names():
            store.delete(name)
            say(f"secret {name} in {url}: removed")
        return
    manager = session.client("secretsmanager")
    for which in DESCRIPTIONS:
        try:
            manager.delete_secret(SecretId=f"{names.secret}/{which}", ForceDeleteWithoutRecovery=True)
        except manager.exceptions.ResourceNotFoundException:
            continue
        say(f"secret {names.secret}/{which}: removed")
