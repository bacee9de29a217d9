"""Every error of the lake, in one tree.

::

    LakeError                      code, HTTP status, exit status, details
    ├── Terminal                   asking again the same way cannot help
    │   ├── InvalidRequest         400  the caller's words are off
    │   │   ├── InvalidSetting          a setting or sources.toml
    │   │   ├── QueryRefused            SQL that is not allowed, with its position
    │   │   ├── PageTokenInvalid
    │   │   ├── MethodNotAllowed   405
    │   │   ├── NotAcceptable      406
    │   │   ├── RequestTimeout     408
    │   │   ├── RequestTooLarge    413
    │   │   ├── UnsupportedMediaType 415
    │   │   └── MisdirectedRequest 421
    │   ├── Unauthorized           401  no token, or a wrong one
    │   ├── Forbidden              403  the token may not do this
    │   ├── NotFound               404
    │   ├── Conflict               409
    │   │   ├── RunInProgress
    │   │   ├── CrawlInProgress
    │   │   └── WriteConflict           a conditional write lost the race
    │   ├── QueryFailed            422  the engine answered with an error
    │   ├── RawObjectInvalid       422  an object in raw/ that is not ours
    │   ├── CheckFailed            500  an object in raw/ that is not to be believed
    │   ├── ImportRefused          422  a privacy export that cannot be what it says
    │   ├── MissingCredentials     503  no client id, or nobody has logged in
    │   ├── AuthorizationEnded     503  the refresh token is no longer good
    │   ├── EndpointRemoved        502  Spotify does not offer this to this app
    │   ├── SpotifyRefused         502  Spotify says no for good (400, 404, a real 403)
    │   ├── MusicBrainzRefused     502  MusicBrainz or ListenBrainz does
    │   └── StorageFailed          500  the lake cannot be read or written
    │       └── RecordDamaged           one of its own small records cannot be read
    ├── Retryable                  the same call may work in a moment
    │   ├── SpotifyUnavailable     503  5xx, reset, timeout, a body that is not JSON
    │   │   └── OddAnswer               an answer that contradicts itself or what was known
    │   ├── MusicBrainzUnavailable 503  MusicBrainz or ListenBrainz is away or too busy
    │   ├── StorageUnavailable     503  S3 throttles or is away
    │   ├── EngineBusy             503  all query slots and the queue are taken
    │   └── UploadsBusy            503  as much is being received as may be
    └── WaitUntil                  not before a known time (``not_before``)
        ├── RateLimited            429  Spotify's rolling window
        ├── QuotaExceeded          429  Spotify's development-mode quota
        └── TooManyRequests        429  this API's own limit

The API answers ``{"error": {"code", "message", "details"}}`` with ``status``; the command line prints the
message and exits with ``exit_status``. A message names the thing and the remedy, and never holds a secret.
"""

from __future__ import annotations

import errno
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
    """The request's words are off: a parameter, a body, an option.

    The message names each one; ``GET /openapi.json`` and ``lake COMMAND --help`` say what is expected.
    """

    code, status, exit_status = "invalid_request", 400, 2


class InvalidSetting(InvalidRequest):
    """A setting or sources.toml holds what it may not.

    The message names the setting; docs/reference.md lists them all. ``lake doctor`` shows those in force.
    """

    code = "invalid_setting"


class QueryRefused(InvalidRequest):
    """SQL that is not allowed: ``position`` is the 1-based line and column where it starts.

    The message says what is refused and, where there is one, the nearest thing that is allowed; see docs/sql.md.
    """

    code = "query_refused"

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None, **details: Any) -> None:
        if line is not None:
            details["position"] = {"line": line, "column": column}
        super().__init__(message, **details)


class MethodNotAllowed(InvalidRequest):
    """The address is there, but does not take this method; ``allowed`` are those it takes.

    Use one of those that ``Allow`` names.
    """

    code, status = "method_not_allowed", 405

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class NotAcceptable(InvalidRequest):
    """The endpoint answers none of the types that ``Accept`` names.

    The message names those it answers.
    """

    code, status = "not_acceptable", 406


class RequestTimeout(InvalidRequest):
    """The body of a request did not come in time.

    Send it again, over a faster connection.
    """

    code, status = "request_timeout", 408


class RequestTooLarge(InvalidRequest):
    """The body of a request is too large.

    The message says how large one may be; exports go to ``POST /imports`` and have no limit.
    """

    code, status = "request_too_large", 413


class UnsupportedMediaType(InvalidRequest):
    """The body of a request is not of a type that the endpoint takes.

    Send it as the type that the message names.
    """

    code, status = "unsupported_media_type", 415


class MisdirectedRequest(InvalidRequest):
    """The request names a host that this service does not answer for.

    Open the address that ``lake serve`` printed; behind a proxy, set PUBLIC_URL to the address that others use.
    """

    code, status = "misdirected_request", 421


class PageTokenInvalid(InvalidRequest):
    """The page token is not of this list or this result.

    Ask for the first page again, and go on with the token that comes with it.
    """

    code = "page_token_invalid"


class Unauthorized(Terminal):
    """There is no token, or a wrong, revoked or expired one.

    ``lake token list`` shows those in use, ``lake token add`` makes one.
    """

    code, status, exit_status = "unauthorized", 401, 77


class Forbidden(Terminal):
    """The token's scope does not reach so far.

    Reading needs scope ``read``; runs, crawls, imports and saved reports need ``run``.
    """

    code, status, exit_status = "forbidden", 403, 77


class NotFound(Terminal):
    """There is no such thing, or no longer: results and records are kept for a time.

    List what there is, or ask the query again.
    """

    code, status = "not_found", 404


