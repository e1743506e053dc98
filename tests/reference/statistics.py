"""What the statistics job must store for one day of the whole platform."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.rates import Rate, rounded
from tests.reference.source import UNATTRIBUTED, Row, Source, day_of, days_between, end_of
from tests.reference.subscriptions import (
    FREE,
    Price,
    arr_cents,
    churn_of_30_days,
    current_subscriptions,
    effective_tiers,
    gone_accounts,
    is_trial,
    movements,
    paused_users,
)
from tests.reference.usage import (
    DEFINITION_VERSION,
    KINDS,
    Available,
    Cells,
    Figures,
    Snapshots,
    available,
    daily_figures,
    total_of,
)

KindSnapshots = Mapping[date, Mapping[str, int]]
"""The bytes of each kind at the end of each day that is known."""

NOT_NULL_TODAY = {
    "avatars_created_today": "avatars_created",
    "conversations_today": "conversations_count",
    "images_generated_today": "images_generated",
    "memories_added_today": "memories_added",
    "training_jobs_today": "training_jobs_created",
    "voice_clones_today": "voice_clones_created",
}
"""Columns that cannot say "not available" and hold 0 instead, with their metric."""
NULLABLE_TODAY = {
    "api_requests_today": "api_requests_count",
    "chat_messages_today": "chat_messages_count",
    "videos_generated_today": "videos_generated",
    "tts_generations_today": "tts_generations",
    "tts_characters_today": "tts_characters",
    "rag_searches_today": "rag_searches_count",
    "feedback_good_today": "feedback_good",
    "feedback_bad_today": "feedback_bad",
}
NO_ACTIONS = frozenset(["storage_bytes", "trained_tokens"])
"""Metrics that move without the user doing anything."""
SHARE_PLACES = 6


def platform_statistics(
    source: Source,
    card: Sequence[Rate],
    day: date,
    *,
    snapshots: Snapshots,
    kinds: KindSnapshots,
    prices: Sequence[Price],
    interpolated: Collection[date] = (),
) -> dict[str, Any]:
    """Return every column of the day's row, times of writing aside.

    `interpolated` are those days of the snapshots that nobody saw.
    """
    cells = daily_figures(source, card, day - timedelta(days=29), day, snapshots)
    of_day = {owner: figures for (owner, cell_day), figures in cells.items() if cell_day == day}
    total = total_of(of_day.values())
    return {
        **_users(source, day),
        **_active(cells, day),
        **_avatars(source, day),
        **_today(total, available(source)),
        **_storage(day, snapshots, kinds),
        "is_storage_interpolated": day in interpolated if day in snapshots else None,
        **_costs(total, available(source), has_storage=day in snapshots),
        **_revenue(source, prices, day),
        **_movements(source, prices, day),
        "revenue_today": _purchases(source, day),
        "unattributed": of_day.get(UNATTRIBUTED, Figures()).metrics,
        "definition_version": DEFINITION_VERSION,
    }


def _users(source: Source, day: date) -> dict[str, Any]:
    accounts = source.rows_if_any("auth.users", "id", "created_at", "deleted_at")
    gone, tiers = gone_accounts(source, day), effective_tiers(source, day)
    present = [row["id"] for row in accounts if row["created_at"] < end_of(day) and row["id"] not in gone]
    names = [FREE if tier is None else tier["name"] for tier in map(tiers.__getitem__, present)]
    return {
        "total_users": len(present),
        "new_users": sum(day_of(row["created_at"]) == day for row in accounts),
        "deleted_users": sum(_falls_on(row["deleted_at"], day) for row in accounts),
        "logins_today": _logins(source, day),
        "users_by_tier": dict(Counter(names)),
    }


def _falls_on(moment: datetime | None, day: date) -> bool:
    return moment is not None and day_of(moment) == day


def _logins(source: Source, day: date) -> int | None:
    accounts = source.rows("auth.users", "id", "last_sign_in_at")
    profiles = source.rows("profiles", "id", "last_login")
    if accounts is None or profiles is None:
        return None
    last = {profile["id"]: profile["last_login"] for profile in profiles}
    known = [[row["last_sign_in_at"], last.get(row["id"])] for row in accounts]
    latest = [max((moment for moment in moments if moment), default=None) for moments in known]
    return sum(_falls_on(moment, day) for moment in latest)


def _active(cells: Cells, day: date) -> dict[str, int]:
    def active_in(days: int) -> int:
        window = days_between(day - timedelta(days=days - 1), day)
        acting = {owner for (owner, acted), figures in cells.items() if acted in window and _acts(figures)}
        return len(acting - {UNATTRIBUTED})

    return {
        "daily_active_users": active_in(1),
        "weekly_active_users": active_in(7),
        "active_users": active_in(30),
    }


def _acts(figures: Figures) -> bool:
    return bool(figures.metrics.keys() - NO_ACTIONS)


def _avatars(source: Source, day: date) -> dict[str, int]:
    avatars = source.rows_if_any("avatars", "status", "created_at", "deleted_at")
    present = [row for row in avatars if row["created_at"] < end_of(day) and not _is_deleted(row, day)]
    return {
        "total_avatars": len(present),
        "active_avatars": sum(row["status"] == "active" for row in present),
    }


def _is_deleted(avatar: Row, day: date) -> bool:
    return avatar["status"] == "deleted" and (
        avatar["deleted_at"] is None or avatar["deleted_at"] < end_of(day)
    )


def _today(total: Figures, can_have: Available) -> dict[str, int | None]:
    nullable = {
        column: total.metrics.get(metric, 0) if can_have.metrics[metric] else None
        for column, metric in NULLABLE_TODAY.items()
    }
    return nullable | {column: total.metrics.get(metric, 0) for column, metric in NOT_NULL_TODAY.items()}


def _storage(day: date, snapshots: Snapshots, kinds: KindSnapshots) -> dict[str, Any]:
    if day not in snapshots:
        return {"storage_bytes": None, "storage_by_kind": None}
    return {
        "storage_bytes": sum(snapshots[day].values()),
        "storage_by_kind": {kind: stored for kind, stored in kinds[day].items() if stored},
    }


def _costs(total: Figures, can_have: Available, *, has_storage: bool) -> dict[str, Any]:
    has_source = {**can_have.kinds, "storage": has_storage}
    costs = {kind: total.cost(kind) if has_source[kind] else None for kind in KINDS}
    known = [cost for cost in costs.values() if cost is not None]
    return {
        "cost_by_kind": costs,
        "estimated_cost_today": sum(known, Decimal(0)) if known else None,
    }


def _revenue(source: Source, prices: Sequence[Price], day: date) -> dict[str, Any]:
    columns = ["paying_users", "trialing_users", "paused_users", "arr_cents"]
    if source.rows("user_subscriptions", "user_id") is None:
        return {"mrr": Decimal(0), "arr": Decimal(0), **dict.fromkeys(columns)}
    worth = arr_cents(source, prices, day)
    total = sum(worth.values())
    trialing = [row for row in current_subscriptions(source, day).values() if is_trial(row, day)]
    counts = [len(worth), len(trialing), len(paused_users(source, day)), total]
    return {
        "mrr": rounded(Fraction(total, 1200), 2),
        "arr": rounded(Fraction(total, 100), 2),
        **dict(zip(columns, counts, strict=True)),
    }


def _movements(source: Source, prices: Sequence[Price], day: date) -> dict[str, Any]:
    moved = movements(source, prices, day)
    cents = {
        "mrr_new": moved.new,
        "mrr_reactivation": moved.reactivation,
        "mrr_expansion": moved.expansion,
        "mrr_contraction": moved.contraction,
        "mrr_churn": moved.churn,
    }
    lost, paid = churn_of_30_days(source, prices, day)
    return {
        **{column: rounded(Fraction(value, 1200), 6) for column, value in cents.items()},
        "churned_users": moved.churned_users,
        "subscriber_churn_30d": rounded(Fraction(lost, paid), SHARE_PLACES) if paid else None,
    }


def _purchases(source: Source, day: date) -> Decimal:
    rows = source.rows_if_any("purchases", "status", "currency", "price_paid", "purchased_at")
    paid = [
        row["price_paid"]
        for row in rows
        if row["status"] == "completed"
        and (row["currency"] or "USD") == "USD"
        and _falls_on(row["purchased_at"], day)
    ]
    return sum(paid, Decimal(0))
