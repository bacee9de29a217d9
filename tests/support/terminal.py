"""A terminal of 80 columns in which somebody types a line of the lake's and answers what they are asked."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

COLUMNS = 80
LONGEST = 100.0  # s that a command may take


def typed_in_a_terminal(
    folder: Path, line: str, answers: Sequence[tuple[str, str]] = (), environ: Mapping[str, str] | None = None
) -> str:
    """What is shown of a line typed in the folder; ``answers`` are given to questions in their order, each when what
    it answers has been asked."""
    program, *words = shlex.split(line)
    assert program == ".venv/bin/lake"
    return shown_of([sys.executable, "-m", "chalicelib", *words], folder, answers, environ)


def shown_of(
    command: Sequence[str],
    folder: Path,
    answers: Sequence[tuple[str, str]] = (),
    environ: Mapping[str, str] | None = None,
    longest: float = LONGEST,
) -> str:
    """What a command that succeeds shows in the terminal."""
    ours, theirs = pty.openpty()
    surroundings = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "40", "TERM": "xterm", **(environ or {})}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=surroundings,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = read_all(ours, list(answers), time.monotonic() + longest)
    os.close(ours)
    assert process.returncode == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def read_all(terminal: int, answers: list[tuple[str, str]], until: float) -> str:
    content, answered = b"", 0
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other side has closed it
            break
        if not part:
            break
        content += part
        if answers and answers[0][0].encode() in content[answered:]:
            answered = len(content)
            os.write(terminal, f"{answers.pop(0)[1]}\n".encode())
    assert not answers, f"nobody asked {answers[0][0]!r}: {content!r}"
    return content.decode("utf-8", "replace")
