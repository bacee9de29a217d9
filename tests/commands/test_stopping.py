"""A command that is stopped says what is kept and how to go on, and leaves nothing that keeps the next one waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import environment, eventually, sandboxed

SLOW = 150  # ms that the sandbox takes for each answer


def started(folder: Path, environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chalicelib", *arguments],
        cwd=folder,
        env=environment(folder, environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "lake" / "state" / "runs").glob("*.json"))]


def answers(folder: Path) -> list[Path]:
    return list((folder / "lake" / "state" / "journal").rglob("*"))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("signals", "status"),
    [
        ([signal.SIGTERM], {143}),
        ([signal.SIGINT], {130}),
        ([signal.SIGHUP], {129}),  # the terminal was closed
        ([signal.SIGINT, signal.SIGINT], {130}),
        ([signal.SIGTERM, signal.SIGINT, signal.SIGTERM], {130, 143}),  # which comes first is the system's to say
    ],
    ids=["term", "int", "hup", "int-int", "term-int-term"],
)
def test_a_stopped_run_says_how_to_go_on_and_the_next_one_begins_at_once(tmp_path, signals, status):
    with sandboxed(tmp_path, latency_ms=SLOW) as spotify:
        process = started(tmp_path, spotify, "extract")
        assert eventually(lambda: answers(tmp_path)), process.communicate(timeout=1)
        for number in signals:
            os.kill(process.pid, number)
        _, said = process.communicate(timeout=60)
        assert process.returncode in status, said
        assert "stopping" in said and "lake extract` goes on" in said and "Traceback" not in said
        if len(signals) == 1:
            assert [record["state"] for record in records(tmp_path)] == ["partial"]
            assert not list((tmp_path / "lake" / "state" / "run-locks").iterdir())
        again = started(tmp_path, spotify, "extract", "--source", "recently_played")
        _, said = again.communicate(timeout=60)
        assert again.returncode == 0, said
        assert all(record["state"] != "running" for record in records(tmp_path))


@pytest.mark.thorough
def test_a_stopped_service_ends_the_run_that_it_started(tmp_path):
    from tests.support.server import LakeServer

    with sandboxed(tmp_path, latency_ms=SLOW) as spotify, LakeServer(tmp_path, spotify) as server:
        run_id = server.post("/runs").json()["run_id"]
        assert eventually(lambda: answers(tmp_path))
        assert server.stop() == 0
        (record,) = records(tmp_path)
        assert (record["run_id"], record["state"]) == (run_id, "partial")
