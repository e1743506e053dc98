"""A platform of two users to work examples out by hand on."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.reference import rates
from tests.reference.rates import Rate
from tests.reference.rows import MAKERS
from tests.reference.source import Row, Source, source_of

ANN, BOB = UUID(int=0xA), UUID(int=0xB)
FREE, STARTER, PRO = UUID(int=1), UUID(int=2), UUID(int=3)
MAY, JUNE = date(2025, 5, 1), date(2025, 6, 1)
TODAY = date(2025, 6, 15)
CARD = [
    Rate("fine_tuning", "gpt-4o-mini", rates.TRAINED, Decimal(3), date(2025, 1, 1)),
    Rate("inference", "gpt-4o-mini", rates.INPUT, Decimal("0.30"), date(2025, 1, 1)),
    Rate("voice", "elevenlabs", rates.CHARACTERS, Decimal("0.20"), date(2025, 1, 1)),
    Rate("voice", "elevenlabs", rates.CHARACTERS, Decimal("0.10"), date(2025, 6, 2)),
    Rate("image", "nano-banana", rates.IMAGE, Decimal("0.02"), date(2025, 1, 1)),
    Rate("storage", "storage", rates.GB_MONTH, Decimal("0.021"), date(2025, 1, 1)),
]


def at(text: str) -> datetime:
    """Read a UTC moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def platform(**tables: list[Row]) -> Source:
    """Two accounts, three tiers, and the given tables; every other table is empty."""
    given: dict[str, list[Row]] = {
        "auth.users": [{"id": user, "created_at": at("2025-01-01")} for user in (ANN, BOB)],
        "profiles": [],
        "subscription_tiers": [
            tier(FREE, "free", "0", "0"),
            tier(STARTER, "starter", "9.99", "99.99"),
            tier(PRO, "pro", "30", "300"),
        ],
    }
    empty: dict[str, list[Row]] = {name: [] for name in MAKERS}
    return source_of({**empty, **given, **tables})


def tier(identifier: UUID, name: str, monthly: str, yearly: str) -> Row:
    """Make a tier for one avatar, without further limits."""
    return {
        "id": identifier,
        "name": name,
        "price_monthly": Decimal(monthly),
        "price_yearly": Decimal(yearly),
        "max_avatars": 1,
        "limits": {},
    }


def subscription(tier_id: UUID = STARTER, started: str = "2025-03-01", **columns: Any) -> Row:  # noqa: ANN401 - columns of any type
    """Make a running monthly subscription of Ann's, with the given differences."""
    return {
        "id": UUID(int=9),
        "user_id": ANN,
        "tier_id": tier_id,
        "status": "active",
        "billing_cycle": "monthly",
        "started_at": at(started),
        "is_trial": False,
        "created_at": at(started),
    } | columns
