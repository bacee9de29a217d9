"""Statements put together at random from Trino's grammar and from what is hostile, to be judged and not to be run.

``python -m tests.support.sql_fuzzer [--statements N] [--seed S]`` judges that many and prints the slowest, and each one
that did not end in a translation or a refusal.
"""

# ruff: noqa: E501  (tables of pieces)

from __future__ import annotations

import argparse
import heapq
import random
import time

from chalicelib.errors import QueryRefused
from chalicelib.queries.sql import check
from chalicelib.queries.sql.functions import known_names
from chalicelib.views import user_tables

LONGEST = 10_240  # characters of a statement
ATOMS = (
    "1", "-1", "0", "1.5", "1e0", "9" * 40, "9" * 5_000, "1_000", "0x1F", "'a'", "''", "'it''s'", "'$lake_0'", "'--'", "'/*'",
    "NULL", "true", "x", "t.x", '"x"', '"a""b"', "ms_played", "genres", "item_name", "plays.ended_at", "DATE '2026-11-20'",
    "DATE '2026-13-40'", "TIMESTAMP '2026-11-20 10:00:00'", "TIMESTAMP '2026-11-20 10:00:00 Europe/Berlin'",
    "INTERVAL '3' DAY", "INTERVAL '1-2' YEAR TO MONTH", "JSON '{\"a\":1}'", "JSON '[[['", "DECIMAL 'NaN'", "X'0A'", "U&'\\0041'",
    "ARRAY[]", "ARRAY[1,2]", "ROW(1,'a')", "map()", "current_date", "now()", "count(*)", "'(((' ", "'[a'", "'a{99999}'", "*", "?",
)  # fmt: skip
NESTS = (
    ("(", ")"), ("- ", ""), ("NOT ", ""), ("ARRAY[", "]"), ("ROW(", ")"), ("MAP(ARRAY[1],ARRAY[", "])"), ("CAST(", " AS bigint)"),
    ("TRY_CAST(", " AS varchar(3))"), ("try(", ")"), ("if(true,", ",1)"), ("CASE WHEN ", " THEN 1 END"), ("CASE ", " WHEN 1 THEN 2 END"),
    ("(SELECT ", ")"), ("EXISTS (SELECT ", ")"), ("1 IN (SELECT ", ")"), ("1 = ANY (SELECT ", ")"), ("1 IN (", ", 2)"),
    ("1 BETWEEN ", " AND 2"), ("'a' LIKE ", " ESCAPE 'x'"), ("transform(ARRAY[1], v -> ", ")"), ("reduce(ARRAY[1],0,(s,v) -> ", ",s -> s)"),
    ("sum(", ")"), ("max(", ", 2)"), ("sum(", ") OVER ()"), ("count(*) FILTER (WHERE ", ")"), ("array_agg(1 ORDER BY ", ")"),
    ("rank() OVER (ORDER BY ", ")"), ("sum(1) OVER (ROWS ", " PRECEDING)"), ("extract(YEAR FROM ", ")"), ("trim(BOTH 'x' FROM ", ")"),
    ("position('a' IN ", ")"), ("json_value(", ", 'lax $.a')"), ("json_object('k' VALUE ", ")"), ("CAST(NULL AS array(", "))"),
    ("CAST(NULL AS decimal(", "))"), ("CAST(NULL AS row(a ", "))"), ("x[", "]"), ("(", ").f"), ("substr(", ", 1, 2)"), ("slice(", ", 1, 2)"),
    ("date_trunc('day', ", ")"), ("(", " AT TIME ZONE 'Europe/Berlin')"), ("regexp_replace(", ", '(a)', '$1')"), ("regexp_like('a', ", ")"),
    ("concat(", ", 'b')"), ("greatest(", ", 2)"), ("coalesce(", ", NULL)"), ("round(", ", 1)"), ("format('%s %.2f', ", ", 1e0)"),
    ("grouping(", ")"), ("zip_with(ARRAY[1],ARRAY[2],(a,b) -> ", ")"), ("map_filter(map(), (k,v) -> ", ")"), ("array_sort(ARRAY[1], (a,b) -> ", ")"),
)  # fmt: skip
OPERATORS = (
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " || ",
    " = ",
    " <> ",
    " < ",
    " >= ",
    " AND ",
    " OR ",
    " IS DISTINCT FROM ",
    ", ",
)
SOURCES = (
    "plays", "tracks t", "(VALUES (1,'a')) AS t(x, y)", "UNNEST(ARRAY[1,2]) AS t(x)", "UNNEST(sequence(1,3)) WITH ORDINALITY AS u(x,n)",
    "plays JOIN tracks ON true", "plays JOIN tracks USING (item_id)", "plays CROSS JOIN LATERAL (SELECT 1 AS x) l", "plays JOIN tracks",
    "(SELECT 1 AS x) t", "((plays))", "nowhere", '"pl""ays"', "(plays JOIN tracks ON 1 = 1)",
)  # fmt: skip
ENDS = (
    "", " WHERE {}", " GROUP BY {}", " GROUP BY ROLLUP ({})", " GROUP BY GROUPING SETS (({}), ())", " HAVING {}", " ORDER BY {} DESC NULLS LAST",
    " LIMIT 10", " OFFSET 2 ROWS FETCH FIRST 3 ROWS WITH TIES", " UNION SELECT {}", " INTERSECT ALL SELECT {}", " WINDOW w AS (ORDER BY {})",
    " /* ", " -- ", "; SELECT 1", " '", ' "', " )", " LIMIT 99999999999999999999",
)  # fmt: skip
REPEATED = (
    "/* ", "'", '"', "(", "[", "- ", "NOT ", "a.", "JOIN plays ", "JOIN (", "UNION SELECT 1 ", "1,", "1 AND ", "x||", "CASE ", "\\[a",
    "ARRAY[", "decimal(", "date(", "SELECT * FROM (", "WITH a AS (", "1 a, ", "*, ", "0", "1.5+", "LATERAL (", "? ",
)  # fmt: skip