class Conflict(Terminal):
    """What is asked for does not fit the state in which the thing is.

    The message says which state; look at it again and decide anew.
    """

    code, status = "conflict", 409


class RunInProgress(Conflict):
    """A run is going on, and there is one at a time for each listener.

    Wait for it to end: the message names it.
    """

    code = "run_in_progress"


class CrawlInProgress(Conflict):
    """A crawl is going on, and there is one at a time.

    Wait for it to end.
    """

    code = "crawl_in_progress"


class WriteConflict(Conflict):
    """Somebody else wrote the same object in between.

    Try again: what was written meanwhile is then seen.
    """

    code = "write_conflict"


class QueryFailed(Terminal):
    """The engine answered the query with an error, or a limit ended it.

    The message is the engine's, in the words of the SQL; docs/sql.md has types and limits.
    """

    code, status = "query_failed", 422


class RawObjectInvalid(Terminal):
    """An object in ``raw/`` is not one that the lake wrote.

    It stays in ``quarantine/`` with the reason; put right or delete it there, then ``lake transform KEY``.
    """

    code, status = "raw_object_invalid", 422


class CheckFailed(Terminal):
    """A quality check of severity ``fail`` found something in a raw object: most of it is not to be believed.

    It is in ``quarantine/`` with the reason, and nothing of it is in the tables but what the checks found. Where the
    object is right after all, ``lake transform KEY`` of a release that knows better takes it in.
    """

    code = "quality_check_failed"
    results: Any = None  # rows of ``quality_results``: what was found until then
    files: tuple[str, ...] = ()  # keys of the files that were published with them


class ImportRefused(Terminal):
    """The file is no privacy export of listening, damaged, or too large for where it is read.

    The message names the file and the row. Import the archive as Spotify sent it.
    """

    code, status = "import_refused", 422


class MissingCredentials(Terminal):
    """No Spotify app is set up, or nobody has logged in.

    Put SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET into ``.env``, then ``lake login``.
    """

    code, status, exit_status = "missing_credentials", 503, 78


class AuthorizationEnded(Terminal):
    """Spotify no longer takes a listener's refresh token: revoked, or older than six months.

    ``lake login`` again; nothing else is lost.
    """

    code, status, exit_status = "authorization_ended", 503, 77


class EndpointRemoved(Terminal):
    """Spotify does not offer this endpoint to this app.

    Development-mode apps lost it in February 2026; the source is left out.
    """

    code, status = "endpoint_removed", 502


class SpotifyRefused(Terminal):
    """Spotify says no to this call for good.

    The message has Spotify's reason; other calls go on.
    """

    code, status = "spotify_refused", 502


class MusicBrainzRefused(Terminal):
    """MusicBrainz or ListenBrainz says no to this call.

    The message has the reason; a 403 asks for MUSICBRAINZ_CONTACT, by which it can reach you.
    """

    code, status = "musicbrainz_refused", 502


class StorageFailed(Terminal):
    """The lake cannot be read or written: rights, a full disk, a missing folder or bucket.

    The message names the object; ``lake doctor`` looks at the rest.
    """

    code, status, exit_status = "storage_failed", 500, 73

    @classmethod
    def not_writable(cls, what: str, error: OSError) -> StorageFailed:
        """A folder of the lake that cannot be made or written, and what to do about it."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "make it writable or choose another LAKE_URL"
        return cls(f"{what} is not writable ({error.strerror}): {remedy}")


class RecordDamaged(StorageFailed):
    """One of the lake's own small records does not hold what it should.

    The message names the object, the ``reason`` and what heals it; all but ``raw/`` can be built again.
    """

    code = "record_damaged"

    def __init__(self, key: str, noun: str, reason: str, remedy: str) -> None:
        super().__init__(f"{key} cannot be read as {noun} ({reason}): {remedy}", key=key)
        self.reason = reason


class SpotifyUnavailable(Retryable):
    """Spotify did not answer, or not with what it promises.

    The next run asks again; nothing is lost.
    """

    code = "spotify_unavailable"


class OddAnswer(SpotifyUnavailable):
    """An answer of Spotify contradicts itself, or what was known before.

    It is kept in the raw zone, nothing is taken to be gone because of it, and the next run asks again.
    """

    code = "odd_answer"


class MusicBrainzUnavailable(Retryable):
    """MusicBrainz or ListenBrainz did not answer, or not with what it promises.

    The next run asks again; no artist is taken to be unknown because of it.
    """

    code = "musicbrainz_unavailable"


class StorageUnavailable(Retryable):
    """S3 throttles or is away.

    Try again in a moment.
    """

    code = "storage_unavailable"


class EngineBusy(Retryable):
    """All query slots and the queue are taken.

    Try again in a moment, or raise QUERY_SLOTS.
    """

    code = "engine_busy"


class FileNotReady(Retryable):
    """A result's file takes longer to make than one request may.

    Ask for it again in a minute: it is being made, once for all who ask.
    """

    code = "file_not_ready"


class UploadsBusy(Retryable):
    """As many exports, or as many bytes of other requests, are being received as may be.

    Send this one when the others have ended.
    """

    code = "uploads_busy"


class RateLimited(WaitUntil):
    """Spotify's rolling window, or what MusicBrainz allows, is used up.

    The run goes on at the time that is named; nothing needs doing.
    """

    code = "rate_limited"


class QuotaExceeded(WaitUntil):
    """Spotify's quota for development-mode apps is used up.

    The run goes on at the time that is named; fewer sources or longer intervals in sources.toml need fewer calls.
    """

    code = "quota_exceeded"


class TooManyRequests(WaitUntil):
    """This client asks more often than REQUESTS_PER_MINUTE allows.

    Wait until the time that is named.
    """

    code = "too_many_requests"
