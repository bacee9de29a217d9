"""SQL of the lake: what is allowed, and Athena's dialect (Trino) as DuckDB's."""

from chalicelib.sql.guard import Checked, check
from chalicelib.sql.literals import literal

__all__ = ["Checked", "check", "literal"]
