"""``python -m sandbox``: a sandbox on the command line."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from sandbox.accounts import CLIENT_ID, CLIENT_SECRET
from sandbox.scales import SCALES
from sandbox.server import Sandbox
from sandbox.service import MODES


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m sandbox", description="A stand-in for the Spotify Web API.")
    made.add_argument("--port", type=int, default=8911, help="default 8911; 0 takes a free one")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    made.add_argument("--mode", choices=MODES, default="development", help="which kind of app it answers")
    made.add_argument("--seed", type=int, default=1, help="which world (default 1)")
    made.add_argument("--scale", choices=tuple(SCALES), default="medium", help="how big a world")
    made.add_argument("--now", help="time to start at, ISO 8601 (default: the present)")
    made.add_argument("--frozen", action="store_true", help="let time pass only by POST /admin/advance")
    made.add_argument("--latency-ms", type=float, default=0, help="milliseconds every answer is held back")
    made.add_argument("--rotate-refresh-tokens", action="store_true", help="each refresh replaces the token")
    made.add_argument("--rate-limit-per-30s", type=int, help="calls allowed in any 30 seconds (default: no limit)")
    made.add_argument("--no-genres", dest="genres", action="store_false", help="Spotify knows no artist's genres")
    return made


def main(arguments: list[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        sandbox = Sandbox(**vars(chosen))
    except (OSError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    sandbox.world.warm()
    users = ", ".join(sandbox.world.listeners)
    print(f"sandbox Spotify ({chosen.mode}, {chosen.scale}, seed {chosen.seed}): {sandbox.url}")
    print(f"  Web API {sandbox.api_url}   accounts {sandbox.accounts_url}   users {users}")
    print(f"  MusicBrainz {sandbox.musicbrainz_url}   ListenBrainz {sandbox.listenbrainz_url}")
    print(f"  client {CLIENT_ID} / {CLIENT_SECRET}", flush=True)
    with suppress(KeyboardInterrupt):
        sandbox.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
