"""Commands and the service killed at random real moments: nothing is lost or doubled, and all can be started at once.

Each trial has a lake of its own. Runs, imports, drops, crawls, queries, transforms and compactions are begun, as
commands and over the API of a service, and their whole process group is killed after a random while. Then everything is
given again until it ends by itself, and the tables must be those of a twin that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from sandbox.server import Sandbox
from tests.support.listening import extended_row, write_export
from tests.support.server import environment, eventually, logged_in

KILLS_OF_A_TRIAL = 25  # then everything is given again and compared, which costs as much as they do
HOMES = 3  # trials at one time: what is killed mostly waits
LONGEST = 4.0  # s that something lives
TABLES = """
SELECT 'play' AS what, item_id AS a, CAST(ended_at AS varchar) AS b, user_id AS c FROM plays
UNION ALL SELECT 'track', track_id, name, '' FROM tracks
UNION ALL SELECT 'album', album_id, name, '' FROM albums
UNION ALL SELECT 'artist', artist_id, name, '' FROM artists
UNION ALL SELECT 'saved', item_id, '', user_id FROM saved_items
UNION ALL SELECT 'playlist', playlist_id, name, '' FROM playlists
UNION ALL SELECT 'entry', playlist_id, CAST(position AS varchar), item_id FROM playlist_items
ORDER BY 1, 2, 3, 4
"""


@dataclass
class Home:
    """A folder with a lake and what a person does to it. ``exports`` are files that wait to be imported."""

    folder: Path
    spotify: dict[str, str]
    exports: list[Path]
    rng: random.Random = field(default_factory=random.Random)
    lasts: dict[str, float] = field(default_factory=dict)  # s that a command takes here, by its name

    @property
    def environ(self) -> dict[str, str]:
        return environment(self.folder, {**self.spotify, "LOG_LEVEL": "ERROR"})

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "chalicelib", *arguments],
            cwd=self.folder, env=self.environ, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def command(self, *arguments: str) -> str:
        """A command that must end well; what it prints."""
        process = self.begin(*arguments)
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, (arguments, out, errors)
        assert "Traceback" not in errors, errors
        return out

    def finish(self) -> str:
        """Give everything again until nothing is left, and answer what the tables hold."""
        self.command("import-history", "--user", "me", *map(str, self.exports))
        for _ in range(20):
            if "still to fetch" not in self.command("extract"):
                break
        self.command("transform")
        self.command("compact")
        return self.command("query", TABLES, "--format", "csv")


def kill(process: subprocess.Popen[str]) -> None:
    """The process and all that it began."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def killed_command(home: Home) -> bool:
    export = home.rng.choice(home.exports)
    arguments = home.rng.choice(
        [
            ("extract",),
            ("extract",),
            ("transform",),
            ("transform", "--all"),
            ("compact",),
            ("crawl",),
            ("import-history", "--user", "me", str(export)),
            ("query", "SELECT count(*) FROM plays"),
        ]
    )
    name = " ".join(arguments[:2])
    lasts = home.lasts.get(name, LONGEST / 2)
    moment = home.rng.uniform(0.05 * lasts, lasts)
    begun, process = time.monotonic(), home.begin(*arguments)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        home.lasts[name] = min(LONGEST, max(lasts, moment * 1.3))
        kill(process)
        return True
    home.lasts[name] = time.monotonic() - begun
    process.communicate()
    return False


def killed_service(home: Home) -> bool:
    """A service with a run, an import, a drop, a crawl and queries under way."""
    process = home.begin("serve", "--port", "0")
    try:
        with suppress(requests.RequestException):
            caller, url = signed_in(process)
            if home.rng.random() < 0.5:
                drop(home)
            for start in home.rng.sample([start_run, start_crawl, start_query, start_upload], 3):
                start(home, caller, url)
            time.sleep(home.rng.uniform(0.0, LONGEST / 2))
    finally:
        kill(process)
    return True


def signed_in(process: subprocess.Popen[str]) -> tuple[requests.Session, str]:
    assert process.stdout is not None
    address = urlsplit(process.stdout.readline().strip())
    url = f"{address.scheme}://{address.netloc}"
    made = requests.post(f"{url}/session", json={"code": parse_qs(address.query)["code"][0]}, timeout=30)
    caller = requests.Session()
    caller.headers["Authorization"] = f"Bearer {made.json()['token']}"
    return caller, url


