"""What usage cost, divided and looked at in every way, recounted row by row in exact fractions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from tests.reference import events, usage
from tests.reference.rates import GB_MONTH, UNIT_SIZE, Rate, normalised, rounded
from tests.reference.source import UNATTRIBUTED, Source, days_between, last_day, month_of
from tests.reference.subscriptions import FREE, Price, arr_cents, effective_tiers

PLATFORM = "platform"
"""The owner of what the database costs."""
Owner = UUID | str
DATABASE = "database"
FIRST = date(2023, 1, 1)
PLACES = 6
MILLIONTH = Fraction(1, 10**PLACES)
PROVIDERS = {"fine_tuning": "openai", "inference": "openai", "voice": "elevenlabs"}
"""Who is paid where no column says so."""


@dataclass(frozen=True)
class Books:
    """What costs are counted from: the platform's rows, a rate card, and the bytes on record of each day."""

    source: Source
    card: Sequence[Rate]
    today: date
    stored: usage.Snapshots
    database: Mapping[date, int]
    prices: Sequence[Price] = ()


@dataclass(frozen=True)
class Part:
    """A piece of a month's costs; `cost` is None where it is not known, quantities where they do not matter."""

    month: date
    owner: Owner
    kind: str
    cost: Fraction | None
    is_incomplete: bool
    provider: str | None = None
    model: str | None = None
    unit: str | None = None
    quantity: int | None = None
    unpriced: int | None = None


@dataclass(frozen=True)
class Line:
    """What one row, or one day of storage, adds: quantity times rate; no rate, no amount."""

    owner: UUID
    day: date
    kind: str
    item: str
    unit: str
    quantity: int
    rate: Rate | None
    amount: Fraction | None
    provider: str | None = None
    model: str | None = None


def days_of(month: date, today: date) -> list[date]:
    """Return the month's days that have begun."""
    return days_between(month, min(last_day(month), today))


def rate_on(card: Iterable[Rate], kind: str, key: str, unit: str, day: date) -> Rate | None:
    """Return the rate in force."""
    subject = (kind, key, unit)
    begun = [r for r in card if (r.kind, r.key.lower(), r.unit) == subject and r.effective_from <= day]
    latest = max(begun, key=lambda rate: rate.effective_from, default=None)
    return latest if latest and (latest.until is None or day < latest.until) else None


def stored_parts(books: Books) -> list[Part]:
    """Return what is stored of every user, of nobody and of the platform in each month that has anything."""
    rows = usage.monthly_usage(
        books.source, books.card, FIRST, books.today, books.today, snapshots=books.stored
    )
    parts = [
        _part(month, user, kind, row[f"{kind}_cost"], row["unpriced"])
        for (user, month), row in rows.items()
        for kind in usage.KINDS
    ]
    parts += _of_nobody(books)
    months = sorted({part.month for part in parts})
    return parts + [_part(month, PLATFORM, DATABASE, _database(books, month), {}) for month in months]


def _part(month: date, owner: Owner, kind: str, cost: Decimal | None, unpriced: Mapping[str, object]) -> Part:
    known = None if cost is None else Fraction(cost)
    return Part(month, owner, kind, known, known is None or kind in unpriced)


def _of_nobody(books: Books) -> Iterator[Part]:
    totals: dict[date, usage.Figures] = {}
    for (owner, day), figures in _cells(books).items():
        if owner == UNATTRIBUTED:
            totals.setdefault(month_of(day), usage.Figures()).add(figures)
    can_have = usage.available(books.source).kinds
    for month, figures in totals.items():
        has = {**can_have, "storage": is_storage_known(books, month)}
        for kind in usage.KINDS:
            yield _part(
                month, UNATTRIBUTED, kind, figures.cost(kind) if has[kind] else None, figures.unpriced
            )


def _cells(books: Books) -> usage.Cells:
    return usage.daily_figures(books.source, books.card, FIRST, last_day(books.today), books.stored)


def is_storage_known(books: Books, month: date) -> bool:
    """Tell whether each of the month's days so far is on record."""
    return all(day in books.stored for day in days_of(month, books.today))


def _database(books: Books, month: date) -> Decimal | None:
    shares = [_database_share(books, day) for day in days_of(month, books.today)]
    known = [share for share in shares if share is not None]
    return rounded(sum(known, Fraction(0)), PLACES) if len(known) == len(shares) else None


def _database_share(books: Books, day: date) -> Fraction | None:
    rate = rate_on(books.card, DATABASE, DATABASE, GB_MONTH, day)
    if rate is None or day not in books.database:
        return None
    return Fraction(rate.price) * books.database[day] / (UNIT_SIZE[GB_MONTH] * last_day(day).day)


def lines(books: Books) -> list[Line]:
    """Return a line for each row that is charged for, in each of its units, and for each day of storage."""
    found = [
        _line(books.card, kind, charge)
        for kind, charges in events.charges(books.source).items()
        for charge in charges or ()
    ]
    for day, owners in books.stored.items():
        rate = rate_on(books.card, "storage", "storage", GB_MONTH, day)
        for owner, stored in owners.items():
            share = Fraction(stored, UNIT_SIZE[GB_MONTH] * last_day(day).day)
            is_known = rate is not None and is_storage_known(books, month_of(day))
            amount = Fraction(rate.price) * share if rate is not None and is_known else None
            if stored:
                found.append(Line(owner, day, "storage", "storage", GB_MONTH, stored, rate, amount))
    return found


