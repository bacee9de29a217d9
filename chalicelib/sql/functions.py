"""The functions that a query may call, each with its signature and its rendering in DuckDB.

One line a form: ``name(types) -> type := template``. A capital letter is a type variable (``N`` numeric, ``I``
integral, ``O`` orderable, ``E`` comparable, others anything); ``X=>Y`` is a lambda; ``...`` repeats the last argument.
In a template ``{0}`` is an argument, ``{0.local}`` the wall clock of a date or timestamp, ``{all}`` every argument,
and ``error('why')`` fails the query where it is reached.
What is not listed here, or in ``special.py``, is refused by name. Semantics: https://trino.io/docs/current/functions.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from chalicelib.sql.values import fail_when

SCALAR = r"""
abs(N) -> N := abs({0})
sign(N) -> N := CAST(sign({0}) AS {0.type.duckdb})
mod(I, I) -> I := ({0} % {1})
mod(double, double) -> double := ({0} % {1})
sqrt(double) -> double := CASE WHEN {0} < 0 THEN 'nan'::DOUBLE ELSE sqrt({0}) END
cbrt(double) -> double := cbrt({0})
exp(double) -> double := exp({0})
ln(double) -> double := CASE WHEN {0} > 0 THEN ln({0}) WHEN {0} = 0 THEN '-inf'::DOUBLE WHEN {0} < 0 THEN 'nan'::DOUBLE END
log2(double) -> double := CASE WHEN {0} > 0 THEN log2({0}) WHEN {0} = 0 THEN '-inf'::DOUBLE WHEN {0} < 0 THEN 'nan'::DOUBLE END
log10(double) -> double := CASE WHEN {0} > 0 THEN log10({0}) WHEN {0} = 0 THEN '-inf'::DOUBLE WHEN {0} < 0 THEN 'nan'::DOUBLE END
log(double, double) -> double := CASE WHEN {0} <= 0 OR {1} <= 0 THEN error('log of a number that is not positive') WHEN {0} > 0 AND {1} > 0 THEN ln({1}) / ln({0}) END
power(double, double) -> double := power({0}, {1})
pow(double, double) -> double := power({0}, {1})
pi() -> double := pi()
e() -> double := exp(1e0)
nan() -> double := 'nan'::DOUBLE
infinity() -> double := 'inf'::DOUBLE
is_nan(double) -> boolean := isnan({0})
is_finite(double) -> boolean := isfinite({0})
is_infinite(double) -> boolean := isinf({0})
degrees(double) -> double := degrees({0})
radians(double) -> double := radians({0})
sin(double) -> double := sin({0})
cos(double) -> double := cos({0})
tan(double) -> double := tan({0})
asin(double) -> double := CASE WHEN abs({0}) > 1 THEN 'nan'::DOUBLE ELSE asin({0}) END
acos(double) -> double := CASE WHEN abs({0}) > 1 THEN 'nan'::DOUBLE ELSE acos({0}) END
atan(double) -> double := atan({0})
atan2(double, double) -> double := atan2({0}, {1})
sinh(double) -> double := sinh({0})
cosh(double) -> double := cosh({0})
tanh(double) -> double := tanh({0})
truncate(double) -> double := trunc({0})
width_bucket(double, double, double, bigint) -> bigint := CASE WHEN {3} < 1 THEN error('bucketCount must be greater than 0') WHEN {1} < {2} AND {0} < {1} THEN 0 WHEN {1} < {2} AND {0} >= {2} THEN {3} + 1 WHEN {1} < {2} THEN CAST(floor({3} * ({0} - {1}) / ({2} - {1})) AS BIGINT) + 1 WHEN {1} > {2} AND {0} > {1} THEN 0 WHEN {1} > {2} AND {0} <= {2} THEN {3} + 1 WHEN {1} > {2} THEN CAST(floor({3} * ({1} - {0}) / ({1} - {2})) AS BIGINT) + 1 WHEN {1} = {2} THEN error('bounds cannot equal each other') END
bitwise_and(bigint, bigint) -> bigint := ({0} & {1})
bitwise_or(bigint, bigint) -> bigint := ({0} | {1})
bitwise_xor(bigint, bigint) -> bigint := xor({0}, {1})
bitwise_not(bigint) -> bigint := (~{0})
random() -> double := random()
rand() -> double := random()

