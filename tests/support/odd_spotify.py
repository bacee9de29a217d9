"""A Spotify that answers oddly: a proxy before the sandbox that changes the answers of one endpoint.

It knows nothing of the product but the endpoints' paths; each oddity is what people have met, or what a server, a cache
or a change of format could make of an answer.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

Headers = dict[str, str]
JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Answer:
    """What the proxy is about to say. ``path`` is below ``/v1/``, ``query`` what was asked."""

    path: str
    query: dict[str, str]
    status: int
    headers: Headers
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON in it."""
        return json.loads(self.body)

    def edit(self, change: Callable[[Any], Any]) -> None:
        """Change the document; where there is nothing to change, its bytes stay."""
        document, before = self.document, self.document
        change(document)
        if document != before:
            self.say(document)

    def say(self, document: Any) -> None:
        """Answer another document."""
        self.body = json.dumps(document).encode()


Change = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class Oddity:
    """One way of answering oddly; ``usable``: all that the lake needs can be read; ``partly``: some of it can, so
    that an answer is not in vain; ``plausible``: it could be true of what has never been read before; ``documented``:
    Spotify says that some listings may have it."""

    name: str
    change: Change
    usable: bool = False
    partly: bool = False
    plausible: bool = False
    documented: bool = False


ODDITIES: dict[str, Oddity] = {}


def odd(name: str, change: Change, *, usable: bool = False) -> None:
    """Declare an oddity."""
    assert name not in ODDITIES
    partly = usable or name in PARTLY
    ODDITIES[name] = Oddity(name, change, usable, partly, name in PLAUSIBLE, name in DOCUMENTED)


PARTLY = {
    *(
        "half of the items",
        "one item null",
        "one item a number",
        "one item a list",
        "artists null",
        "artists with null",
    ),
    *(
        "added_at null",
        "name null",
        "no name",
        "name a number",
        "type null",
        "type another",
        "tracks null",
        "album null",
    ),
    *("total a float", "next never null", "the cursor never moves"),
}
PLAUSIBLE = {"an empty listing", "one item of one"}
DOCUMENTED = {"one item null", "added_at null"}  # of playlists


# --- another status -------------------------------------------------------------------------------------------------


def status(code: int, message: str = "", headers: Headers | None = None, **more: str) -> Change:
    def change(answer: Answer) -> None:
        answer.status, answer.headers = code, {**JSON, **(headers or {})}
        answer.say({"error": {"status": code, "message": message, **more}})

    return change


def bare(code: int, body: bytes = b"", headers: Headers | None = None) -> Change:
    def change(answer: Answer) -> None:
        answer.status, answer.headers, answer.body = code, headers or {"Content-Type": "text/html"}, body

    return change


for code in (500, 502, 503, 504, 408, 425, 418, 451, 410, 405, 409):
    odd(f"status {code}", status(code, "no"))
for code, words in (
    (400, "Bad request"),
    (401, "Access token missing"),
    (401, "The access token expired"),
    (403, "Forbidden"),
    (403, "Premium required"),
    (403, "Insufficient client scope"),
    (404, "Resource not found"),
):
    odd(f"{code} {words}", status(code, words))
odd("403 of a web server", bare(403, b"<html>no</html>"))
odd("404 of a web server", bare(404, b"<html>no</html>"))
odd("502 of a web server", bare(502, b"<html>bad gateway</html>"))
odd("404 whose error is a text", bare(404, b'{"error": "not found"}', JSON))
odd("204 no content", bare(204))
odd("202 accepted", bare(202, b"{}", JSON))
odd("301 elsewhere", bare(301, b"", {"Location": "https://example.invalid/"}))
odd("304 not modified", bare(304))
for header in ("", "soon", "-5", "0", "99999999999999", "Wed, 01 Jan 2020 00:00:00 GMT", "30000"):
    wait = {"Retry-After": header} if header else {}
    odd(f"429 Retry-After {header or 'missing'}", status(429, "API rate limit exceeded", wait))
odd("429 quota", status(429, "Too many requests", reason="QUOTA_EXCEEDED"))


# --- another body ---------------------------------------------------------------------------------------------------


def body(change_of: Callable[[bytes], bytes]) -> Change:
    def change(answer: Answer) -> None:
        answer.body = change_of(answer.body)

    return change


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"ok"',
    "a number": b"7",
    "an empty object": b"{}",
    "HTML": b"<!doctype html><title>Spotify</title>",
    "an error with 200": b'{"error": {"status": 500, "message": "no"}}',
    "not JSON": b"{'items': []}",
}


def instead(content: bytes) -> Change:
    return body(lambda _: content)


for name, content in BODIES.items():
    odd(f"the body is {name}", instead(content))
