"""A stage's secrets: made beside CloudFormation, and moved whole from one kind of store to the other and back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from deploy import secret_stores
from deploy.errors import DeployFailed
from deploy.names import Names
from tests.emulator import ACCOUNT, REGION, Emulator, shared

NUMBERS = itertools.count(1)
HELD = {"api-tokens": "[1]", "spotify-app": "{}", "listener-a": "A", "listener-b": "B"}


@pytest.fixture
def aws() -> Emulator:
    return shared()


@pytest.fixture
def names() -> Names:
    return Names(f"s{next(NUMBERS)}", ACCOUNT, REGION)


class Session:
    def __init__(self, aws: Emulator) -> None:
        self._aws = aws

    def client(self, service: str, **_: Any) -> Any:
        return self._aws.client(service)


def urls(names: Names) -> tuple[str, str]:
    return f"secretsmanager:{names.secret}", f"ssm:/{names.base}"


def test_secrets_that_are_there_already_are_taken_up(aws: Emulator, names: Names) -> None:
    session, (managed, parameters) = Session(aws), urls(names)
    assert secret_stores.make(managed, names, session) == 2
    secret_stores.store_at(managed, session).write("listener-a", "A")
    assert secret_stores.make(managed, names, session) == 0
    assert secret_stores.store_at(managed, session).read("listener-a") == "A"
    assert secret_stores.make(parameters, names, session) == 0


def test_a_secret_that_waits_for_its_end_is_called_back(aws: Emulator, names: Names) -> None:
    session, (managed, _) = Session(aws), urls(names)
    secret_stores.make(managed, names, session)
    secret_stores.store_at(managed, session).write("listener-a", "A")
    aws.client("secretsmanager").delete_secret(SecretId=f"{names.secret}/spotify", RecoveryWindowInDays=7)
    assert secret_stores.make(managed, names, session) == 1
    assert secret_stores.store_at(managed, session).read("listener-a") == "A"


@pytest.mark.parametrize("back", [False, True])
def test_what_is_kept_moves_whole_and_nothing_is_left_behind(aws: Emulator, names: Names, back: bool) -> None:
    session = Session(aws)
    source_url, target_url = urls(names)[::-1] if back else urls(names)
    for url in (source_url, target_url):
        secret_stores.make(url, names, session)
    source, target = (secret_stores.store_at(url, session) for url in (source_url, target_url))
    for name, value in HELD.items():
        source.write(name, value)
    copied = secret_stores.copy(source, target, target_url)
    source.write("listener-b", "B, renewed by a function that still used the old place")
    target.write("listener-a", "A, renewed by one that used the new place already")
    secret_stores.copy(source, target, target_url, copied)
    told: list[str] = []
    secret_stores.remove(source_url, names, session, told.append)
    wanted = HELD | {"listener-a": "A, renewed by one that used the new place already",
                     "listener-b": "B, renewed by a function that still used the old place"}  # fmt: skip
    assert {name: target.read(name) for name in target.names()} == wanted
    assert source.names() == [] and told


def test_a_value_that_does_not_fit_is_refused_before_anything_moves(aws: Emulator, names: Names) -> None:
    session, (managed, parameters) = Session(aws), urls(names)
    secret_stores.make(managed, names, session)
    source, target = (secret_stores.store_at(url, session) for url in (managed, parameters))
    source.write("api-tokens", "x" * 4097)
    source.write("listener-a", "A")
    with pytest.raises(DeployFailed, match=r"api-tokens: longer than the 4096 bytes"):
        secret_stores.copy(source, target, parameters)
    assert target.names() == []
