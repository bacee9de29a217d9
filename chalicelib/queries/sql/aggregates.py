"""Aggregate and window functions: the calls of DuckDB that each is, and what wraps them."""

# ruff: noqa: E501  (a template a line reads as a table)

from __future__ import annotations

from chalicelib.queries.sql.forms import Aggregate
from chalicelib.queries.sql.map_entries import EVERY, FIRST, by_key

A = Aggregate
NUMBER = "CASE WHEN NOT isnan({0}) THEN {0} END"
ENTRY = "CASE WHEN {0} IS NOT NULL THEN {{'key': {0}, 'value': {1}}} END"
ENTRIES = "list_filter({0}, lambda e: e IS NOT NULL)"


def map_of(entries: str, value: str) -> str:
    """A map of the entries; null where there are none."""
    return f"CASE WHEN len({entries}) > 0 THEN {by_key(entries, value)} END"


ALL_ENTRIES = "flatten(list_filter({0}, lambda e: e IS NOT NULL))"
NAN_LAST = "CASE WHEN {1} IS NOT NULL THEN {{'n': NOT isnan({1}), 'v': {1}}} END"  # of the greatest
NAN_FIRST = "CASE WHEN {1} IS NOT NULL THEN {{'n': isnan({1}), 'v': {1}}} END"
DEFINED = "CASE WHEN NOT isnan({0}) THEN {0} END"


def without_nan(function: str) -> Aggregate:
    return A(function, NUMBER, "coalesce({0}, {1})", ((function, "{0}"),))


