"""``did you mean …?`` for a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

#: What other dialects call it: functions, and types.
ELSEWHERE = {
    "array_agg_distinct": "array_agg(DISTINCT …)", "array_contains": "contains", "array_length": "cardinality",
    "charindex": "strpos", "collect_list": "array_agg", "curdate": "current_date", "date_part": "EXTRACT(… FROM …)",
    "date_sub": "date_add", "dateadd": "date_add", "datediff": "date_diff", "datename": "date_format",
    "datepart": "EXTRACT(… FROM …)", "datetrunc": "date_trunc", "dayname": "date_format(…, '%W')", "explode": "UNNEST",
    "getdate": "now", "group_concat": "listagg", "iff": "if", "ifnull": "coalesce", "iif": "if", "instr": "strpos",
    "isnan": "is_nan", "isnull": "coalesce", "lcase": "lower", "left": "substr(…, 1, n)", "len": "length",
    "list_contains": "contains", "median": "approx_percentile(…, 0.5)", "mid": "substr", "monthname":
    "date_format(…, '%M')", "nvl": "coalesce", "percentile": "approx_percentile", "percentile_cont":
    "approx_percentile", "regexp_matches": "regexp_like", "regexp_substr": "regexp_extract", "right": "substr(…, -n)",
    "size": "cardinality", "startswith": "starts_with", "str_to_date": "date_parse", "strftime": "date_format",
    "string_agg": "listagg", "strptime": "date_parse", "to_char": "date_format", "to_date": "date_parse",
    "to_timestamp": "date_parse", "ucase": "upper", "unix_timestamp": "to_unixtime", "weekday": "day_of_week",
}  # fmt: skip
TYPES_ELSEWHERE = {
    "blob": "varbinary", "bool": "boolean", "bytes": "varbinary", "datetime": "timestamp", "float64": "double",
    "int64": "bigint", "nvarchar": "varchar", "number": "decimal", "numeric": "decimal", "str": "varchar",
    "string": "varchar", "text": "varchar",
}  # fmt: skip
MOST_COMPARED = 400  # names that one name is compared with


def did_you_mean(name: str, known: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """What to add to a refusal: what another dialect's name is called here, or the nearest known name."""
    if elsewhere and name.lower() in elsewhere:
        return f"; did you mean {elsewhere[name.lower()]}?"
    lowered = name.lower()[:100]
    names = list(dict.fromkeys(known))[:MOST_COMPARED]
    found = get_close_matches(lowered, names, 1, 0.6)
    if not found:
        found = [one for one in names if len(lowered) > 2 and (lowered in one or (one in lowered and len(one) > 3))][:1]
    return f"; did you mean {found[0]}?" if found else ""
