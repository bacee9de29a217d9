"""What API Gateway says itself (no token, no such route, too many requests), in the API's own words and shape.

Chalice knows nothing of gateway responses and its deployments overwrite them, so they are put after each one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from chalicelib.errors import Forbidden, InvalidRequest, LakeError, NotFound, TooManyRequests, Unauthorized
from chalicelib.rest.access import remedy
from chalicelib.settings import Settings
from deploy.record import API_STAGE

TOKEN = remedy(Settings(lake_url="s3://lake"))  # of any lake on AWS
EXPOSED = "Retry-After,X-Request-Id"
JSON = "application/json"
HEADERS = {
    "Cache-Control": "'no-store'",
    "X-Content-Type-Options": "'nosniff'",
    "Referrer-Policy": "'no-referrer'",
    "X-Request-Id": "context.requestId",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One of API Gateway's response types. Without ``status`` it keeps the one it comes with."""

    kind: str
    error: type[LakeError]
    message: str
    status: int | None = None
    header: tuple[str, str] | None = None

    def put(self, cors_origin: str) -> dict[str, Any]:
        """As PutGatewayResponse takes it."""
        headers = {**HEADERS, **dict([self.header] if self.header else [])}
        if cors_origin:
            headers |= {"Access-Control-Allow-Origin": f"'{cors_origin}'",
                        "Access-Control-Expose-Headers": f"'{EXPOSED}'"}  # fmt: skip
        error = {"code": self.error.code, "message": self.message, "details": {"reason": "$context.error.responseType"}}
        told: dict[str, Any] = {
            "responseType": self.kind,
            "responseParameters": {f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            "responseTemplates": {JSON: json.dumps({"error": error})},
        }
        return told | ({"statusCode": str(self.status)} if self.status else {})


AWAY = "the API cannot be reached just now; ask again in a moment"
REFUSALS = (
    Refusal("UNAUTHORIZED", Unauthorized, f"the bearer token is missing or wrong: {TOKEN}", 401,
            ("WWW-Authenticate", "'Bearer realm=\"lake\"'")),
    Refusal("ACCESS_DENIED", Forbidden, f"this token may not do that: {TOKEN}", 403),
    Refusal("MISSING_AUTHENTICATION_TOKEN", NotFound, "there is no such address; GET /openapi.json lists them", 404),
    Refusal("RESOURCE_NOT_FOUND", NotFound, "there is no such address; GET /openapi.json lists them", 404),
    Refusal("THROTTLED", TooManyRequests, "too many requests at once: ask again in a moment", 429,
            ("Retry-After", "'1'")),
    Refusal("REQUEST_TOO_LARGE", InvalidRequest, "the request is too large: 10 MB are allowed", 413),
    Refusal("INTEGRATION_TIMEOUT", LakeError, "no answer within 29 s: ask for less, or again", 504),
    Refusal("DEFAULT_4XX", InvalidRequest, "the request is not understood"),
    Refusal("DEFAULT_5XX", LakeError, AWAY),
)  # fmt: skip


def put_refusals(gateway: Any, api_id: str, cors_origin: str) -> int:
    """Bring the API's refusals to what they should be, and into force; answers how many had to be changed."""
    held = {each["responseType"]: each for each in every(gateway, api_id)}
    changed = [each for each in (refusal.put(cors_origin) for refusal in REFUSALS) if differs(held, each)]
    for wanted in changed:
        gateway.put_gateway_response(restApiId=api_id, **wanted)
    if changed:
        gateway.create_deployment(restApiId=api_id, stageName=API_STAGE, description="what the gateway says itself")
    return len(changed)


def every(gateway: Any, api_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    position: dict[str, str] = {}
    while True:
        page = gateway.get_gateway_responses(restApiId=api_id, limit=500, **position)
        found += page.get("items", [])
        if "position" not in page:
            return found
        position = {"position": page["position"]}


def differs(held: dict[str, dict[str, Any]], wanted: dict[str, Any]) -> bool:
    there = held.get(wanted["responseType"], {})
    return any(there.get(name) != value for name, value in wanted.items())
