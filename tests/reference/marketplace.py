"""The reports on the marketplace, recounted row by row."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal

from tests.database.watching import Tables, in_time
from tests.reference.avatar import owner
from tests.reference.image import Key, grouped, named
from tests.reference.source import Row

STATUSES = ("completed", "pending", "refunded", "failed")


def figures(rows: list[Row]) -> Row:
    """Recount purchases: each status, and the money by currency."""
    statuses = Counter(row["status"] for row in rows)
    money: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        currency = "USD" if row["currency"] is None else row["currency"].upper()
        if row["status"] == "completed":
            money[currency] += row["price_paid"]
        if row["status"] == "refunded":
            money[f"refunded {currency}"] += row["price_paid"]
    return {
        "purchases": len(rows),
        **{status: statuses[status] for status in STATUSES},
        "without_status": statuses[None],
        "revenue": money.pop("USD", Decimal()),
        "refunded_usd": money.pop("refunded USD", Decimal()),
        "other_currencies": dict(money),
    }


def purchases(name: str, key: Key) -> Callable[[Tables], Iterator[Row]]:
    """Recount the purchases of the time, by the value `key` gives."""

    def recount(tables: Tables) -> Iterator[Row]:
        for value, rows in grouped(in_time(tables["purchases"], "purchased_at"), key).items():
            yield named(tables, name, value) | figures(rows)

    return recount


def is_offered(row: Row) -> bool:
    """Tell whether an avatar is for sale or public, and not deleted."""
    return (row["is_marketplace_item"] is True or row["is_public"] is True) and row["status"] != "deleted"


def summary(tables: Tables) -> Iterator[Row]:
    """Recount everything."""
    items, bought = list(filter(is_offered, tables["avatars"])), tables["purchases"]
    recent = in_time(bought, "purchased_at")
    yield {
        "items": len(items),
        "items_active": sum(row["status"] == "active" for row in items),
        "total_sales": sum(row["total_sales"] or 0 for row in items),
        **figures(bought),
        "buyers": len({row["user_id"] for row in bought}),
        "purchases_30d": len(recent),
        "revenue_30d": figures(recent)["revenue"],
    }


def listing(tables: Tables) -> Iterator[Row]:
    """Recount what is offered."""
    of_avatar = grouped(tables["purchases"], lambda row: row["avatar_id"])
    for row in filter(is_offered, tables["avatars"]):
        sold = of_avatar.get(row["id"], [])
        yield {
            "email": owner(tables, row),
            "studio": row["creator_studio"],
            "purchases": len(sold),
            "completed": sum(each["status"] == "completed" for each in sold),
            **{name: row[name] for name in ("id", "name", "status", "price", "rating", "total_sales")},
            **{name: row[name] for name in ("is_marketplace_item", "is_public", "category", "created_at")},
            "user_id": row["user_id"],
        }
