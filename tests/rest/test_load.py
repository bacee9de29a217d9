"""Many clients at once on the embedded engine: every answer its own, no error, no collapse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.api import load, memory_of
from tests.support.server import LakeServer, filled


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with LakeServer(filled(tmp_path_factory, "loaded"), {"REQUESTS_PER_MINUTE": "1000000"}) as running:
        yield running


@pytest.mark.thorough
def test_clients_at_once_get_their_own_answers_and_no_error(server):
    seen = load(server, 20, 2)
    assert seen.errors == [] and seen.wrong == 0 and seen.answers >= 20


@pytest.mark.soak
def test_fifty_clients_for_a_minute_do_not_make_it_collapse_or_grow(server):
    load(server, 50, 20)  # caches fill
    few = load(server, 8, 30)
    before = memory_of(server.pid())
    many = load(server, 50, 60)
    assert few.errors == many.errors == [] and few.wrong == many.wrong == 0
    assert many.throughput >= 0.8 * few.throughput, (many.throughput, few.throughput)
    assert memory_of(server.pid()) < before * 1.15 + 20, (before, memory_of(server.pid()))
