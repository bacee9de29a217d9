"""Secrets in a folder that only its owner can read: one file each (mode 600), written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chalicelib.errors import StorageFailed
from chalicelib.files import OWNER, make_folder, remove_left_behind, replacing, words_of

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
            raise StorageFailed(f"cannot read secret {name} in {self.root}: {words_of(error)}", name=name) from error

    def write(self, name: str, value: str) -> None:
        target = self._path(name)
        try:
            self._make_root()
            remove_left_behind(self.root)
            with replacing(target) as stream:
                stream.write(value.encode())
        except OSError as error:
            raise StorageFailed(f"cannot write secret {name} in {self.root}: {words_of(error)}", name=name) from error

    def names(self, prefix: str = "") -> list[str]:
        if not self.root.is_dir():
            return []
        found = (path.name for path in self.root.iterdir() if not path.name.startswith("."))
        return sorted(name for name in found if name.startswith(prefix))

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        self._make_root()
        descriptor = os.open(self.root / f"{LOCK}{self._path(name).name}", os.O_RDWR | os.O_CREAT, OWNER.file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make_root(self) -> None:
        make_folder(self.root)

    def _path(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
            raise StorageFailed(f"{name!r} is not the name of a secret", name=name)
        return self.root / name
