"""The administrator's endpoints: watch, break, edit and move time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.clock import to_milliseconds
from sandbox.expected import SOURCES, Closure
from sandbox.faults import KINDS

if TYPE_CHECKING:
    from sandbox.service import Service

Json = dict[str, Any]


class Asked(NamedTuple):
    """A request to an administrator's endpoint."""

    query: dict[str, str]
    given: Json


class Admin:
    """Answers ``/admin/…``; no token is needed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._answers: dict[str, Callable[[Asked], Json]] = {
            "GET /calls": self._calls,
            "DELETE /calls": self._forget_calls,
            "GET /faults": self._faults,
            "POST /faults": self._add_fault,
            "DELETE /faults": self._clear_faults,
            "POST /advance": self._advance,
            "POST /edit": self._edit,
            "POST /revoke": self._revoke,
            "GET /expected": self._expected,
            "GET /minimum_calls": self._minimum_calls,
            "GET /state": self._state,
        }

    @property
    def names(self) -> list[str]:
        """Every endpoint, as ``GET /state``."""
        return sorted(self._answers)

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Json]:
        """Status and JSON; what cannot be done is a 400 that says why."""
        handler = self._answers.get(f"{method} {path}")
        if handler is None:
            return 404, {"error": f"no {method} /admin{path}; there are {', '.join(self.names)}"}
        try:
            given = json.loads(body) if body else {}
            if not isinstance(given, dict):
                raise ValueError("the body must be a JSON object")
            return 200, handler(Asked(query, given))
        except (ValueError, TypeError) as error:
            return 400, {"error": str(error)}

    def _calls(self, _: Asked) -> Json:
        return self._service.calls.to_json()

    def _forget_calls(self, _: Asked) -> Json:
        self._service.calls.clear()
        return {}

    def _faults(self, _: Asked) -> Json:
        active = [fault.to_json() for fault in self._service.faults.active]
        return {"active": active, "waits": self._service.waits.to_json(), "kinds": KINDS}

    def _add_fault(self, asked: Asked) -> Json:
        return self._service.faults.add(**asked.given).to_json()

    def _clear_faults(self, _: Asked) -> Json:
        """Waits that faults have started end too."""
        self._service.faults.clear()
        self._service.waits.clear()
        return {}

    def _advance(self, asked: Asked) -> Json:
        self._service.world.clock.advance(float(asked.given["seconds"]) if "seconds" in asked.given else 0.0)
        return self._state(asked)

    def _edit(self, asked: Asked) -> Json:
        return self._service.edits.apply(asked.given)

    def _revoke(self, asked: Asked) -> Json:
        self._service.accounts.revoke(asked.given.get("user_id"))
        return {}

    def _expected(self, asked: Asked) -> Json:
        tables = self._closure(asked.query).to_json(keys=asked.query.get("keys") == "true")
        return {**self._state(asked), "tables": tables}

    def _minimum_calls(self, asked: Asked) -> Json:
        calls = self._closure(asked.query).minimum_calls()
        return {"total": sum(calls.values()), "by_endpoint": calls}

    def _closure(self, query: dict[str, str]) -> Closure:
        listener = self._service.world.listener(query.get("user_id"))
        if listener is None:
            raise ValueError(f"no such user: {query['user_id']!r}")
        sources = query["sources"].split(",") if query.get("sources") else SOURCES
        playlist_ids = query["playlist_ids"].split(",") if query.get("playlist_ids") else ()
        return Closure(self._service.view(), listener, sources, playlist_ids, query.get("details") != "false")

    def _state(self, _: Asked) -> Json:
        service, world = self._service, self._service.world
        return {
            "now": to_milliseconds(world.clock.now_ms()),
            "frozen": world.clock.frozen,
            "mode": service.mode,
            "seed": world.seed,
            "scale": world.scale.name,
            "users": [
                {"id": listener.id, "account_id": listener.account_id, "display_name": listener.person.display_name}
                for listener in world.listeners.values()
            ],
            "rotate_refresh_tokens": service.accounts.rotate_refresh_tokens,
            "rate_limit_per_30s": service.waits.rate_limit_per_30s,
            "waits": service.waits.to_json(),
            "edits": len(service.edits.made),
        }
