"""Copies of covers: fetched once each from Spotify's image host alone, within bounds, and served by the lake."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from chalicelib.errors import NotFound, SpotifyUnavailable
from chalicelib.extraction.pictures import keep_pictures
from chalicelib.images import LARGEST_IMAGE, image_type, kept_images, name_in, require_kept, small_name
from sandbox.server import Sandbox
from sandbox.service import picture
from sandbox.shapes import images
from tests.support.listening import lake_in

PNG = picture((1, 2, 3))
NAME = "ab67616d0000b273" + "0" * 24
LINK = f"https://i.scdn.co/image/{NAME}"


class Host(ThreadingHTTPServer):
    """An image host that answers what a test wants, in turn, and the last of it from then on."""

    def __init__(self, *answers: tuple[int, bytes, dict[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers, self.asked = list(answers), list[str]()
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body, headers = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def spotify() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def asked_of(spotify: Sandbox) -> list[str]:
    return [call.path for call in spotify.calls.log if call.group == "images"]


def test_the_small_picture_is_kept_once_and_an_interrupted_fetching_goes_on(tmp_path: Path, spotify: Sandbox) -> None:
    links = [images("album", str(number))[0]["url"] for number in range(20)]
    links += [images("artist", str(number), (640, 320, 160))[0]["url"] for number in range(20)]
    lake = lake_in(tmp_path)
    first = keep_pictures(lake, spotify.images_url, links, 15, sleep=lambda _: None)
    assert first.fetched + first.gone == 15 and first.there == 0
    then = keep_pictures(lake, spotify.images_url, links, 100, sleep=lambda _: None)
    assert (then.there, then.fetched + then.gone) == (15, 25)
    again = keep_pictures(lake, spotify.images_url, links, 100, sleep=lambda _: None)
    assert (again.there, again.fetched) == (40, 0)
    paths = asked_of(spotify)
    assert len(paths) == len(set(paths)) and len(paths) <= 40 + 2 * (first.gone + then.gone)
    assert all(path.startswith(("/image/ab67616d00001e02", "/image/ab67616100005174")) for path in paths[:1])
    assert set(kept_images(lake)) == {name_in(link) for link in links}


@pytest.mark.parametrize(
    "link",
    ["http://i.scdn.co/image/" + "a" * 40, "https://evil.example/image/" + "a" * 40, "https://i.scdn.co/image/../x",
     "https://i.scdn.co.evil.example/image/" + "a" * 40, "https://i.scdn.co/other/" + "a" * 40, ""],
)  # fmt: skip
def test_only_links_to_spotifys_image_hosts_are_followed(tmp_path: Path, link: str) -> None:
    host = Host((200, PNG, {}))
    assert keep_pictures(lake_in(tmp_path), host.url, [link], 5, sleep=lambda _: None).fetched == 0
    assert host.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        (404, b"", {}), (200, b"<html>", {}), (200, b"", {}), (302, b"", {"Location": "http://127.0.0.1:1/x"}),
        (200, PNG + b"0" * LARGEST_IMAGE, {}),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_not_kept_and_not_asked_for_again(
    tmp_path: Path, answer: tuple[int, bytes, dict[str, str]]
) -> None:
    host, lake = Host(answer), lake_in(tmp_path)
    found = keep_pictures(lake, host.url, [LINK], 5, sleep=lambda _: None)
    assert (found.fetched, found.gone) == (0, 1)
    assert host.asked == [f"/image/{small_name(NAME)}", f"/image/{NAME}"]
    keep_pictures(lake, host.url, [LINK], 5, sleep=lambda _: None)
    assert len(host.asked) == 2
    with pytest.raises(NotFound):
        require_kept(lake, NAME)


def test_a_host_that_is_away_ends_the_fetching_and_nothing_counts_as_gone(tmp_path: Path) -> None:
    host, lake, naps = Host((200, PNG, {}), (503, b"", {"Retry-After": "2"})), lake_in(tmp_path), list[float]()
    other = f"https://i.scdn.co/image/{'b' * 40}"
    with pytest.raises(SpotifyUnavailable, match="what was fetched is kept"):
        keep_pictures(lake, host.url, [LINK, other], 5, sleep=naps.append)
    assert set(kept_images(lake)) == {NAME} and 2.0 in naps
    assert require_kept(lake, NAME) == "image/png"


def test_a_passing_fault_is_asked_again(tmp_path: Path) -> None:
    host = Host((500, b"", {}), (200, PNG, {}))
    assert keep_pictures(lake_in(tmp_path), host.url, [LINK], 5, sleep=lambda _: None).fetched == 1


def test_a_picture_is_known_by_how_it_begins() -> None:
    assert [image_type(data) for data in (PNG, b"\xff\xd8\xff\xe0", b"RIFF0000WEBPVP8", b"RIFF0000WAVE", b"<svg")] == [
        "image/png", "image/jpeg", "image/webp", None, None
    ]  # fmt: skip
