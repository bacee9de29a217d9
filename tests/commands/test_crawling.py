"""The command that refreshes the catalogue, beside a service that does so by itself."""

from __future__ import annotations

from pathlib import Path

from chalicelib.commands.cli import ended_crawl
from tests.support.engines import embedded, fill


def test_a_crawl_begins_when_the_one_that_goes_on_has_ended(tmp_path: Path) -> None:
    with embedded(tmp_path) as opened:
        fill(opened)
        services = opened.engine.start_crawl()
        asked_for = ended_crawl(opened.engine)
        assert asked_for.state == "succeeded"
        assert asked_for.started_at > services.started_at
