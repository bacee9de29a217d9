"""Where Spotify sends the browser back to after a login: a server on this machine's loopback address."""

from __future__ import annotations

import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.errors import InvalidSetting, SpotifyRefused

IDLE = 10.0  # s that a connection may send nothing


class CallbackServer:
    """Listens on the redirect URI until Spotify sends the browser back with a code for our ``state``.

    A thread a connection: browsers also open connections ahead that they send nothing over.
    """

    def __init__(self, redirect_uri: str, state: str) -> None:
        place = urlsplit(redirect_uri)
        if place.scheme != "http" or place.hostname != "127.0.0.1" or not place.port:
            raise InvalidSetting(
                f"SPOTIPY_REDIRECT_URI={redirect_uri!r} must be http://127.0.0.1:PORT/PATH: Spotify does not take "
                "localhost, and this command must listen there"
            )
        self._path, self._state = place.path or "/", state
        self._arrived = threading.Event()
        self._query: dict[str, str] = {}
        try:
            self._server = ThreadingHTTPServer((place.hostname, place.port), self._handler())
        except OSError as error:
            raise InvalidSetting(
                f"port {place.port} of SPOTIPY_REDIRECT_URI is in use ({error.strerror}): free it or choose another"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> CallbackServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, seconds: float) -> str:
        """The authorisation code. Raises SpotifyRefused when the listener declines or nobody comes back."""
        if not self._arrived.wait(seconds):
            raise SpotifyRefused(f"nobody came back from Spotify's login page within {seconds:.0f} s")
        if "code" not in self._query:
            raise SpotifyRefused(f"Spotify did not authorise this app: {self._query.get('error', 'no code')}")
        return self._query["code"]

    def _take(self, path: str) -> tuple[int, str]:
        place = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        state = query.get("state", "").encode("utf-8", "surrogatepass")
        if place.path != self._path or not secrets.compare_digest(state, self._state.encode()):
            return 400, "This is not the answer to the login that was started. Nothing was changed."
        if not self._arrived.is_set():  # the first answer counts
            self._query = query
            self._arrived.set()
        return 200, "Thank you. You can close this window."

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            timeout = IDLE

            def do_GET(self) -> None:
                status, words = take(self.path)
                body = words.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """The path holds the code: it goes to no log."""

        return Handler