length(varchar) -> bigint := length({0})
length(varbinary) -> bigint := octet_length({0})
lower(varchar) -> varchar := lower({0})
upper(varchar) -> varchar := upper({0})
reverse(varchar) -> varchar := reverse({0})
trim(varchar) -> varchar := trim({0}, E' \t\n\x0b\x0c\r')
ltrim(varchar) -> varchar := ltrim({0}, E' \t\n\x0b\x0c\r')
rtrim(varchar) -> varchar := rtrim({0}, E' \t\n\x0b\x0c\r')
replace(varchar, varchar) -> varchar := replace({0}, {1}, '')
replace(varchar, varchar, varchar) -> varchar := CASE WHEN {1} = '' AND {2} <> '' THEN error('replace of an empty string') ELSE replace({0}, {1}, {2}) END
translate(varchar, varchar, varchar) -> varchar := translate({0}, {1}, {2})
substr(varchar, bigint) -> varchar := CASE WHEN {1} = 0 OR {1} < -length({0}) THEN '' ELSE substr({0}, {1}) END
substr(varchar, bigint, bigint) -> varchar := CASE WHEN {1} = 0 OR {1} < -length({0}) OR {2} <= 0 THEN '' ELSE substr({0}, {1}, {2}) END
substring(varchar, bigint) -> varchar := CASE WHEN {1} = 0 OR {1} < -length({0}) THEN '' ELSE substr({0}, {1}) END
substring(varchar, bigint, bigint) -> varchar := CASE WHEN {1} = 0 OR {1} < -length({0}) OR {2} <= 0 THEN '' ELSE substr({0}, {1}, {2}) END
lpad(varchar, bigint, varchar) -> varchar := CASE WHEN {1} < 0 OR {1} > 1000000 THEN error('Target length must be in the range [0..1000000]') WHEN {2} = '' THEN error('Padding string must not be empty') ELSE lpad({0}, CAST(least({1}, 1000000) AS INTEGER), {2}) END
rpad(varchar, bigint, varchar) -> varchar := CASE WHEN {1} < 0 OR {1} > 1000000 THEN error('Target length must be in the range [0..1000000]') WHEN {2} = '' THEN error('Padding string must not be empty') ELSE rpad({0}, CAST(least({1}, 1000000) AS INTEGER), {2}) END
strpos(varchar, varchar) -> bigint := CASE WHEN {1} = '' THEN 1 ELSE instr({0}, {1}) END
starts_with(varchar, varchar) -> boolean := starts_with({0}, {1})
split(varchar, varchar) -> array(varchar) := CASE WHEN {1} = '' THEN error('The delimiter may not be the empty string') ELSE string_split({0}, {1}) END
split_part(varchar, varchar, bigint) -> varchar := CASE WHEN {2} < 1 THEN error('Index must be greater than zero') WHEN {1} = '' THEN error('The delimiter may not be the empty string') ELSE list_extract(string_split({0}, {1}), {2}) END
concat_ws(varchar, varchar...) -> varchar := CASE WHEN {0} IS NOT NULL THEN concat_ws({all}) END
chr(bigint) -> varchar := chr(CAST({0} AS INTEGER))
codepoint(varchar) -> integer := CASE WHEN length({0}) <> 1 THEN error('codepoint takes one character') ELSE unicode({0}) END
levenshtein_distance(varchar, varchar) -> bigint := CAST(levenshtein({0}, {1}) AS BIGINT)
hamming_distance(varchar, varchar) -> bigint := CASE WHEN length({0}) <> length({1}) THEN error('The input strings to hamming_distance function must have the same length') ELSE CAST(hamming({0}, {1}) AS BIGINT) END
to_utf8(varchar) -> varbinary := encode({0})
from_utf8(varbinary) -> varchar := decode({0})
to_hex(varbinary) -> varchar := hex({0})
from_hex(varchar) -> varbinary := unhex({0})
to_base64(varbinary) -> varchar := to_base64({0})
from_base64(varchar) -> varbinary := from_base64({0})
md5(varbinary) -> varbinary := unhex(md5({0}))
sha1(varbinary) -> varbinary := unhex(sha1({0}))
sha256(varbinary) -> varbinary := unhex(sha256({0}))

