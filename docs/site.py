"""A hook of MkDocs: pages link to files of the repository that are no pages; on the site these are plain words."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with links to files outside of ``docs/`` as plain words."""
    return OUTSIDE.sub(r"\1", markdown)
