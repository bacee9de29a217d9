"""A token of one listener, attacked: no route and no report tells anything of anybody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pyarrow as pa
import pytest
import requests
from httpx2 import AsyncClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from chalicelib import pipeline
from chalicelib.errors import Forbidden
from chalicelib.exports.importing import import_export
from chalicelib.lake import Lake
from chalicelib.listeners import merge, note_login
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.queries.embedded.engine import EmbeddedEngine
from chalicelib.queries.rendering import plain_rows
from chalicelib.reports import catalogue
from chalicelib.reports.own import may_be_own, own_parts
from chalicelib.rest.access import LISTENER, Access
from chalicelib.rest.routes import ROUTES
from chalicelib.runs import RunRecord, save_run
from chalicelib.stores import open_secrets
from chalicelib.tables import BY_NAME
from tests.support.listening import extended_row, lake_in, settings_for, write_export
from tests.support.server import LakeServer

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = "BENSECRET"  # stands in everything that is of Ben
ANN, BEN = "ann", f"{SECRET}-account"
EVERY = [report.name for report in catalogue.built_in_reports()]
OWN = [report.name for report in catalogue.built_in_reports() if may_be_own(report)]
RUN = "20261102T101530Z-1a2b3c"


def item(letter: str) -> str:
    return (SECRET + letter * 22)[:22] if letter.isupper() else letter * 22


def heard(user: str, letters: str) -> list[dict[str, Any]]:
    """Three days of listening, each track several times, some of it skipped."""
    rows = []
    for number in range(36):
        letter = letters[number % len(letters)]
        said = f"{SECRET} " if user == BEN else ""
        ended = datetime(2026, 10, 1 + number // 12, 8 + number % 12, 10, tzinfo=UTC)
        rows.append(
            extended_row(
                f"{ended:%Y-%m-%dT%H:%M:%SZ}",
                31_000 + 1_000 * number,
                letter,
                master_metadata_track_name=f"{said}Song {letter}",
                master_metadata_album_artist_name=f"{said}Band {letter}",
                master_metadata_album_album_name=f"{said}Album {letter}",
                spotify_track_uri=f"spotify:track:{item(letter)}",
                platform=f"{said}phone",
                conn_country="DE" if user == ANN else "XX",
                reason_end="fwdbtn" if number % 5 == 0 else "trackdone",
            )
        )
    return rows


def library(lake: Lake, user: str, spotify: str, letters: str) -> None:
    """What runs bring of a listener: tracks with their albums and artists, saved, followed, in a playlist."""
    said, moment = (f"{SECRET} " if user == BEN else ""), datetime(2026, 10, 20)  # noqa: DTZ001 (as stored)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("tracks", "albums", "artists", "track_artists")}
    for letter in letters:
        one = item(letter)
        rows["tracks"].append(
            {"track_id": one, "name": f"{said}Song {letter}", "album_id": one, "duration_ms": 200_000}
        )
        rows["albums"].append({"album_id": one, "name": f"{said}Album {letter}", "release_year": 1999})
        rows["artists"].append({"artist_id": one, "name": f"{said}Band {letter}", "genres": [f"{said}genre"]})
        rows["track_artists"].append({"track_id": one, "position": 0, "artist_id": one})
    saved = [
        {"user_id": user, "item_type": kind, "item_id": item(letter), "added_at": moment}
        for kind in ("track", "album")
        for letter in letters[:2]
    ]
    playlist = item(letters[0])
    rows |= {
        "saved_items": saved,
        "followed_artists": [{"user_id": user, "artist_id": item(letters[0])}],
        "top_items": [
            {"user_id": user, "item_type": "track", "time_range": "short_term", "observed_on": moment.date(), "rank": 1,
             "item_id": playlist}
        ],
        "playlists": [
            {"playlist_id": playlist, "name": f"{said}Mix", "owner_id": spotify, "snapshot_id": nth, "total_items": 1}
            for nth in ("1", "2")
        ],
        "playlist_items": [
            {
                "playlist_id": playlist,
                "snapshot_id": number,
                "position": 0,
                "item_type": "track",
                "item_id": item(letter),
                "item_uri": f"spotify:track:{item(letter)}",
                "name": f"{said}Song {letter}",
                "added_at": moment,
            }
            for number, letter in zip(("1", "2"), letters, strict=False)
        ],
    }  # fmt: skip
    for name, content in rows.items():
        table = BY_NAME[name]
        for number, row in enumerate(content):
            row["observed_at"] = moment + timedelta(seconds=number)
        write_table(lake, "g1", table, pa.Table.from_pylist(content, arrow_schema(table)), f"of-{spotify}")


def make(folder: Path, *users: str) -> Lake:
    lake = lake_in(folder)
    for user in users:
        spotify, letters = (f"{user}.spotify", "abcd" if user == ANN else "WXYZV")
        profile = {"id": spotify, "account_id": user, "display_name": user.title() if user == ANN else f"{SECRET} Ben"}
        key = note_login(lake, user, MOMENT, MOMENT + timedelta(days=181), profile, clock=lambda: MOMENT)
        pipeline.transform_key(lake, key)
        path = write_export(folder / user / "endsong_0.json", heard(user, letters))
        import_export(lake, settings_for(folder), path, user)
        library(lake, user, spotify, letters)
    if BEN in users:
        record = RunRecord(RUN, "succeeded", "command", "2026-11-02T10:15:30Z", "2026-11-02T10:16:30Z")
        record.holes = [{"user_id": BEN, "after": "2026-10-01T00:00:00Z", "before": "2026-10-02T00:00:00Z"}]
        record.warnings = [f"the authorisation of {BEN} ends soon"]
        save_run(lake, record)
        pipeline.catch_up(lake, settings_for(folder))
    return lake


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    make(folder, ANN, BEN)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    make(folder, ANN)
    return folder


@pytest.fixture(scope="module")
def engines(both: Path, alone: Path) -> Iterator[dict[str, EmbeddedEngine]]:
    made = {
        "both": EmbeddedEngine(settings_for(both), lake_in(both)),
        "alone": EmbeddedEngine(settings_for(alone), lake_in(alone)),
    }
    yield made
    for engine in made.values():
        engine.close()


ITEMS: dict[str, list[dict[str, str]]] = {
    name: [
        {"artist": "Band a"},
        {"artist": f"{SECRET} Band W"},
        {"artist": f"{SECRET} Band W", "track": f"{SECRET} Song W"},
    ]
    for name in ("dashboard_item", "dashboard_item_months", "dashboard_item_tops", "dashboard_item_details")
}


def values_of(name: str) -> list[dict[str, str]]:
    """Ways of asking a report: as it is, of all time, of every start, and of things that only Ben knows."""
    report = catalogue.report(name)
    asked: list[dict[str, str]] = [*ITEMS.get(name, [{}])]
    offered = {parameter.name for parameter in report.parameters}
    asked = [{key: value for key, value in each.items() if key in offered} for each in asked]
    if "period" in offered:
        asked = [{**each, "period": "all"} for each in asked]
    return asked


@pytest.mark.parametrize("name", OWN)
def test_a_report_of_one_listener_is_what_it_would_be_if_there_were_nobody_else(
    engines: dict[str, EmbeddedEngine], name: str
) -> None:
    for values in values_of(name):
        forged = {"user": BEN} if catalogue.report(name).parameter("user") else {}
        told = {
            place: catalogue.run(engine, catalogue.report(name), values | forged, only=ANN, clock=lambda: MOMENT).page
            for place, engine in engines.items()
        }
        assert told["both"] and told["alone"]
        assert told["both"].rows == told["alone"].rows
        assert SECRET not in json.dumps(plain_rows(told["both"].rows), default=str)
        everybodys = catalogue.run(engines["alone"], catalogue.report(name), values, clock=lambda: MOMENT).page
        assert everybodys and told["alone"].rows == everybodys.rows  # nothing of their own is withheld


@pytest.mark.parametrize("name", sorted(set(EVERY) - set(OWN)))
def test_a_report_that_cannot_be_one_listeners_is_refused(engines: dict[str, EmbeddedEngine], name: str) -> None:
    with pytest.raises(Forbidden, match=name):
        catalogue.run(engines["both"], catalogue.report(name), only=ANN)


def test_the_pages_of_a_listener_have_their_reports() -> None:
    """What the pages of music ask for; the rest is of the pipeline, or compares."""
    refused = {"compare_listeners", "left_out", "listening_holes", "new_since_last_run"}
    assert set(EVERY) - set(OWN) == refused | {"dashboard_holes", "dashboard_quality", "dashboard_rejected"}


# --- over HTTP ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(both: Path) -> Iterator[LakeServer]:
    report = f'-- title = "{SECRET}"\n-- description = "d"\nSELECT user_id FROM plays'
    with LakeServer(both, {"REQUESTS_PER_MINUTE": "1000000"}) as running:
        assert running.put("/reports/all_of_it", json={"sql": report}).status_code == 201
        yield running


@pytest.fixture(scope="module")
def token(both: Path) -> str:
    return Access(settings_for(both), open_secrets(settings_for(both))).add("test", LISTENER, None, ANN)[1]


@pytest.fixture(scope="module")
def anns(server: LakeServer, token: str) -> requests.Session:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return session


FORGED: tuple[dict[str, str], ...] = (
    {},
    {"user": BEN},
    {"user": ""},
    {"other_user": BEN},
    {"listener": BEN},
    {"user_id": BEN},
)
BODIES: dict[str, dict[str, Any]] = {
    "start_query": {"sql": "SELECT * FROM plays"},
    "save_report": {"sql": '-- title = "t"\n-- description = "d"\nSELECT * FROM plays'},
    "rename_listener": {"listener": BEN, "name": "x"},
    "merge_listeners": {"listener": BEN, "into": ANN},
    "share": {"listener": BEN},
    "leave_out": {"kind": "artist", "artist_name": "x", "listener": BEN},
    "invite": {"listener": BEN, "name": "x"},
    "start_import": {"filename": "a.zip", "user_id": BEN},
}


@pytest.mark.thorough
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_no_route_tells_anything_of_another_listener(server: LakeServer, anns: requests.Session, route: Any) -> None:
    query = server.post("/queries", json={"sql": "SELECT * FROM plays"}).json()["query_id"]
    server.get(f"/queries/{query}", params={"wait": 10})
    places = {"query_id": query, "run_id": RUN, "invitation_id": "x", "token_id": "local", "import_id": RUN,
              "exclusion_id": "x", "below": "chart.js"}  # fmt: skip
    names = {
        "/tables/{name}": ["plays", "listeners"],
        "/static/{name}": ["app.js"],
        "/static/{name}/{below}": ["vendor"],
    }
    for name in names.get(route.path, [*EVERY, "all_of_it"] if "/reports/" in route.path else [""]):
        for forged in FORGED:
            for accept in ("application/json", "text/csv"):
                path = route.path.format(**{**places, "name": name})
                answer = anns.request(
                    route.method,
                    f"{server.url}{path}",
                    params=forged,
                    json=BODIES.get(route.name, {}) if route.body is not None else None,
                    headers={"Accept": accept},
                    timeout=30,
                    allow_redirects=False,
                )
                told = answer.text + str(answer.headers)
                assert SECRET not in told.replace(f"there is no listener '{BEN}'", ""), (
                    path,
                    forged,
                    answer.status_code,
                )
                if route.scope is not None and not route.of_one_listener:
                    assert answer.status_code == 403, path
                if not names.get(route.path) and "/reports/" not in route.path and accept == "text/csv":
                    break


TOOL_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("query", {"sql": "SELECT * FROM plays"}),
    ("list_tables", {}),
    ("describe_table", {"name": "plays"}),
    ("list_reports", {}),
    ("run_report", {"name": "all_of_it"}),
    *(("run_report", {"name": name, "parameters": forged}) for name in EVERY for forged in ({}, {"user": BEN})),
)


def test_an_assistant_with_a_listeners_token_sees_that_listener_alone(server: LakeServer, anns: Any) -> None:
    query = server.post("/queries", json={"sql": "SELECT * FROM plays"}).json()["query_id"]
    told = {}
    for tool, arguments in (*TOOL_CALLS, ("query_rows", {"query_id": query})):
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        answer = anns.post(f"{server.url}/mcp", json=call, timeout=30)
        assert answer.status_code == 200 and SECRET not in answer.text, (tool, arguments)
        told[tool] = answer.json()["result"]["isError"]
    assert told["query"] and told["query_rows"] and not told["list_reports"]


@pytest.mark.thorough
def test_the_protocols_own_client_stays_bound_to_the_listener(server: LakeServer, anns: requests.Session) -> None:
    """Whatever is asked through it: one of its tools, one that there is not, another's name in any parameter."""

    async def ask() -> None:
        headers = {name: str(value) for name, value in anns.headers.items() if name.lower() == "authorization"}
        async with (
            AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client,
        ):
            assert len((await client.list_tools()).tools) == 6
            own = await client.call_tool("run_report", {"name": "library_overview", "parameters": {}})
            assert not own.is_error and dict(own.structured_content["rows"])["plays"] == 36
            for tool, arguments in TOOL_CALLS:
                told = await client.call_tool(tool, arguments)
                assert SECRET not in str(told.content) + str(told.structured_content), (tool, arguments)
            assert (await client.call_tool("query", {"sql": "SELECT 1 AS one"})).is_error

    anyio.run(ask)


