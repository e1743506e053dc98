"""The reports on the marketplace."""

from avatarlab_cli.queries import marketplace as queries
from tests.database.watching import SPAN, Case
from tests.reference import marketplace
from tests.reference.image import Key

KEYS: dict[str, Key] = {
    "day": lambda row: row["purchased_at"].date(),
    "month": lambda row: row["purchased_at"].date().replace(day=1),
    "avatar": lambda row: row["avatar_id"],
    "user": lambda row: row["user_id"],
}


def _purchases(by: str, key: Key) -> Case:
    return Case(
        "marketplace purchases",
        lambda connection: queries.purchases(connection, SPAN, by),
        marketplace.purchases(by, key),
        label=by,
    )


CASES = (
    Case("marketplace summary", lambda connection: queries.summary(connection, SPAN), marketplace.summary),
    Case("marketplace list", queries.listing, marketplace.listing),
    *(_purchases(by, key) for by, key in KEYS.items()),
)
