"""Names by which two sources mean the same: keys to compare by, never to be shown or stored in place of a name.

MusicBrainz and Spotify write one name in several ways: with or without accents, with typographic quotes, with ``&`` for
``and``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "&": " and ", "+": " and "})
ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; other scripts' marks are letters of their own
APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u00b4`.]")
SYMBOLS = re.compile(r"[\W_]+")


@lru_cache(maxsize=65_536)
def folded(name: str) -> str:
    """A name without regard to case, accents, punctuation and spacing; what is nothing else is only made small."""
    text = unicodedata.normalize("NFKD", name).casefold()
    text = unicodedata.normalize("NFC", ACCENTS.sub("", text)).translate(LETTERS)
    text = SYMBOLS.sub(" ", APOSTROPHES.sub("", text)).strip()
    return text or " ".join(name.casefold().split())


@lru_cache(maxsize=65_536)
def artist_key(name: str) -> str:
    """An artist's name, folded, without a leading ``The``."""
    key = folded(name)
    return key.removeprefix("the ") or key
