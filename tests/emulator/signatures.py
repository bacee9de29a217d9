"""Links to objects, held to their signatures as S3 does: version 4 alone, over method, host, headers and query, and no
longer than they last ("Authenticating requests: using query parameters", Amazon S3 API reference)."""

from __future__ import annotations

import hashlib
import hmac
import urllib.parse
from datetime import UTC, datetime, timedelta
from typing import Any

ALGORITHM = "AWS4-HMAC-SHA256"
SECRETS = {"testing": "testing"}  # of access keys; every role's is OF_ROLES
OF_ROLES = "secret"


def refusal(environ: dict[str, Any], now: datetime) -> tuple[str, str] | None:
    """Why S3 does not take a link: its code and message. None for a link that is good, and for what is no link."""
    query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if "Signature" in query and "AWSAccessKeyId" in query:
        return "InvalidRequest", f"The authorization mechanism you have provided is not supported. Use {ALGORITHM}."
    if "X-Amz-Signature" not in query:
        return None
    signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if now > signed + timedelta(seconds=int(query["X-Amz-Expires"])):
        return "AccessDenied", "Request has expired"
    if "host" not in query["X-Amz-SignedHeaders"].split(";"):
        return "AccessDenied", "There were headers present in the request which were not signed"
    if not hmac.compare_digest(signature(environ, query), query["X-Amz-Signature"]):
        return "SignatureDoesNotMatch", "The request signature we calculated does not match the one you provided."
    return None


def signature(environ: dict[str, Any], query: dict[str, str]) -> str:
    """What the link's signature has to be for this request."""
    names = query["X-Amz-SignedHeaders"].split(";")
    headers = "".join(f"{name}:{header(environ, name)}\n" for name in names)
    pairs = sorted((quoted(name), quoted(value)) for name, value in query.items() if name != "X-Amz-Signature")
    path = urllib.parse.quote(environ["PATH_INFO"].encode("latin-1"), safe="/-_.~")
    asked = "&".join(f"{name}={value}" for name, value in pairs)
    canonical = "\n".join(
        [environ["REQUEST_METHOD"], path, asked, headers, ";".join(names), "UNSIGNED-PAYLOAD"]
    )  # fmt: skip
    key, _, scope = query["X-Amz-Credential"].partition("/")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join([ALGORITHM, query["X-Amz-Date"], scope, digest])
    derived = f"AWS4{SECRETS.get(key, OF_ROLES)}".encode()
    for part in scope.split("/"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return hmac.new(derived, text.encode(), hashlib.sha256).hexdigest()


def header(environ: dict[str, Any], name: str) -> str:
    plain = name.upper().replace("-", "_")
    return str(environ.get(plain if plain in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{plain}", "")).strip()


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
