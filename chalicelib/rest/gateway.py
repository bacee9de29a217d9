"""Between Chalice and the API: Chalice's request and response on one side, ours on the other."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from uuid import uuid4

from chalice.app import AuthRequest, AuthResponse, Response
from chalice.app import Request as ChaliceRequest

from chalicelib.errors import LakeError, Unauthorized

if TYPE_CHECKING:
    from chalicelib.rest.messages import Reply, Request
    from chalicelib.wiring import Parts


def answer(parts: Parts, request: ChaliceRequest | None, path: dict[str, str]) -> Response:
    """The API's reply to a request that Chalice routed here."""
    assert request is not None
    try:
        api = parts.api
    except LakeError as error:
        return Response(error.as_json(), {"Content-Type": "application/json"}, error.status)
    return to_chalice(api.handle(from_chalice(request, path)))


def from_chalice(request: ChaliceRequest, path: dict[str, str]) -> Request:
    """Chalice's request as the API reads it."""
    from chalicelib.rest.messages import Request

    event = request.to_original_event()
    authorizer = request.context.get("authorizer") or {}
    context_id = request.context.get("requestId") or getattr(request.lambda_context, "aws_request_id", None)
    return Request(
        method=request.method,
        route=request.path,
        path=path,
        query=event.get("multiValueQueryStringParameters") or {},
        headers={name.lower(): value for name, value in request.headers.items()},
        body=as_bytes(request.raw_body),
        scope=authorizer.get("scope"),
        token_id=authorizer.get("principalId", ""),
        listener=unquote(authorizer.get("listener") or ""),
        request_id=context_id or str(uuid4()),
        gateway=gateway_address(request.context),
    )


def gateway_address(context: dict[str, Any]) -> str:
    """The address of a stage of API Gateway; empty elsewhere."""
    domain, stage = context.get("domainName"), context.get("stage")
    return f"https://{domain}/{stage}" if domain and stage else ""


def as_bytes(body: str | bytes | None) -> bytes:
    """A body as bytes, whatever Chalice made of it."""
    return body.encode() if isinstance(body, str) else body or b""


def to_chalice(reply: Reply) -> Response:
    """The API's reply as Chalice sends it."""
    headers: dict[str, str | list[str]] = {"Content-Type": reply.content_type, **reply.headers}
    if isinstance(reply.content, Iterator):
        return Response(b"".join(reply.content).decode(), headers, reply.status)
    if isinstance(reply.content, Path):
        return FileResponse(reply.content, headers, reply.status)
    return Response("" if reply.content is None else reply.content, headers, reply.status)


def one_error_shape(response: Response) -> Response:
    """Chalice's own errors (a method that is not there) in the API's shape."""
    body = response.body
    if response.status_code < 400 or not isinstance(body, dict) or set(body) != {"Code", "Message"}:
        return response
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", body["Code"].removesuffix("Error")).lower()
    error = {"error": {"code": code, "message": body["Message"], "details": {}}}
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **response.headers}
    return Response(error, headers, response.status_code)


def authorize(parts: Parts, request: AuthRequest) -> AuthResponse:
    """Let a token in, with its scope; what it may do with it is the API's to say, in words.

    Every route is allowed because API Gateway keeps the answer for the token, whatever it asks next.
    """
    try:
        token = parts.access.recognise(request.token or "")
    except Unauthorized as error:
        raise refusal(error) from None
    return AuthResponse(
        routes=["*"],
        principal_id=token.token_id,
        context={"scope": token.scope, "listener": quote(token.listener or "")},
    )


def refusal(error: Unauthorized) -> Exception:
    """What makes the gateway answer 401: API Gateway wants these very words, Chalice's local one its own type."""
    try:
        from chalice.local import NotAuthorizedError
    except ImportError:  # the deployed function has Chalice's runtime only
        return RuntimeError("Unauthorized")
    from chalicelib.rest.messages import error_reply, json_text

    reply = error_reply(error)
    return NotAuthorizedError({"Content-Type": reply.content_type, **reply.headers}, json_text(reply.content).encode())


class FileResponse(Response):
    """A file as a body. `chalice local` sends base64 as the bytes that it is; on AWS files come from S3."""

    def to_dict(self, _binary_types: list[str] | None = None) -> dict[str, Any]:
        """The response as a function answers it."""
        body = base64.b64encode(self.body.read_bytes()).decode()
        return {
            "headers": self.headers,
            "multiValueHeaders": {},
            "statusCode": self.status_code,
            "body": body,
            "isBase64Encoded": True,
        }
