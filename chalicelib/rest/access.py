"""Who may call the API: bearer tokens of two scopes, several at once.

``read`` asks, ``run`` may also start runs, crawls and imports and save reports. Tokens are kept as SHA-256 digests
in the secret store (a token is 256 random bits, so a slow hash would protect nothing more); a new one is added
before the old one is revoked, so that rotation interrupts nobody. ``API_TOKEN`` is one more token, of scope
``run``. A laptop also has a *local* token, made when first needed and kept readable (mode 600) beside the other
secrets, so that the address to open can be printed again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as randomness
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.clock import Clock, now, parse_rfc3339, rfc3339
from chalicelib.errors import InvalidRequest, NotFound, Unauthorized
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from chalicelib.secrets import SecretStore

READ, RUN = "read", "run"
SCOPES = (READ, RUN)
TOKENS_SECRET = "api-tokens"
LOCAL_SECRET = "local-token"
REMEMBERED = 2.0  # s that the list of tokens is kept before it is read again


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: everything but the token. Times are RFC 3339 UTC."""

    token_id: str
    name: str
    scope: str
    digest: str
    created_at: str
    expires_at: str | None = None


class Access:
    """The tokens of one lake."""

    def __init__(
        self,
        settings: Settings,
        secrets: SecretStore,
        *,
        clock: Clock = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._monotonic = monotonic
        self._known: tuple[Token, ...] = ()
        self._read_at = float("-inf")

    def recognise(self, authorization: str) -> Token:
        """The token in an ``Authorization`` header. Raises Unauthorized, in the same time for every wrong one."""
        scheme, _, presented = authorization.strip().partition(" ")
        found = self._match(digest(presented.strip())) if scheme.lower() == "bearer" else None
        if found is None:
            raise Unauthorized(f"the bearer token is missing or wrong: {self._remedy()}")
        return found

    def add(self, name: str, scope: str, lifetime: timedelta | None = None) -> tuple[Token, str]:
        """A new token: what is kept of it, and the token itself, which is shown this once."""
        if scope not in SCOPES:
            raise InvalidRequest(f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")
        token = new_token()
        created = self._clock()
        expires_at = rfc3339(created + lifetime) if lifetime else None
        kept = Token(randomness.token_hex(4), name, scope, digest(token), rfc3339(created), expires_at)
        with self._secrets.exclusive(TOKENS_SECRET):
            self._write([*self.tokens(), kept])
        return kept, token

    def revoke(self, token_id: str) -> Token:
        """Take a token back. Raises NotFound."""
        with self._secrets.exclusive(TOKENS_SECRET):
            tokens = self.tokens()
            revoked = next((token for token in tokens if token.token_id == token_id), None)
            if revoked is None:
                raise NotFound(f"there is no token {token_id}; `token list` shows them", token_id=token_id)
            self._write([token for token in tokens if token is not revoked])
        return revoked

    def tokens(self) -> list[Token]:
        """The tokens kept in the secret store."""
        return [Token(**token) for token in json.loads(self._secrets.read(TOKENS_SECRET) or "[]")]

    def local_token(self) -> str:
        """The token a laptop's own pages and commands use: ``API_TOKEN``, else one that is made when first needed."""
        if self._settings.api_token:
            return self._settings.api_token
        if self._settings.on_aws:
            raise InvalidRequest(
                "a lake on AWS has no local token: make one with `.venv/bin/lake token add --name NAME`"
            )
        token = self._secrets.read(LOCAL_SECRET)
        if token:
            return token
        with self._secrets.exclusive(LOCAL_SECRET):
            token = self._secrets.read(LOCAL_SECRET) or new_token()
            self._secrets.write(LOCAL_SECRET, token)
        return token

    def _match(self, presented: str) -> Token | None:
        found = None
        moment = self._clock()
        for token in self._remembered():
            same = hmac.compare_digest(token.digest, presented)
            if same and (token.expires_at is None or parse_rfc3339(token.expires_at) > moment):
                found = token
        return found

    def _remembered(self) -> tuple[Token, ...]:
        if self._monotonic() - self._read_at > REMEMBERED:
            self._known = (*self.tokens(), *self._unlisted())
            self._read_at = self._monotonic()
        return self._known

    def _unlisted(self) -> Iterator[Token]:
        if self._settings.api_token:
            yield Token("setting", "API_TOKEN", RUN, digest(self._settings.api_token), "")
        elif not self._settings.on_aws:
            yield Token("local", "this computer", RUN, digest(self.local_token()), "")

    def _write(self, tokens: list[Token]) -> None:
        self._secrets.write(TOKENS_SECRET, json.dumps([asdict(token) for token in tokens]))
        self._read_at = float("-inf")

    def _remedy(self) -> str:
        command = "token add --name NAME --scope read" if self._settings.on_aws else "token show"
        return f"send 'Authorization: Bearer TOKEN'; `.venv/bin/lake {command}` gives one"


def new_token() -> str:
    """256 random bits; the prefix lets secret scanners recognise it."""
    return "lake_" + randomness.token_urlsafe(32)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
