"""The tamed spotipy against servers that do everything wrong."""

from __future__ import annotations

import gzip
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from chalicelib import log
from chalicelib.clock import now
from chalicelib.errors import SpotifyUnavailable
from chalicelib.spotify.auth import FixedToken
from chalicelib.spotify.client import Spotify, SpotifySession

TOKEN = "BQC-a-very-secret-bearer-token"
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every request by ``answer``; its address and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_address[1]}/v1", asked
        finally:
            served.shutdown()
            thread.join()


@contextmanager
def client(url: str) -> Iterator[Spotify]:
    session = SpotifySession(4)
    try:
        yield Spotify(url, FixedToken(TOKEN), session, now)
    finally:
        session.close()


def says(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_the_reply_holds_the_bytes_and_what_was_asked() -> None:
    body = b'{"id": "a",  "name": "\\u00e9"}'
    with server(says(200, body)) as (url, asked), client(url) as spotify:
        reply = spotify.call("album_tracks", {"album_id": "0" * 22, "limit": 50, "offset": 100}, seconds=5)
    assert reply.body == body
    assert reply.document == {"id": "a", "name": "é"}
    assert reply.endpoint == f"albums/{'0' * 22}/tracks"
    assert reply.params == {"limit": 50, "offset": 100}
    assert len(asked) == 1


def test_a_compressed_answer_is_kept_uncompressed() -> None:
    with server(says(200, gzip.compress(b'{"id": "a"}'), Content_Encoding="gzip")) as (url, _), client(url) as spotify:
        assert spotify.call("me", {}, seconds=5).body == b'{"id": "a"}'


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": "\\ud83d"}', "\ufffd"),
        (b'{"a": 63.0}', 63.0),
        (b'{"a": 100000000000000000000000000000}', 10**29),
        (b'{"a": 1, "a": 2}', 2),
        (b'{"a": NaN}', None),
    ],
)
def test_odd_json_is_json(body: bytes, value: Any) -> None:
    with server(says(200, body)) as (url, _), client(url) as spotify:
        reply = spotify.call("me", {}, seconds=5)
    assert reply.body == body
    assert reply.document is not None
    if value is not None:
        assert reply.document["a"] == value


def test_json_nested_without_end_is_no_answer() -> None:
    body = b'{"a":' * 200_000
    with server(says(200, body)) as (url, _), client(url) as spotify:
        assert spotify.call("me", {}, seconds=5).document is None


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_spotipy_neither_sleeps_nor_retries(status: int) -> None:
    with server(says(status, b"{}", Retry_After="30000")) as (url, asked), client(url) as spotify:
        reply = spotify.call("artist", {"artist_id": "0" * 22}, seconds=5)
    assert reply.status == status
    assert reply.headers["retry-after"] == "30000"
    assert len(asked) == 1


@pytest.mark.parametrize("body", [b"<!doctype html>", b'{"id": "a', b"", b"null", b"[]", b'"text"', b"\xff\xfe"])
def test_a_body_that_is_no_json_object_has_no_document(body: bytes) -> None:
    with server(says(200, body)) as (url, _), client(url) as spotify:
        reply = spotify.call("me", {}, seconds=5)
    assert reply.document is None
    assert reply.body == body


@pytest.mark.parametrize("body", [b'{"error": "invalid"}', b'{"error": null}', b'{"error": {"message": "no"}}', b"[]"])
def test_a_refusal_of_any_shape_is_a_reply(body: bytes) -> None:
    with server(says(400, body)) as (url, _), client(url) as spotify:
        assert spotify.call("me", {}, seconds=5).status == 400


def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else() -> None:
    with server(says(200, b'{"id": "thief"}')) as (elsewhere, stolen):
        redirect = says(302, b"", Location=f"{elsewhere}/me")
        with server(redirect) as (url, _), client(url) as spotify:
            assert spotify.call("me", {}, seconds=5).status == 302
        assert stolen == []


def test_a_body_cut_short_is_no_answer() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"id": "a"}')
        handler.close_connection = True

    with server(answer) as (url, _), client(url) as spotify, pytest.raises(SpotifyUnavailable):
        spotify.call("me", {}, seconds=5)


def test_an_answer_that_drips_is_given_up_when_its_time_is_over() -> None:
    drops: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            for _ in range(60):
                drops.append(handler.wfile.write(b" "))
                time.sleep(0.05)
        except OSError:
            pass  # the client has gone

    with server(answer) as (url, _), client(url) as spotify:
        with pytest.raises(SpotifyUnavailable):
            spotify.call("me", {}, seconds=0.4)
        assert len(drops) < 60, "the client waited for the last one"


def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with client(f"http://127.0.0.1:{port}/v1") as spotify, pytest.raises(SpotifyUnavailable):
        spotify.call("me", {}, seconds=1)


def test_no_log_line_at_any_level_holds_the_token() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    handler = log.set_up("DEBUG", stream=stream)
    try:
        logging.getLogger("spotipy").setLevel(logging.DEBUG)
        logging.getLogger("spotipy.client").setLevel(logging.DEBUG)
        for status in (200, 401, 429):
            with server(says(status, b'{"error": {"message": "no"}}')) as (url, _), client(url) as spotify:
                spotify.call("me", {}, seconds=5)
        logging.getLogger("urllib3").debug("header: Authorization: Bearer %s", TOKEN)
    finally:
        root.removeHandler(handler)
        root.handlers[:] = before
        root.setLevel(level)
    assert "urllib3" in stream.getvalue()
    assert TOKEN not in stream.getvalue()
