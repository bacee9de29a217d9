"""Functions of text and of bytes."""

# ruff: noqa: E501  (a template a line reads as a table)

from __future__ import annotations

from collections.abc import Callable

from chalicelib.queries.sql import python_functions
from chalicelib.queries.sql.forms import constant, require, want
from chalicelib.queries.sql.map_entries import EVERY, by_key
from chalicelib.queries.sql.types import VARCHAR, decimal, text
from chalicelib.queries.sql.values import OPAQUE, Refused, Value, fail_when, once

# Java's Character.isWhitespace beyond ASCII, of which the no-break spaces are not
BLANKS = "E' \\t\\n\\x0b\\x0c\\r\\x1c\\x1d\\x1e\\x1f' || chr(5760) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8200) || chr(8201) || chr(8202) || chr(8232) || chr(8233) || chr(8287) || chr(12288)"
EMPTY_DELIMITER = text("The delimiter may not be the empty string")
PADDING = (
    fail_when("{1} < 0 OR {1} > 10000", text("Target length must be in the range [0..10000]")) + " "
    + fail_when("{2} = ''", text("Padding string must not be empty"))
)  # fmt: skip
SUBSTRING = "CASE WHEN {1} = 0 OR {1} < -length({0}) THEN '' ELSE substr({0}, {1}) END"
SUBSTRING_OF = "CASE WHEN {1} = 0 OR {1} < -length({0}) OR {2} <= 0 THEN '' ELSE substr({0}, {1}, {2}) END"
PIECES = "string_split({0}, {1})"
STRPOS_OF = (
    f"CAST(CASE {fail_when('{2} = 0', text('the instance must be a positive or negative number'))} "
    "WHEN {0} IS NULL OR {1} IS NULL OR {2} IS NULL THEN NULL WHEN {1} = '' THEN 1 "
    f"WHEN abs({{2}}) >= len({PIECES}) THEN 0 "
    f"WHEN {{2}} > 0 THEN length(array_to_string({PIECES}[1:{{2}}], {{1}})) + 1 "
    f"ELSE length(array_to_string({PIECES}[1:len({PIECES}) + {{2}}], {{1}})) + 1 END AS BIGINT)"
)


def hashed(function: str) -> str:
    return f"unhex({function}({{0}}))"


ONCE = text("Key-value delimiter must appear exactly once in each entry")
SPLIT_TO_MAP = (
    f"{fail_when('{1} = ' + repr(''), text('entryDelimiter is empty'))} {fail_when('{2} = ' + repr(''), text('keyValueDelimiter is empty'))} "
    f"{fail_when('{1} = {2}', text('entryDelimiter and keyValueDelimiter must not be the same'))} "
    f"{fail_when('len(list_filter(string_split({0}, {1}), lambda e: e <> ' + repr('') + ' AND instr(e, {2}) = 0)) > 0', ONCE)} "
    f"{fail_when('len(list_filter(string_split({0}, {1}), lambda e: instr(substr(e, instr(e, {2}) + length({2})), {2}) > 0)) > 0', ONCE)}"
)
SPLIT_ENTRIES = (
    "list_transform(list_filter(string_split({0}, {1}), lambda e: e <> ''), "
    "lambda e: {{'key': left(e, instr(e, {2}) - 1), 'value': substr(e, instr(e, {2}) + length({2}))}})"
)
NAN = "'nan'::DOUBLE"  # which comes back of a function in Python as null
URL = {
    "url_extract_protocol": "^([A-Za-z][A-Za-z0-9+.-]*):",
    "url_extract_host": "^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\\[[^\\]]*\\]|[^/?#:@]*)",
    "url_extract_path": "^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*([^?#]*)",
    "url_extract_query": "^[^?#]*\\?([^#]*)",
    "url_extract_fragment": "^[^#]*#(.*)$",
}