class Fuzzer:
    """A source of statements, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calls = [f"{name}(" for name in known_names()]

    def statement(self) -> str:
        """One statement of at most 10 KB."""
        roll = self.random.random()
        if roll < 0.15:
            return self.flood()[:LONGEST]
        if roll < 0.45:
            return f"SELECT {self.nest()}{self.source()}{self.end()}"[:LONGEST]
        return self.query(2)[:LONGEST]

    def query(self, depth: int) -> str:
        items = ", ".join(self.expression(depth + 1) for _ in range(self.random.randint(1, 4)))
        start = f"WITH w AS (SELECT {self.expression(1)}) " if self.random.random() < 0.1 else ""
        return f"{start}SELECT {items}{self.source()}{self.end()}{self.end()}"

    def expression(self, depth: int) -> str:
        choose = self.random.choice
        if depth <= 0 or self.random.random() < 0.2:
            return choose(ATOMS)
        roll = self.random.random()
        if roll < 0.35:
            opening, closing = choose(NESTS)
            return f"{opening}{self.expression(depth - 1)}{closing}"
        if roll < 0.6:
            return f"{self.expression(depth - 1)}{choose(OPERATORS)}{self.expression(depth - 1)}"
        if roll < 0.9:
            arguments = ", ".join(self.expression(depth - 1) for _ in range(self.random.randint(0, 4)))
            return f"{choose(self.calls)}{arguments})"
        return f"({self.query(depth - 1)})"

    def nest(self) -> str:
        """One or two nestings within each other, many times."""
        kinds = [self.random.choice(NESTS) for _ in range(self.random.randint(1, 2))]
        depth = self.random.choice((3, 10, 25, 55, 70, 400))
        opening = "".join(kinds[at % len(kinds)][0] for at in range(depth))
        closing = "".join(kinds[at % len(kinds)][1] for at in reversed(range(depth)))
        return f"{opening}{self.random.choice(ATOMS)}{closing}"

    def flood(self) -> str:
        """A piece again and again, at some place of a statement."""
        piece = self.random.choice(REPEATED)
        many = piece * self.random.randint(10, LONGEST // len(piece))
        return self.random.choice(
            (f"{many}", f"SELECT {many}1", f"SELECT 1 FROM plays {many}", f"SELECT 1 {many}", f"SELECT '{many}'")
        )

    def source(self) -> str:
        if self.random.random() < 0.25:
            return ""
        return " FROM " + ", ".join(self.random.choice(SOURCES) for _ in range(self.random.choice((1, 1, 1, 2, 5))))

    def end(self) -> str:
        return self.random.choice(ENDS).replace("{}", self.expression(1)) if self.random.random() < 0.6 else ""


def judged(statement: str) -> tuple[float, str]:
    """CPU seconds that judging took, and what was wrong with how it ended ("" for nothing)."""
    started = time.thread_time()
    wrong = ""
    try:
        check(statement, user_tables(), [1] * statement.count("?") if statement.count("?") < 4 else ())
    except QueryRefused:
        pass
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    return time.thread_time() - started, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge statements made at random.")
    parser.add_argument("--statements", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fuzzer, crashes = Fuzzer(options.seed), 0
    slowest: list[tuple[float, str]] = []
    for _ in range(options.statements):
        statement = fuzzer.statement()
        seconds, wrong = judged(statement)
        if wrong:
            crashes += 1
            print(f"{wrong}\n    {statement[:300]}")
        heapq.heappush(slowest, (seconds, statement[:120]))
        if len(slowest) > 5:
            heapq.heappop(slowest)
    print(f"{options.statements} statements, {crashes} crashes; slowest (s of CPU):")
    for seconds, statement in sorted(slowest, reverse=True):
        print(f"  {seconds:.3f} {statement!r}")


if __name__ == "__main__":
    main()
