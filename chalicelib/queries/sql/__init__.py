"""SQL of the lake: what is allowed, and Athena's dialect (Trino) as DuckDB's."""

from chalicelib.queries.sql.guard import Checked, check, check_unbound, with_values
from chalicelib.queries.sql.literals import literal

__all__ = ["Checked", "check", "check_unbound", "literal", "with_values"]
