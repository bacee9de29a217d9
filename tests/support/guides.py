"""What a page of the documentation says to type, typed in a folder of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support import PROJECT


def blocks(page: str, language: str = "sh") -> list[str]:
    """The blocks of one language of a page below docs/, in order."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def type_in(folder: Path, text: str, environ: Mapping[str, str]) -> str:
    """What a shell in the folder, with the lake's command as in a clone, prints for lines that all have to succeed."""
    command = folder / ".venv" / "bin" / "lake"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m chalicelib "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=dict(environ), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
    return done.stdout
