"""What was stored on the days between two snapshots, which nobody saw."""

import itertools
from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import TypeVar

from tests.reference.rates import rounded

MOST_MISSING = 92
"""Snapshots with more days between them say nothing of these days."""

Key = TypeVar("Key")
Day = Mapping[Key, tuple[int, ...]]
"""The figures of each cell on one day."""


def interpolated(
    seen: Mapping[date, Day[Key]], first: date = date.min
) -> dict[date, dict[Key, tuple[int, ...]]]:
    """Return the days from `first` on between two snapshots that are not too far apart, without empty cells."""
    found: dict[date, dict[Key, tuple[int, ...]]] = {}
    for before, after in itertools.pairwise(sorted(seen)):
        missing = [before + timedelta(number) for number in range(1, (after - before).days)]
        if len(missing) <= MOST_MISSING:
            found |= {day: _between(seen, before, day, after) for day in missing if day >= first}
    return found


def _between(
    seen: Mapping[date, Day[Key]], before: date, day: date, after: date
) -> dict[Key, tuple[int, ...]]:
    share = Fraction((day - before).days, (after - before).days)
    cells = {}
    for key in seen[before].keys() | seen[after].keys():
        zeros = tuple(0 for _ in (seen[before].get(key) or seen[after][key]))
        ends = zip(seen[before].get(key, zeros), seen[after].get(key, zeros), strict=True)
        figures = tuple(int(rounded(low + (high - low) * share, 0)) for low, high in ends)
        if any(figures):
            cells[key] = figures
    return cells
