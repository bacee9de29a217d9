"""Functions of arrays and maps, those that take lambdas included."""

# ruff: noqa: E501  (a template a line reads as a table)

from __future__ import annotations

from collections.abc import Callable, Sequence

from chalicelib.queries.sql.casts import text_of
from chalicelib.queries.sql.comparison import all_true, any_true, equal
from chalicelib.queries.sql.forms import want
from chalicelib.queries.sql.map_entries import COUNT, EVERY, by_key
from chalicelib.queries.sql.times import LONGEST_SEQUENCE
from chalicelib.queries.sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    TIMESTAMP,
    UNKNOWN,
    VARCHAR,
    Type,
    array,
    common,
    map_of,
    text,
)
from chalicelib.queries.sql.values import Refused, Value, coerce, fail_when, once

SAME_LENGTH = text("Key and value arrays must be the same length")
FROM_ONE = text("SQL array indices start at 1")
TOO_MANY = text(LONGEST_SEQUENCE)
STEP_ZERO = fail_when("{2} = 0", text("interval must not be zero"))
WRONG_WAY = text(
    "sequence stop value should be greater than or equal to start value if step is greater than zero otherwise stop"
    " should be less than or equal to start"
)
NAN = "'nan'::DOUBLE"  # which comes back of a function in Python as null
NULL_KEY = text("map key cannot be null")


def zipped(length: int) -> str:
    """``zip`` of so many arrays: rows of what stands at one place, null where an array is shorter."""
    missing = " OR ".join(f"{{{at}}} IS NULL" for at in range(length))
    arrays = ", ".join(f"{{{at}}}" for at in range(length))
    cells = ", ".join(f"'f{at}': z[{at}]" for at in range(1, length + 1))
    return f"CASE WHEN {missing} THEN NULL ELSE list_transform(list_zip({arrays}), lambda z: {{{{{cells}}}}}) END"


def of_vectors(function: str) -> str:
    """A measure of two arrays of doubles, null where one of them holds a null."""
    null = "{0} IS NULL OR {1} IS NULL OR len({0}) = len({1}) AND (list_count({0}) < len({0}) OR list_count({1}) < len({1}))"
    return f"CASE WHEN {null} THEN NULL ELSE coalesce({function}({{0}}, {{1}}), {NAN}) END"


def of_points(function: str) -> str:
    """A measure of two arrays of doubles, to which null is 0."""
    one, other = (f"list_transform({part}, lambda e: coalesce(e, 0))" for part in ("{0}", "{1}"))
    return f"CASE WHEN {{0}} IS NULL OR {{1}} IS NULL THEN NULL ELSE coalesce({function}({one}, {other}), {NAN}) END"


def coordinates(one: str) -> str:
    """The values that a map has under the keys of two, 0 where it has none."""
    keys = "list_distinct(map_keys({0}) || map_keys({1}))"
    return f"list_transform(list_sort({keys}), lambda k: coalesce(map_extract_value({one}, k), 0))"


def unique_keys(entries: str) -> str:
    """Entries of a map whose keys must differ and not be null."""
    keys = f"list_transform({entries}, lambda e: e.key)"
    return (
        f"CASE {fail_when(f'list_count({keys}) < len({keys})', NULL_KEY)} "
        f"{fail_when(f'len(list_distinct({keys})) < len({keys})', text('Duplicate keys are not allowed'))} "
        f"ELSE map_from_entries({entries}) END"
    )


