"""One browser, one filled lake and one empty one for all tests of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dashboard import Filled, filled_lake
from tests.support.server import LakeServer

if TYPE_CHECKING:  # without Chromium, only the modules that need it are left out
    from playwright.sync_api import Browser

    from tests.support.browser import Visit


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    from tests.support.browser import started

    with started() as running:
        yield running


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with filled_lake(
        tmp_path_factory.mktemp("dashboard"), since="2024-06-01", until="2026-06-01", scale="small"
    ) as lake:
        yield lake


@pytest.fixture(scope="package")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with LakeServer(tmp_path_factory.mktemp("empty")) as server:
        yield server


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens tabs; at the end none of them may have found a fault."""
    from tests.support.browser import Visit

    visits: list[Visit] = []

    def open_tab(server: LakeServer, *, token: str | None = "", **options: Any) -> Visit:
        visit = Visit(browser, server.url, server.token if token == "" else token, **options)
        visits.append(visit)
        return visit

    yield open_tab
    faults = [fault for visit in visits for fault in visit.faults]
    for visit in visits:
        visit.close()
    assert faults == []