def test_a_listener_sees_their_own(server: LakeServer, anns: requests.Session) -> None:
    (one,) = anns.get(f"{server.url}/listeners", timeout=10).json()["listeners"]
    assert (one["user_id"], one["name"], one["may_be"]) == (ANN, "Ann", [])
    assert anns.get(f"{server.url}/session", timeout=10).json() == {"scope": LISTENER, "listener": ANN, "name": "Ann"}
    assert server.get("/session").json() == {"scope": "run", "listener": None, "name": None}
    listed = {each["name"] for each in anns.get(f"{server.url}/reports", timeout=10).json()["reports"]}
    assert listed == set(OWN)
    answer = anns.get(f"{server.url}/reports/library_overview", timeout=30).json()
    assert dict(answer["rows"])["plays"] == 36
    own = anns.get(f"{server.url}/queries/{answer['query_id']}/rows", timeout=30)
    assert own.json()["rows"] == answer["rows"]


def test_sql_that_begins_like_a_listeners_report_is_the_only_other_that_is_shown(
    server: LakeServer, anns: requests.Session
) -> None:
    started = {
        sql: server.post("/queries", json={"sql": sql}).json()["query_id"]
        for sql in ("SELECT 1 AS one", own_parts(BEN) + " SELECT 1 AS one")
    }
    for query in started.values():
        server.get(f"/queries/{query}", params={"wait": 10})
        for path in (f"/queries/{query}", f"/queries/{query}/rows"):
            assert anns.get(f"{server.url}{path}", timeout=10).status_code == 404


