"""Small copies of covers and artists' pictures in the lake, ``raw/images/<name>``, so that showing them asks nobody.

They are of links that Spotify's own answers name, on its image hosts alone. A copy is kept under the name in the link;
an empty object says that Spotify has no such picture any more.
"""

from __future__ import annotations

import re

from chalicelib.errors import NotFound
from chalicelib.lake import RAW_IMAGES, Lake

LARGEST_IMAGE = 1024 * 1024  # bytes; a cover of 300 pixels has 15,000 to 40,000
LINK = re.compile(
    r"https://(?:i\.scdn\.co|mosaic\.scdn\.co|image-cdn-[a-z]{2}\.spotifycdn\.com)/image/([0-9A-Za-z]{16,128})"
)
#: How names begin, by what they are of and how large: 640 pixels, and the size that the page needs (300 or 320).
SMALL = {
    "ab67616d0000b273": "ab67616d00001e02",  # albums
    "ab6761610000e5eb": "ab67616100005174",  # artists
    "ab6765630000ba8a": "ab67656300005f1f",  # shows and episodes
}
TYPES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF", "image/webp"))


def name_in(link: str) -> str | None:
    """The name of the picture that a link of Spotify's leads to; None for any other link."""
    match = LINK.fullmatch(link)
    return match[1] if match else None


def small_name(name: str) -> str:
    """The name of the same picture in the size that the page needs, where Spotify has it in several."""
    start = next((start for start in SMALL if name.startswith(start)), "")
    return SMALL[start] + name.removeprefix(start) if start else name


def image_type(data: bytes) -> str | None:
    """The media type of a picture, by how it begins; None for what is none."""
    found = next((kind for start, kind in TYPES if data.startswith(start)), None)
    return None if found == "image/webp" and data[8:12] != b"WEBP" else found


def image_key(name: str) -> str:
    """Where the copy of a picture is kept."""
    return f"{RAW_IMAGES}{name}"


def kept_images(lake: Lake) -> dict[str, int]:
    """Names of the pictures that were asked for, and the bytes of their copies: 0 where Spotify has none."""
    return {info.key.removeprefix(RAW_IMAGES): info.size for info in lake.store.list(RAW_IMAGES)}


def require_kept(lake: Lake, name: str) -> str:
    """The media type of a picture of which there is a copy. Raises NotFound."""
    info = lake.store.stat(image_key(name)) if re.fullmatch(r"[0-9A-Za-z]{16,128}", name) else None
    kind = image_type(lake.store.read(info.key)) if info and 0 < info.size <= LARGEST_IMAGE else None
    if kind is None:
        raise NotFound(f"there is no copy of a picture {name[:128]}: `lake images` makes them", name=name[:128])
    return kind
