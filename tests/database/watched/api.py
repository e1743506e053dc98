"""The reports on the API."""

from datetime import date, timedelta
from decimal import Decimal

from avatarlab_cli.queries import api_gaps, api_keys, api_requests, api_unusual
from tests.database.watching import SPAN, TODAY, Case
from tests.reference import api

# So little is unusual that invented requests, too, have findings.
LOW = api_unusual.Bounds(days=75, at_least=1, score=Decimal("0.5"))


def _unusual(day: date, label: str, bounds: api_unusual.Bounds) -> Case:
    return Case(
        "api unusual",
        lambda connection: api_unusual.unusual(connection, day, bounds),
        lambda tables: api.unusual(tables, day, bounds.days, bounds.at_least, bounds.score),
        label=label,
    )


CASES = (
    Case("api summary", lambda connection: api_requests.summary(connection, SPAN), api.summary),
    Case("api keys", lambda connection: api_keys.used(connection, SPAN), api.keys),
    Case("api endpoints", lambda connection: api_requests.endpoints(connection, SPAN), api.endpoints),
    Case("api users", lambda connection: api_requests.users(connection, SPAN), api.users),
    Case("api gaps", api_gaps.gaps, api.gaps),
    Case(
        "api gaps",
        lambda connection: api_gaps.gaps(connection, is_every=True),
        lambda tables: api.gaps(tables, is_every=True),
        label="--every",
    ),
    _unusual(TODAY - timedelta(days=1), "", api_unusual.Bounds()),
    _unusual(TODAY, "today, --days 75 --at-least 1 --score 0.5", LOW),
    _unusual(TODAY - timedelta(days=6), "a week ago, --days 75 --at-least 1 --score 0.5", LOW),
)