SCALARS = {
    "cardinality(array(T)) -> bigint": "len({0})",
    "cardinality(map(K, V)) -> bigint": "CAST(cardinality({0}) AS BIGINT)",
    "element_at(array(T), bigint) -> T": f"CASE {fail_when('{1} = 0', FROM_ONE)} ELSE list_extract({{0}}, {{1}}) END",
    "element_at(map(K, V), K) -> V": "map_extract_value({0}, {1})",
    "array_sort(array(O)) -> array(O)": "list_sort({0}, 'ASC', 'NULLS LAST')",
    "array_join(array(varchar), varchar) -> varchar": (
        f"CASE {fail_when('list_sum(list_transform({0}, lambda element: strlen(element) + strlen({1}))) > 10000000', text('array_join makes too long a text'))} "
        "WHEN {1} IS NULL THEN NULL ELSE coalesce(array_to_string({0}, {1}), CASE WHEN {0} IS NOT NULL THEN '' END) END"
    ),
    "array_join(array(varchar), varchar, varchar) -> varchar": (
        f"CASE {fail_when('list_sum(list_transform({0}, lambda element: strlen(element) + strlen({1}))) > 10000000', text('array_join makes too long a text'))} "
        "ELSE coalesce(array_to_string(list_transform({0}, lambda element: coalesce(element, {2})), {1}), CASE WHEN {0} IS NOT NULL THEN '' END) END"
    ),
    "flatten(array(array(T))) -> array(T)": (
        f"CASE {fail_when('list_sum(list_transform({0}, lambda element: len(element))) > 1000000', text('flatten makes too long an array'))} ELSE flatten({{0}}) END"
    ),
    "reverse(array(T)) -> array(T)": "list_reverse({0})",
    "shuffle(array(T)) -> array(T)": "list_transform(list_sort(list_transform({0}, lambda e: {{'r': random(), 'e': e}})), lambda e: e.e)",
    "slice(array(T), bigint, bigint) -> array(T)": (
        f"CASE {fail_when('{1} = 0', FROM_ONE)} {fail_when('{2} < 0', text('length must be greater than or equal to 0'))} "
        "WHEN {1} < -len({0}) OR {1} > len({0}) OR {2} = 0 THEN {0}[1:0] WHEN {1} > 0 THEN {0}[{1}:least({1} + least({2}, 2000000000) - 1, len({0}))] "
        "ELSE {0}[len({0}) + {1} + 1:least(len({0}) + {1} + least({2}, 2000000000), len({0}))] END"
    ),
    "trim_array(array(T), bigint) -> array(T)": (
        f"CASE {fail_when('{1} < 0', text('size must not be negative'))} {fail_when('{1} > len({0})', text('size must not exceed array cardinality'))} "
        "ELSE {0}[1:len({0}) - {1}] END"
    ),
    "sequence(bigint, bigint) -> array(bigint)": (
        f"CASE WHEN {{0}} IS NULL OR {{1}} IS NULL THEN NULL {fail_when('abs(CAST({1} AS HUGEINT) - {0}) >= 10000', TOO_MANY)} ELSE "
        "generate_series({0}, greatest(least(CAST({1} AS HUGEINT), CAST({0} AS HUGEINT) + 10000), CAST({0} AS HUGEINT) - 10000)::BIGINT, CASE WHEN {1} >= {0} THEN 1 ELSE -1 END) END"
    ),
    "sequence(bigint, bigint, bigint) -> array(bigint)": (
        f"CASE WHEN {{0}} IS NULL OR {{1}} IS NULL OR {{2}} IS NULL THEN NULL {STEP_ZERO} {fail_when('({2} > 0) <> ({1} >= {0}) AND {1} <> {0}', WRONG_WAY)} "
        f"{fail_when('abs((CAST({1} AS HUGEINT) - {0}) // {2}) >= 10000', TOO_MANY)} ELSE list_transform(range(least(abs((CAST({{1}} AS HUGEINT) - {{0}}) // {{2}}), 10000)::BIGINT + 1), lambda i: CAST({{0}} + CAST(i AS HUGEINT) * {{2}} AS BIGINT)) END"
    ),
    "sequence(date, date) -> array(date)": (
        f"CASE WHEN {{0}} IS NULL OR {{1}} IS NULL THEN NULL {fail_when('abs({1} - {0}) >= 10000', TOO_MANY)} ELSE "
        "list_transform(range(least(abs({1} - {0}), 10000) + 1), lambda i: {0} + CAST(CASE WHEN {1} >= {0} THEN i ELSE -i END AS INTEGER)) END"
    ),
    "repeat(T, bigint) -> array(T)": (
        f"CASE {fail_when('{1} > 10000', text('count argument of repeat function must be less than or equal to 10000'))} "
        f"{fail_when('{1} < 0', text('count argument of repeat function must be greater than or equal to 0'))} "
        f"{fail_when('strlen(CAST({0} AS VARCHAR)) * {1} > 1000000', text('repeat makes too long an array'))} "
        "WHEN {1} IS NOT NULL THEN list_transform(range(least({1}, 10000)), lambda element: {0}) END"
    ),
    "filter(array(T), T=>boolean) -> array(T)": "list_filter({0}, {1})",
    "transform(array(T), T=>U) -> array(U)": "list_transform({0}, {1})",
    "any_match(array(T), T=>boolean) -> boolean": any_true("list_transform({0}, {1})"),
    "all_match(array(T), T=>boolean) -> boolean": all_true("list_transform({0}, {1})"),
    "none_match(array(T), T=>boolean) -> boolean": f"NOT {any_true('list_transform({0}, {1})')}",
    "map_keys(map(K, V)) -> array(K)": "map_keys({0})",
    "map_values(map(K, V)) -> array(V)": "map_values({0})",
    "map_entries(map(K, V)) -> array(row(K, V))": "list_transform(map_entries({0}), lambda e: {{'f1': e.key, 'f2': e.value}})",
    "map_from_entries(array(row(K, V))) -> map(K, V)": (
        f"CASE {fail_when('list_count({0}) < len({0})', text('map entry cannot be null'))} ELSE "
        + unique_keys("list_transform({0}, lambda e: {{'key': e.f1, 'value': e.f2}})") + " END"
    ),
    "multimap_from_entries(array(row(K, V))) -> map(K, array(V))": (
        f"CASE {fail_when('list_count({0}) < len({0})', text('map entry cannot be null'))} "
        f"{fail_when('list_count(list_transform({0}, lambda e: e.f1)) < len({0})', NULL_KEY)} ELSE "
        + by_key("list_transform({0}, lambda e: {{'key': e.f1, 'value': e.f2}})", EVERY) + " END"
    ),
    "zip(array(T), array(U)) -> array(row(T, U))": zipped(2),
    "zip(array(T), array(U), array(V)) -> array(row(T, U, V))": zipped(3),
    "zip(array(T), array(U), array(V), array(W)) -> array(row(T, U, V, W))": zipped(4),
    "zip(array(T), array(U), array(V), array(W), array(X)) -> array(row(T, U, V, W, X))": zipped(5),
    "combinations(array(T), bigint) -> array(array(T))": (
        "CASE WHEN {0} IS NULL THEN NULL ELSE list_transform(lake_combinations(len({0}), {1}), lambda c: list_transform(c, lambda i: {0}[i])) END"
    ),
    "dot_product(array(double), array(double)) -> double": of_points("lake_dot_product"),
    "euclidean_distance(array(double), array(double)) -> double": of_points("lake_euclidean_distance"),
    "cosine_similarity(array(double), array(double)) -> double": of_vectors("lake_cosine_similarity"),
    "cosine_distance(array(double), array(double)) -> double": f"1 - {of_vectors('lake_cosine_similarity')}",
    "cosine_similarity(map(varchar, double), map(varchar, double)) -> double": (
        "CASE WHEN list_count(map_values({0})) = len(map_values({0})) AND list_count(map_values({1})) = len(map_values({1})) THEN "
        f"coalesce(lake_cosine({coordinates('{0}')}, {coordinates('{1}')}), {NAN}) END"
    ),
    "ngrams(array(T), bigint) -> array(array(T))": (
        f"CASE {fail_when('{1} <= 0', text('N must be positive'))} WHEN len({{0}}) <= {{1}} THEN [{{0}}] "
        "ELSE list_transform(range(len({0}) - {1} + 1), lambda i: {0}[i + 1:i + {1}]) END"
    ),
}  # fmt: skip


