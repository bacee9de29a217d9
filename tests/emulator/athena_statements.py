"""What Athena refuses before Trino sees it. Sources are pages of Athena's guide, by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_BYTES = 262_144  # of a query's text ("Service quotas")
TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|[^\W\d]\w*|[()?]""", re.DOTALL
)  # what tells where a clause begins and whether a question mark stands for a parameter
CLAUSES = {"SELECT", "FROM", "ON", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "VALUES"}
READING = {"SELECT", "WITH", "VALUES", "TABLE", "("}
#: "Considerations and limitations for SQL queries in Amazon Athena", "Unsupported DDL"; of SET SESSION, CALL, SHOW
#: SESSION and USE the guide says nothing, and a workgroup's rights would mean little if they worked.
UNSUPPORTED = re.compile(
    r"(?:UPDATE|DELETE|MERGE|CALL|SET|RESET|USE|START|COMMIT|ROLLBACK|GRANT|REVOKE|DENY|TRUNCATE|REFRESH|COMMENT|ANALYZE"
    r"|(?:CREATE|DROP) (?:ROLE|SCHEMA AUTHORIZATION|FUNCTION|CATALOG|MATERIALIZED)"
    r"|SHOW (?:STATS|GRANTS?|ROLES?|CURRENT|SESSION|FUNCTIONS|CATALOGS)|DESCRIBE (?:INPUT|OUTPUT))\b"
)


def words(sql: str) -> Iterator[str]:
    """The words, brackets and question marks of a statement, but for comments and what stands in quotes."""
    for token in TOKEN.findall(sql):
        if token[0] not in "'\"-/":
            yield token.upper()


def begins_with(sql: str, most: int = 3) -> str:
    found = words(sql)
    return " ".join(word for _, word in zip(range(most), found, strict=False))


def reads(sql: str) -> bool:
    return begins_with(sql, 1) in READING


def refusal(sql: str, parameters: int) -> str | None:
    """Why Athena does not take a statement, or None."""
    if len(sql.encode()) > MOST_BYTES:
        return f"Query string exceeds the maximum length of {MOST_BYTES} bytes"
    if UNSUPPORTED.match(begins_with(sql)):
        return "Queries of this type are not supported"
    outside = [clause for clause in clauses_of_parameters(sql) if clause != "WHERE"]
    if outside and parameters:  # "Use parameterized queries": "? parameters can be placed only in the WHERE clause"
        return f"Parameters are not supported in the {outside[0] or 'first'} clause"
    return None


def clauses_of_parameters(sql: str) -> list[str]:
    """The clause that each ``?`` stands in: WHERE if it stands anywhere within one."""
    stack, found = [""], []
    for word in words(sql):
        if word == "(":
            stack.append("")
        elif word == ")" and len(stack) > 1:
            stack.pop()
        elif word in CLAUSES:
            stack[-1] = word
        elif word == "?":
            found.append("WHERE" if "WHERE" in stack else next((each for each in reversed(stack) if each), ""))
    return found
