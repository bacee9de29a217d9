"""Every error of the lake, in one tree.

::

    LakeError                      code, HTTP status, exit status, details
    ├── Terminal                   asking again the same way cannot help
    │   ├── InvalidRequest         400  the caller's words are off
    │   │   ├── InvalidSetting          a setting or sources.toml
    │   │   ├── QueryRefused            SQL that is not allowed, with its position
    │   │   └── PageTokenInvalid
    │   ├── Unauthorized           401  no token, or a wrong one
    │   ├── Forbidden              403  the token may not do this
    │   ├── NotFound               404
    │   ├── Conflict               409
    │   │   ├── RunInProgress
    │   │   ├── CrawlInProgress
    │   │   └── WriteConflict           a conditional write lost the race
    │   ├── QueryFailed            422  the engine answered with an error
    │   ├── RawObjectInvalid       422  an object in raw/ that is not ours
    │   ├── ImportRefused          422  a privacy export that cannot be what it says
    │   ├── MissingCredentials     503  no client id, or nobody has logged in
    │   ├── AuthorizationEnded     503  the refresh token is no longer good
    │   ├── EndpointRemoved        502  Spotify does not offer this to this app
    │   ├── SpotifyRefused         502  Spotify says no for good (400, 404, a real 403)
    │   └── StorageFailed          500  the lake cannot be read or written
    │       └── RecordDamaged           one of its own small records cannot be read
    ├── Retryable                  the same call may work in a moment
    │   ├── SpotifyUnavailable     503  5xx, reset, timeout, a body that is not JSON
    │   ├── StorageUnavailable     503  S3 throttles or is away
    │   └── EngineBusy             503  all query slots and the queue are taken
    └── WaitUntil                  not before a known time (``not_before``)
        ├── RateLimited            429  Spotify's rolling window
        ├── QuotaExceeded          429  Spotify's development-mode quota
        └── TooManyRequests        429  this API's own limit

The API answers ``{"error": {"code", "message", "details"}}`` with ``status``; the command line prints the
message and exits with ``exit_status``. A message names the thing and the remedy, and never holds a secret.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar


class LakeError(Exception):
    """Root of the tree: a ``code`` for programs, a message for people, ``details`` for both."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def as_json(self) -> dict[str, Any]:
        """The one error shape of the API."""
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


class Terminal(LakeError):
    """Asking again the same way cannot help."""


class Retryable(LakeError):
    """The same call may work in a moment."""

    status = 503
    exit_status = 75  # EX_TEMPFAIL


class WaitUntil(LakeError):
    """Not before ``not_before`` (UTC)."""

    status = 429
    exit_status = 75

    def __init__(self, message: str, *, not_before: datetime, **details: Any) -> None:
        super().__init__(message, not_before=not_before.isoformat(), **details)
        self.not_before = not_before


class InvalidRequest(Terminal):
    code, status, exit_status = "invalid_request", 400, 2


class InvalidSetting(InvalidRequest):
    code = "invalid_setting"


class QueryRefused(InvalidRequest):
    """SQL that is not allowed: ``position`` is the 1-based line and column where it starts."""

    code = "query_refused"

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None, **details: Any) -> None:
        if line is not None:
            details["position"] = {"line": line, "column": column}
        super().__init__(message, **details)


class PageTokenInvalid(InvalidRequest):
    code = "page_token_invalid"


class Unauthorized(Terminal):
    code, status, exit_status = "unauthorized", 401, 77


class Forbidden(Terminal):
    code, status, exit_status = "forbidden", 403, 77


class NotFound(Terminal):
    code, status = "not_found", 404


class Conflict(Terminal):
    code, status = "conflict", 409


class RunInProgress(Conflict):
    code = "run_in_progress"


class CrawlInProgress(Conflict):
    code = "crawl_in_progress"


class WriteConflict(Conflict):
    code = "write_conflict"


class QueryFailed(Terminal):
    code, status = "query_failed", 422


class RawObjectInvalid(Terminal):
    code, status = "raw_object_invalid", 422


class ImportRefused(Terminal):
    code, status = "import_refused", 422


class MissingCredentials(Terminal):
    code, status, exit_status = "missing_credentials", 503, 78


class AuthorizationEnded(Terminal):
    code, status, exit_status = "authorization_ended", 503, 77


class EndpointRemoved(Terminal):
    code, status = "endpoint_removed", 502


class SpotifyRefused(Terminal):
    code, status = "spotify_refused", 502


class StorageFailed(Terminal):
    code, status, exit_status = "storage_failed", 500, 73

    @classmethod
    def not_writable(cls, what: str, error: OSError) -> StorageFailed:
        """A folder of the lake that cannot be made or written, and what to do about it."""
        return cls(f"{what} is not writable ({error.strerror}): make it writable or choose another LAKE_URL")


class RecordDamaged(StorageFailed):
    code = "record_damaged"

    @classmethod
    def named(cls, key: str, noun: str, reason: str, remedy: str) -> RecordDamaged:
        """The record at ``key``, what it should be, why it cannot be read, and what to do about it."""
        return cls(f"{key} cannot be read as {noun} ({reason}): {remedy}", key=key)


class SpotifyUnavailable(Retryable):
    code = "spotify_unavailable"


class StorageUnavailable(Retryable):
    code = "storage_unavailable"


class EngineBusy(Retryable):
    code = "engine_busy"


class RateLimited(WaitUntil):
    code = "rate_limited"


class QuotaExceeded(WaitUntil):
    code = "quota_exceeded"


class TooManyRequests(WaitUntil):
    code = "too_many_requests"