def distinct(sql: str) -> str:
    """Each element once, a null too, where it stood first."""
    return (
        f"list_filter({sql}, lambda element, place: CASE WHEN element IS NULL THEN len(list_filter({sql}[1:place], "
        f"lambda other: other IS NULL)) = 1 ELSE list_position({sql}, element) = place END)"
    )


def has(sql: str, element: str) -> str:
    """Whether an array holds an element, or a null where the element is null."""
    return f"CASE WHEN {element} IS NULL THEN len({sql}) > list_count({sql}) ELSE list_contains({sql}, {element}) END"


def arrays_of(arguments: Sequence[Value], least: int, most: int) -> tuple[list[Value], Type]:
    """Arguments that are arrays of one comparable type."""
    want(arguments, least, most)
    kind: Type | None = arguments[0].type
    for at, argument in enumerate(arguments):
        if argument.type.name != "array":
            raise Refused(f"must be an array, not {argument.type}", at)
        kind = common(kind, argument.type) if kind else None
    if kind is None:
        raise Refused(" and ".join(str(argument.type) for argument in arguments) + " do not go together")
    if kind.holds("timestamptz", "map") or not kind.comparable:
        raise Refused(f"of {kind} is not supported")
    return [coerce(argument, kind) for argument in arguments], kind


