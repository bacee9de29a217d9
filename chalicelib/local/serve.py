"""``serve``: Chalice's local server, and what it lacks: the schedule fires, and new raw objects are events.

The schedule and the events are read off the Chalice app itself and go to its handlers as the same events that AWS
sends. The server is Chalice's own with its rough edges taken off: one error shape for what its gateway refuses,
bodies streamed to disk, files sent from disk, gzip, one packet an answer, no token in the log.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from collections.abc import Callable

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import LocalChalice, LocalDevServer

from chalicelib.errors import Conflict, LakeError
from chalicelib.local.arrivals import Arrivals
from chalicelib.local.httpserver import Handler, Server
from chalicelib.local.ticker import Ticker
from chalicelib.settings import Settings
from chalicelib.wiring import Parts

log = logging.getLogger(__name__)


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000, say: Callable[[str], None] = print) -> None:
    """Serve until SIGTERM or CTRL-C. Raises Conflict when the port is taken."""
    app, parts = load_app(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    background: list[Ticker | Arrivals] = [] if settings.on_aws else [Ticker(app, parts), Arrivals(app, parts)]
    server = listen(app, host, port)
    warming = threading.Thread(target=warm_up, args=(parts,), name="warm-up", daemon=True)
    warming.start()
    serving = threading.Thread(target=server.server.serve_forever, name="http", daemon=True)
    serving.start()
    for thread in background:
        thread.start()
    say(address(parts, host, server.server.server_port))
    try:
        stop.wait()
    finally:
        server.shutdown()
        for thread in background:
            thread.stop()
        warming.join()
        parts.close()
        server.server.server_close()


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

    app.app.__class__ = LocalChalice  # its current request is then each thread's own
    return app.app, app.parts


def listen(app: Chalice, host: str, port: int) -> LocalDevServer:
    config = Config(chalice_stage="local", config_from_disk={"app_name": app.app_name}, default_params={})
    try:
        return LocalDevServer(app, config, host, port, handler_cls=Handler, server_cls=Server)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"port {port} is in use: choose another with --port", port=port) from error
        raise Conflict(f"cannot listen on {host}:{port}: {error.strerror or error}", port=port) from error


def address(parts: Parts, host: str, port: int) -> str:
    """What to open, token included."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104
    if parts.settings.on_aws:
        return f"http://{shown}:{port}/"
    return f"http://{shown}:{port}/?token={parts.access.local_token()}"
