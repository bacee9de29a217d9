"""One deployment for all checks: the emulation, a sandbox Spotify, and `python -m deploy up` of stage dev."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto.s3.models import s3_backends

from chalicelib.clock import now
from chalicelib.lake import Lake
from chalicelib.settings import Settings
from chalicelib.spotify import auth
from chalicelib.stores import open_secrets
from deploy.names import Names
from deploy.steps import Deployment
from sandbox.server import Sandbox
from tests.emulator import REGION, Emulator
from tests.emulator.gateway import Api
from tests.support import trino


@dataclass
class Deployed:
    aws: Emulator
    sandbox: Sandbox
    settings: Settings
    session: Any
    stage: str = "dev"
    secrets_url: str = "secretsmanager:spotify-lake-dev"
    lines: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)  # scope -> token
    checked: dict[bool, Deployment] = field(default_factory=dict)  # by whether everything is deployed

    def deployment(self, *, force: bool = False, **chosen: Any) -> Deployment:
        return Deployment(
            self.stage, self.session, self.settings, chosen=chosen, force=force, say=self.lines.append
        )  # fmt: skip

    def again(self, *, force: bool = False) -> Deployment:
        """One that has checked everything already and only makes: the checks after it share one staging."""
        if force not in self.checked:
            self.checked[force] = self.deployment(force=force)
        return self.checked[force]

    @property
    def names(self) -> Names:
        return Names(self.stage, "123456789012", REGION)

    @property
    def lake(self) -> Lake:
        return Lake(self.deployment().store)

    def api(self) -> Api:
        record = json.loads(self.lake.store.read("state/deploy/chalice.json"))
        return Api(self.aws, next(each["rest_api_id"] for each in record["resources"] if "rest_api_id" in each))

    def owner(self) -> Settings:
        """The settings that `up` prints, for the owner's own commands."""
        return Settings(
            lake_url=self.names.lake_url,
            secrets_url=self.secrets_url,
            athena_workgroup=self.names.workgroup,
            glue_database=self.names.database,
            glue_crawler=self.names.crawler,
            spotipy_client_id=self.sandbox.client_id,
            spotipy_client_secret=self.sandbox.client_secret,
            spotify_api_url=self.sandbox.api_url.rstrip("/"),
            spotify_accounts_url=self.sandbox.accounts_url,
        )

    def log_in(self) -> None:
        listener = self.sandbox.world.default_listener
        reply = {
            "access_token": self.sandbox.access_token(listener.id),
            "refresh_token": self.sandbox.refresh_token(listener.id, " ".join(auth.SCOPES)),
            "scope": " ".join(auth.SCOPES),
            "expires_in": 1,  # so that the first run renews it
        }
        auth.remember(self.owner(), open_secrets(self.owner()), reply, now(), now)

    def run(self) -> None:
        """A listener logs in, the schedule fires, and everything that it sets going is done."""
        self.log_in()
        outcome = self.aws.functions.call(self.names.function("scheduled_extraction"), scheduled_event())
        assert not outcome.failed, outcome.payload.decode() + outcome.log
        told = json.loads(outcome.payload)
        assert told["state"] == "succeeded", told
        self.aws.settle(300)

    def put(self, key: str, data: bytes) -> None:
        """An object in the lake, and whatever that sets going."""
        self.lake.store.write(key, data)
        self.aws.settle(200)

    def two_hours_pass(self) -> None:
        """For every object in the bucket."""
        for found in s3_backends[self.names.account]["global"].buckets[self.names.bucket].keys.values():
            found.last_modified -= timedelta(hours=2)

    def token(self, scope: str = "run") -> str:
        """The token of that scope, made when first asked for; a warm authorizer takes up a new one within 2 s."""
        from chalicelib.rest.access import Access

        if scope not in self.tokens:
            self.tokens[scope] = Access(self.owner(), open_secrets(self.owner())).add("check", scope)[1]
        return self.tokens[scope]


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    trino.needed()
    with (
        Emulator(deploys=True) as aws,
        aws.in_environment(),
        Sandbox(mode="development", scale="small", rotate_refresh_tokens=True) as sandbox,
    ):
        settings = Settings(
            spotipy_client_id=sandbox.client_id,
            spotipy_client_secret=sandbox.client_secret,
            spotify_api_url=sandbox.api_url.rstrip("/"),
            spotify_accounts_url=sandbox.accounts_url,
            calls_per_run=100_000,
            cors_origin="https://lake.example",
            compact_files=2,
        )
        made = Deployed(aws, sandbox, settings, boto3.session.Session(region_name=REGION))
        made.deployment().up()
        yield made


@pytest.fixture(scope="session")
def filled(deployed: Deployed) -> Deployed:
    """After one scheduled run, and everything that it set going."""
    for scope in ("read", "run"):
        deployed.token(scope)
    deployed.run()
    return deployed


def scheduled_event() -> dict[str, Any]:
    return {
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "123456789012",
        "time": "2026-11-20T12:00:00Z", "region": REGION, "resources": ["arn:aws:events:…"], "detail": {},
    }  # fmt: skip


def pytest_sessionfinish() -> None:
    os.environ.pop("AWS_ENDPOINT_URL", None)