odd("half of the body", body(lambda text: text[: len(text) // 2]))
odd("the body twice", body(lambda text: text + text))
odd("zeros after the body", body(lambda text: text + b"\0" * 8))
odd("the body in UTF-16", body(lambda text: text.decode().encode("utf-16")), usable=True)
odd("the body with a byte order mark", body(lambda text: b"\xef\xbb\xbf" + text), usable=True)
odd("half a surrogate in names", body(lambda text: text.replace(b'"name": "', b'"name": "\\ud83d')), usable=True)
odd("NaN for numbers", body(lambda text: re.sub(rb'("duration_ms|"popularity)": \d+', rb'\1": NaN', text)), usable=True)


# --- another page ---------------------------------------------------------------------------------------------------


def pages_in(document: Any) -> Iterator[dict[str, Any]]:
    """The page that an answer is, or the pages at its top."""
    if isinstance(document, dict):
        for page in (document, *document.values()):
            if isinstance(page, dict) and isinstance(page.get("items"), list):
                yield page


def page(change_page: Callable[[dict[str, Any]], Any]) -> Change:
    def change(answer: Answer) -> None:
        answer.edit(lambda document: [change_page(each) for each in list(pages_in(document))])

    return change


def set_to(name: str, value: Any) -> Change:
    return page(lambda each: each.update({name: value}) if name in each else None)


def change_items(change_of: Callable[[list[Any]], Any]) -> Change:
    return page(lambda each: each.update(items=change_of(each["items"])))


for name, items in {
    "no items": lambda items: [],
    "items null": lambda items: None,
    "items an object": lambda items: {"0": items},
    "half of the items": lambda items: items[: len(items) // 2],
    "each item twice": lambda items: [item for item in items for _ in "ab"],
    "the items again": lambda items: items + items,
    "one item null": lambda items: [None, *items[1:]],
    "all items null": lambda items: [None] * len(items),
    "one item a number": lambda items: [7, *items[1:]],
    "one item a list": lambda items: [[], *items[1:]],
    "the first item throughout": lambda items: items[:1] * len(items),
    "items in each other": lambda items: [{"item": item} for item in items],
}.items():
    odd(name, change_items(items))
TOTALS: tuple[Any, ...] = (None, "many", "120", 0, 1, -1, 10**15, True, [], 7.5)
for value in TOTALS:
    odd(f"total {value!r}", set_to("total", value))
odd("total off by 69", page(lambda each: each.update(total=(each.get("total") or 0) + 69)))
odd("total one short", page(lambda each: each.update(total=max(0, (each.get("total") or 0) - 1))))
odd("no total", page(lambda each: each.pop("total", None)))
odd("total a float", page(lambda each: each.update(total=float(each.get("total") or 0))), usable=True)
odd("next null", set_to("next", None))
odd("next never null", page(lambda each: each.update(next="http://x/?offset=50") if "next" in each else None))
odd("no next", page(lambda each: each.pop("next", None)), usable=True)
odd("another offset", page(lambda each: each.update(offset=(each.get("offset") or 0) + 7)))
odd("offset a text", set_to("offset", "0"), usable=True)
odd("the cursor never moves", page(lambda each: each.update(cursors={"after": "0" * 22}, next="http://x/")))
odd("cursors null", set_to("cursors", None))
odd("an empty listing", page(lambda each: each.update(items=[], total=0, next=None, cursors={"after": None})))
odd("one item of one", page(lambda each: each.update(items=each["items"][:1], total=1, next=None)))


def only_first_page(answer: Answer) -> None:
    """Whatever is asked for, the listing's first page: marked by the proxy, which asks for it."""
    answer.headers["X-First-Page"] = "1"


odd("always the first page", only_first_page)


# --- other things ---------------------------------------------------------------------------------------------------


def things_in(document: Any) -> Iterator[dict[str, Any]]:
    """Tracks, albums, artists, playlists: what has an id, wherever it stands."""
    if isinstance(document, dict):
        if "id" in document and "type" in document:
            yield document
        for value in document.values():
            yield from things_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from things_in(value)


def things(change_thing: Callable[[dict[str, Any]], Any]) -> Change:
    def change(answer: Answer) -> None:
        answer.edit(lambda document: [change_thing(each) for each in list(things_in(document))])

    return change


def each_has(name: str, value: Any) -> Change:
    return things(lambda each: each.update({name: value}) if name in each else None)


for bad_id in (None, 7, "", "not an id", ["a"]):
    odd(f"id {bad_id!r}", each_has("id", bad_id))
for name in ("name", "type", "artists", "tracks", "album"):
    odd(f"{name} null", each_has(name, None))
odd("no id", things(lambda each: each.pop("id", None)))
odd("no name", things(lambda each: each.pop("name", None)))
odd("name a number", each_has("name", 7))
odd("type another", each_has("type", "video"))
odd("artists with null", things(lambda each: each.update(artists=[None]) if "artists" in each else None))
odd("snapshot_id null", each_has("snapshot_id", None))
odd("images with null", each_has("images", [None]), usable=True)
odd("external_ids a list", each_has("external_ids", []), usable=True)
odd("popularity a text", each_has("popularity", "63"), usable=True)
odd("explicit a number", each_has("explicit", 0), usable=True)
odd("floats for integers", body(lambda text: re.sub(rb'("duration_ms": \d+)', rb"\1.0", text)), usable=True)


def entries(name: str, value: Any) -> Change:
    def change(answer: Answer) -> None:
        answer.edit(set_entries)

    def set_entries(document: Any) -> None:
        for each in pages_in(document):
            for entry in each["items"]:
                if isinstance(entry, dict) and name in entry:
                    entry[name] = value

    return change


odd("added_at null", entries("added_at", None))
odd("added_at no time", entries("added_at", "yesterday"))
odd("played_at null", entries("played_at", None))
odd("track null", entries("track", None))
odd("track a text", entries("track", "x"))


def another_answer(answer: Answer) -> None:
    """What was asked for of one thing is answered of another."""
    answer.edit(lambda document: document.update(id="9" * 22) if "id" in document else None)


odd("another thing", another_answer)


# --- the proxy ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class OddSpotify:
    """The proxy. ``templates`` (``albums/{id}``) are the endpoints that answer oddly while ``oddity`` is set."""

    target: str
    url: str = ""
    templates: Sequence[str] = ()
    oddity: Oddity | None = None
    struck: Counter[str] = field(default_factory=Counter)  # calls that were answered oddly, by template
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: dict[str, tuple[int, Headers, bytes]] = field(default_factory=dict)

    def be(self, templates: Sequence[str], oddity: Oddity | None) -> None:
        """Answer some endpoints oddly from now on, or all well."""
        self.templates, self.oddity = templates, oddity
        self.struck.clear()

    def odd_template(self, path: str) -> str | None:
        """The template of a path that is to be answered oddly."""
        return next((one for one in self.templates if re.fullmatch(one.replace("{id}", r"\w+"), path)), None)

    def well(self, path: str, headers: Headers, session: requests.Session) -> tuple[int, Headers, bytes]:
        """The answer of the Spotify behind: asked for once as long as it stands still (see ``forget``)."""
        if path not in self.answers:
            reply = session.get(self.target + path, headers=headers, timeout=30, allow_redirects=False)
            kept = {name: reply.headers[name] for name in ("Content-Type", "Retry-After") if name in reply.headers}
            if reply.status_code != 200:
                return reply.status_code, kept, reply.content
            self.answers[path] = reply.status_code, kept, reply.content
        return self.answers[path]

    def forget(self) -> None:
        """Ask anew for everything: the Spotify behind has changed."""
        self.answers.clear()

    def changed(self, answer: Answer, headers: Headers, session: requests.Session) -> Answer:
        """The answer as this Spotify gives it."""
        template = self.odd_template(answer.path)
        if self.oddity is None or template is None:
            return answer
        changed = copy.copy(answer)
        changed.headers = dict(answer.headers)
        try:
            self.oddity.change(changed)
        except (ValueError, KeyError, TypeError, AttributeError):
            return answer  # this oddity has nothing to change here
        if changed.headers.pop("X-First-Page", None):
            query = {name: value for name, value in answer.query.items() if name not in ("offset", "after")}
            changed.body = self.well(f"/v1/{answer.path}?{urlencode(query)}", headers, session)[2]
        if (changed.status, changed.body, changed.headers) == (answer.status, answer.body, answer.headers):
            return answer
        with self.lock:
            self.struck[template] += 1
        return changed


@contextmanager
def odd_spotify(target: str) -> Iterator[OddSpotify]:
    """An odd Spotify before the sandbox at ``target``."""
    spotify = OddSpotify(target.rstrip("/"))
    local = threading.local()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not hasattr(local, "session"):
                local.session = requests.Session()
                local.session.trust_env = False
            url = urlsplit(self.path)
            sent = {"Authorization": self.headers.get("Authorization", "")}
            status, headers, body = spotify.well(self.path, sent, local.session)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            answer = Answer(url.path.removeprefix("/v1/").strip("/"), query, status, headers, body)
            self._write(spotify.changed(answer, sent, local.session))

        def _write(self, answer: Answer) -> None:
            lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in answer.headers.items())]
            body = b"" if answer.status in (204, 304) else answer.body
            lines.append(f"Content-Length: {len(body)}")
            self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    spotify.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield spotify
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
