"""The reports on the API."""

from avatarlab_cli.queries import api_requests
from tests.database.watching import SPAN, Case
from tests.reference import api

CASES = (Case("api endpoints", lambda connection: api_requests.endpoints(connection, SPAN), api.endpoints),)