def drop(home: Home) -> None:
    target = home.folder / "lake" / "raw" / "history" / "me" / home.rng.choice(home.exports).name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(home.rng.choice(home.exports), target)


def start_run(_home: Home, caller: requests.Session, url: str) -> requests.Response:
    return caller.post(f"{url}/runs", timeout=30)


def start_crawl(_home: Home, caller: requests.Session, url: str) -> requests.Response:
    return caller.post(f"{url}/crawls", timeout=30)


def start_query(_home: Home, caller: requests.Session, url: str) -> requests.Response:
    return caller.post(f"{url}/queries", json={"sql": "SELECT count(*) FROM plays"}, timeout=30)


def start_upload(home: Home, caller: requests.Session, url: str) -> requests.Response:
    export = home.rng.choice(home.exports)
    announced = caller.post(f"{url}/imports", json={"filename": export.name, "user_id": "me"}, timeout=30)
    upload = f"{url}/{announced.json()['upload']['url']}"
    return caller.put(upload, data=export.read_bytes(), timeout=30)


def all_can_be_started(home: Home) -> None:
    """After a restart everything is taken at once: no lock of what was killed stands in the way."""
    process = home.begin("serve", "--port", "0")
    try:
        caller, url = signed_in(process)
        for start, status in ((start_run, 202), (start_crawl, 202), (start_query, 202), (start_upload, 202)):
            answer = start(home, caller, url)
            assert answer.status_code == status, (start.__name__, answer.text)
        runs = lambda: caller.get(f"{url}/runs", timeout=30).json()["runs"]  # noqa: E731
        assert eventually(lambda: runs() and runs()[0]["ended_at"], 120)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        kill(process)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(frozen=True) as running:
        yield running


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("exports")
    files = []
    for year in (2022, 2023, 2024):
        rows = [
            extended_row(
                f"{year}-{1 + n % 12:02}-{1 + n % 28:02}T{n % 24:02}:{n % 60:02}:00Z", 40_000 + n, "abcdef"[n % 6]
            )
            for n in range(4_000)
        ]
        files.append(write_export(folder / f"Streaming_History_Audio_{year}.json", rows))
    return files


def home_in(folder: Path, sandbox: Sandbox, exports: list[Path]) -> Home:
    folder.mkdir(parents=True, exist_ok=True)
    return Home(folder, logged_in(folder, sandbox), exports)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox, exports: list[Path]) -> str:
    """The tables of a lake that nobody disturbs."""
    return home_in(tmp_path_factory.mktemp("twin"), sandbox, exports).finish()


@pytest.mark.thorough
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(3, marks=[pytest.mark.first, pytest.mark.timeout(900)]),
        pytest.param(int(os.environ.get("KILLS", "1000")), marks=[pytest.mark.soak, pytest.mark.timeout(6 * 3600)]),
    ],
)
def test_whatever_is_killed_nothing_is_lost_or_doubled_and_all_begins_again(tmp_path, sandbox, exports, twin, kills):
    seed = int(os.environ.get("KILLS_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    trials = [
        (f"{seed}-{first}", home_in(tmp_path / str(first), sandbox, exports), min(KILLS_OF_A_TRIAL, kills - first))
        for first in range(0, kills, KILLS_OF_A_TRIAL)
    ]
    with ThreadPoolExecutor(min(HOMES, len(trials))) as pool:
        for differs in pool.map(lambda each: differences(each[0], each[1], each[2], twin), trials):
            assert not differs, differs


def differences(seed: str, home: Home, kills: int, twin: str) -> str:
    """Kill so often in a home, then begin everything again; what is otherwise than in the twin, "" for nothing."""
    home.rng = random.Random(seed)
    deeds: list[str] = []
    while len(deeds) < kills:
        deed = home.rng.choice([killed_command, killed_command, killed_service])
        if deed(home):  # else it ended by itself
            deeds.append(deed.__name__)
    all_can_be_started(home)
    found = home.finish().splitlines()
    print(f"{seed}: {kills} kills", flush=True)
    if found != twin.splitlines():
        lost, more = set(twin.splitlines()) - set(found), set(found) - set(twin.splitlines())
        return json.dumps({"seed": seed, "deeds": deeds, "lost": sorted(lost)[:20], "more": sorted(more)[:20],
                           "rows": [len(found), len(twin.splitlines())]})  # fmt: skip
    shutil.rmtree(home.folder)
    return ""
