"""Every small file that the lake keeps of itself, damaged in every way: the API, catching up, the doctor.

Each heals it or names it. Runs and compaction: tests/extraction/test_damage.py,
tests/transformation/test_damage.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from chalicelib import pipeline
from chalicelib.commands import doctor
from chalicelib.commands.cli import ended_crawl
from chalicelib.errors import ImportRefused, LakeError
from chalicelib.lake import Lake
from chalicelib.rest.messages import Reply, Request
from chalicelib.transformation.compact import compact
from chalicelib.wiring import Parts
from tests.support.damage import DAMAGE
from tests.support.extraction import World, world

OWN = ("state/", "results/", "quarantine/", "reports/")
LOCAL_CHECKS = (doctor.lake, doctor.raw_objects, doctor.table_files, doctor.newest_run, doctor.files)
DATA = (".parquet", ".gz", ".zip", ".csv", ".lock", ".sql")
ID = re.compile(r"\d{8}T\d{6,}Z-[0-9a-f]+|[0-9a-f]{16,}|\d{2,}|(?<=compactions/g1/)\w+|\w+-\d+(?=\.jsonl)")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Parts]]:
    """A lake in which everything has happened once: runs, a merge, a crawl, a query, imports good and bad."""
    with world(tmp_path_factory.mktemp("lived")) as made:
        made.run()
        made.advance(hours=1)
        made.run()
        lake = made.lake
        lake.store.write("raw/history/dropped.json", b'{"no": "listens"}')
        pipeline.catch_up(lake, made.settings)
        compact(lake)
        environ = {"LAKE_URL": made.settings.lake_url, "SECRETS_URL": made.settings.secrets_url}
        parts = Parts(environ, None)
        with closing(parts):
            ended_crawl(parts.engine)
            query = ask(parts, "POST", "/queries", body={"sql": "SELECT count(*) FROM plays"})
            parts.engine.wait(json.loads(query.content)["query_id"], 30)
            ask(parts, "POST", "/imports", body={"filename": "mine.json", "user_id": "somebody"})
            yield made, parts


def ask(parts: Parts, method: str, route: str, body: object = None, **path: str) -> Reply:
    content = json.dumps(body).encode() if body is not None else b""
    headers = {"content-type": "application/json"}
    return parts.api.handle(Request(method, route, path, headers=headers, body=content, scope="run", token_id="local"))


def records(lake: Lake) -> dict[str, str]:
    """One key of each kind of small file, by its shape."""
    keys = [info.key for prefix in OWN for info in lake.store.list(prefix)]
    return {ID.sub("#", key): key for key in sorted(keys) if not key.endswith(DATA) and "/owners/" not in key}


def asked(parts: Parts, lake: Lake) -> Iterator[Reply]:
    """Whatever a client may read, and a crawl."""
    runs = [info.key.rpartition("/")[2].removesuffix(".json") for info in lake.store.list("state/runs/")]
    imports = [info.key.rpartition("/")[2].removesuffix(".json") for info in lake.store.list("results/imports/")]
    queries = [key.rpartition("/")[2].removesuffix(".json") for key in records(lake).values() if "-" in key]
    for route in ("/health", "/runs", "/quarantine", "/crawls/latest", "/tables", "/queries", "/reports"):
        yield ask(parts, "GET", route)
    yield from (ask(parts, "GET", "/runs/{run_id}", run_id=name) for name in runs)
    yield from (ask(parts, "GET", "/imports/{import_id}", import_id=name) for name in imports)
    yield from (ask(parts, "GET", "/queries/{query_id}", query_id=name) for name in queries)
    yield ask(parts, "GET", "/tables/{name}", name="plays")
    yield ask(parts, "POST", "/crawls")


@pytest.mark.thorough
def test_the_lake_has_every_kind_of_record(lived: tuple[World, Parts]) -> None:
    shapes = "\n".join(records(lived[0].lake))
    for kind in (
        *("state/catalogue", "state/crawl", "state/extraction", "state/runs/", "/done/", "compactions/"),
        *("results/imports/", "results/#", "quarantine/"),
    ):
        assert kind in shapes, shapes


@pytest.mark.thorough
@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_damaged_record_is_healed_or_named(lived: tuple[World, Parts], damage: str) -> None:
    made, parts = lived
    lake = made.lake
    for key in records(lake).values():
        content = lake.store.read(key)
        try:
            for act in (
                lambda: list(asked(parts, lake)),
                lambda: pipeline.catch_up(lake, made.settings),
                lambda: list(doctor.examine(parts, made.clock, LOCAL_CHECKS)),
            ):
                lake.store.write(key, DAMAGE[damage](content))
                named(key, act)
        finally:
            lake.store.write(key, content)


def named(key: str, act: object) -> None:
    """``act`` either works, or says which object is damaged."""
    try:
        replies = act()  # type: ignore[operator]
    except ImportRefused:
        return
    except LakeError as error:
        assert key in error.message and ": " in error.message, (key, error.message)
        return
    for reply in replies if isinstance(replies, list) else ():
        if isinstance(reply, Reply) and reply.status >= 500:
            assert key in str(reply.content), (key, reply.content)
