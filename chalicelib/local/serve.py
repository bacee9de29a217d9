"""``serve``: the API and the dashboard over HTTP; the schedule fires, and new raw objects are events.

The schedule and the events are read off the Chalice app itself and go to its handlers as the same events that AWS
sends. Requests go straight to ``Api.handle``, which knows nothing of Chalice; `chalice local` serves the same API.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from chalice.app import Chalice, CORSConfig

from chalicelib.errors import InvalidSetting, LakeError
from chalicelib.local.arrivals import Arrivals
from chalicelib.local.bounds import Bounds, Doorkeeper
from chalicelib.local.httpserver import HttpServer
from chalicelib.local.signals import ENDING, when_ended
from chalicelib.local.ticker import Ticker
from chalicelib.rest.access import weakness
from chalicelib.settings import Settings
from chalicelib.wiring import Parts

PORT = 8000
SERVED_AT = "served-at"  # in the secret store, beside the codes
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = PORT,
    say: Callable[[str], None] = print,
    *,
    plain_http: bool = False,
    bounds: Bounds | None = None,
) -> None:
    """Serve until SIGTERM, CTRL-C or the terminal's end. ``plain_http`` says that tokens may cross a network readable.

    Raises Conflict when the port is taken, InvalidSetting where others could get in.
    """
    require_safe(settings, host, plain_http=plain_http)
    with heard_stop() as wait_for_stop:
        serve_until(wait_for_stop, settings, host, port, say, bounds or Bounds())


def serve_until(
    wait_for_stop: Callable[[], None],
    settings: Settings,
    host: str,
    port: int,
    say: Callable[[str], None],
    bounds: Bounds,
) -> None:
    """Serve until what waits comes back."""
    app, parts = load_app(settings)
    server = HttpServer(
        lambda: parts.api,
        Doorkeeper(parts.access, bounds.wrong_tokens_per_minute),
        host=host,
        port=port,
        hosts=own_names(settings, host),
        cors=cors_headers(app),
        bounds=bounds,
    )
    background: list[Ticker | Arrivals] = []
    try:
        background = [] if settings.on_aws else [Ticker(app, parts), Arrivals(app, parts)]
        warming = threading.Thread(target=warm_up, args=(parts,), name="warm-up", daemon=True)
        warming.start()
        server.start()
        for thread in background:
            thread.start()
        base = base_address(host, server.port)
        note_served(parts, base)
        say(page_address(parts, base))
        wait_for_stop()
        for thread in background:
            thread.stop()
        warming.join()
    finally:
        server.stop()
        parts.close()


@contextmanager
def heard_stop() -> Iterator[Callable[[], None]]:
    """What waits until SIGINT, SIGTERM or SIGHUP has come, from now on; the last is ignored under nohup.

    The system's handler writes to a socket: whatever Python waits for otherwise would go on waiting where a signal
    comes just as it begins to, or to another thread.
    """
    heard, hearing = socket.socketpair()
    hearing.setblocking(False)
    when_ended(lambda *_: None)
    signal.set_wakeup_fd(hearing.fileno(), warn_on_full_buffer=False)

    def wait() -> None:
        while heard.recv(1)[0] not in ENDING:
            pass

    with heard, hearing:
        try:
            yield wait
        finally:
            signal.set_wakeup_fd(-1)


def require_safe(settings: Settings, host: str, *, plain_http: bool) -> None:
    """Beyond this computer a token must be hard to guess, and who sends it in plain HTTP must have said so.

    Raises InvalidSetting.
    """
    if is_loopback(host):
        return
    if settings.api_token and (why := weakness(settings.api_token)):
        raise InvalidSetting(f"API_TOKEN is too easy to guess for a service that others reach: {why}")
    if not plain_http:
        raise InvalidSetting(
            f"on {host} tokens would cross the network readable: listen on 127.0.0.1 behind a proxy with TLS "
            "(docs/security.md), or say --plain-http"
        )


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_names(settings: Settings, host: str) -> frozenset[str] | None:
    """The names that a request's Host may have: this computer's on a loopback address, any elsewhere."""
    if not is_loopback(host):
        return None
    public = urlsplit(settings.public_url).hostname
    return frozenset({*LOOPBACK_NAMES, host.lower(), *([public] if public else [])})


def warm_up(parts: Parts) -> None:
    """What fails here fails again, in words, for whoever asks for it."""
    try:
        parts.warm_up()
    except LakeError as error:
        log.warning("%s", error.message)


def load_app(settings: Settings) -> tuple[Chalice, Parts]:
    """The Chalice app with these settings: what it reads from the environment when imported is put there first."""
    for name in ("extract_schedule", "lake_url", "cors_origin"):
        if value := getattr(settings, name):
            os.environ[name.upper()] = value
    import app

    return app.app, app.parts


def cors_headers(app: Chalice) -> dict[str, str]:
    """What lets a browser of another origin read an answer; none unless CORS_ORIGIN is set."""
    return app.api.cors.get_access_control_headers() if isinstance(app.api.cors, CORSConfig) else {}


def base_address(host: str, port: int) -> str:
    """Where this computer reaches what listens on the host."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def page_address(parts: Parts, base: str) -> str:
    """What to open: with a code that signs one browser in, once; on AWS without, for its tokens are made there."""
    return base if parts.settings.on_aws else f"{base}?code={parts.access.new_code()}"


def note_served(parts: Parts, base: str) -> None:
    """Keep where the lake is served, so that `lake open` finds it."""
    if not parts.settings.on_aws:
        parts.secrets.write(SERVED_AT, base)


def served_at(parts: Parts) -> str | None:
    """Where the lake was served last from this computer."""
    return None if parts.settings.on_aws else parts.secrets.read(SERVED_AT)
