"""SQL of the lake: what is allowed, and Athena's dialect (Trino) as DuckDB's."""

from chalicelib.queries.sql.guard import Checked, check
from chalicelib.queries.sql.literals import literal

__all__ = ["Checked", "check", "literal"]
