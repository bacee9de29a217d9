"""Requests nobody thought of, made by schemathesis from the API's own description, against a running server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import LakeServer

#: What schemathesis cannot know: any text is a well-formed `sql`, but most texts are refused; a cancelled query is
#: still there.
#: As ``serve``, but that wrong tokens are not slowed down: schemathesis tries them by the hundred and wants a 401 each.
SERVE = """
from chalicelib.local.bounds import Bounds
from chalicelib.local.serve import serve
from chalicelib.settings import Settings
serve(Settings.load(), port=0, bounds=Bounds(wrong_tokens_per_minute=1_000_000))
"""
LEFT_OUT = ("positive_data_acceptance", "use_after_free")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    folder = tmp_path_factory.mktemp("fuzzed")
    with LakeServer(folder, {"REQUESTS_PER_MINUTE": "1000000"}, ("-u", "-c", SERVE)) as running:
        yield running


def fuzz(server: LakeServer, folder: Path, examples: int, *more: str) -> tuple[int, str]:
    """Requests made and what schemathesis said; fails the test if it found a fault."""
    report = folder / "report.ndjson"
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json",
        "--header", f"Authorization: Bearer {server.token}", "--checks", "all", "--exclude-checks", ",".join(LEFT_OUT),
        "--max-examples", str(examples), "--seed", "20261120", "--no-color", "--generation-database", "none",
        "--suppress-health-check", "all", "--warnings", "off", "--max-response-time", "25", "--report", "ndjson",
        "--report-ndjson-path", str(report), *more,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3_000)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    made = re.search(r"(\d[\d,]*) generated", done.stdout)
    assert made, done.stdout[-2_000:]
    return int(made[1].replace(",", "")), done.stdout


@pytest.mark.thorough
@pytest.mark.first
@pytest.mark.timeout(600)
def test_a_few_hundred_generated_requests_find_no_fault(server, tmp_path):
    made, said = fuzz(server, tmp_path, 4, "--phases", "examples,fuzzing")
    assert made > 200, said
    assert "Traceback" not in server.log()


@pytest.mark.soak
def test_ten_thousand_generated_requests_find_no_fault(server, tmp_path):
    made, said = fuzz(server, tmp_path, 650)
    assert made >= 10_000, said
    assert "Traceback" not in server.log()
    assert server.get("/health").json()["status"] == "ok"
    assert json.loads(server.get("/openapi.json").text)["openapi"] == "3.1.0"