def array_distinct(arguments: list[Value]) -> Value:
    values, kind = arrays_of(arguments, 1, 1)
    return Value(once(values, lambda one: distinct(one.sql)), kind)


def array_histogram(arguments: list[Value]) -> Value:
    """How often each element comes, nulls left out."""
    values, kind = arrays_of(arguments, 1, 1)
    entries = "list_transform(list_filter({0}, lambda e: e IS NOT NULL), lambda e: {{'key': e, 'value': NULL}})"
    template = f"CASE WHEN {{0}} IS NULL THEN NULL ELSE {by_key(entries, COUNT)} END"
    return Value(once(values, lambda one: template.format(one)), map_of(kind.args[0], BIGINT))


def contains_sequence(arguments: list[Value]) -> Value:
    """Whether an array has the other's elements one after another."""
    values, _ = arrays_of(arguments, 2, 2)

    def make(one: Value, other: Value) -> str:
        starts = f"range(len({one}) - len({other}) + 1)"
        found = f"len(list_filter({starts}, lambda i: {one}[i + 1:i + len({other})] = {other})) > 0"
        return f"CASE WHEN {one} IS NULL OR {other} IS NULL THEN NULL ELSE {found} END"

    return Value(once(values, make), BOOLEAN)


def together(make: Callable[[str, str], str]) -> Callable[[list[Value]], Value]:
    def made(arguments: list[Value]) -> Value:
        values, kind = arrays_of(arguments, 2, 2)
        return Value(once(values, lambda one, other: make(one.sql, other.sql)), kind)

    return made


def union(one: str, other: str) -> str:
    both = once([Value(f"({one} || {other})", array(UNKNOWN))], lambda a: distinct(a.sql), always=True)
    return f"CASE WHEN {one} IS NULL OR {other} IS NULL THEN NULL ELSE {both} END"


def intersection(one: str, other: str) -> str:
    """In the order of the longer, as Trino builds it."""
    left = f"list_filter({distinct(one)}, lambda e: {has(other, 'e')})"
    right = f"list_filter({distinct(other)}, lambda e: {has(one, 'e')})"
    return f"CASE WHEN {one} IS NULL OR {other} IS NULL THEN NULL WHEN len({one}) >= len({other}) THEN {left} ELSE {right} END"


def difference(one: str, other: str) -> str:
    return f"CASE WHEN {other} IS NULL THEN NULL ELSE list_filter({distinct(one)}, lambda e: NOT {has(other, 'e')}) END"


def arrays_overlap(arguments: list[Value]) -> Value:
    values, _ = arrays_of(arguments, 2, 2)

    def make(one: Value, other: Value) -> str:
        return (
            f"CASE WHEN list_has_any({one}, {other}) THEN true WHEN len({one}) = 0 OR len({other}) = 0 THEN false "
            f"WHEN len({one}) > list_count({one}) OR len({other}) > list_count({other}) THEN NULL "
            f"WHEN {one} IS NULL OR {other} IS NULL THEN NULL ELSE false END"
        )

    return Value(once(values, make), BOOLEAN)


def array_and_element(arguments: Sequence[Value]) -> tuple[list[Value], Type]:
    want(arguments, 2)
    values, element = arguments
    if values.type == UNKNOWN:
        values = Value(f"CAST(NULL AS {array(element.type).duckdb})", array(element.type))
    if values.type.name != "array":
        raise Refused(f"must be an array, not {values.type}", 0)
    kind = common(values.type.args[0], element.type)
    if kind is None or not (kind.comparable or kind == UNKNOWN):
        raise Refused(f"{values.type} has no {element.type}", 1)
    if kind.args:
        raise Refused(f"of {values.type} is not supported", 0)
    if kind == UNKNOWN:
        kind = Type("integer")
    return [coerce(values, array(kind)), coerce(element, kind)], kind


