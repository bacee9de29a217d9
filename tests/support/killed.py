"""An extraction that is killed at a given write: ``python -m tests.support.killed FOLDER PLAN``, a process of its own.

PLAN is JSON: the settings, the number of the write that is the last, whether it is not begun, half done or done, when
the run begins (``start``) and whether no time passes while it waits (``sleepless``).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chalicelib.extraction.extract import run_extraction
from chalicelib.lake import Lake
from chalicelib.settings import Settings
from chalicelib.stores.folder import FileAppender, FolderStore
from chalicelib.stores.secrets_folder import SecretFolder
from tests.support.extraction import Clock


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Fate:
    """Counts writes and ends the process at one of them."""

    def __init__(self, last: int, phase: str) -> None:
        self._last, self.phase = last, phase
        self._lock = threading.Lock()
        self.writes = 0

    def meet(self, half: Callable[[], Any], whole: Callable[[], Any]) -> Any:
        with self._lock:
            self.writes += 1
            if self.writes != self._last:
                return whole()
            if self.phase == "half":
                half()
            elif self.phase == "after":
                whole()
            return die()


class DyingAppender:
    def __init__(self, inner: FileAppender, fate: Fate) -> None:
        self._inner, self._fate = inner, fate

    def append(self, data: bytes) -> None:
        self._fate.meet(lambda: self._inner.append(data[: len(data) // 2]), lambda: self._inner.append(data))

    def close(self) -> None:
        self._inner.close()


class DyingStore(FolderStore):
    """A folder whose process is killed at one of its writes."""

    def __init__(self, root: Path, fate: Fate) -> None:
        super().__init__(root)
        self._fate = fate

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
        return str(self._fate.meet(lambda: None, lambda: super(DyingStore, self).write(key, data)))

    def replace(self, key: str, data: bytes, *, if_match: str | None) -> str:
        return str(self._fate.meet(lambda: None, lambda: super(DyingStore, self).replace(key, data, if_match=if_match)))

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        doomed = list(keys)
        self._fate.meet(
            lambda: super(DyingStore, self).delete(doomed[: len(doomed) // 2]),
            lambda: super(DyingStore, self).delete(doomed, if_match=if_match),
        )

    def appender(self, key: str) -> Any:
        return DyingAppender(super().appender(key), self._fate)


def main(folder: Path, plan: dict[str, Any]) -> int:
    fate = Fate(plan["last"], plan["phase"])
    settings = Settings.load(plan["settings"], None)
    lake = Lake(DyingStore(folder / "lake", fate))
    print("begun", flush=True)
    sleep = (lambda _: None) if plan.get("sleepless") else time.sleep
    secrets, clock = SecretFolder(folder / "secrets"), Clock(plan["start"])
    run_extraction(settings, lake, secrets=secrets, trigger="schedule", clock=clock, sleep=sleep)
    print(fate.writes, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
