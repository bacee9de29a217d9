"""One suite for every place that keeps secrets, and what only Secrets Manager and SSM can get wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import InvalidSetting, LakeError, StorageFailed, StorageUnavailable
from chalicelib.rest.access import Access
from chalicelib.secrets import SecretStore, listener_secret
from chalicelib.settings import Settings
from chalicelib.spotify.auth import Listener, ListenerTokens
from chalicelib.spotify.tokens import Credentials, TokenReply
from chalicelib.stores import aws as clients
from chalicelib.stores import open_secrets
from chalicelib.stores.secrets_aws import ManagedSecrets, ParameterSecrets, open_aws_secrets
from chalicelib.stores.secrets_folder import SecretFolder
from tests.emulator import Emulator, shared


@pytest.fixture(scope="module")
def server() -> Emulator:
    return shared()


@pytest.fixture
def aws(server: Emulator) -> Emulator:
    server.faults.clear()
    return server


@pytest.fixture
def managed(aws: Emulator, request: pytest.FixtureRequest) -> ManagedSecrets:
    name = f"lake-{abs(hash(request.node.nodeid))}"
    client = aws.client("secretsmanager", attempts=2)
    for group in ("api", "spotify"):
        client.create_secret(Name=f"{name}/{group}", SecretString="{}")
    return ManagedSecrets(name, manager=lambda: client, sleep=lambda _: None)


@pytest.fixture
def parameters(aws: Emulator, request: pytest.FixtureRequest) -> ParameterSecrets:
    client = aws.client("ssm", attempts=2)
    return ParameterSecrets(f"/lake-{abs(hash(request.node.nodeid))}/dev", ssm=lambda: client)


@pytest.fixture(params=["folder", "managed", "parameters"])
def secrets(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStore:
    if request.param == "folder":
        return SecretFolder(tmp_path / "secrets")
    store: SecretStore = request.getfixturevalue(request.param)
    return store


def test_a_secret_is_kept_replaced_and_deleted(secrets: SecretStore) -> None:
    assert secrets.read("listener-anna") is None and secrets.names() == []
    secrets.write("listener-anna", "one")
    secrets.write("api-tokens", "[]")
    secrets.write("listener-anna", 'two "quoted" é')
    assert secrets.read("listener-anna") == 'two "quoted" é'
    assert secrets.names() == ["api-tokens", "listener-anna"]
    with secrets.exclusive("api-tokens"):
        secrets.delete("listener-anna")
    secrets.delete("listener-anna")
    assert secrets.read("listener-anna") is None and secrets.names() == ["api-tokens"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "with space"])
def test_a_name_that_is_none_is_refused(secrets: SecretStore, name: str) -> None:
    for act in (secrets.read, secrets.delete, lambda each: secrets.write(each, "x")):
        with pytest.raises(StorageFailed):
            act(name)


def test_the_authorizers_secret_holds_no_spotify_credentials(aws: Emulator, managed: ManagedSecrets) -> None:
    managed.write("api-tokens", "digests")
    managed.write("spotify-app", "id and secret")
    held = aws.client("secretsmanager").get_secret_value(SecretId=f"{managed.name}/api")["SecretString"]
    assert "digests" in held and "id and secret" not in held


def test_writers_at_once_undo_nothing(managed: ManagedSecrets) -> None:
    def write(number: int) -> None:
        managed.write(f"listener-{number}", str(number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: managed.read(name) for name in managed.names()} == {f"listener-{n}": str(n) for n in range(4)}


@pytest.mark.parametrize("kind", ["managed", "parameters"])
def test_a_change_on_the_way_is_not_undone_by_another_one(kind: str, request: pytest.FixtureRequest) -> None:
    ours: ManagedSecrets | ParameterSecrets = request.getfixturevalue(kind)
    client = shared().client("secretsmanager" if kind == "managed" else "ssm")
    theirs: ManagedSecrets | ParameterSecrets = (
        ManagedSecrets(ours.name, manager=lambda: client)
        if isinstance(ours, ManagedSecrets)
        else ParameterSecrets(ours.path, ssm=lambda: client)
    )
    ours.write("api-tokens", "[]")
    with ours.exclusive("api-tokens"):
        assert ours.read("api-tokens") == "[]"
        theirs.write("api-tokens", "[theirs]")
        with pytest.raises(StorageUnavailable, match="somebody else"):
            ours.write("api-tokens", "[ours]")
    assert ours.read("api-tokens") == "[theirs]"
    with ours.exclusive("api-tokens"):  # afterwards, and twice within one
        assert ours.read("api-tokens") == "[theirs]"
        ours.write("api-tokens", "[theirs, ours]")
        ours.write("api-tokens", "[theirs, ours, more]")
    ours.write("api-tokens", "without having looked")
    assert theirs.read("api-tokens") == "without having looked"


def test_tokens_made_at_once_are_all_kept_or_refused(managed: ManagedSecrets) -> None:
    made, refused = [], []

    def add(number: int) -> None:
        try:
            made.append(Access(Settings(), managed).add(f"n{number}", "read")[0].token_id)
        except StorageUnavailable:
            refused.append(number)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made and len(made) + len(refused) == 6
    assert {token.token_id for token in Access(Settings(), managed).tokens()} == set(made)


def test_no_label_is_left_on_a_version(aws: Emulator, managed: ManagedSecrets) -> None:
    for number in range(3):
        managed.write("listener-a", str(number))
    versions = aws.client("secretsmanager").list_secret_version_ids(SecretId=f"{managed.name}/spotify")["Versions"]
    labels = {label for version in versions for label in version.get("VersionStages", [])}
    assert labels <= {"AWSCURRENT", "AWSPREVIOUS"}


@pytest.mark.parametrize(
    ("kind", "error"), [("throttle", StorageUnavailable), ("error", StorageUnavailable), ("denied", StorageFailed)]
)
def test_a_lasting_fault_names_the_secret_and_never_its_value(
    aws: Emulator, managed: ManagedSecrets, parameters: ParameterSecrets, kind: str, error: type[LakeError]
) -> None:
    for store in (managed, parameters):
        store.write("listener-a", "v3ry-s3cret")
        aws.inject(kind, times=1000)
        with pytest.raises(error) as caught:
            store.write("listener-a", "v3ry-s3cret-2")
        assert "lake-" in caught.value.message and "s3cret" not in str(caught.value.as_json())
        with pytest.raises(error):
            store.read("listener-a")
        aws.faults.clear()
        assert store.read("listener-a") == "v3ry-s3cret"


def test_a_write_whose_answer_was_lost_is_carried_out_once(aws: Emulator, managed: ManagedSecrets) -> None:
    managed.write("listener-a", "1")
    for operation in ("PutSecretValue", "UpdateSecretVersionStage"):
        fault = aws.inject("lost", "secretsmanager", operation)
        managed.write("listener-a", operation)
        assert fault.hits == 1 and managed.read("listener-a") == operation


def test_a_day_of_hourly_runs_of_five_listeners_writes_nothing(aws: Emulator, managed: ManagedSecrets) -> None:
    """Secrets Manager takes 100 versions of a secret in 24 hours."""
    service = Replies()
    for number in range(5):
        listener = Listener(f"u{number}", f"s{number}", "scope", f"refresh-{number}", "2026-11-01T00:00:00.000Z")
        managed.write(listener_secret(listener.user_id), json.dumps(asdict(listener)))
    written = len(aws.secret_versions[f"{managed.name}/spotify"])
    for _ in range(24):  # each run is another process
        for number in range(5):
            tokens = ListenerTokens(Settings(), Credentials("id", "secret"), managed, f"u{number}", service)
            assert tokens.get_access_token() == f"access-{number}"
    assert service.asked == 120 and len(aws.secret_versions[f"{managed.name}/spotify"]) == written == 5


class Replies:
    """Spotify's token service, which gives no other refresh token."""

    asked = 0

    def __call__(self, _url: str, form: Mapping[str, str], _basic: Any, _seconds: float) -> TokenReply:
        self.asked += 1
        return TokenReply(200, {}, {"access_token": form["refresh_token"].replace("refresh", "access")})


