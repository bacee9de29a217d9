"""The token of a next page: one form for every list. It is bound to its endpoint and says nothing to a client."""

from __future__ import annotations

import base64
import binascii
import re

from chalicelib.errors import PageTokenInvalid
from chalicelib.rest.messages import Asked

BETWEEN = "\n"


def token(endpoint: str, place: str | None) -> str | None:
    """The token that goes on at ``place``, the last name of a page or an engine's word; None: nothing follows."""
    if place is None:
        return None
    text = f"{endpoint}{BETWEEN}{place}"
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def place(endpoint: str, asked: Asked, pattern: str = r"(?s).+") -> str | None:
    """Where the page begins that a request asks for; None: at the beginning. Raises PageTokenInvalid."""
    given: str | None = asked.query["page_token"]
    if given is None:
        return None
    try:
        text = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    issuer, _, found = text.partition(BETWEEN)
    if issuer != endpoint or not re.fullmatch(pattern, found):
        raise PageTokenInvalid("page_token is not one that this endpoint gave")
    return found