year(date) -> bigint := year({0})
year(timestamp) -> bigint := year({0})
year(timestamptz) -> bigint := year({0.local})
quarter(date) -> bigint := quarter({0})
quarter(timestamp) -> bigint := quarter({0})
quarter(timestamptz) -> bigint := quarter({0.local})
month(date) -> bigint := month({0})
month(timestamp) -> bigint := month({0})
month(timestamptz) -> bigint := month({0.local})
week(date) -> bigint := week({0})
week(timestamp) -> bigint := week({0})
week(timestamptz) -> bigint := week({0.local})
day(date) -> bigint := day({0})
day(timestamp) -> bigint := day({0})
day(timestamptz) -> bigint := day({0.local})
day_of_week(date) -> bigint := isodow({0})
day_of_week(timestamp) -> bigint := isodow({0})
day_of_week(timestamptz) -> bigint := isodow({0.local})
day_of_year(date) -> bigint := dayofyear({0})
day_of_year(timestamp) -> bigint := dayofyear({0})
day_of_year(timestamptz) -> bigint := dayofyear({0.local})
year_of_week(date) -> bigint := isoyear({0})
year_of_week(timestamp) -> bigint := isoyear({0})
year_of_week(timestamptz) -> bigint := isoyear({0.local})
hour(timestamp) -> bigint := hour({0})
hour(timestamptz) -> bigint := hour({0.local})
minute(timestamp) -> bigint := minute({0})
minute(timestamptz) -> bigint := minute({0.local})
second(timestamp) -> bigint := second({0})
second(timestamptz) -> bigint := second({0.utc})
millisecond(timestamp) -> bigint := (millisecond({0}) % 1000)
millisecond(timestamptz) -> bigint := (millisecond({0.utc}) % 1000)
last_day_of_month(date) -> date := last_day({0})
last_day_of_month(timestamp) -> date := last_day({0})
last_day_of_month(timestamptz) -> date := last_day({0.local})
date(varchar) -> date := cast
date(timestamp) -> date := CAST({0} AS DATE)
date(timestamptz) -> date := CAST({0.local} AS DATE)
date(date) -> date := {0}
to_unixtime(timestamp) -> double := (epoch_us({0}) / 1e6)
to_unixtime(timestamptz) -> double := (epoch_us({0.utc}) / 1e6)
to_milliseconds(interval_day) -> bigint := CAST(round(epoch({0}) * 1000) AS BIGINT)
from_iso8601_date(varchar) -> date := CASE WHEN NOT regexp_full_match({0}, '\d{{4}}-\d{{2}}-\d{{2}}') THEN error('not an ISO 8601 date: ' || {0}) ELSE CAST({0} AS DATE) END
to_iso8601(date) -> varchar := CAST({0} AS VARCHAR)
to_iso8601(timestamp) -> varchar := strftime({0}, '%Y-%m-%dT%H:%M:%S.%g')
current_timezone() -> varchar := 'UTC'