def contains(arguments: list[Value]) -> Value:
    values, kind = array_and_element(arguments)

    def make(one: Value, element: Value) -> str:
        if kind.args or kind.approximate or kind.zoned:
            found = any_true(f"list_transform({one}, lambda e: {equal('e', element.sql, kind)})")
            return f"CASE WHEN {element} IS NULL THEN NULL ELSE {found} END"
        return (
            f"CASE WHEN {one} IS NULL OR {element} IS NULL THEN NULL WHEN list_contains({one}, {element}) THEN true "
            f"WHEN len({one}) > list_count({one}) THEN NULL ELSE false END"
        )

    return Value(once(values, make), BOOLEAN)


def array_position(arguments: list[Value]) -> Value:
    values, kind = array_and_element(arguments)

    def make(one: Value, element: Value) -> str:
        place = f"list_position({one}, {element})"
        if kind.args or kind.approximate or kind.zoned:
            place = f"list_position(list_transform({one}, lambda e: {equal('e', element.sql, kind)}), true)"
        return f"CASE WHEN {one} IS NULL OR {element} IS NULL THEN NULL ELSE CAST(coalesce({place}, 0) AS BIGINT) END"

    return Value(once(values, make), BIGINT)


def array_remove(arguments: list[Value]) -> Value:
    values, kind = array_and_element(arguments)

    def make(one: Value, element: Value) -> str:
        kept = f"list_filter({one}, lambda e: e IS NULL OR NOT {equal('e', element.sql, kind)})"
        return f"CASE WHEN {element} IS NOT NULL THEN {kept} END"

    return Value(once(values, make), values[0].type)


def array_extreme(function: str) -> Callable[[list[Value]], Value]:
    """array_max and array_min: null where an element is, and NaN passed over."""

    def made(arguments: list[Value]) -> Value:
        want(arguments, 1)
        kind = arguments[0].type
        if kind.name != "array" or not (kind.args[0].orderable or kind.args[0] == UNKNOWN):
            raise Refused(f"takes an array of what can be ordered, not {kind}", 0)
        element = kind.args[0]
        if element.args or element.zoned:
            raise Refused(f"of {kind} is not supported", 0)

        def make(one: Value) -> str:
            found = f"{function}({one})"
            if element.approximate:
                found = f"coalesce({function}(list_filter({one}, lambda e: NOT isnan(e))), list_extract({one}, 1))"
            return f"CASE WHEN len({one}) = list_count({one}) THEN {found} END"

        return Value(once(arguments, make), element)

    return made


def map_from(arguments: list[Value]) -> Value:
    """``map(keys, values)``."""
    if not arguments:
        return Value("MAP {}", map_of(UNKNOWN, UNKNOWN))
    want(arguments, 2)
    for at, argument in enumerate(arguments):
        if argument.type.name != "array" and argument.type != UNKNOWN:
            raise Refused(f"must be an array, not {argument.type}", at)
    key, item = (argument.type.args[0] if argument.type.args else UNKNOWN for argument in arguments)
    if not key.comparable or key.zoned:
        raise Refused(f"a map with keys of {key} is not supported", 0)
    length = fail_when("len({0}) <> len({1})", SAME_LENGTH)
    null = fail_when("list_count({0}) < len({0})", NULL_KEY)
    twice = fail_when(
        "len(list_distinct({0})) < len({0})", text("Duplicate map keys are not allowed: keys must be unique")
    )
    template = f"CASE {length} {null} {twice} ELSE map({{0}}, {{1}}) END"
    return Value(once(arguments, lambda *parts: template.format(*parts)), map_of(key, item))


def map_concat(arguments: list[Value]) -> Value:
    if len(arguments) < 2:
        raise Refused("takes at least 2 arguments")
    kind: Type | None = arguments[0].type
    for at, argument in enumerate(arguments):
        if argument.type.name != "map":
            raise Refused(f"must be a map, not {argument.type}", at)
        kind = common(kind, argument.type) if kind else None
    if kind is None:
        raise Refused("the maps do not go together")
    values = [coerce(argument, kind) for argument in arguments]

    def make(*maps: Value) -> str:
        missing = " OR ".join(f"{one} IS NULL" for one in maps)
        return f"CASE WHEN {missing} THEN NULL ELSE map_concat({', '.join(map(str, maps))}) END"

    return Value(once(values, make), kind)


