"""Invitations: a link that leads somebody to Spotify's consent and back, logged in without the owner's computer.

An invitation works once, for a week; a link to renew one's own authorisation is one, too. Whoever opens the link is
sent to Spotify with a fresh ``state`` and PKCE challenge, and comes back with a code that only this lake, and only that
browser (a cookie says which), can exchange. What is kept lies with the API's secrets: digests of links, states and
cookies, and the verifiers of logins that are under way.
"""

from __future__ import annotations

import json
import re
import secrets as randomness
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.clock import Clock, now, parse_rfc3339, rfc3339
from chalicelib.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from chalicelib.rest.access import digest
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from chalicelib.listeners import KnownListeners, Person
    from chalicelib.secrets import SecretStore
    from chalicelib.spotify.auth import Login

SECRET = "api-invitations"
LASTS = timedelta(days=7)
AT_SPOTIFY = timedelta(minutes=15)  # that a person may take to agree
MOST_OPEN, MOST_UNDER_WAY = 20, 20
ASK_AGAIN = "ask for another invitation"
SOMEBODY = "somebody"  # who was invited without a name keeps the account's
AT_ANOTHER = "this browser is logged in to Spotify as somebody else"
AS_THE_RIGHT_ONE = "log out at https://www.spotify.com, or use a private window, and open the link again"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What is kept of an invitation: everything but its link. ``listener`` is who may take it, None for anybody new."""

    invitation_id: str
    name: str
    digest: str
    created_at: str
    expires_at: str
    listener: str | None = None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A login that has been sent to Spotify."""

    invitation_id: str
    state: str  # its digest
    cookie: str  # its digest
    verifier: str
    expires_at: str


class Invitations:
    """The open invitations of one lake."""

    def __init__(self, settings: Settings, secrets: SecretStore, clock: Clock = now) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clock = clock

    def invite(self, name: str, listener: str | None = None) -> tuple[Invitation, str]:
        """A new invitation and the code for its link; one to renew takes the place of an earlier one of that listener.

        Raises InvalidRequest while too many are open.
        """
        code, moment = randomness.token_urlsafe(24), self._clock()
        made = Invitation(
            randomness.token_hex(4), name, digest(code), rfc3339(moment), rfc3339(moment + LASTS), listener
        )
        with self._secrets.exclusive(SECRET):
            open_ones, under_way = self._read()
            open_ones = [one for one in open_ones if listener is None or one.listener != listener]
            if len(open_ones) >= MOST_OPEN:
                raise InvalidRequest(f"{MOST_OPEN} invitations are open: withdraw one first")
            self._write([*open_ones, made], under_way)
        return made, code

    def open_ones(self) -> list[Invitation]:
        """Invitations that can still be taken."""
        return self._read()[0]

    def withdraw(self, invitation_id: str) -> Invitation:
        """Take an invitation back. Raises NotFound."""
        with self._secrets.exclusive(SECRET):
            open_ones, under_way = self._read()
            withdrawn = next((one for one in open_ones if one.invitation_id == invitation_id), None)
            if withdrawn is None:
                raise NotFound(f"there is no open invitation {invitation_id}", invitation_id=invitation_id)
            self._write([one for one in open_ones if one is not withdrawn], under_way)
        return withdrawn

    def begin(self, code: str, redirect_uri: str) -> tuple[str, str]:
        """Spotify's page for who opens an invitation, and the cookie of that browser. Raises Unauthorized.

        To open a link is not to take it: programs that show previews of links open them, too.
        """
        from chalicelib.spotify.auth import consent_address, credentials, new_consent

        invitation = next((one for one in self.open_ones() if one.digest == digest(code)), None)
        if invitation is None:
            raise Unauthorized(f"this invitation was taken already, or is too old: {ASK_AGAIN}")
        app = credentials(self._settings, self._secrets)
        consent, cookie = new_consent(), randomness.token_urlsafe(24)
        until = rfc3339(self._clock() + AT_SPOTIFY)
        sent = UnderWay(invitation.invitation_id, digest(consent.state), digest(cookie), consent.verifier, until)
        with self._secrets.exclusive(SECRET):
            open_ones, under_way = self._read()
            self._write(open_ones, [*under_way, sent][-MOST_UNDER_WAY:])
        return consent_address(self._settings, app, redirect_uri, consent), cookie

    def finish(
        self,
        state: str,
        cookie: str,
        code: str,
        redirect_uri: str,
        *,
        known: KnownListeners,
        tell: Callable[[Login], object],
    ) -> Invitation:
        """Log in who comes back from Spotify; answers the invitation, which is taken then. Without a ``code`` (the
        listener did not agree) it stays open.

        Raises Unauthorized where this browser was not sent there, Forbidden where somebody else agreed than was asked.
        """
        from chalicelib.spotify.auth import credentials, exchange

        sent, invitation = self._take(digest(state), digest(cookie))
        if not code:
            self._give_back(invitation)
            raise Unauthorized("you did not agree on Spotify's page: nothing was changed, and the link still works")
        try:
            app = credentials(self._settings, self._secrets)
            exchange(
                self._settings,
                self._secrets,
                app,
                code,
                redirect_uri,
                sent.verifier,
                clock=self._clock,
                admit=lambda user_id: require_invited(invitation, known.person(known.listener_of(user_id))),
                tell=tell,
                called=known.label_of,
            )
        except Exception:
            self._give_back(invitation)
            raise
        return invitation

    def _take(self, state: str, cookie: str) -> tuple[UnderWay, Invitation]:
        """What was sent to Spotify under a state, and its invitation, which nobody else can take meanwhile."""
        with self._secrets.exclusive(SECRET):
            open_ones, under_way = self._read()
            sent = next((one for one in under_way if one.state == state and one.cookie == cookie), None)
            named = sent.invitation_id if sent else ""
            invitation = next((one for one in open_ones if one.invitation_id == named), None)
            if sent is None or invitation is None:
                raise Unauthorized(
                    "this is not the answer to a login that was begun in this browser: open the link again"
                )
            left = [one for one in open_ones if one is not invitation]
            self._write(left, [one for one in under_way if one is not sent])
        return sent, invitation

    def _give_back(self, invitation: Invitation) -> None:
        with self._secrets.exclusive(SECRET):
            open_ones, under_way = self._read()
            self._write([*open_ones, invitation], under_way)

    def _read(self) -> tuple[list[Invitation], list[UnderWay]]:
        """What is kept and has not ended."""
        kept: dict[str, list[dict[str, Any]]] = json.loads(self._secrets.read(SECRET) or "{}")
        moment = self._clock()
        open_ones = [Invitation(**each) for each in kept.get("open", ())]
        under_way = [UnderWay(**each) for each in kept.get("under_way", ())]
        return (
            [one for one in open_ones if parse_rfc3339(one.expires_at) > moment],
            [one for one in under_way if parse_rfc3339(one.expires_at) > moment],
        )

    def _write(self, open_ones: list[Invitation], under_way: list[UnderWay]) -> None:
        kept = {"open": [asdict(one) for one in open_ones], "under_way": [asdict(one) for one in under_way]}
        self._secrets.write(SECRET, json.dumps(kept))


