"""A served lake that extracts while exports come in over HTTP and by a file in its folder: each listen ends up once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import export as exports
from sandbox.export import Export
from sandbox.history import Listen
from sandbox.server import Sandbox
from tests.support.server import LakeServer, eventually, logged_in

START = "2026-11-20T12:00:00Z"
SINCE = "2026-11-06"
STEPS = 4  # runs
STEP = 3 * 3600.0  # s between two runs, in the sandbox's time
PATIENCE = 60.0  # s
POLL = {"sources": ["recently_played"]}
WHOLE = "SELECT count(*), count(DISTINCT play_id), coalesce(sum(ms_played), 0) FROM plays"


@pytest.mark.thorough
def test_runs_uploads_and_dropped_files_at_once_end_at_the_truth(tmp_path: Path) -> None:
    assert overlapping(tmp_path, seed=2)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3, 15))
def test_the_same_in_many_timings(tmp_path: Path, seed: int) -> None:
    overlapping(tmp_path, seed)


def overlapping(folder: Path, seed: int) -> int:
    """Answers how many listens only the API told of for a while: none where the listener was asleep."""
    rng = random.Random(seed)
    with Sandbox(seed=seed, now=START, frozen=True) as sandbox:
        uploaded = written(folder / "up", sandbox, "extended-2025", until="2026-11-19")
        dropped = written(folder / "drop", sandbox, "account-2024")
        with LakeServer(folder, logged_in(folder, sandbox)) as server:
            pauses = [rng.uniform(0, 2) for _ in range(2)]
            shown: set[str] = set()
            steps: list[Callable[[], None]] = [
                lambda: extract(server, sandbox, shown),
                lambda: later(pauses[0], lambda: upload(server, uploaded.path)),
                lambda: later(pauses[1], lambda: drop(server, dropped.path, rng)),
            ]
            with ThreadPoolExecutor(len(steps)) as together:
                for done in [together.submit(step) for step in steps]:
                    done.result()
            whole = written(folder / "whole", sandbox, "extended-2025")
            heard = exports.true_listens([uploaded, dropped])
            polled = [one for one in whole.listens if one.api_played_at in shown and one not in set(heard)]
            holds(server, heard + polled, measured=sum(one.ms_played for one in heard))
            upload(server, whole.path)
            truth = exports.true_listens([uploaded, dropped, whole])
            holds(server, truth, measured=sum(one.ms_played for one in truth))
            assert "Traceback" not in server.log()
            return len(polled)


def written(folder: Path, sandbox: Sandbox, variant: str, until: str | None = None) -> Export:
    return exports.write(folder, sandbox.world, variant, since=SINCE, until=until)


def holds(server: LakeServer, listens: list[Listen], measured: int) -> None:
    wanted = [[len(listens), len(listens), measured]]
    assert eventually(lambda: server.rows(WHOLE) == wanted, PATIENCE), (server.rows(WHOLE), wanted)


# --- what goes on at once -----------------------------------------------------------------------------------------


def extract(server: LakeServer, sandbox: Sandbox, shown: set[str]) -> None:
    """Runs as time goes by; ``shown`` gets the moments of the plays that Spotify shows them."""
    for step in range(STEPS):
        if step:
            sandbox.advance(STEP)
        run = eventually(
            lambda: server.post("/runs", json=POLL).headers.get("Location"), PATIENCE
        )  # 409 until it ended
        assert eventually(lambda: server.get(run).json()["state"] == "succeeded", PATIENCE), server.get(run).json()  # noqa: B023
        shown.update(key[1] for key in sandbox.expected(keys="true")["plays"]["keys"])


def upload(server: LakeServer, path: Path) -> None:
    announced = server.post("/imports", json={"filename": path.name}).json()
    assert server.put(f"/{announced['upload']['url']}", data=path.read_bytes()).status_code == 202
    record = f"/imports/{announced['import_id']}"
    ended = eventually(
        lambda: (told := server.get(record).json())["state"] in ("succeeded", "failed") and told, PATIENCE
    )
    assert ended and ended["state"] == "succeeded", server.get(record).json()


def drop(server: LakeServer, path: Path, rng: random.Random) -> None:
    """Copy a file into the lake's folder as slowly as a file manager on a bad day."""
    target = server.lake / "raw" / "history" / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    data = path.read_bytes()
    with target.open("wb") as stream:
        for start in range(0, len(data), len(data) // 4 + 1):
            stream.write(data[start : start + len(data) // 4 + 1])
            stream.flush()
            time.sleep(rng.uniform(0, 0.4))
    noted = server.lake / "state" / "imports" / f"{path.name}.json"
    assert eventually(noted.exists, PATIENCE)
    assert '"succeeded"' in noted.read_text(), noted.read_text()


def later(seconds: float, step: Callable[[], None]) -> None:
    time.sleep(seconds)
    step()
