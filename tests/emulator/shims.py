"""Where moto is kinder than AWS, or silent: each shim says what AWS does. Installed for one emulator's lifetime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.emulator.server import Emulator


@contextmanager
def installed(aws: Emulator) -> Iterator[None]:
    with ExitStack():
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[Any]:
    """moto's own attribute replaced for a while; yields the original."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield original
    finally:
        setattr(owner, name, original)