def _line(card: Sequence[Rate], kind: str, charge: events.Charge) -> Line:
    keys = [key for key in map(normalised, charge.names) if key]
    rates = [(key, rate_on(card, kind, key, charge.unit, charge.day)) for key in keys]
    item, rate = next((pair for pair in rates if pair[1]), (keys[0] if keys else "unknown", None))
    amount = None if rate is None else Fraction(rate.price) * charge.quantity / UNIT_SIZE[charge.unit]
    provider = PROVIDERS.get(kind) or (charge.names[0] or "").strip().lower() or None
    return Line(
        owner=charge.owner,
        day=charge.day,
        kind=kind,
        item=item,
        unit=charge.unit,
        quantity=charge.quantity,
        rate=rate,
        amount=amount,
        provider=provider,
        model=normalised(charge.model) or None,
    )


def row_parts(books: Books) -> list[Part]:
    """Return the same costs, those at providers by what their rows say; their costs are exact, not rounded."""
    parts = []
    for line in lines(books):
        if line.kind != "storage":
            unpriced = line.quantity if line.amount is None else None
            names = line.provider, line.model, line.unit, line.quantity, unpriced
            parts.append(
                Part(month_of(line.day), line.owner, line.kind, line.amount, unpriced is not None, *names)
            )
    told = {(part.month, part.owner, part.kind) for part in parts}
    for part in stored_parts(books):
        if part.kind in {"storage", DATABASE}:
            parts.append(
                Part(part.month, part.owner, part.kind, part.cost, part.is_incomplete, provider="supabase")
            )
        elif part.cost is None and (part.month, part.owner, part.kind) not in told:
            parts.append(part)
    return parts


def summed(costs: Iterable[Fraction | None]) -> Fraction | None:
    """Return the sum of what is known; None where nothing was and something is not."""
    listed = list(costs)
    known = [cost for cost in listed if cost is not None]
    total = sum(known, Fraction(0))
    return total if total or len(known) == len(listed) else None


def tier_of(books: Books, owner: Owner, month: date) -> str | None:
    """Return the name of a user's tier at the month's end, today in the current one; None for who is no user."""
    tiers = effective_tiers(books.source, days_of(month, books.today)[-1])
    if owner not in tiers or not isinstance(owner, UUID):
        return None
    tier = tiers[owner]
    return FREE if tier is None else str(tier["name"])


def revenue(books: Books, month: date) -> dict[UUID, Decimal]:
    """Return what each user's subscriptions earned in the month, day by day, to the millionth."""
    cents: dict[UUID, int] = {}
    for day in days_of(month, books.today):
        for user, worth in arr_cents(books.source, books.prices, day).items():
            cents[user] = cents.get(user, 0) + worth
    days = last_day(month).day
    return {user: rounded(Fraction(worth, 1200 * days), PLACES) for user, worth in cents.items()}


Series = dict[date, Fraction | None]
"""An amount for each day; None where it is not known."""


METHODS = ("last-7-days", "month-so-far")


def expected(series: Series, month: date, elapsed: int, method: str) -> Fraction | None:
    """Return what a month will come to, told after so many days of it; None where these are not known.

    The days before the first cost nothing, and tell nothing of those to come.
    """
    began, cut = min(series), month + timedelta(elapsed)
    complete = days_between(month, cut - timedelta(1))
    looked_at = days_between(cut - timedelta(7), cut - timedelta(1)) if method == METHODS[0] else complete
    sample = [cost for day in looked_at if (cost := series.get(day)) is not None]
    known = exact_sum([series.get(day) if day >= began else Fraction(0) for day in complete])
    if known is None or not sample:
        return None
    return known + sum(sample, Fraction(0)) / len(sample) * (last_day(month).day - elapsed)


def actual(series: Series, month: date) -> Fraction | None:
    """Return what a month that is over came to; None where that is not known."""
    return exact_sum([series.get(day) for day in days_between(month, last_day(month))])


def exact_sum(costs: Sequence[Fraction | None]) -> Fraction | None:
    """Return the sum, None where one of the summands is not known."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Fraction(0)) if len(known) == len(costs) else None


@dataclass(frozen=True)
class Anomaly:
    """A day far outside a history: how it compares with the middle of the days before."""

    cost: Fraction
    median: Fraction
    farthest: Fraction
    days: int
    score: Fraction | None


def middle(values: Iterable[Fraction]) -> Fraction:
    """Return the median, of two in the middle the lower."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def anomaly(series: Series, day: date, score: Fraction, least: Fraction, *, is_kind: bool) -> Anomaly | None:
    """Return how a day is far outside the 90 days before, None where it is not."""
    cost = series.get(day)
    before = [series.get(day - timedelta(number)) for number in range(1, 91)]
    history = [value for value in before if value is not None]
    if cost is None or len(history) < 7:
        return None
    median = middle(history)
    spread = max(Fraction("1.4826") * middle(abs(value - median) for value in history), median / 10)
    own = (cost - median) / spread if spread else None
    if max(cost, median) < least or (not is_kind and cost < least):
        return None
    is_above = cost > max(history) and (own is None or own >= score)
    is_below = is_kind and cost < min(history) and own is not None and own <= -score
    if not (is_above or is_below):
        return None
    farthest = max(history) if is_above else min(history)
    return Anomaly(cost, median, farthest, len(history), None if own is None else abs(own))
