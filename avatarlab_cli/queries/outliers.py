"""What is far outside a history: the rule that the checks of costs and of keys share.

A day is far outside where it is beyond all days of its history, and so many deviations from their median. A few odd
days move neither the median nor the median deviation from it.
"""

from decimal import Decimal

FEWEST_DAYS = 7
"""How many days of a history it takes to tell what is usual."""
SCORE = Decimal(6)
"""How many deviations are far, unless others are named."""
# The median deviation of a normal distribution, in standard deviations; and the least deviation that means something,
# as a share of the median: somebody who does the same each day would else be an anomaly for a little more.
_NORMAL, _LEAST_SHARE = "1.4826", "0.1"


def deviation(distance: str) -> str:
    """Return the SQL aggregate for what is usual as a distance from the median."""
    return f"{_NORMAL} * percentile_disc(0.5) WITHIN GROUP (ORDER BY {distance})"


def score(value: str) -> str:
    """Return the SQL for how many deviations a value lies from `median`; NULL where that is 0, and all are alike."""
    return f"({value} - median) / nullif(greatest(deviation, {_LEAST_SHARE} * median), 0)"