@pytest.mark.thorough
def test_what_a_token_means_follows_a_merge(both: Path, server: LakeServer, tmp_path: Path) -> None:
    make(tmp_path, ANN)
    lake, settings = lake_in(tmp_path), settings_for(tmp_path)
    import_export(lake, settings, write_export(tmp_path / "x" / "endsong_0.json", heard(ANN, "e")), "me")
    made = Access(settings, open_secrets(settings)).add("test", LISTENER, None, "me")[1]
    pipeline.transform_key(lake, merge(lake, "me", ANN)[1])
    with LakeServer(tmp_path) as running:
        answer = requests.get(f"{running.url}/listeners", headers={"Authorization": f"Bearer {made}"}, timeout=10)
        assert [one["user_id"] for one in answer.json()["listeners"]] == [ANN]


def test_a_token_of_nobody_in_particular_is_not_let_in_with_the_scope_of_one(server: LakeServer, both: Path) -> None:
    made = Access(settings_for(both), open_secrets(settings_for(both)))
    with pytest.raises(Exception, match="scope must be one of"):
        made.add("test", LISTENER, None, None)


@pytest.mark.thorough
def test_a_listener_sees_what_is_left_out_of_their_numbers_and_no_name_of_others(
    server: LakeServer, anns: requests.Session
) -> None:
    left = [
        server.post("/exclusions", json={"kind": "artist", "artist_name": name, **whose}).json()["exclusion_id"]
        for name, whose in (
            ("Band z", {"listener": ANN}),
            (f"{SECRET} Band", {}),
            (f"{SECRET} Band x", {"listener": BEN}),
        )
    ]
    try:
        answer = anns.get(f"{server.url}/exclusions", timeout=10)
        assert SECRET not in answer.text
        told = {each["exclusion_id"]: (each["kind"], each["artist_name"]) for each in answer.json()["exclusions"]}
        assert told == {left[0]: ("artist", "Band z"), left[1]: ("artist", None)}
    finally:
        for each in left:
            server.delete(f"/exclusions/{each}")
