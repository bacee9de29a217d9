"""What a listener likes: a heavy-tailed liking of artists that drifts from month to month."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from sandbox.catalogue import TRACK_BITS, VARIOUS_ARTISTS, Catalogue
from sandbox.clock import DAY, instant
from sandbox.dice import Dice

MONTH = 30 * DAY  # a month of taste, not of the calendar
TAIL = 0.85  # exponent of the heavy tail: weight of the n-th favourite is n ** -TAIL
YEARS_OF_DISCOVERY = 5
_BEGINNING = instant("2000-01-01")


class Taste:
    """Draws tracks the way one listener would choose them."""

    def __init__(self, catalogue: Catalogue, listener: int) -> None:
        self._catalogue = catalogue
        self._listener = listener
        order = sorted(
            (Dice(catalogue.seed, "liking", listener, artist).unit(), artist)
            for artist in range(catalogue.scale.artists)
            if artist != VARIOUS_ARTISTS
        )
        self._favourites = [artist for _, artist in order]
        self._met = [self._month_met(artist) for artist in self._favourites]
        self._months: dict[int, list[float]] = {}

    def _month_met(self, artist: int) -> int:
        """The month of taste from which the listener knows an artist."""
        scale, dice = self._catalogue.scale, Dice(self._catalogue.seed, "met", self._listener, artist)
        later = int(dice.unit() * YEARS_OF_DISCOVERY * 365 * DAY) if dice.chance(scale.met_later) else 0
        return (instant(scale.member_since) + later - _BEGINNING) // MONTH if later else 0

    def artist(self, dice: Dice, at: int) -> int:
        weights = self._weights((at - _BEGINNING) // MONTH)
        return self._favourites[min(bisect_right(weights, dice.unit() * weights[-1]), len(weights) - 1)]

    def album(self, dice: Dice, at: int) -> int:
        """An album out by then; newer ones more often."""
        released = self._catalogue.scheduled(self.artist(dice, at), at)
        return released[len(released) - 1 - int(dice.unit() ** 1.5 * len(released))].number

    def track(self, dice: Dice, at: int) -> int:
        """A track out by then; the first ones of an album more often."""
        album = self.album(dice, at)
        return (album << TRACK_BITS) + int(dice.unit() ** 1.6 * self._catalogue.album(album).total_tracks)

    def _weights(self, month: int) -> list[float]:
        weights = self._months.get(month)
        if weights is None:
            dice = Dice(self._catalogue.seed, "drift", self._listener, month)
            drifted = (
                (rank + 1) ** -TAIL * 4 ** (dice.unit() - 0.5) * (month >= met) for rank, met in enumerate(self._met)
            )
            weights = self._months[month] = list(accumulate(drifted))
        return weights
