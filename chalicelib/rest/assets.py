"""The dashboard's files: what they are served as, and how long a browser may keep them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chalicelib.errors import NotFound

FOLDER = Path(__file__).parent.parent / "web"
#: Text only: API Gateway passes text through untouched, whatever a browser says it accepts.
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}
IMAGE_HOST = "https://i.scdn.co"  # Spotify's covers


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page as it is sent."""

    text: str
    content_type: str
    etag: str


def asset(name: str) -> Asset:
    """A file of the dashboard. Raises NotFound."""
    parts = name.split("/")
    path = FOLDER.joinpath(*parts)
    plain = all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", part) for part in parts)
    if not plain or path.suffix not in CONTENT_TYPES or not path.is_file():
        raise NotFound(f"there is no file {name} in the dashboard", name=name)
    return read(path, path.stat().st_mtime_ns)


@cache
def read(path: Path, _written: int) -> Asset:
    """The file as it is at that time of writing."""
    text = path.read_text("utf-8")
    return Asset(text, CONTENT_TYPES[path.suffix], hashlib.sha256(text.encode()).hexdigest()[:20])


def page_policy(show_images: bool, bucket: str = "", region: str = "") -> str:
    """The dashboard's Content-Security-Policy: its own files and API, and nothing else.

    With a lake in a bucket, exports go to it and results come from it by links of limited life.
    """
    images = f"'self' data:{' ' + IMAGE_HOST if show_images else ''}"
    places = {"", f"{region}." if region else ""} if bucket else set()
    hosts = " ".join(["'self'", *sorted(f"https://{bucket}.s3.{place}amazonaws.com" for place in places)])
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src {hosts}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
