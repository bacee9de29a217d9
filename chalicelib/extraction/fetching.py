"""From a request to an entry of the journal: what the threads of a run do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from chalicelib.clock import rfc3339
from chalicelib.errors import EndpointRemoved, LakeError, WaitUntil
from chalicelib.extraction.journal import JournalEntry
from chalicelib.extraction.reading import SHORT_PAGE, SpotifyRequest
from chalicelib.raw import Answer
from chalicelib.spotify.client import SpotifyReply
from chalicelib.spotify.guard import Caller, CallRefused, Guard, Stopped, Tally, message_of

ODD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)  # what odd answers raise


@dataclass(slots=True)
class FetchOutcome:
    """What became of a request: the entry taken down, if any, what was wrong, if anything, and what the calls cost.

    ``stopped`` is budget or time when the run must end instead.
    """

    tally: Tally
    entry: JournalEntry | None = None
    document: dict[str, Any] | None = None
    error: LakeError | None = None
    stopped: str | None = None

    @property
    def is_answer(self) -> bool:
        """Whether Spotify's word on what was asked for was taken down, good or not."""
        return self.entry is not None and self.entry.answer is not None


def lasting(request: SpotifyRequest, reply: SpotifyReply) -> bool:
    """Whether a refusal is an answer in itself: one thing is gone or not ours. Any other is about the app, the
    listener or our asking, and says nothing of what was asked for."""
    if reply.status == 403 and message_of(reply) != "Forbidden":
        return False
    return request.call.endpoint.of_one_thing and reply.status in (400, 403, 404)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Makes calls through the guard and takes each answer down before anything else happens with it."""

    run_id: str
    guard: Guard
    caller_of: Callable[[str | None], Caller]
    write: Callable[[JournalEntry], None]

    def fetch(self, request: SpotifyRequest) -> FetchOutcome:
        """The outcome of a request; errors of Spotify's are part of it, errors of the lake are raised."""
        tally = Tally()
        try:
            reply = self.guard.ask(self.caller_of(request.user), request.call, tally)
        except CallRefused as refused:
            return self._refused(request, refused, tally)
        except WaitUntil as error:
            group = request.call.endpoint.group
            note = {"waits": {group: asdict(self.guard.waits[group])}}
            return self._taken_down(FetchOutcome(tally, JournalEntry(note=note), error=error))
        except LakeError as error:
            return FetchOutcome(tally, error=error)
        except Stopped as stop:
            return FetchOutcome(tally, stopped=stop.reason)
        entry = JournalEntry(self._answer(request, reply), {"of": request.listing})
        return self._taken_down(FetchOutcome(tally, entry, reply.document))

    def _refused(self, request: SpotifyRequest, refused: CallRefused, tally: Tally) -> FetchOutcome:
        reply, error, call = refused.reply, refused.error, request.call
        if isinstance(error, EndpointRemoved):
            note = {"removed": {call.template: {"run_id": self.run_id, "at": rfc3339(reply.received_at)}}}
            return self._taken_down(FetchOutcome(tally, JournalEntry(note=note), error=error))
        if message_of(reply) == "Invalid limit" and call.arguments.get("limit", 0) > SHORT_PAGE:
            return self._taken_down(FetchOutcome(tally, JournalEntry(note={"limits": {call.template: SHORT_PAGE}})))
        if not lasting(request, reply):
            return FetchOutcome(tally, error=error)
        entry = JournalEntry(self._answer(request, reply), {"of": request.listing})
        return self._taken_down(FetchOutcome(tally, entry, error=error))

    def _taken_down(self, outcome: FetchOutcome) -> FetchOutcome:
        assert outcome.entry is not None
        self.write(outcome.entry)
        return outcome

    def _answer(self, request: SpotifyRequest, reply: SpotifyReply) -> Answer:
        return Answer(
            run_id=self.run_id,
            source=request.source,
            endpoint=reply.endpoint,
            params=reply.params,
            user_id=request.user,
            requested_at=reply.requested_at,
            received_at=reply.received_at,
            status=reply.status,
            body=reply.body,
            context={**request.about, **context_of(request, reply)},
        )


def context_of(request: SpotifyRequest, reply: SpotifyReply) -> dict[str, Any]:
    """What a good answer's header says of it; nothing where the answer is too odd to say anything of."""
    if reply.status != 200 or reply.document is None:
        return {}
    try:
        return request.context(reply.document)
    except ODD:
        return {}
