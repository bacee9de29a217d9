"""Names by which two sources mean the same: keys to compare by, never to be shown or stored in place of a name.

MusicBrainz, Last.fm and Spotify write one name in several ways: with or without accents, with typographic quotes, with
``&`` for ``and``, with ``- Remastered 2011`` behind a title or the guests in brackets. What makes another recording
(live, remix, acoustic, an artist's own version, part numbers) stays part of a title's key.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "&": " and ", "+": " and "})
ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; other scripts' marks are letters of their own
APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u00b4`.]")
SYMBOLS = re.compile(r"[\W_]+")
GUESTS = r"(?:feat|ft|featuring|with)\b\.?\s"
EDITIONS = (
    r"(?:\d{4}\s)?(?:digital(?:ly)?\s)?remaster(?:ed)?(?:\s(?:version|edition))?(?:\s\d{4})?",
    r"(?:mono|stereo)(?:\s(?:version|mix))?",
    r"(?:single|album|radio|original)\s(?:version|edit|mix)",
    r"(?:super\s)?deluxe(?:\s(?:version|edition))?",
    r"bonus\strack(?:\sversion)?",
    r"explicit(?:\sversion)?",
    rf"{GUESTS}.*",
)
EDITION = "|".join(EDITIONS)
BRACKETED = re.compile(rf"\s*[(\[]\s*(?:{EDITION})\s*[)\]]", re.IGNORECASE)
BEHIND_A_DASH = re.compile(rf"\s+[-\u2013\u2014]\s+(?:{EDITION})\s*$", re.IGNORECASE)
INLINE_GUESTS = re.compile(rf"\s+{GUESTS.replace('|with', '')}.*$", re.IGNORECASE)
BETWEEN_ARTISTS = re.compile(r"\s*(?:,|;|\s&\s|\s(?:feat|ft|featuring|vs)\b\.?\s)\s*", re.IGNORECASE)


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


@lru_cache(maxsize=65_536)
def first_artist_key(credit: str) -> str:
    """The key of the first of several artists in one text; the whole text where nothing divides it."""
    return artist_key(BETWEEN_ARTISTS.split(credit.strip(), maxsplit=1)[0] or credit)


@lru_cache(maxsize=65_536)
def title_key(title: str) -> str:
    """A title, folded, without the edition and the guests; the folded title where nothing else is left."""
    short = BRACKETED.sub("", title)
    while (shorter := BEHIND_A_DASH.sub("", short)) != short:
        short = shorter
    return folded(INLINE_GUESTS.sub("", short)) or folded(title)
