"""Statements that are each slow, large or stuck in their own way; every one is allowed, or refused at once."""

LONG_A = "array_join(repeat(lpad('', 10000, 'a'), 20), '')"
LONG_B = "array_join(repeat(lpad('', 10000, 'b'), 20), '')"
MILLIONS = "UNNEST(sequence(1, 10000)) AS a(x) CROSS JOIN UNNEST(sequence(1, 10000)) AS b(y)"
BILLIONS = f"{MILLIONS} CROSS JOIN UNNEST(sequence(1, 10000)) AS c(z)"
TEXT = "(SELECT array_join(repeat(rpad('', 10000, 'a'), 90), '') AS t)"
EACH = "transform(sequence(1, 10000), v -> {})"


def each_of(expression: str) -> str:
    """``expression`` of a long text, ten thousand times in one row."""
    return f"SELECT cardinality({EACH.format(expression)}) FROM {TEXT}"


def nested(opening: str, inner: str, closing: str, levels: int = 40) -> str:
    return f"SELECT {opening * levels}{inner}{closing * levels}"


#: name: statement. What makes it a killer is its name.
KILLERS: dict[str, str] = {
    # one call of DuckDB's that heeds no interrupt
    "levenshtein of two long texts": f"SELECT levenshtein_distance({LONG_A}, {LONG_B})",
    "levenshtein for each of many": f"SELECT levenshtein_distance(rpad(CAST(x AS varchar), 9000, 'a'), {LONG_B}) "
    "FROM UNNEST(sequence(1, 1000)) AS t(x)",
    "levenshtein in a lambda": f"SELECT {EACH.format(f'levenshtein_distance({LONG_A}, {LONG_B})')}",
    "hamming of long texts": "SELECT sum(hamming_distance(rpad('', 10000, 'a'), rpad('', 10000, 'b'))) "
    f"FROM {MILLIONS}",
    # a list as long as it may be, of lists as long as they may be
    "flatten of repeat": "SELECT flatten(repeat(sequence(1, 10000), 10000))",
    "flatten of transform": f"SELECT cardinality(flatten({EACH.format('sequence(1, 10000)')}))",
    "array of arrays": "SELECT repeat(repeat(repeat('aaaaaaaaaa', 10000), 10000), 100)",
    "array_agg of everything": f"SELECT array_agg(CAST(x AS varchar) || CAST(y AS varchar)) FROM {MILLIONS}",
    "map_agg of everything": f"SELECT map_agg(x * 10000 + y, rpad('', 100, 'a')) FROM {MILLIONS}",
    "listagg of everything": f"SELECT length(array_join(array_agg(rpad('', 100, 'a')), '')) FROM {MILLIONS}",
    # memory in one row
    "replace in a lambda": each_of("replace(t, 'a', 'bbbbbbbbbb')"),
    "split in a lambda": each_of("split(t, 'a')"),
    "concat in a lambda": each_of("t || t"),
    "reverse in a lambda": each_of("reverse(t)"),
    "upper in a lambda": each_of("upper(t)"),
    "to_utf8 in a lambda": each_of("to_hex(to_utf8(t))"),
    "regexp_replace in a lambda": each_of("regexp_replace(t, 'a', 'bb')"),
    "long texts by thousands": f"SELECT count(DISTINCT {LONG_A} || CAST(x AS varchar)) "
    "FROM UNNEST(sequence(1, 10000)) AS t(x)",
    "sort of long texts": f"SELECT rpad(CAST(x AS varchar), 10000, 'a') AS v FROM {MILLIONS} ORDER BY v",
    # endless work
    "a product of three": f"SELECT count(*) FROM {BILLIONS} WHERE x * y + z = 7",
    "a product of three, grouped": f"SELECT x % 7, count(*), sum(y * z) FROM {BILLIONS} GROUP BY 1",
    "a product of three, sorted": f"SELECT x, y, z FROM {BILLIONS} ORDER BY x * y - z",
    "windows over a product": f"SELECT sum(x) OVER (PARTITION BY x ORDER BY y) FROM {BILLIONS}",
    "distinct of a product": f"SELECT count(DISTINCT (x * 100000 + y) * 100000 + z) FROM {BILLIONS}",
    "text of numbers": f"SELECT max(CAST(x AS varchar) || CAST(y AS varchar) || CAST(z AS varchar)) FROM {BILLIONS}",
    "patterns over many": f"SELECT count(*) FROM {BILLIONS} WHERE regexp_like(CAST(x * y * z AS varchar), '(1|2)*7$')",
    "a reduce of many steps": "SELECT reduce(sequence(1, 10000), '', (s, v) -> s || rpad('', 1000, 'a'), s -> s) "
    f"FROM {MILLIONS}",
    "floats": f"SELECT sum(sin(x) * cos(y) / sqrt(z)) FROM {BILLIONS}",
    # results without end
    "rows without end": f"SELECT x, y, z FROM {BILLIONS}",
    "long rows without end": f"SELECT rpad(CAST(x AS varchar), 10000, CAST(y AS varchar)) AS v FROM {BILLIONS}",
    "random rows without end": f"SELECT random() AS v FROM {BILLIONS}",
    "wide rows without end": f"SELECT {', '.join(f'x + {n} AS c{n}' for n in range(200))} FROM {BILLIONS}",
    # slow to judge
    "arrays within arrays": nested("ARRAY[", "1", "]"),
    "rows within rows": nested("ROW(", "1", ")"),
    "maps within maps": nested("MAP(ARRAY[1], ARRAY[", "1", "])"),
    "dates within dates": nested("date(", "NULL", ")"),
    "sums within sums": nested("sum(", "1", ")"),
    "comments that do not end": "SELECT 1 " + "/* " * 60_000,
    "brackets": nested("(", "1", ")", 20_000),
    "joins without a condition": "SELECT 1 FROM plays " + " ".join(f"JOIN plays p{n}" for n in range(60)),
}