def test_a_secret_that_would_not_fit_is_refused_and_stays_as_it_was(managed: ManagedSecrets) -> None:
    managed.write("listener-a", "1")
    with pytest.raises(StorageFailed, match=r"is full: it holds 65,536 bytes at most"):
        managed.write("listener-b", "x" * 65_536)
    assert managed.names() == ["listener-a"] and managed.read("listener-a") == "1"


def test_more_versions_than_a_secret_takes_in_a_day_are_a_clear_error(aws: Emulator, managed: ManagedSecrets) -> None:
    aws.secret_versions[f"{managed.name}/spotify"] = [aws.clock()] * 100
    with pytest.raises(StorageFailed, match="LimitExceededException"):
        managed.write("listener-a", "1")


def test_the_setting_chooses_the_store() -> None:
    assert isinstance(open_secrets(Settings(secrets_url="secretsmanager:spotify-lake-dev")), ManagedSecrets)
    assert isinstance(open_secrets(Settings(secrets_url="ssm:/spotify-lake/dev")), ParameterSecrets)
    for url in ("ssm:no-slash", "secretsmanager:", "ssm:/trailing/"):
        with pytest.raises(InvalidSetting, match=url):
            open_aws_secrets(url)


def test_aws_region_alone_says_where_the_lake_is(aws: Emulator) -> None:
    """As the lines that a deployment prints export it; boto3 itself reads AWS_DEFAULT_REGION only."""
    with aws.in_environment(AWS_CONFIG_FILE="/dev/null", AWS_REGION="eu-west-3"):
        assert clients.client("secretsmanager").meta.region_name == "eu-west-3"
