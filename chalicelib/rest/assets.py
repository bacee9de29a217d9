"""The dashboard's files: what they are served as, and how long a browser may keep them.

The page asks for its modules as one script (see bundle.py) and for its style under names that hold a digest of what is
in them, which a browser may keep for ever; every file can be had under its own name too.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from chalicelib.errors import NotFound
from chalicelib.rest.bundle import bundle

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
PAGE, SCRIPT, STYLE = "index.html", "dashboard.js", "style.css"
DIGEST = 20  # characters of it in a name or an ETag
HASHED = re.compile(rf"(\w+)-([0-9a-f]{{{DIGEST}}})(\.\w+)")
#: Modules that the page has a browser load ahead, and which the bundle holds.
PRELOADED = re.compile(r' *<link rel="modulepreload" href="static/\w+\.js">\n')
IMAGE_HOST = "https://i.scdn.co"  # Spotify's covers


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page as it is sent."""

    text: str
    content_type: str
    etag: str
    lasting: bool = False  # its name is another one once its text is


def asset(name: str) -> Asset:
    """A file of the dashboard, by its own name or the one that the page uses. Raises NotFound."""
    if name == PAGE:
        return page()
    if hashed := HASHED.fullmatch(name):
        found = script() if hashed[1] + hashed[3] == SCRIPT else file(hashed[1] + hashed[3])
        if found.etag == hashed[2]:
            return replace(found, lasting=True)
    return file(name)


def page() -> Asset:
    """The page with the script and the style under the names of what is in them."""
    text = PRELOADED.sub("", file(PAGE).text)
    for own, name, content in (("app.js", SCRIPT, script()), (STYLE, STYLE, file(STYLE))):
        text = text.replace(f'"static/{own}"', f'"static/{named(name, content)}"')
    return made(text, ".html")


def named(name: str, content: Asset) -> str:
    """The name under which a file may be kept for ever."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-{content.etag}.{suffix}"


def script() -> Asset:
    """The modules of the page as one."""
    paths = sorted(FOLDER.glob("*.js"))
    return bundled(tuple((path, path.stat().st_mtime_ns) for path in paths))


@cache
def bundled(written: tuple[tuple[Path, int], ...]) -> Asset:
    """The script as the modules are at those times of writing."""
    return made(bundle({f"./{path.name}": path.read_text("utf-8") for path, _ in written}), ".js")


def file(name: str) -> Asset:
    """A file as it lies there. Raises NotFound."""
    parts = name.split("/")
    path = FOLDER.joinpath(*parts)
    plain = all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", part) for part in parts)
    if not plain or path.suffix not in CONTENT_TYPES or not path.is_file():
        raise NotFound(f"there is no file {name} in the dashboard", name=name)
    return read(path, path.stat().st_mtime_ns)


@cache
def read(path: Path, _written: int) -> Asset:
    """The file as it is at that time of writing."""
    return made(path.read_text("utf-8"), path.suffix)


def made(text: str, suffix: str) -> Asset:
    """A text as it is sent."""
    return Asset(text, CONTENT_TYPES[suffix], hashlib.sha256(text.encode()).hexdigest()[:DIGEST])


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
