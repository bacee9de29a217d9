"""Whose an export says it is: the user name in it, and nothing else of what it holds about a person.

Account data has it in ``Userdata.json``, histories made before 2024 in every row. No other member of these is read on,
and neither file is kept for it.
"""

from __future__ import annotations

import json
import re

from chalicelib.errors import ImportRefused
from chalicelib.exports.files import ExportFile, ExportFiles, damage_is_refused

LOOKED_AT = 65_536  # bytes of a history's beginning
USERNAME = re.compile(rb'"username"\s*:\s*("(?:[^"\\]|\\.){1,200}")')


def owner_of(files: ExportFiles) -> str | None:
    """The user name of an export's owner; None where it does not say, or says several."""
    told = {name for name in map(username_in, [*files.profiles, *files.history]) if name}
    return told.pop() if len(told) == 1 else None


def username_in(file: ExportFile) -> str | None:
    """The first user name in the beginning of a file; None where there is none, or it cannot be read."""
    try:
        with damage_is_refused(file.name), file.open() as stream:
            match = USERNAME.search(stream.read(LOOKED_AT))
        name = json.loads(match[1]) if match else ""
    except (ImportRefused, ValueError, OSError):  # reading it whole tells what is wrong
        return None
    return name.strip() or None