def sequence_of_times(arguments: list[Value]) -> Value:
    """sequence over dates or timestamps: steps are counted from the start, so that a month's end stays one."""
    want(arguments, 2, 3)
    kind = common(arguments[0].type, arguments[1].type)
    if kind is None or kind.name not in ("date", "timestamp"):
        given = ", ".join(str(argument.type) for argument in arguments)
        raise Refused(f"of {given} is not supported; it takes whole numbers, dates or timestamps")
    start, stop, step = coerce(arguments[0], kind), coerce(arguments[1], kind), arguments[2]
    if not step.type.interval:
        raise Refused(f"the step must be an interval, not {step.type}", 2)
    duck = "DATE" if kind == DATE else "TIMESTAMP"
    by_months = step.type.name == "interval_month"

    def make(first: Value, last: Value, by: Value) -> str:
        if by_months:
            size = f"(datepart('year', {by}) * 12 + datepart('month', {by}))"
            count = (
                f"CAST(date_sub('month', CAST({first} AS TIMESTAMP), CAST({last} AS TIMESTAMP)) // {size} AS BIGINT)"
            )
            each = f"CAST({first} + to_months(CAST(i * {size} AS INTEGER)) AS {duck})"
        else:
            size = f"CAST(round(epoch({by}) * 1000) AS BIGINT)"
            gap = f"(epoch_ms(CAST({last} AS TIMESTAMP)) - epoch_ms(CAST({first} AS TIMESTAMP)))"
            count = f"({gap} // {size})"
            each = f"CAST({first} + to_milliseconds(CAST(i * {size} AS BIGINT)) AS {duck})"
        zero = fail_when(f"{size} = 0", text("interval must not be zero"))
        part = fail_when(
            f"{size} % 86400000 <> 0", text("sequence step must be a day interval if start and end values are dates")
        )
        wrong = fail_when(f"({size} > 0) <> ({last} >= {first}) AND {last} <> {first}", WRONG_WAY)
        many = fail_when(f"{count} >= 10000", TOO_MANY)
        listed = f"list_transform(range(least({count}, 10000) + 1), lambda i: {each})"
        kept = f"list_filter({listed}, lambda e: CASE WHEN {size} > 0 THEN e <= {last} ELSE e >= {last} END)"
        return f"CASE {zero} {part if kind == DATE and not by_months else ''} {wrong} {many} ELSE {kept} END"

    return Value(
        once([start, stop, step], make),
        array(
            kind
            if kind == DATE
            else Type("timestamp", precision=max(kind.precision, TIMESTAMP.precision if not by_months else 0))
        ),
    )


def array_join(arguments: list[Value]) -> Value:
    """array_join of what is not text: each element as CAST writes it."""
    want(arguments, 2, 3)
    values = arguments[0]
    if values.type.name != "array":
        raise Refused(f"must be an array, not {values.type}", 0)
    element = values.type.args[0]
    if element not in (VARCHAR, UNKNOWN):
        shown = text_of(Value("e", element))
        values = Value(f"list_transform({values}, lambda e: {shown})", array(VARCHAR))
    from chalicelib.queries.sql.calls import called

    return called("array_join", [values, *arguments[1:]])


BY_VALUE: dict[str, Callable[[list[Value]], Value]] = {
    "array_distinct": array_distinct,
    "array_union": together(union),
    "array_intersect": together(intersection),
    "array_except": together(difference),
    "arrays_overlap": arrays_overlap,
    "array_histogram": array_histogram,
    "contains_sequence": contains_sequence,
    "contains": contains,
    "array_position": array_position,
    "array_remove": array_remove,
    "array_max": array_extreme("list_max"),
    "array_min": array_extreme("list_min"),
    "map": map_from,
    "map_concat": map_concat,
}
FALLBACKS: dict[str, Callable[[list[Value]], Value]] = {"sequence": sequence_of_times, "array_join": array_join}
