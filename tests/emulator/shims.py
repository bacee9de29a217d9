"""Where moto is kinder than AWS, or silent: each shim says what AWS does. Installed for one emulator's lifetime."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from tests.emulator.server import Emulator


LONGEST_SECRET = 65_536  # bytes
MOST_VERSIONS = 100  # of a secret
DAY = 86_400.0  # s


@contextmanager
def installed(aws: Emulator) -> Iterator[None]:
    shims = [current_secret_version, limited_secrets, changed_budgets, notifications, layer_by_arn, tls_for_granted]
    with ExitStack() as stack:
        for shim in shims:
            stack.enter_context(shim(aws))
        yield


@contextmanager
def changed_budgets(_: Emulator) -> Iterator[None]:
    """Budgets: UpdateBudget, which moto lacks."""
    from moto.budgets.responses import BudgetsResponse

    def update(self: Any) -> str:
        wanted = self._get_param("NewBudget")
        self.backend.describe_budget(account_id=self._get_param("AccountId"), budget_name=wanted["BudgetName"])
        self.backend.budgets[self._get_param("AccountId")][wanted["BudgetName"]].budget.update(wanted)
        return "{}"

    with replaced(BudgetsResponse, "update_budget", update):
        yield


@contextmanager
def limited_secrets(aws: Emulator) -> Iterator[None]:
    """Secrets Manager: a value has 65,536 bytes at most, and a secret 100 versions, of which none younger than 24 hours
    is ever taken away ("Secrets Manager quotas")."""
    from moto.secretsmanager.exceptions import InvalidParameterException, SecretsManagerClientError
    from moto.secretsmanager.models import SecretsManagerBackend

    def put(self: Any, secret_id: str, secret_string: str, *given: Any, **more: Any) -> Any:
        if len((secret_string or "").encode()) > LONGEST_SECRET:
            raise InvalidParameterException(f"The secret value can be at most {LONGEST_SECRET} bytes.")
        written = aws.secret_versions.setdefault(secret_id, [])
        moment = aws.clock()
        written[:] = [each for each in written if moment - each < DAY]
        if len(written) >= MOST_VERSIONS:
            raise SecretsManagerClientError("LimitExceededException", "You have exceeded the quota of secret versions.")
        written.append(moment)
        return original(self, secret_id, secret_string, *given, **more)

    with replaced(SecretsManagerBackend, "put_secret_value", put) as original:
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
    original = getattr(owner, name, None)
    setattr(owner, name, value)
    try:
        yield original
    finally:
        setattr(owner, name, original)


@contextmanager
def notifications(aws: Emulator) -> Iterator[None]:
    """S3: names of filter rules are case-insensitive (Chalice sends Prefix, moto insists on prefix); functions are
    told in the background."""
    from moto.s3 import notifications as sender
    from moto.s3.responses import S3Response

    def lower(self: Any) -> Any:
        text = self.body.decode() if isinstance(self.body, bytes) else self.body
        self.body = re.sub(r"<Name>(Prefix|Suffix)</Name>", lambda m: f"<Name>{m[1].lower()}</Name>", text)
        return original(self)

    def tell(_account: str, event: Any, arn: str, _region: str) -> None:
        aws.functions.send(arn.rpartition(":")[2], event)

    with (
        replaced(S3Response, "_notification_config_from_body", lower) as original,
        replaced(sender, "_invoke_awslambda", tell),
    ):
        yield


@contextmanager
def layer_by_arn(aws: Emulator) -> Iterator[None]:
    """Lambda: GetLayerVersionByArn, which moto lacks, with a link to the layer's zip that anybody may follow."""
    from moto.awslambda.responses import LambdaResponse

    def answer(self: Any) -> Any:
        arn = unquote(self.querystring["Arn"][0])
        found = self.backend.layers_versions_by_arn(arn)
        if found:
            told = found.get_layer_version()
            return 200, {}, json.dumps({**told, "Content": {**told["Content"], "Location": aws.link_to_layer(arn)}})
        return 404, {"status": 404, "x-amzn-errortype": "ResourceNotFoundException"}, "{}"

    with replaced(LambdaResponse, "get_layer_version_by_arn", answer):
        yield


@contextmanager
def tls_for_granted(_: Emulator) -> Iterator[None]:
    """S3: a bucket policy's Deny of requests without TLS blocks everything in moto, which ignores its condition."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    def permission(self: Any, action: str, resource: str) -> Any:
        policy = json.loads(self.policy or b'{"Statement": []}')
        for statement in policy["Statement"]:
            told = statement.get("Condition", {})
            if told.get("Bool", {}).get("aws:SecureTransport") != "false" and "s3:TlsVersion" not in str(told):
                return original(self, action, resource)
        return PermissionResult.NEUTRAL

    with replaced(FakeBucket, "get_permission", permission) as original:
        yield
