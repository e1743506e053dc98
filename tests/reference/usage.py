"""What the usage job must store: each user's figures by day and by month."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from tests.reference import events, rates
from tests.reference.limits import MAX_AVATARS, Limits, limits_on
from tests.reference.rates import Rate, rounded
from tests.reference.source import Source, days_between, last_day, month_of

Snapshots = Mapping[date, Mapping[UUID, int]]
"""The bytes each owner has stored at the end of each day that is known."""

KINDS = ("fine_tuning", "inference", "voice", "image", "video", "storage")
NOT_NULL_COUNTERS = (
    "avatars_created",
    "conversations_count",
    "images_generated",
    "memories_added",
    "knowledge_files_uploaded",
    "training_jobs_created",
    "voice_clones_created",
)
"""Monthly columns that cannot say "not available" and hold 0 instead."""
DAY_COST_PLACES = 12
"""A day's cost is stored unrounded; the share of a month may have no end, so compare at this many decimals."""
MONTH_COST_PLACES = 6
DEFINITION_VERSION = 2


@dataclass
class Figures:
    """Quantities, priced amounts in exact dollars, and what had no price, by kind and key."""

    metrics: dict[str, int] = field(default_factory=dict)
    costs: dict[str, Fraction] = field(default_factory=dict)
    unpriced: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, metric: str, quantity: int) -> None:
        """Add a quantity of a metric."""
        self.metrics[metric] = self.metrics.get(metric, 0) + quantity

    def charge(self, kind: str, amount: Fraction) -> None:
        """Add a priced amount."""
        self.costs[kind] = self.costs.get(kind, Fraction(0)) + amount

    def miss(self, kind: str, key: str, quantity: int) -> None:
        """Add a quantity without a price."""
        named = self.unpriced.setdefault(kind, {})
        named[key] = named.get(key, 0) + quantity

    def add(self, other: "Figures") -> None:
        """Add all of another day's or user's figures."""
        for metric, quantity in other.metrics.items():
            self.count(metric, quantity)
        for kind, amount in other.costs.items():
            self.charge(kind, amount)
        for kind, keys in other.unpriced.items():
            for key, quantity in keys.items():
                self.miss(kind, key, quantity)

    def cost(self, kind: str) -> Decimal | None:
        """Return a kind's cost over a period: 0 without any quantity, None where nothing had a price."""
        if kind in self.costs:
            return rounded(self.costs[kind], MONTH_COST_PLACES)
        return None if kind in self.unpriced else Decimal(0)


Cells = dict[tuple[UUID, date], Figures]


def total_of(parts: Iterable[Figures]) -> Figures:
    """Add figures up."""
    total = Figures()
    for part in parts:
        total.add(part)
    return total


def daily_figures(
    source: Source, card: Sequence[Rate], first: date, last: date, snapshots: Snapshots
) -> Cells:
    """Return the exact figures of every owner and day on which something happened or was stored."""
    cells: Cells = {}
    for metric, found in events.metric_events(source).items():
        for event in found or []:
            if first <= event.day <= last and event.quantity != 0:
                cells.setdefault((event.owner, event.day), Figures()).count(metric, event.quantity)
    for kind, charged in events.charges(source).items():
        for charge in charged or []:
            if first <= charge.day <= last:
                _price(cells.setdefault((charge.owner, charge.day), Figures()), card, kind, charge)
    for day in days_between(first, last):
        for owner, stored in snapshots.get(day, {}).items():
            if stored != 0:
                _store(cells.setdefault((owner, day), Figures()), card, day, stored)
    return cells


def _price(figures: Figures, card: Sequence[Rate], kind: str, charge: events.Charge) -> None:
    key, price = rates.match(card, kind, charge.unit, charge.names, charge.day)
    if price is None:
        figures.miss(kind, key, charge.quantity)
    else:
        figures.charge(kind, Fraction(price) * charge.quantity / rates.UNIT_SIZE[charge.unit])


def _store(figures: Figures, card: Sequence[Rate], day: date, stored: int) -> None:
    figures.count("storage_bytes", stored)
    price = rates.price_in_force(card, "storage", "storage", rates.GB_MONTH, day)
    if price is None:
        figures.miss("storage", "storage", stored)
    else:
        share = Fraction(stored, rates.UNIT_SIZE[rates.GB_MONTH] * last_day(day).day)
        figures.charge("storage", Fraction(price) * share)


@dataclass(frozen=True)
class Available:
    """Which metrics and kinds of cost have their sources, storage aside."""

    metrics: Mapping[str, bool]
    kinds: Mapping[str, bool]


