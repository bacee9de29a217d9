"""Maps of entries whose keys come more than once, in time and memory that grow with the entries alone.

Each is a template (forms.py) over a list of ``{'key', 'value'}`` that holds no null. The list is sorted by key, the
places where another key begins are looked for, and each key takes the part of the list up to the next one.
"""

from __future__ import annotations

FIRST = "s[g.first].v"  # the value that came first
EVERY = "list_transform(range(g.first, g.next), lambda j: s[j].v)"  # all values, in the order in which they came
COUNT = "CAST(g.next - g.first AS BIGINT)"


def by_key(entries: str, value: str) -> str:
    """A map of each key to ``value`` (one of the above), the keys in the order in which they came first."""
    sorted_entries = f"list_sort(list_transform({entries}, lambda e, i: {{{{'k': e.key, 'i': i, 'v': e.value}}}}))"
    edge = "p[1] IS NULL OR p[2] IS NULL OR p[1].k IS DISTINCT FROM p[2].k"  # the end is one too
    cells = f"{{{{'k': p[1].k, 'i': p[1].i, 'at': j, 'edge': {edge}}}}}"
    edges = f"list_filter(list_transform(list_zip(s, list_prepend(NULL, s)), lambda p, j: {cells}), lambda m: m.edge)"
    parts = "{{'i': p[1].i, 'k': p[1].k, 'first': p[1].at, 'next': p[2].at}}"
    keys = f"list_sort(list_transform(list_filter(list_zip(m, m[2:]), lambda p: p[2] IS NOT NULL), lambda p: {parts}))"
    made = f"map_from_entries(list_transform({keys}, lambda g: {{{{'key': g.k, 'value': {value}}}}}))"
    return named("s", sorted_entries, named("m", edges, made))


def named(name: str, value: str, body: str) -> str:
    """``body``, in which ``value`` has a name and is computed once."""
    return f"list_extract(list_transform([{value}], lambda {name}: {body}), 1)"