def url_part(name: str) -> str:
    """A part of an address; of what is no address null, of an address without the part an empty text."""
    valid = "regexp_full_match({0}, '([^ <>\"\\\\^`{{|}}%]|%[0-9A-Fa-f]{{2}})*')"
    return f"CASE WHEN {valid} THEN regexp_extract({{0}}, {text(URL[name])}, 1) END"


LONG = fail_when("strlen({0}) > 2000 OR strlen({1}) > 2000", text("levenshtein_distance takes at most 2000 bytes"))
LEVENSHTEIN = f"CASE {LONG} WHEN strlen({{0}}) = length({{0}}) AND strlen({{1}}) = length({{1}}) THEN CAST(levenshtein({{0}}, {{1}}) AS BIGINT) ELSE list_extract(list_transform([lake_same_symbols({{0}}, {{1}})], lambda p: CAST(levenshtein(p.a, p.b) AS BIGINT)), 1) END"
SCALARS = {
    "length(varchar) -> bigint": "length({0})",
    "length(varbinary) -> bigint": "octet_length({0})",
    "lower(varchar) -> varchar": "lower({0})",
    "upper(varchar) -> varchar": "replace(upper(replace({0}, 'ß', chr(57344))), chr(57344), 'ß')",
    "reverse(varchar) -> varchar": "array_to_string(list_reverse(string_split({0}, '')), '')",
    "reverse(varbinary) -> varbinary": "unhex(array_to_string(list_reverse(regexp_extract_all(hex({0}), '..')), ''))",
    "trim(varchar) -> varchar": f"trim({{0}}, {BLANKS})",
    "ltrim(varchar) -> varchar": f"ltrim({{0}}, {BLANKS})",
    "rtrim(varchar) -> varchar": f"rtrim({{0}}, {BLANKS})",
    "trim(varchar, varchar) -> varchar": "CASE WHEN {1} = '' THEN {0} ELSE trim({0}, {1}) END",
    "ltrim(varchar, varchar) -> varchar": "CASE WHEN {1} = '' THEN {0} ELSE ltrim({0}, {1}) END",
    "rtrim(varchar, varchar) -> varchar": "CASE WHEN {1} = '' THEN {0} ELSE rtrim({0}, {1}) END",
    "replace(varchar, varchar) -> varchar": "replace({0}, {1}, '')",
    "replace(varchar, varchar, varchar) -> varchar": (
        f"CASE {fail_when('strlen({0}) * strlen({2}) > 10000000', text('replace makes too long a text'))} "
        "WHEN {1} = '' THEN {2} || array_to_string(list_transform(string_split({0}, ''), lambda c: CASE WHEN c = '' THEN '' ELSE c || {2} END), '') "
        "ELSE replace({0}, {1}, {2}) END"
    ),
    "translate(varchar, varchar, varchar) -> varchar": "translate({0}, {1}, {2})",
    "substr(varchar, bigint) -> varchar": SUBSTRING,
    "substr(varchar, bigint, bigint) -> varchar": SUBSTRING_OF,
    "substr(varbinary, bigint) -> varbinary": (
        "CASE WHEN {1} = 0 OR {1} < -octet_length({0}) THEN unhex('') ELSE unhex(substr(hex({0}), CASE WHEN {1} < 0 THEN {1} * 2 ELSE {1} * 2 - 1 END)) END"
    ),
    "substr(varbinary, bigint, bigint) -> varbinary": (
        "CASE WHEN {1} = 0 OR {1} < -octet_length({0}) OR {2} <= 0 THEN unhex('') ELSE unhex(substr(hex({0}), CASE WHEN {1} < 0 THEN {1} * 2 ELSE {1} * 2 - 1 END, {2} * 2)) END"
    ),
    "lpad(varchar, bigint, varchar) -> varchar": f"CASE {PADDING} ELSE lpad({{0}}, CAST(least({{1}}, 10000) AS INTEGER), {{2}}) END",
    "rpad(varchar, bigint, varchar) -> varchar": f"CASE {PADDING} ELSE rpad({{0}}, CAST(least({{1}}, 10000) AS INTEGER), {{2}}) END",
    "lpad(varbinary, bigint, varbinary) -> varbinary": (
        f"CASE {fail_when('{1} < 0 OR {1} > 10000', text('Target length must be in the range [0..10000]'))} "
        f"{fail_when('octet_length({2}) = 0', text('Padding bytes must not be empty'))} "
        "WHEN {1} <= octet_length({0}) THEN unhex(left(hex({0}), CAST({1} * 2 AS BIGINT))) "
        "ELSE unhex(left(repeat(hex({2}), CAST({1} // octet_length({2}) + 1 AS INTEGER)), CAST(({1} - octet_length({0})) * 2 AS BIGINT)) || hex({0})) END"
    ),
    "rpad(varbinary, bigint, varbinary) -> varbinary": (
        f"CASE {fail_when('{1} < 0 OR {1} > 10000', text('Target length must be in the range [0..10000]'))} "
        f"{fail_when('octet_length({2}) = 0', text('Padding bytes must not be empty'))} "
        "ELSE unhex(left(hex({0}) || repeat(hex({2}), CAST({1} // octet_length({2}) + 1 AS INTEGER)), CAST({1} * 2 AS BIGINT))) END"
    ),
    "strpos(varchar, varchar) -> bigint": "instr({0}, {1})",
    "strpos(varchar, varchar, bigint) -> bigint": STRPOS_OF,
    "starts_with(varchar, varchar) -> boolean": "starts_with({0}, {1})",
    "split(varchar, varchar) -> array(varchar)": f"CASE {fail_when('{1} = ' + repr(''), EMPTY_DELIMITER)} ELSE string_split({{0}}, {{1}}) END",
    "split(varchar, varchar, bigint) -> array(varchar)": (
        f"CASE {fail_when('{1} = ' + repr(''), EMPTY_DELIMITER)} {fail_when('{2} <= 0', text('Limit must be positive'))} {fail_when('{2} > 2147483647', text('Limit is too large'))} "
        "WHEN len(string_split({0}, {1})) <= {2} THEN string_split({0}, {1}) "
        "ELSE list_append(string_split({0}, {1})[1:{2} - 1], array_to_string(string_split({0}, {1})[{2}:], {1})) END"
    ),
    "split_part(varchar, varchar, bigint) -> varchar": (
        f"CASE {fail_when('{2} < 1', text('Index must be greater than zero'))} "
        "WHEN {1} = '' THEN CASE WHEN {2} <= length({0}) THEN substr({0}, {2}, 1) END "
        "ELSE list_extract(string_split({0}, {1}), {2}) END"
    ),
    "split_to_map(varchar, varchar, varchar) -> map(varchar, varchar)": (
        f"CASE {SPLIT_TO_MAP} ELSE map_from_entries({SPLIT_ENTRIES}) END"
    ),
    "split_to_multimap(varchar, varchar, varchar) -> map(varchar, array(varchar))": (
        f"CASE {SPLIT_TO_MAP} ELSE {by_key(SPLIT_ENTRIES, EVERY)} END"
    ),
    "concat_ws(varchar, varchar...) -> varchar": "CASE WHEN {0} IS NOT NULL THEN concat_ws({all}) END",
    "concat_ws(varchar, array(varchar)) -> varchar": "array_to_string({1}, {0})",
    "chr(bigint) -> varchar": "chr(CAST({0} AS INTEGER))",
    "codepoint(varchar) -> integer": f"CASE {fail_when('length({0}) <> 1', text('codepoint takes one character'))} ELSE unicode({{0}}) END",
    "hamming_distance(varchar, varchar) -> bigint": (
        f"CASE {fail_when('length({0}) <> length({1})', text('The input strings to hamming_distance function must have the same length'))} "
        "WHEN {0} IS NULL OR {1} IS NULL THEN NULL ELSE "
        "CAST(len(list_filter(list_zip(string_split({0}, ''), string_split({1}, '')), lambda p: p[1] <> p[2])) AS BIGINT) END"
    ),
    "to_utf8(varchar) -> varbinary": "encode({0})",
    "from_utf8(varbinary) -> varchar": "coalesce(TRY(decode({0})), lake_from_utf8({0}))",
    "to_hex(varbinary) -> varchar": "hex({0})",
    "from_hex(varchar) -> varbinary": f"CASE {fail_when('length({0}) % 2 = 1', text('not pairs of hexadecimal digits'))} ELSE unhex({{0}}) END",
    "from_hex(varbinary) -> varbinary": f"CASE {fail_when('octet_length({0}) % 2 = 1', text('not pairs of hexadecimal digits'))} ELSE unhex(decode({{0}})) END",
    "to_base64(varbinary) -> varchar": "to_base64({0})",
    "from_base64(varchar) -> varbinary": "from_base64({0})",
    "from_base64(varbinary) -> varbinary": "from_base64(decode({0}))",
    "to_base64url(varbinary) -> varchar": "replace(replace(to_base64({0}), '+', '-'), '/', '_')",
    "from_base64url(varchar) -> varbinary": "from_base64(replace(replace({0}, '-', '+'), '_', '/') || repeat('=', CAST((4 - length({0}) % 4) % 4 AS INTEGER)))",
    "from_base64url(varbinary) -> varbinary": "from_base64(replace(replace(decode({0}), '-', '+'), '_', '/') || repeat('=', CAST((4 - octet_length({0}) % 4) % 4 AS INTEGER)))",
    "levenshtein_distance(varchar, varchar) -> bigint": LEVENSHTEIN,
    "soundex(varchar) -> varchar": "lake_soundex({0})",
    "human_readable_seconds(double) -> varchar": "lake_human_readable_seconds({0})",
    "to_base32(varbinary) -> varchar": "lake_to_base32({0})",
    "from_base32(varchar) -> varbinary": "lake_from_base32({0})",
    "from_base32(varbinary) -> varbinary": "lake_from_base32(decode({0}))",
    "crc32(varbinary) -> bigint": "lake_crc32({0})",
    "sha512(varbinary) -> varbinary": "lake_sha512({0})",
    **{f"hmac_{name}(varbinary, varbinary) -> varbinary": f"lake_hmac_{name}({{0}}, {{1}})" for name in python_functions.HASHES},
    "to_ieee754_32(real) -> varbinary": "lake_to_ieee754_32({0})",
    "to_ieee754_64(double) -> varbinary": "lake_to_ieee754_64({0})",
    "from_ieee754_32(varbinary) -> real": f"CASE WHEN {{0}} IS NOT NULL THEN coalesce(lake_from_ieee754_32({{0}}), {NAN}) END",
    "from_ieee754_64(varbinary) -> double": f"CASE WHEN {{0}} IS NOT NULL THEN coalesce(lake_from_ieee754_64({{0}}), {NAN}) END",
    "to_big_endian_32(integer) -> varbinary": "lake_to_big_endian_32({0})",
    "to_big_endian_64(bigint) -> varbinary": "lake_to_big_endian_64({0})",
    "from_big_endian_32(varbinary) -> integer": "lake_from_big_endian_32({0})",
    "from_big_endian_64(varbinary) -> bigint": "lake_from_big_endian_64({0})",
    "md5(varbinary) -> varbinary": hashed("md5"),
    "sha1(varbinary) -> varbinary": hashed("sha1"),
    "sha256(varbinary) -> varbinary": hashed("sha256"),
    "url_encode(varchar) -> varchar": "replace(replace(replace(replace(url_encode({0}), '%20', '+'), '%2A', '*'), '~', '%7E'), '%2a', '*')",
    "url_decode(varchar) -> varchar": "url_decode(replace({0}, '+', ' '))",
    **{f"{name}(varchar) -> varchar": url_part(name) for name in URL},
    "url_extract_port(varchar) -> bigint": "TRY_CAST(nullif(regexp_extract({0}, '^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*:(\\d+)', 1), '') AS BIGINT)",
    "url_extract_parameter(varchar, varchar) -> varchar": (
        "list_extract(list_transform(list_filter(string_split(regexp_extract({0}, '^[^?#]*\\?([^#]*)', 1), '&'), "
        "lambda p: split_part(p, '=', 1) = {1}), lambda p: CASE WHEN instr(p, '=') = 0 THEN '' ELSE url_decode(substr(p, instr(p, '=') + 1)) END), 1)"
    ),
    "luhn_check(varchar) -> boolean": (
        f"CASE {fail_when('NOT regexp_full_match({0}, ' + repr('[0-9]*') + ')', text('luhn_check takes digits'))} WHEN {{0}} = '' THEN false ELSE "
        "list_sum(list_transform(list_reverse(string_split({0}, '')), lambda d, i: CASE WHEN i % 2 = 1 THEN CAST(d AS INTEGER) "
        "WHEN CAST(d AS INTEGER) > 4 THEN CAST(d AS INTEGER) * 2 - 9 ELSE CAST(d AS INTEGER) * 2 END)) % 10 = 0 END"
    ),
}  # fmt: skip


