"""The reports on the API."""

from avatarlab_cli.queries import api_gaps, api_keys, api_requests
from tests.database.watching import SPAN, Case
from tests.reference import api

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
)
