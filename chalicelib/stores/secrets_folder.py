"""Secrets in a folder that only its owner can read: one file each (mode 600), written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chalicelib.errors import StorageFailed

OWNER_ONLY_FILE = 0o600
OWNER_ONLY_FOLDER = 0o700
SCRATCH = ".tmp-"
LOCK = ".lock-"


class SecretFolder:
    """Secrets as files below ``root``, which is made (mode 700) when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def read(self, name: str) -> str | None:
        try:
            return self._path(name).read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageFailed(f"cannot read secret {name} in {self.root}: {error.strerror}", name=name) from error

    def write(self, name: str, value: str) -> None:
        target = self._path(name)
        try:
            self._make_root()
            descriptor, scratch = tempfile.mkstemp(dir=self.root, prefix=SCRATCH)  # mkstemp makes mode 600
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    stream.write(value)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(scratch, target)
            except BaseException:
                Path(scratch).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StorageFailed(f"cannot write secret {name} in {self.root}: {error.strerror}", name=name) from error

    def names(self, prefix: str = "") -> list[str]:
        if not self.root.is_dir():
            return []
        found = (path.name for path in self.root.iterdir() if not path.name.startswith((SCRATCH, LOCK)))
        return sorted(name for name in found if name.startswith(prefix))

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        self._make_root()
        descriptor = os.open(self.root / f"{LOCK}{self._path(name).name}", os.O_RDWR | os.O_CREAT, OWNER_ONLY_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make_root(self) -> None:
        self.root.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)

    def _path(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
            raise StorageFailed(f"{name!r} is not the name of a secret", name=name)
        return self.root / name
