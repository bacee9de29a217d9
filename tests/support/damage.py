"""Ways in which a small file comes to be damaged: a full disk, a copy cut short, an editor, somebody's script."""

from __future__ import annotations

from collections.abc import Callable

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "binary": lambda _: bytes(range(256)),
    "list": lambda _: b"[]",
    "object": lambda _: b"{}",
}
