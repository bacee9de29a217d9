"""What the endpoints answer, each a class: ``openapi.py`` describes it, ``messages.py`` writes it as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Session:
    """A browser's token. ``token`` itself is only in the answer that makes it."""

    token_id: str
    scope: str
    expires_at: str | None
    token: str | None = None


@dataclass
class Deleted:
    """What was deleted or taken back."""

    deleted: str
