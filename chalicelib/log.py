"""Log lines: JSON on Lambda, readable elsewhere; never a token or a secret, whoever writes the line.

Also what a run tells of itself while it goes on (:class:`ProgressEvent`), for a progress bar or for nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from chalicelib.clock import rfc3339

MASK = "***"

# What looks like a secret wherever it stands: authorization headers, and values of telling names.
SECRET_SHAPES = (
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(
        r"(?i)([\"']?\b(?:access_token|refresh_token|client_secret|api_token|authorization|code|token)\b[\"']?\s*[=:]\s*)"
        r"(b?[\"'][^\"']*[\"']|[^\s,;&\"'}\])]+)"
    ),
)

run_id_in_force: ContextVar[str | None] = ContextVar("run_id", default=None)


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """Something a run did. ``kind``: start, call, checkpoint or end; ``left`` is about how many calls remain."""

    kind: str
    run_id: str
    source: str = ""
    endpoint: str = ""
    calls: int = 0
    budget: int = 0
    items: int = 0
    left: int = 0


RunProgress = Callable[[ProgressEvent], None]
StepProgress = Callable[[int, int, str], None]  # steps done, of how many, the one at hand


def redact(text: str, known: tuple[str, ...] = ()) -> str:
    """``text`` without anything that looks like a secret, and without the ``known`` ones whatever they look like."""
    for secret in known:
        text = text.replace(secret, MASK)
    text = SECRET_SHAPES[0].sub(rf"\1 {MASK}", text)
    return SECRET_SHAPES[1].sub(lambda found: found[0] if MASK in found[2] else found[1] + MASK, text)


class Redaction(logging.Filter):
    """Takes secrets out of every record before it is written, its arguments and traceback included."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._known = tuple(secret for secret in known if len(secret) >= 4)
        self._formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Take secrets out of the line and its traceback; every line passes."""
        record.msg, record.args = redact(record.getMessage(), self._known), None
        if record.exc_info:
            record.exc_text = redact(self._formatter.formatException(record.exc_info), self._known)
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line, for CloudWatch."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as one JSON object, with the run in force."""
        line: dict[str, object] = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        run_id = run_id_in_force.get()
        if run_id:
            line["run_id"] = run_id
        extra = getattr(record, "fields", None)
        if isinstance(extra, Mapping):
            line.update(extra)
        if record.exc_info:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up(
    level: str = "INFO",
    *,
    stream: TextIO | None = None,
    as_json: bool | None = None,
    secrets: tuple[str, ...] = (),
    logger: logging.Logger | None = None,
) -> logging.Handler:
    """Write the log of this process to ``stream`` (stderr), as JSON on Lambda; ``secrets`` are never written.

    Replaces the handlers of ``logger`` (the root logger), and answers the new one.
    """
    on_lambda = "AWS_LAMBDA_FUNCTION_NAME" in os.environ if as_json is None else as_json
    handler = logging.StreamHandler(stream or sys.stderr)
    readable = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonLines() if on_lambda else readable)
    handler.addFilter(Redaction(secrets))
    target = logger or logging.getLogger()
    target.handlers[:] = [handler]
    target.setLevel(level)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # tells at INFO where it found each endpoint
    return handler