def require_invited(invitation: Invitation, person: Person) -> None:
    """Raises Forbidden where an invitation to renew is answered by another account, or one for somebody new by who is
    known already: their browser is still logged in to Spotify as that one."""
    if invitation.listener and person.user_id != invitation.listener:
        raise Forbidden(f"{AT_ANOTHER}, and this link renews {invitation.name}: {AS_THE_RIGHT_ONE}")
    bears = {name.casefold() for name in (person.name, *person.ids)}
    if not invitation.listener and person.has_logged_in and invitation.name.casefold() not in {SOMEBODY, *bears}:
        raise Forbidden(
            f"this browser is logged in to Spotify as {person.name}, who is a listener here already, and this link is "
            f"for {invitation.name}: {AS_THE_RIGHT_ONE}"
        )


def base_address(settings: Settings, host: str, gateway: str = "") -> str:
    """Where others, or a browser on this computer, reach the service. Raises InvalidRequest where that is not https."""
    address = settings.public_url or gateway
    if not address and not settings.on_aws and re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", host):
        address = f"http://{host.replace('localhost', '127.0.0.1')}"
    if address.startswith("https://") or re.match(r"http://127\.0\.0\.1(:\d{1,5})?(/|$)", address):
        return address.rstrip("/")
    raise InvalidRequest(
        "Spotify sends nobody back to an address without https: set PUBLIC_URL to the https address of this service, "
        "and register it with /callback behind it at https://developer.spotify.com/dashboard"
    )


def share_address(settings: Settings, host: str, token: str, gateway: str = "") -> str:
    """The page, opened with a token: behind the ``#``, which no browser sends to a server."""
    return f"{page_address(settings, host, gateway)}/#share={token}"


def page_address(settings: Settings, host: str, gateway: str) -> str:
    """Where the page is, as who asks for a link to it has reached it."""
    return (settings.public_url or gateway).rstrip("/") or f"http://{host or '127.0.0.1:8000'}"