def available(source: Source) -> Available:
    """Tell what the source's tables and columns allow to be computed."""
    return Available(
        {metric: found is not None for metric, found in events.metric_events(source).items()},
        {kind: found is not None for kind, found in events.charges(source).items()},
    )


def usage_daily(
    source: Source, card: Sequence[Rate], first: date, last: date, snapshots: Snapshots | None = None
) -> dict[tuple[UUID, date], dict[str, Any]]:
    """Return every metric, cost and unpriced quantity by owner and day; a day of nothing has no entry."""
    known = snapshots or {}
    metrics = available(source).metrics
    return {
        (owner, day): {
            **{metric: figures.metrics.get(metric, 0) if metrics[metric] else None for metric in metrics},
            "storage_bytes": figures.metrics.get("storage_bytes", 0) if day in known else None,
            **{f"{kind}_cost": _day_cost(figures, kind) for kind in KINDS},
            "unpriced": figures.unpriced,
        }
        for (owner, day), figures in daily_figures(source, card, first, last, known).items()
    }


def _day_cost(figures: Figures, kind: str) -> Decimal | None:
    return rounded(figures.costs[kind], DAY_COST_PLACES) if kind in figures.costs else None


def monthly_usage(
    source: Source,
    card: Sequence[Rate],
    first_month: date,
    last_month: date,
    today: date,
    *,
    snapshots: Snapshots,
    interpolated: Collection[date] = (),
) -> dict[tuple[UUID, date], dict[str, Any]]:
    """Return the row of every user and month that has one; months are named by their first day.

    `interpolated` are those days of the snapshots that nobody saw.
    """
    months = [day for day in days_between(month_of(first_month), last_month) if day.day == 1]
    totals: Cells = {}
    days = daily_figures(source, card, months[0], last_day(last_month), snapshots)
    for (owner, day), figures in days.items():
        totals.setdefault((owner, month_of(day)), Figures()).add(figures)
    limits, can_have = limits_on(source, today), available(source)
    rows = {}
    for user, month in itertools.product(source.accounts(), months):
        figures = totals.get((user, month), Figures())
        row = _month_row(figures, can_have, _stored(user, month, today, snapshots, interpolated))
        row |= _judged(limits, user, row, is_current=month == month_of(today))
        if figures.metrics or row["exceeded_limits"]:
            rows[user, month] = row
    return rows


@dataclass(frozen=True)
class _Stored:
    """A user's storage in a month: None where a day it needs is not known."""

    at_end: int | None
    byte_days: int | None
    unknown_days: int
    guessed_days: int | None


def _stored(
    user: UUID, month: date, today: date, snapshots: Snapshots, interpolated: Collection[date]
) -> _Stored:
    days = days_between(month, min(last_day(month), today))
    known = [snapshots[day].get(user, 0) for day in days if day in snapshots]
    return _Stored(
        at_end=known[-1] if days[-1] in snapshots else None,
        byte_days=sum(known) if len(known) == len(days) else None,
        unknown_days=len(days) - len(known),
        guessed_days=sum(day in interpolated for day in days) if known else None,
    )


def _month_row(figures: Figures, can_have: Available, stored: _Stored) -> dict[str, Any]:
    has_source = {**can_have.kinds, "storage": stored.unknown_days == 0}
    costs = {kind: figures.cost(kind) if has_source[kind] else None for kind in KINDS}
    known = [cost for cost in costs.values() if cost is not None]
    missed = {"storage": {"days_without_snapshot": stored.unknown_days}} if stored.unknown_days else {}
    return {
        **_counters(figures, can_have),
        "storage_bytes": stored.at_end,
        "storage_byte_days": stored.byte_days,
        "storage_days_interpolated": stored.guessed_days,
        **{f"{kind}_cost": cost for kind, cost in costs.items()},
        "total_cost": sum(known, Decimal(0)) if known else None,
        "unpriced": {**figures.unpriced, **missed},
        "definition_version": DEFINITION_VERSION,
    }


def _counters(figures: Figures, can_have: Available) -> dict[str, int | None]:
    counters: dict[str, int | None] = {}
    for metric, is_available in can_have.metrics.items():
        absent = 0 if metric in NOT_NULL_COUNTERS else None
        counters[metric] = figures.metrics.get(metric, 0) if is_available else absent
    return counters


def _judged(limits: Limits, user: UUID, row: Mapping[str, Any], *, is_current: bool) -> dict[str, Any]:
    figures = {name: value for name, value in row.items() if isinstance(value, int)}
    if is_current:
        figures[MAX_AVATARS] = limits.avatars.get(user, 0)
    exceeded = limits.exceeded(user, figures)
    return {
        "is_over_limit": bool(exceeded),
        "exceeded_limits": exceeded,
        "is_over_avatar_limit": MAX_AVATARS in exceeded,
    }
