"""Who may call the API: bearer tokens of two scopes, several at once.

``read`` asks, ``run`` may also start runs, crawls and imports and save reports. A token of one *listener* asks for that
listener's pages and reports and nothing else (see reports/own.py). Tokens are kept as SHA-256 digests
in the secret store (a token is 256 random bits, so a slow hash would protect nothing more); a new one is added
before the old one is revoked, so that rotation interrupts nobody. ``API_TOKEN`` is one more token, of scope
``run``. A laptop also has a *local* token for its own scripts, made when first needed and kept readable (mode 600)
beside the other secrets, so that ``token show`` can print it again.

A browser gets a token of its own, its *session*, in exchange for a code that works once and for minutes: the address to
open holds the code, so no token comes into a history, a bookmark or a log.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as randomness
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.clock import Clock, now, parse_rfc3339, rfc3339
from chalicelib.errors import InvalidRequest, NotFound, Unauthorized
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from chalicelib.secrets import SecretStore

READ, RUN, LISTENER = "read", "run", "listener"
SCOPES = (READ, RUN)  # of tokens that show everybody
TOKENS_SECRET = "api-tokens"
LOCAL_SECRET = "local-token"
CODES_SECRET = "sign-in-codes"
LOCAL_ID, SETTING_ID = "local", "setting"  # of the tokens that are not in the list
CODE_LASTS = timedelta(minutes=10)
SESSION_LASTS = timedelta(hours=12)
STAYING_LASTS = timedelta(days=90)  # of who stays signed in
BROWSER = "browser"
LEAST_TOKEN, LEAST_LETTERS = 20, 8  # characters, and different ones, of an API_TOKEN that others can try
REMEMBERED = 2.0  # s that the list of tokens is kept before it is read again
REREAD = 0.2  # s after which it is read again for a token that is not in it


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: everything but the token. Times are RFC 3339 UTC."""

    token_id: str
    name: str
    scope: str
    digest: str
    created_at: str
    expires_at: str | None = None
    listener: str | None = None  # whose pages and reports alone it shows; None for everybody's


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
        self.secrets = secrets
        self._clock = clock
        self._monotonic = monotonic
        self._known: tuple[Token, ...] = ()
        self._read_at = float("-inf")

    def recognise(self, authorization: str) -> Token:
        """The token in an ``Authorization`` header. Raises Unauthorized, in the same time for every wrong one."""
        scheme, _, presented = authorization.strip().partition(" ")
        token = self._match(digest(presented.strip())) if scheme.lower() == "bearer" else None
        if token is None:
            raise Unauthorized(f"the bearer token is missing or wrong: {remedy(self._settings)}")
        return token

    def at_hand(self, presented: str) -> Token | None:
        """The token, if it is right and that can be said without reading anything."""
        fresh = self._monotonic() - self._read_at <= REMEMBERED
        return self._match_remembered(digest(presented)) if fresh else None

    def add(
        self, name: str, scope: str, lifetime: timedelta | datetime | None = None, listener: str | None = None
    ) -> tuple[Token, str]:
        """A new token: what is kept of it, and the token itself, which is shown this once. One of a ``listener`` shows
        that listener's pages and reports, and may start nothing."""
        if scope not in SCOPES and not (scope == LISTENER and listener):
            raise InvalidRequest(f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")
        token = new_token()
        created = self._clock()
        end = created + lifetime if isinstance(lifetime, timedelta) else lifetime
        expires_at = rfc3339(end) if end else None
        kept = Token(randomness.token_hex(4), name, scope, digest(token), rfc3339(created), expires_at, listener)
        with self.secrets.exclusive(TOKENS_SECRET):
            self._write([*self.tokens(), kept])
        return kept, token

    def revoke(self, token_id: str) -> Token:
        """Take a token back. Raises NotFound; InvalidRequest for API_TOKEN, which is a setting."""
        if token_id == LOCAL_ID and self._local_secret():
            local = Token(LOCAL_ID, "this computer", RUN, "", "")
            self.secrets.delete(LOCAL_SECRET)
            self._read_at = float("-inf")
            return local
        if token_id == SETTING_ID and self._settings.api_token:
            raise InvalidRequest("API_TOKEN is a setting: take it out of the environment or of .env, then start again")
        with self.secrets.exclusive(TOKENS_SECRET):
            tokens = self.tokens()
            revoked = next((token for token in tokens if token.token_id == token_id), None)
            if revoked is None:
                raise NotFound(
                    f"there is no token {token_id}; `.venv/bin/lake token list` shows them", token_id=token_id
                )
            self._write([token for token in tokens if token is not revoked])
        return revoked

    def tokens(self) -> list[Token]:
        """The tokens kept in the secret store, those that have ended too."""
        return [Token(**token) for token in json.loads(self.secrets.read(TOKENS_SECRET) or "[]")]

    def accepted(self) -> list[Token]:
        """Every token that is let in now: those added, browsers' sessions, this computer's own, API_TOKEN."""
        moment = self._clock()
        return [*self._unlisted(), *(token for token in self.tokens() if not ended(token, moment))]

    # --- signing a browser in -------------------------------------------------------------------------------------

    def new_code(self) -> str:
        """A code that works once, within CODE_LASTS, for whoever has it. Raises InvalidRequest on AWS."""
        self._require_laptop()
        code, moment = randomness.token_urlsafe(24), self._clock()
        with self.secrets.exclusive(CODES_SECRET):
            codes = {key: until for key, until in self._codes().items() if parse_rfc3339(until) > moment}
            codes[digest(code)] = rfc3339(moment + CODE_LASTS)
            self.secrets.write(CODES_SECRET, json.dumps(codes))
        return code

    def sign_in(self, code: str) -> tuple[Token, str]:
        """A session for a code: what is kept of its token, and the token. Raises Unauthorized."""
        self._require_laptop()
        with self.secrets.exclusive(CODES_SECRET):
            codes = self._codes()
            until = codes.pop(digest(code), None)
            if until is None or parse_rfc3339(until) <= self._clock():
                again = f"`{self._settings.command} open` makes another"
                raise Unauthorized(f"this address was used already, or is too old: {again}")
            self.secrets.write(CODES_SECRET, json.dumps(codes))
        return self.add(BROWSER, RUN, SESSION_LASTS)

    def stay(self, token_id: str) -> Token:
        """Let a browser's session last for STAYING_LASTS from now. Raises NotFound, InvalidRequest.

        A lake on AWS has no such sessions: the page keeps the token that it was given.
        """
        if self._settings.on_aws:
            raise InvalidRequest("this token is no browser's session: it lasts as long as it was made for")
        with self.secrets.exclusive(TOKENS_SECRET):
            tokens = self.tokens()
            session = next((token for token in tokens if token.token_id == token_id and token.name == BROWSER), None)
            if session is None:
                raise InvalidRequest("this token is no browser's session: it lasts as long as it was made for")
            staying = replace(session, expires_at=rfc3339(self._clock() + STAYING_LASTS))
            self._write([staying if token is session else token for token in tokens])
        return staying

    def end_session(self, token_id: str) -> None:
        """Take a browser's session back; any other token stays, for it is its owner's to revoke."""
        if self._settings.on_aws:
            return
        with self.secrets.exclusive(TOKENS_SECRET):
            self._write([token for token in self.tokens() if token.token_id != token_id or token.name != BROWSER])

    def _codes(self) -> dict[str, str]:
        codes: dict[str, str] = json.loads(self.secrets.read(CODES_SECRET) or "{}")
        return codes

    def _require_laptop(self) -> None:
        if self._settings.on_aws:
            raise InvalidRequest(f"a lake on AWS has no codes to sign in with: {remedy(self._settings)}")

    # --- this computer's own --------------------------------------------------------------------------------------

    def local_token(self) -> str:
        """The token of a laptop's own scripts: ``API_TOKEN``, else one that is made when first needed."""
        if self._settings.api_token:
            return self._settings.api_token
        if self._settings.on_aws:
            raise InvalidRequest(f"a lake on AWS has no local token: {remedy(self._settings)}")
        token = self.secrets.read(LOCAL_SECRET)
        if token:
            return token
        with self.secrets.exclusive(LOCAL_SECRET):
            token = self.secrets.read(LOCAL_SECRET) or new_token()
            self.secrets.write(LOCAL_SECRET, token)
            self._read_at = float("-inf")
        return token

    def _match(self, presented: str) -> Token | None:
        match = self._match_remembered(presented)
        if match is None and self._monotonic() - self._read_at > REREAD:  # made a moment ago by another process?
            self._read_at = float("-inf")
            match = self._match_remembered(presented)
        return match

    def _match_remembered(self, presented: str) -> Token | None:
        match = None
        moment = self._clock()
        for token in self._remembered():
            if hmac.compare_digest(token.digest, presented) and not ended(token, moment):
                match = token
        return match

    def _remembered(self) -> tuple[Token, ...]:
        if self._monotonic() - self._read_at > REMEMBERED:
            self._known = (*self.tokens(), *self._unlisted())
            self._read_at = self._monotonic()
        return self._known

    def _unlisted(self) -> Iterator[Token]:
        if self._settings.api_token:
            yield Token(SETTING_ID, "API_TOKEN", RUN, digest(self._settings.api_token), "")
        elif secret := self._local_secret():
            yield Token(LOCAL_ID, "this computer", RUN, digest(secret), "")

    def _local_secret(self) -> str | None:
        return None if self._settings.on_aws or self._settings.api_token else self.secrets.read(LOCAL_SECRET)

    def _write(self, tokens: list[Token]) -> None:
        kept = [asdict(token) for token in tokens if not (token.name == BROWSER and ended(token, self._clock()))]
        self.secrets.write(TOKENS_SECRET, json.dumps(kept))
        self._read_at = float("-inf")


def until_day(day: date, moment: datetime) -> datetime:
    """The end of a day, UTC. Raises InvalidRequest for one that is over."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    if end <= moment:
        raise InvalidRequest(f"{day} is over: say a day to come")
    return end


def ended(token: Token, moment: datetime) -> bool:
    """Whether a token's time is over."""
    return token.expires_at is not None and parse_rfc3339(token.expires_at) <= moment


def remedy(settings: Settings) -> str:
    """What who has no token does about it: the words of every 401."""
    words = "token add --name NAME --scope read" if settings.on_aws else "token show"
    return f"send 'Authorization: Bearer TOKEN'; `{settings.command} {words}` gives one"


def presented_token(authorization: str) -> str:
    """The token of an ``Authorization`` header; empty when it has none."""
    return authorization.strip().partition(" ")[2].strip()


def weakness(api_token: str) -> str | None:
    """Why others could guess an API_TOKEN that a person chose; None when they cannot."""
    if len(api_token) < LEAST_TOKEN or len(set(api_token)) < LEAST_LETTERS:
        return f"it needs {LEAST_TOKEN} characters, {LEAST_LETTERS} different ones: `openssl rand -base64 32` makes one"
    return None


def new_token() -> str:
    """256 random bits; the prefix lets secret scanners recognise it."""
    return "lake_" + randomness.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of a token or a code: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
