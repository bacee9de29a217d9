"""Pairs of rows that may be one listen, and as many of them as go together one to one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from chalicelib.plays.columns import Bools, Ints

TIME_BITS = 43  # ms since 1970 up to the year 2248; the key stands above them
LARGEST_PUZZLE = 20_000  # candidate pairs for which a best assignment is worked out


@dataclass(frozen=True, slots=True)
class Points:
    """Moments (ms since 1970) of rows under a key each; a row may have several of both."""

    row: Ints
    key: Ints
    moment: Ints


@dataclass(frozen=True, slots=True)
class Spans:
    """Times (ms since 1970, ends included) of rows under a key each; a row may have several of both."""

    row: Ints
    key: Ints
    low: Ints
    high: Ints
    middle: Ints  # to where a point's distance is measured


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows that may be one listen, and how far apart in ms their reports are."""

    point: Ints
    span: Ints
    distance: Ints

    @classmethod
    def none(cls) -> Pairs:
        """No pairs."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing)

    def where(self, chosen: Bools) -> Pairs:
        """The chosen ones."""
        return Pairs(self.point[chosen], self.span[chosen], self.distance[chosen])


def within(points: Points, spans: Spans) -> Pairs:
    """Every pair of a point and a span of equal keys where the point's moment lies in the span."""
    if not len(points.row) or not len(spans.row):
        return Pairs.none()
    known = np.unique(points.key)
    useful = np.flatnonzero(np.isin(spans.key, known) & (spans.high >= 0))
    placed = (np.searchsorted(known, points.key) << TIME_BITS) + points.moment
    order = np.argsort(placed, kind="stable")
    times = placed[order]
    base = np.searchsorted(known, spans.key[useful]) << TIME_BITS
    first = np.searchsorted(times, base + np.maximum(spans.low[useful], 0), "left")
    after = np.searchsorted(times, base + spans.high[useful], "right")
    counts = np.maximum(after - first, 0)
    owner = np.repeat(useful, counts)
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = order[np.repeat(first, counts) + steps]
    distance = np.abs(points.moment[chosen] - spans.middle[owner])
    return Pairs(points.row[chosen], spans.row[owner], distance)


def assign(pairs: Pairs) -> tuple[Ints, Ints]:
    """As many of the pairs as go together one to one, the nearer first: the points and their spans."""
    frame = pd.DataFrame({"point": pairs.point, "span": pairs.span, "distance": pairs.distance})
    frame = frame.sort_values(["distance", "point", "span"], kind="stable").drop_duplicates(["point", "span"])
    alone = ~frame["point"].duplicated(keep=False) & ~frame["span"].duplicated(keep=False)
    chosen = [(int(point), int(span)) for point, span in zip(frame["point"][alone], frame["span"][alone], strict=True)]
    for puzzle in puzzles(frame[~alone]):
        chosen += solve(puzzle)
    both = np.asarray(sorted(chosen), np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def reassign(pairs: Pairs, points: Ints, spans: Ints) -> tuple[Ints, Ints]:
    """Of pairs one to one, as many as there can be that keep every point of ``points`` and every span of ``spans``,
    which are paired already, paired: with others where that makes room for one more."""
    candidates: dict[int, list[int]] = defaultdict(list)
    for point, span in zip(pairs.point.tolist(), pairs.span.tolist(), strict=True):
        candidates[point].append(span)
    span_of = dict(zip(points.tolist(), spans.tolist(), strict=True))
    point_of = {span: point for point, span in span_of.items()}
    for point in sorted(candidates.keys() - span_of.keys()):
        augment(point, candidates, span_of, point_of)
    both = np.asarray(sorted(span_of.items()), np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def puzzles(pairs: pd.DataFrame) -> list[list[tuple[int, int]]]:
    """The pairs in groups that have no row in common, the nearest first."""
    leader: dict[tuple[str, int], tuple[str, int]] = {}

    def find(node: tuple[str, int]) -> tuple[str, int]:
        while leader.setdefault(node, node) != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    listed = [(int(point), int(span)) for point, span in zip(pairs["point"], pairs["span"], strict=True)]
    for point, span in listed:
        leader[find(("point", point))] = find(("span", span))
    groups: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for point, span in listed:
        groups[find(("point", point))].append((point, span))
    return list(groups.values())


def solve(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The most pairs that go together one to one (augmenting paths); very large groups take the nearest first."""
    candidates: dict[int, list[int]] = defaultdict(list)
    for point, span in pairs:
        candidates[point].append(span)
    span_of: dict[int, int] = {}
    point_of: dict[int, int] = {}
    for point, span in pairs:  # the nearest first
        if point not in span_of and span not in point_of:
            span_of[point], point_of[span] = span, point
    if len(pairs) <= LARGEST_PUZZLE:
        for point in sorted(candidates.keys() - span_of.keys()):
            augment(point, candidates, span_of, point_of)
    return list(span_of.items())


def augment(start: int, candidates: dict[int, list[int]], span_of: dict[int, int], point_of: dict[int, int]) -> None:
    """Find ``start`` a span, moving points already placed to other spans where that makes room."""
    reached_from: dict[int, int] = {}
    queue = [start]
    for point in queue:
        for span in candidates[point]:
            if span in reached_from:
                continue
            reached_from[span] = point
            if span in point_of:
                queue.append(point_of[span])
                continue
            while True:
                point = reached_from[span]
                before = span_of.get(point)
                span_of[point], point_of[span] = span, point
                if before is None:
                    return
                span = before