AGGREGATES: dict[str, Aggregate] = {
    "count(T) -> bigint": A("count", "{0}"),
    "count_if(boolean) -> bigint": A("count", "CASE WHEN {0} THEN true END"),
    "sum(double) -> double": A("sum", "{0}"),
    "sum(real) -> real": A("sum", "{0}", "CAST({0} AS FLOAT)"),
    "sum(bigint) -> bigint": A("sum", "{0}", "CAST({0} AS BIGINT)"),
    "sum(interval_day) -> interval_day": A("sum", "CAST(round(epoch({0}) * 1000) AS BIGINT)", "to_milliseconds(CAST({0} AS BIGINT))"),
    "avg(double) -> double": A("avg", "{0}"),
    "avg(bigint) -> double": A("avg", "CAST({0} AS DOUBLE)"),
    "avg(real) -> real": A("avg", "{0}", "CAST({0} AS FLOAT)"),
    "avg(interval_day) -> interval_day": A("avg", "CAST(round(epoch({0}) * 1000) AS BIGINT)", "to_milliseconds(CAST({0} AS BIGINT))"),
    "min(double) -> double": without_nan("min"),
    "min(real) -> real": without_nan("min"),
    "min(timestamptz) -> timestamptz": A("arg_min", "{0}, {0.compared}"),
    "min(O) -> O": A("min", "{0}"),
    "max(double) -> double": without_nan("max"),
    "max(real) -> real": without_nan("max"),
    "max(timestamptz) -> timestamptz": A("arg_max", "{0}, {0.compared}"),
    "max(O) -> O": A("max", "{0}"),
    "max(double, bigint) -> array(double)": A("max", NUMBER + ", {1}"),
    "max(real, bigint) -> array(real)": A("max", NUMBER + ", {1}"),
    "min(double, bigint) -> array(double)": A("min", NUMBER + ", {1}"),
    "min(real, bigint) -> array(real)": A("min", NUMBER + ", {1}"),
    "min(O, bigint) -> array(O)": A("min", "{0}, {1}"),
    "max(O, bigint) -> array(O)": A("max", "{0}, {1}"),
    "arbitrary(T) -> T": A("any_value", "{0}"),
    "any_value(T) -> T": A("any_value", "{0}"),
    "array_agg(T) -> array(T)": A("list", "{0}"),
    "bool_and(boolean) -> boolean": A("bool_and", "{0}"),
    "every(boolean) -> boolean": A("bool_and", "{0}"),
    "bool_or(boolean) -> boolean": A("bool_or", "{0}"),
    "max_by(T, double) -> T": A("arg_max_null", f"{{0}}, {NAN_LAST}"),
    "min_by(T, double) -> T": A("arg_min_null", f"{{0}}, {NAN_FIRST}"),
    "max_by(T, real) -> T": A("arg_max_null", f"{{0}}, {NAN_LAST}"),
    "min_by(T, real) -> T": A("arg_min_null", f"{{0}}, {NAN_FIRST}"),
    "max_by(T, O) -> T": A("arg_max_null", "{0}, {1.compared}"),
    "min_by(T, O) -> T": A("arg_min_null", "{0}, {1.compared}"),
    "max_by(T, O, bigint) -> array(T)": A("arg_max", "{{'v': {0}}}, {1.compared}, {2}", "list_transform({0}, lambda e: e.v)"),
    "min_by(T, O, bigint) -> array(T)": A("arg_min", "{{'v': {0}}}, {1.compared}, {2}", "list_transform({0}, lambda e: e.v)"),
    "approx_distinct(E) -> bigint": A("count", "{0.compared}", distinct=True),
    "approx_distinct(E, double) -> bigint": A("count", "{0.compared}", distinct=True),
    "stddev(double) -> double": A("stddev_samp", "{0}"),
    "stddev_samp(double) -> double": A("stddev_samp", "{0}"),
    "stddev_pop(double) -> double": A("stddev_pop", "{0}"),
    "variance(double) -> double": A("var_samp", "{0}"),
    "var_samp(double) -> double": A("var_samp", "{0}"),
    "var_pop(double) -> double": A("var_pop", "{0}"),
    "skewness(double) -> double": A(  # Trino's is the population's
        "skewness", "{0}", "CASE WHEN {1} >= 3 THEN {0} * ({1} - 2) / sqrt({1} * ({1} - 1)) END", (("count", "{0}"),)
    ),
    "kurtosis(double) -> double": A("kurtosis", "{0}"),
    "corr(real, real) -> real": A("corr", "{0}, {1}", f"CAST({DEFINED} AS FLOAT)"),
    "covar_samp(real, real) -> real": A("covar_samp", "{0}, {1}", "CAST({0} AS FLOAT)"),
    "covar_pop(real, real) -> real": A("covar_pop", "{0}, {1}", "CAST({0} AS FLOAT)"),
    "regr_slope(real, real) -> real": A("regr_slope", "{0}, {1}", f"CAST({DEFINED} AS FLOAT)"),
    "regr_intercept(real, real) -> real": A("regr_intercept", "{0}, {1}", f"CAST({DEFINED} AS FLOAT)"),
    "corr(double, double) -> double": A("corr", "{0}, {1}", DEFINED),
    "covar_samp(double, double) -> double": A("covar_samp", "{0}, {1}"),
    "covar_pop(double, double) -> double": A("covar_pop", "{0}, {1}"),
    "regr_slope(double, double) -> double": A("regr_slope", "{0}, {1}", DEFINED),
    "regr_intercept(double, double) -> double": A("regr_intercept", "{0}, {1}", DEFINED),
    "geometric_mean(double) -> double": A("avg", "ln({0})", "exp({0})"),
    "histogram(E) -> map(E, bigint)": A("histogram", "{0}", "CAST({0} AS {type})"),
    "map_agg(K, V) -> map(K, V)": A("list", ENTRY, map_of(ENTRIES, FIRST)),
    "multimap_agg(K, V) -> map(K, array(V))": A("list", ENTRY, map_of(ENTRIES, EVERY)),
    "map_union(map(K, V)) -> map(K, V)": A("list", "map_entries({0})", map_of(ALL_ENTRIES, FIRST)),
    "bitwise_and_agg(bigint) -> bigint": A("bit_and", "{0}"),
    "bitwise_or_agg(bigint) -> bigint": A("bit_or", "{0}"),
    "bitwise_xor_agg(bigint) -> bigint": A("bit_xor", "{0}"),
}  # fmt: skip
WINDOWS: dict[str, Aggregate] = {
    "row_number() -> bigint": A("row_number"),
    "rank() -> bigint": A("rank"),
    "dense_rank() -> bigint": A("dense_rank"),
    "percent_rank() -> double": A("percent_rank"),
    "cume_dist() -> double": A("cume_dist"),
    "ntile(bigint) -> bigint": A("ntile", "{0}"),
    "first_value(T) -> T": A("first_value", "{0}"),
    "last_value(T) -> T": A("last_value", "{0}"),
    "nth_value(T, bigint) -> T": A("nth_value", "{0}, {1}"),
    "lag(T) -> T": A("lag", "{0}"),
    "lag(T, bigint) -> T": A("lag", "{0}, {1}"),
    "lag(T, bigint, T) -> T": A("lag", "{0}, {1}, {2}"),
    "lead(T) -> T": A("lead", "{0}"),
    "lead(T, bigint) -> T": A("lead", "{0}, {1}"),
    "lead(T, bigint, T) -> T": A("lead", "{0}, {1}, {2}"),
}