cardinality(array(T)) -> bigint := len({0})
cardinality(map(K, V)) -> bigint := CAST(cardinality({0}) AS BIGINT)
element_at(array(T), bigint) -> T := CASE WHEN {1} = 0 THEN error('SQL array indices start at 1') ELSE list_extract({0}, {1}) END
contains(array(E), E) -> boolean := CASE WHEN {0} IS NULL OR {1} IS NULL THEN NULL WHEN list_contains({0}, {1}) THEN true WHEN len({0}) > list_count({0}) THEN NULL ELSE false END
array_distinct(array(E)) -> array(E) := list_filter({0}, lambda element, place: CASE WHEN element IS NULL THEN len(list_filter({0}[1:place], lambda other: other IS NULL)) = 1 ELSE list_position({0}, element) = place END)
array_sort(array(O)) -> array(O) := list_sort({0}, 'ASC', 'NULLS LAST')
array_max(array(O)) -> O := CASE WHEN len({0}) = list_count({0}) THEN list_max({0}) END
array_min(array(O)) -> O := CASE WHEN len({0}) = list_count({0}) THEN list_min({0}) END
array_join(array(varchar), varchar) -> varchar := array_to_string({0}, {1})
array_join(array(varchar), varchar, varchar) -> varchar := array_to_string(list_transform({0}, lambda element: coalesce(element, {2})), {1})
array_join(array(bigint), varchar) -> varchar := array_to_string(list_transform({0}, lambda element: CAST(element AS VARCHAR)), {1})
array_position(array(E), E) -> bigint := CASE WHEN {0} IS NULL OR {1} IS NULL THEN NULL ELSE CAST(coalesce(list_position({0}, {1}), 0) AS BIGINT) END
array_remove(array(E), E) -> array(E) := CASE WHEN {1} IS NOT NULL THEN list_filter({0}, lambda element: element IS NULL OR element <> {1}) END
arrays_overlap(array(E), array(E)) -> boolean := CASE WHEN list_has_any({0}, {1}) THEN true WHEN len({0}) = 0 OR len({1}) = 0 THEN false WHEN len({0}) > list_count({0}) OR len({1}) > list_count({1}) THEN NULL WHEN {0} IS NULL OR {1} IS NULL THEN NULL ELSE false END
reverse(array(T)) -> array(T) := list_reverse({0})
flatten(array(array(T))) -> array(T) := flatten({0})
slice(array(T), bigint, bigint) -> array(T) := CASE WHEN {1} = 0 THEN error('SQL array indices start at 1') WHEN {2} < 0 THEN error('length must be greater than or equal to 0') WHEN {1} < -len({0}) OR {1} > len({0}) OR {2} = 0 THEN {0}[1:0] WHEN {1} > 0 THEN {0}[{1}:{1} + {2} - 1] ELSE {0}[len({0}) + {1} + 1:len({0}) + {1} + {2}] END
sequence(bigint, bigint) -> array(bigint) := CASE WHEN abs({1} - {0}) >= 10000 THEN error('result of sequence function must not have more than 10000 entries') ELSE generate_series({0}, greatest(least({1}, {0} + 10000), {0} - 10000), CASE WHEN {1} >= {0} THEN 1 ELSE -1 END) END
sequence(bigint, bigint, bigint) -> array(bigint) := CASE WHEN {2} = 0 THEN error('interval must not be zero') WHEN ({2} > 0) <> ({1} >= {0}) AND {1} <> {0} THEN error('sequence stop value should be greater than or equal to start value if step is greater than zero otherwise stop should be less than or equal to start') WHEN abs(({1} - {0}) // {2}) >= 10000 THEN error('result of sequence function must not have more than 10000 entries') ELSE generate_series({0}, greatest(least({1}, {0} + 10000 * abs({2})), {0} - 10000 * abs({2})), {2}) END
sequence(date, date) -> array(date) := CASE WHEN abs({1} - {0}) >= 10000 THEN error('result of sequence function must not have more than 10000 entries') ELSE list_transform(generate_series(CAST({0} AS TIMESTAMP), CAST(greatest(least({1}, {0} + 10000), {0} - 10000) AS TIMESTAMP), CASE WHEN {1} >= {0} THEN INTERVAL 1 DAY ELSE INTERVAL (-1) DAY END), lambda element: CAST(element AS DATE)) END
sequence(date, date, interval_day) -> array(date) := CASE WHEN abs({1} - {0}) >= 10000 THEN error('result of sequence function must not have more than 10000 entries') WHEN {2} < INTERVAL 1 DAY THEN error('sequence step must be a day interval of at least one day if start and end values are dates') ELSE list_transform(generate_series(CAST({0} AS TIMESTAMP), CAST(greatest(least({1}, {0} + 300000), {0} - 300000) AS TIMESTAMP), {2}), lambda element: CAST(element AS DATE)) END
sequence(date, date, interval_month) -> array(date) := CASE WHEN abs({1} - {0}) >= 300000 THEN error('result of sequence function must not have more than 10000 entries') ELSE list_transform(generate_series(CAST({0} AS TIMESTAMP), CAST(greatest(least({1}, {0} + 300000), {0} - 300000) AS TIMESTAMP), {2}), lambda element: CAST(element AS DATE)) END
sequence(timestamp, timestamp, interval_day) -> array(timestamp) := CASE WHEN abs(epoch({1} - {0}) / epoch({2})) >= 10000 THEN error('result of sequence function must not have more than 10000 entries') ELSE generate_series({0}, greatest(least({1}, {0} + 10000 * {2}), {0} - 10000 * {2}), {2}) END
sequence(timestamp, timestamp, interval_month) -> array(timestamp) := CASE WHEN abs(epoch({1} - {0})) >= 300000 * 86400 THEN error('result of sequence function must not have more than 10000 entries') ELSE generate_series({0}, greatest(least({1}, {0} + to_days(300000)), {0} - to_days(300000)), {2}) END
repeat(T, bigint) -> array(T) := CASE WHEN {1} > 10000 THEN error('count argument of repeat function must be less than or equal to 10000') WHEN {1} < 0 THEN error('count argument of repeat function must be greater than or equal to 0') WHEN {1} IS NOT NULL THEN list_transform(range(least({1}, 10000)), lambda element: {0}) END
filter(array(T), T=>boolean) -> array(T) := list_filter({0}, {1})
transform(array(T), T=>U) -> array(U) := list_transform({0}, {1})
any_match(array(T), T=>boolean) -> boolean := list_bool_or(list_transform({0}, {1}))
all_match(array(T), T=>boolean) -> boolean := list_bool_and(list_transform({0}, {1}))

map(array(K), array(V)) -> map(K, V) := CASE WHEN len({0}) <> len({1}) THEN error('Key and value arrays must be the same length') ELSE map({0}, {1}) END
map_keys(map(K, V)) -> array(K) := map_keys({0})
map_values(map(K, V)) -> array(V) := map_values({0})
element_at(map(K, V), K) -> V := element_at({0}, {1})
"""

AGGREGATE = r"""
count(*) -> bigint := count(*)
count(T) -> bigint := count({0})
count_if(boolean) -> bigint := count_if({0}) := CAST({} AS BIGINT)
sum(double) -> double := sum({0})
sum(real) -> real := sum({0}) := CAST({} AS FLOAT)
sum(bigint) -> bigint := sum({0}) := CAST({} AS BIGINT)
avg(double) -> double := avg({0})
avg(bigint) -> double := avg({0})
avg(real) -> real := avg({0}) := CAST({} AS FLOAT)
min(O) -> O := min({0})
max(O) -> O := max({0})
arbitrary(T) -> T := any_value({0})
any_value(T) -> T := any_value({0})
array_agg(T) -> array(T) := list({0})
bool_and(boolean) -> boolean := bool_and({0})
every(boolean) -> boolean := bool_and({0})
bool_or(boolean) -> boolean := bool_or({0})
max_by(T, O) -> T := arg_max_null({0}, {1.compared})
min_by(T, O) -> T := arg_min_null({0}, {1.compared})
approx_distinct(E) -> bigint := count(DISTINCT {0})
approx_distinct(E, double) -> bigint := count(DISTINCT {0})
stddev(double) -> double := stddev_samp({0})
stddev_samp(double) -> double := stddev_samp({0})
stddev_pop(double) -> double := stddev_pop({0})
variance(double) -> double := var_samp({0})
var_samp(double) -> double := var_samp({0})
var_pop(double) -> double := var_pop({0})
corr(double, double) -> double := corr({0}, {1})
covar_samp(double, double) -> double := covar_samp({0}, {1})
covar_pop(double, double) -> double := covar_pop({0}, {1})
regr_slope(double, double) -> double := regr_slope({0}, {1})
regr_intercept(double, double) -> double := regr_intercept({0}, {1})
geometric_mean(double) -> double := avg(ln({0})) := exp({})
histogram(E) -> map(E, bigint) := histogram({0}) := CAST({} AS MAP({0.type.duckdb}, BIGINT))
map_agg(K, V) -> map(K, V) := list({{'key': {0}, 'value': {1}}}) := map_from_entries({})
"""

WINDOW = r"""
row_number() -> bigint := row_number()
rank() -> bigint := rank()
dense_rank() -> bigint := dense_rank()
percent_rank() -> double := percent_rank()
cume_dist() -> double := cume_dist()
ntile(bigint) -> bigint := ntile({0})
first_value(T) -> T := first_value({0})
last_value(T) -> T := last_value({0})
nth_value(T, bigint) -> T := nth_value({0}, {1})
lag(T) -> T := lag({0})
lag(T, bigint) -> T := lag({0}, {1})
lag(T, bigint, T) -> T := lag({0}, {1}, {2})
lead(T) -> T := lead({0})
lead(T, bigint) -> T := lead({0}, {1})
lead(T, bigint, T) -> T := lead({0}, {1}, {2})
"""

SAME_AS = {
    "ceiling": "ceil",
    "week_of_year": "week",
    "day_of_month": "day",
    "dow": "day_of_week",
    "doy": "day_of_year",
    "yow": "year_of_week",
    "char_length": "length",
}
VOLATILE = frozenset({"random", "rand", "now", "shuffle", "uuid"})


@dataclass(frozen=True, slots=True)
class Form:
    """One signature of a function; ``after`` wraps the call once FILTER and OVER have been put to it."""

    name: str
    parameters: tuple[str, ...]
    returns: str
    template: str
    after: str = ""
    repeats: bool = False
    kind: str = field(default="scalar")


FAILURE = re.compile(r"WHEN ((?:(?! THEN ).)*) THEN error\(('(?:[^']|'')*'(?: \|\| \{0\})?)\)")


def failing(found: re.Match[str]) -> str:
    return fail_when(found[1], found[2])


@cache
def forms() -> dict[str, list[Form]]:
    """Every function's forms, in the order in which they are tried."""
    found: dict[str, list[Form]] = {}
    for kind, declared in (("scalar", SCALAR), ("aggregate", AGGREGATE), ("window", WINDOW)):
        for line in declared.splitlines():
            if line.strip():
                form = read(line, kind)
                found.setdefault(form.name, []).append(form)
    return found


def read(line: str, kind: str) -> Form:
    signature, template, *after = FAILURE.sub(failing, line).split(" := ")
    match = re.fullmatch(r"(\w+)\((.*)\) -> (.*)", signature)
    if not match:
        raise ValueError(f"not a function's declaration: {line}")
    parameters = split_types(match[2])
    repeats = bool(parameters) and parameters[-1].endswith("...")
    if repeats:
        parameters[-1] = parameters[-1].removesuffix("...")
    return Form(match[1], tuple(parameters), match[3], template, after[0] if after else "", repeats, kind)


def split_types(text: str) -> list[str]:
    """``array(T), T=>U`` at its outermost commas."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]
