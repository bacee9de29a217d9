"""Fetching small copies of covers and artists' pictures from Spotify's image host, once each, when asked for.

One call after another, a budget a time; what is there is not fetched again, so that an interrupted fetching goes on
where it was. Only names are taken from Spotify's answers: no address of an answer is called but on its image hosts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import requests

from chalicelib import __version__
from chalicelib.clock import Sleep
from chalicelib.errors import SpotifyUnavailable
from chalicelib.images import LARGEST_IMAGE, image_key, image_type, kept_images, name_in, small_name
from chalicelib.lake import Lake

PACE = 0.1  # s between two calls
CALL_SECONDS = 10.0
PAUSES = (1.0, 4.0)  # s before each further attempt
LONGEST_WAIT = 30.0  # s that the host may ask to wait
GONE = (403, 404, 410)  # what the host says of a picture that it does not have


@dataclass(slots=True)
class PicturesKept:
    """What a fetching did: pictures fetched with their bytes, those that were there, and those that are nowhere."""

    fetched: int = 0
    bytes: int = 0
    there: int = 0
    gone: int = 0

    def __str__(self) -> str:
        return (
            f"{self.fetched:,} pictures fetched ({self.bytes / 1e6:.1f} MB), {self.there:,} were there already, "
            f"Spotify has {self.gone:,} no more"
        )


def keep_pictures(
    lake: Lake,
    images_url: str,
    links: Iterable[str],
    most: int,
    *,
    session: requests.Session | None = None,
    sleep: Sleep = time.sleep,
    progress: Callable[[int], None] = lambda _: None,
) -> PicturesKept:
    """Keep copies of the pictures that ``links`` lead to, in their order, with at most ``most`` calls.

    Raises SpotifyUnavailable where the host does not answer any more; what was fetched until then is kept.
    """
    found, there = PicturesKept(), kept_images(lake)
    calls = session or requests.Session()
    for name in dict.fromkeys(name for link in links if (name := name_in(link))):
        if name in there:
            found.there += 1
            continue
        if found.fetched + found.gone >= most:
            break
        data = fetched(calls, images_url, name, sleep)
        lake.store.write(image_key(name), data)
        found.fetched += bool(data)
        found.gone += not data
        found.bytes += len(data)
        progress(found.fetched + found.gone)
        sleep(PACE)
    return found


def fetched(calls: requests.Session, images_url: str, name: str, sleep: Sleep) -> bytes:
    """A picture in the size that the page needs, or else as it is linked; empty where there is none."""
    for wanted in dict.fromkeys((small_name(name), name)):
        if data := asked(calls, f"{images_url}/image/{wanted}", sleep):
            return data
    return b""


def asked(calls: requests.Session, address: str, sleep: Sleep) -> bytes:
    """What an address of the image host answers; empty where that is no picture. Raises SpotifyUnavailable."""
    fault = ""
    for pause in (0.0, *PAUSES):
        sleep(pause)
        try:
            status, headers, data = answer(calls, address)
        except (requests.RequestException, OSError) as error:
            fault = f"did not answer: {type(error).__name__}"
            continue
        if status == 200 and data and image_type(data):
            return data
        if status in GONE or status == 200 or 300 <= status < 400:
            return b""
        fault = f"answered {status}"
        wait = headers.get("retry-after", "")
        if wait.isdecimal():
            if int(wait) > LONGEST_WAIT:
                break
            sleep(float(wait))
    raise SpotifyUnavailable(f"Spotify's image host {fault}; what was fetched is kept: ask again later")


def answer(calls: requests.Session, address: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case, and a body of bounded size: empty where it is larger."""
    with calls.get(
        address,
        headers={"User-Agent": f"spotify-lake/{__version__}", "Accept": "image/*"},
        timeout=CALL_SECONDS,
        allow_redirects=False,
        stream=True,
    ) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        data = bytearray()
        for block in response.iter_content(65_536):
            data += block
            if len(data) > LARGEST_IMAGE:
                return response.status_code, headers, b""
        return response.status_code, headers, bytes(data)