def normalize(arguments: list[Value]) -> Value:
    want(arguments, 1, 2)
    form = constant(arguments, 1, "the form") if len(arguments) == 2 else "NFC"
    if form != "NFC":
        raise Refused(f"to {form} is not supported; NFC is")
    return Value(f"nfc_normalize({require(arguments, 0, VARCHAR)})", VARCHAR)


def format_text(arguments: list[Value]) -> Value:
    """``format('%s …', …)``: Java's format strings, as far as the lake writes them alike."""
    from chalicelib.queries.sql.formatting import formatted

    if not arguments or arguments[0].constant is OPAQUE:
        raise Refused("the format must be a literal or a parameter", 0)
    return formatted(constant(arguments, 0, "the format"), arguments[1:])


def format_number(arguments: list[Value]) -> Value:
    """``1.23K``: three digits and the letter of the thousands."""
    want(arguments, 1)
    value = arguments[0]
    if not value.type.numeric:
        raise Refused(f"must be a number, not {value.type}", 0)

    def make(number: Value) -> str:
        size = f"abs(CAST({number} AS DOUBLE))"
        steps = " ".join(f"WHEN {size} < 1e{3 * at + 3} THEN {at}" for at in range(5))
        power = f"CASE {steps} ELSE 5 END"
        scaled = f"({size} / power(1000e0, p))"
        digits = f"CASE WHEN {scaled} < 10 THEN 2 WHEN {scaled} < 100 THEN 1 ELSE 0 END"
        fixed = f"printf('%.' || ({digits}) || 'f', {scaled})"
        short = f"CASE WHEN instr({fixed}, '.') > 0 THEN rtrim(rtrim({fixed}, '0'), '.') ELSE {fixed} END"
        shown = f"CASE WHEN p = 0 AND {size} = floor({size}) THEN printf('%.0f', {size}) ELSE {short} END"
        return (
            f"CASE WHEN {number} IS NULL THEN NULL WHEN {number} = 0 THEN '0' ELSE CASE WHEN {number} < 0 THEN '-' ELSE '' END || "
            f"list_extract(list_transform([{power}], lambda p: {shown} || CASE p WHEN 0 THEN '' WHEN 1 THEN 'K' WHEN 2 THEN 'M' WHEN 3 THEN 'B' WHEN 4 THEN 'T' ELSE 'Q' END), 1) END"
        )

    return Value(once([value], make), VARCHAR)


def parse_data_size(arguments: list[Value]) -> Value:
    """``parse_data_size('2.3MB')``: bytes."""
    want(arguments, 1)
    return Value(f"CAST(lake_parse_data_size({require(arguments, 0, VARCHAR)}) AS DECIMAL(38, 0))", decimal(38, 0))


BY_VALUE: dict[str, Callable[[list[Value]], Value]] = {
    "normalize": normalize,
    "parse_data_size": parse_data_size,
    "format": format_text,
    "format_number": format_number,
}
