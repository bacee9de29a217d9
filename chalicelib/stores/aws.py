"""Clients of AWS, built when first asked for, and AWS's errors in the lake's own words.

A client has a connection and a read timeout and retries at most twice, so that no single call can outlast the
29 s that API Gateway waits. ``AWS_ENDPOINT_URL`` is honoured (botocore does that), so that a local emulation
can stand in for AWS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from chalicelib.errors import LakeError, NotFound, StorageFailed, StorageUnavailable

CONNECT_TIMEOUT = 2.0  # s
READ_TIMEOUT = 5.0  # s, between two bytes
ATTEMPTS = 3  # 3 x (2 + 5) s and at most 3 s of backoff stay below API Gateway's 29 s
FUNCTION_READ_TIMEOUT = 25.0  # s: a synchronous Lambda call answers when the function has ended
CONNECTIONS = 16
#: Without these a link of boto3's names S3's global host, which answers for a new bucket of another region with a
#: redirect that a browser's preflight does not follow; and regions older than 2014 get signatures of version 2, which
#: new buckets refuse (S3 user guide, "Request redirection" and "Signature Version 2").
LINKS_OF_S3: dict[str, Any] = {
    "signature_version": "s3v4",
    "s3": {"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
}

THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "BandwidthLimitExceeded",
        "ProvisionedThroughputExceededException",
    }
)
AWAY = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceException",
        "InternalServiceError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "OperationTimeoutException",
        "500",
        "502",
        "503",
        "504",
    }
)
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden", "AllAccessDisabled"}
)

_clients: dict[str, Any] = {}
_lock = Lock()


def client(service: str) -> Any:
    """The process's client of ``service`` (``s3``, ``athena``…): one each, safe between threads."""
    with _lock:  # boto3's default session may not be used by two threads at once
        if service not in _clients:
            _clients[service] = build_client(service)
        return _clients[service]


def build_client(service: str, *, read_timeout: float | None = None, attempts: int = ATTEMPTS) -> Any:
    """A client of its own. Lambda gets a longer read timeout and no retry: its calls are not repeatable."""
    import boto3

    config = configured(service, read_timeout=read_timeout, attempts=attempts)
    return boto3.client(service, region_name=region(), config=config)


def configured(service: str, *, read_timeout: float | None = None, attempts: int = ATTEMPTS) -> Any:
    """botocore's Config of a client of ``service``."""
    from botocore.config import Config

    if service == "lambda":
        read_timeout, attempts = read_timeout or FUNCTION_READ_TIMEOUT, 1
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout or READ_TIMEOUT,
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        **LINKS_OF_S3 if service == "s3" else {},
    )


def region() -> str | None:
    """What AWS_REGION says, as other SDKs and the AWS CLI understand it. None: boto3 looks where it looks by itself,
    which is AWS_DEFAULT_REGION and the profile alone."""
    return os.environ.get("AWS_REGION") or None


def forget_clients() -> None:
    """Drop every client, so that changed credentials or another endpoint are taken up."""
    with _lock:
        _clients.clear()


def code_of(error: Exception) -> str:
    """AWS's own code of a ClientError: ``NoSuchKey``, ``404``, ``ThrottlingException``…"""
    response: dict[str, Any] = getattr(error, "response", None) or {}  # None: the connection broke
    return str(response.get("Error", {}).get("Code", ""))


def is_denied(error: Exception) -> bool:
    """Whether AWS says that whoever asks has not the right."""
    return code_of(error) in DENIED


def message_of(error: Exception) -> str:
    """AWS's message in an error, or the error's own words."""
    response: dict[str, Any] = getattr(error, "response", None) or {}  # None: the connection broke
    return str(response.get("Error", {}).get("Message", "") or error)


@contextmanager
def lake_errors(doing: str, *, missing: frozenset[str] = frozenset(), **details: Any) -> Iterator[None]:
    """Turn botocore's errors into the lake's; ``doing`` says in words what was tried (``read raw/x``).

    Codes in ``missing`` mean NotFound. Throttling, 5xx and broken connections are StorageUnavailable (they have
    been retried already); the rest, access denied first of all, is StorageFailed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise translated(error, doing, missing, details) from error
    except BotoCoreError as error:
        raise broken(error, doing, details) from error


def translated(error: Any, doing: str, missing: frozenset[str], details: dict[str, Any]) -> LakeError:
    """AWS's error as one of the lake's: absent, passing, denied or lasting."""
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in missing:
        return NotFound(f"cannot {doing}: there is no such thing", **details)
    if code in THROTTLED or code in AWAY or status >= 500 or status == 429:
        return StorageUnavailable(f"cannot {doing} just now: AWS answers {code}", aws_code=code, **details)
    if is_denied(error):
        return StorageFailed(f"may not {doing}: {message_of(error)}", aws_code=code, **details)
    return StorageFailed(f"cannot {doing}: {code}: {message_of(error)}", aws_code=code, **details)


def broken(error: Any, doing: str, details: dict[str, Any]) -> LakeError:
    """BotoCoreError is the client's side: no credentials (terminal), or the connection (passing)."""
    from botocore.exceptions import HTTPClientError, ResponseStreamingError

    name = type(error).__name__
    if isinstance(error, HTTPClientError | ResponseStreamingError):
        return StorageUnavailable(f"cannot {doing} just now: {name}", aws_code=name, **details)
    return StorageFailed(f"cannot {doing}: {error}", aws_code=name, **details)
