"""The sandbox's answers against Spotify's own OpenAPI document, where it is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.caller import Caller
from sandbox.server import Sandbox
from tests.support import SHARED

DOCUMENT = SHARED / "spotify" / "openapi.yml"
pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="Spotify's OpenAPI document is not at ../shared")

REMOVED = {"album_group", "available_markets", "label", "popularity", "followers", "country", "email", "product"}
"""Fields that development mode has lost in February 2026: required by the document, absent there."""

Requests = tuple[tuple[str, str, dict[str, Any]], ...]

IN_BOTH_MODES: Requests = (
    ("/me", "me", {}),
    ("/me/player/recently-played", "me/player/recently-played", {"limit": 50}),
    ("/me/top/{type}", "me/top/artists", {"limit": 50}),
    ("/me/top/{type}", "me/top/tracks", {"limit": 50}),
    ("/me/tracks", "me/tracks", {"limit": 50}),
    ("/me/albums", "me/albums", {"limit": 50}),
    ("/me/following", "me/following", {"type": "artist"}),
    ("/me/playlists", "me/playlists", {"limit": 50}),
    ("/playlists/{playlist_id}", "playlists/{playlist}", {}),
    ("/playlists/{playlist_id}/items", "playlists/{playlist}/items", {"limit": 50}),
    ("/tracks/{id}", "tracks/{track}", {}),
    ("/albums/{id}", "albums/{album}", {}),
    ("/albums/{id}/tracks", "albums/{album}/tracks", {"limit": 50}),
    ("/artists/{id}", "artists/{artist}", {}),
    ("/artists/{id}/albums", "artists/{artist}/albums", {"limit": 10}),
    ("/search", "search", {"q": "the", "type": "album,artist,track,playlist", "limit": 10}),
    ("/search", "search", {"q": "tag:new", "type": "album", "limit": 10}),
    ("/episodes/{id}", "episodes/{episode}", {}),
    ("/shows/{id}", "shows/{show}", {}),
    ("/shows/{id}/episodes", "shows/{show}/episodes", {"limit": 50}),
)
IN_EXTENDED_MODE: Requests = (
    ("/tracks", "tracks", {"ids": "{track},{older}"}),
    ("/albums", "albums", {"ids": "{album}"}),
    ("/artists", "artists", {"ids": "{artist}"}),
    ("/episodes", "episodes", {"ids": "{episode}"}),
    ("/shows", "shows", {"ids": "{show}"}),
    ("/browse/new-releases", "browse/new-releases", {"limit": 50}),
    ("/playlists/{playlist_id}/tracks", "playlists/{playlist}/tracks", {}),
    ("/artists/{id}/top-tracks", "artists/{artist}/top-tracks", {}),
    ("/users/{user_id}", "users/listener1", {}),
    ("/users/{user_id}/playlists", "users/listener1/playlists", {}),
    ("/markets", "markets", {}),
)
CASES = [("development", *case) for case in IN_BOTH_MODES] + [
    ("extended", *case) for case in (*IN_BOTH_MODES, *IN_EXTENDED_MODE)
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document; its references to an unpublished policy file stand outside of all schemas."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    loaded: dict[str, Any] = yaml.load(DOCUMENT.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


@pytest.fixture(scope="module")
def callers() -> Iterator[dict[str, tuple[Caller, dict[str, str]]]]:
    made = {}
    running = [
        Sandbox(mode=mode, now="2026-11-20T12:00:00", frozen=True).start() for mode in ("development", "extended")
    ]
    for sandbox in running:
        made[sandbox.service.mode] = sandbox.caller(), names(sandbox)
    yield made
    for caller, _ in made.values():
        caller.close()
    for sandbox in running:
        sandbox.close()


def names(sandbox: Sandbox) -> dict[str, str]:
    """Ids for the paths: of the awkward first playlist, of something in the library, of an older track id."""
    catalogue, now = sandbox.world.catalogue, sandbox.clock.now_ms()
    library = sandbox.world.default_listener.library(now)
    return {
        "playlist": library.playlists[0].id,
        "track": catalogue.track(next(iter(library.tracks))).id,
        "older": catalogue.relinked_id(next(iter(library.tracks))),
        "album": catalogue.album(next(iter(library.albums))).id,
        "artist": catalogue.artist(library.followed()[0]).id,
        "episode": catalogue.episode(catalogue.episodes(0, now)[0]).id,
        "show": catalogue.show(0).id,
    }


def json_schema(part: Any, development: bool) -> Any:
    """OpenAPI 3.0 as JSON Schema: ``nullable`` becomes a type; removed fields are not required."""
    if isinstance(part, list):
        return [json_schema(one, development) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: json_schema(value, development) for key, value in part.items() if key != "example"}
    if development and isinstance(made.get("required"), list):
        made["required"] = [name for name in made["required"] if name not in REMOVED]
    if made.pop("nullable", False) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


def response_schema(document: dict[str, Any], path: str, development: bool) -> dict[str, Any]:
    response = document["paths"][path]["get"]["responses"]["200"]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = json_schema(response["content"]["application/json"]["schema"], development)
    schemas = json_schema(document["components"]["schemas"], development)
    # last pages have neither next nor a cursor, as recorded, though the document does not say that they may be null
    schemas["CursorPagingObject"]["properties"]["next"] = {"type": ["string", "null"]}
    schemas["CursorObject"]["properties"]["after"] = {"type": ["string", "null"]}
    return {**schema, "components": {"schemas": schemas}}


def documented(answer: Any) -> Any:
    """The answer without what recordings hold and the document does not know: null entries and local files."""
    if isinstance(answer, list):
        return [documented(one) for one in answer if not undocumented(one)]
    if isinstance(answer, dict):
        return {key: documented(value) for key, value in answer.items()}
    return answer


def undocumented(entry: Any) -> bool:
    if entry is None:
        return True
    return isinstance(entry, dict) and "added_by" in entry and (entry["is_local"] or entry["item"] is None)


@pytest.mark.parametrize(("mode", "template", "path", "query"), CASES)
def test_answers_conform(
    document: dict[str, Any],
    callers: dict[str, tuple[Caller, dict[str, str]]],
    mode: str,
    template: str,
    path: str,
    query: dict[str, Any],
) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    call, ids = callers[mode]
    answer = call.get(path.format(**ids), **{name: str(value).format(**ids) for name, value in query.items()})
    assert answer.status == 200
    schema = response_schema(document, template, mode == "development")
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(documented(answer.json)))
    assert not errors, [(list(error.absolute_path), error.message[:200]) for error in errors[:5]]


def test_development_answers_hold_none_of_the_removed_fields(
    callers: dict[str, tuple[Caller, dict[str, str]]],
) -> None:
    call, ids = callers["development"]
    for _, path, query in IN_BOTH_MODES:
        answer = call.get(path.format(**ids), **query).json
        allowed = {"followers"} if path.startswith("playlists/") else set()
        assert not (keys(answer) & REMOVED) - allowed, path


def keys(answer: Any) -> set[str]:
    if isinstance(answer, list):
        return set().union(*map(keys, answer))
    if isinstance(answer, dict):
        return set(answer).union(*map(keys, answer.values()))
    return set()
