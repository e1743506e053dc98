"""The overview."""

from avatarlab_cli.queries import overview as page
from tests.database.watching import NOW, Case
from tests.reference import overview

JOBS = {"monthly-usage": ["monthly-usage"], "platform-statistics": ["platform-statistics"]}
CASES = (
    Case(
        "overview",
        lambda connection: page.overview(connection, NOW, JOBS),
        lambda tables: overview.overview(tables, len(JOBS)),
    ),
)
