"""Query engines and catalogues: embedded (DuckDB) and AWS (Athena and Glue)."""

from __future__ import annotations

from chalicelib.lake import Lake
from chalicelib.queries.engine import Engine
from chalicelib.settings import Settings


def open_engine(settings: Settings, lake: Lake) -> Engine:
    """The engine that goes with ``LAKE_URL``. Starts nothing until it is asked something."""
    if settings.on_aws:
        from chalicelib.queries.athena.engine import AthenaEngine

        return AthenaEngine(settings, lake)
    from chalicelib.queries.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(settings, lake)
