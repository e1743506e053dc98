"""Reports on monthly_usage."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries import costs
from avatarlab_cli.queries.costs import Month
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.daily import COSTS
from avatarlab_cli.rollup.limits import AVATAR_LIMIT
from avatarlab_cli.rollup.metrics import KINDS, METRICS, UNATTRIBUTED
from avatarlab_cli.schema.admin import monthly_usage
from avatarlab_cli.schema.private import usage_daily
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import month_window

HELP = {
    "avatars_created": "avatars created, deleted ones included",
    "conversations_count": "exchanges over WhatsApp and the API",
    "chat_messages_count": "messages in the web chat",
    "feedback_good": "answers rated good",
    "feedback_bad": "answers rated bad",
    "images_generated": "images generated",
    "videos_generated": "videos completed",
    "memories_added": "memories added",
    "knowledge_files_uploaded": "knowledge files uploaded",
    "training_jobs_created": "training sessions begun",
    "fine_tune_jobs_created": "fine-tuning jobs begun",
    "trained_tokens": "tokens of finished fine-tuning jobs",
    "inference_input_tokens": "tokens sent to fine-tuned models",
    "inference_output_tokens": "tokens fine-tuned models answered",
    "voice_clones_created": "voice clones created",
    "tts_generations": "texts spoken",
    "tts_characters": "characters spoken",
    "api_requests_count": "successful API requests",
    "rag_searches_count": "searches in knowledge files",
    "storage_bytes": "bytes stored at the month's end, or now",
    "storage_byte_days": "bytes stored, summed over the days",
    "total_cost": "estimated provider spend and storage",
}
MEASURES = (*METRICS, "storage_bytes", "storage_byte_days", *COSTS, "total_cost")
_SHOWN = frozenset({"chat_messages_count", "images_generated", "storage_bytes", "total_cost"})
# In the place of an e-mail address, for what belongs to no user.
NOBODY = "(unattributed)"
UNATTRIBUTED_NAME = "unattributed"
"""What is said in place of a user for what belongs to nobody."""
_INCOMPLETE = "whether something of the cost has no price"
_NOT_COMPUTED = "No usage is stored for {}; `avatarlab job run monthly-usage` computes it."


def is_nobody(name: str) -> bool:
    """Tell whether a user's name stands for what belongs to nobody."""
    return name.strip().lower() in (UNATTRIBUTED_NAME, NOBODY)


def kind_of(measure: str) -> Kind:
    """Return how a measure's values are shown."""
    if measure.endswith("_cost"):
        return Kind.MONEY
    return Kind.BYTES if measure == "storage_bytes" else Kind.INTEGER


def help_of(measure: str) -> str:
    """Return what a measure counts."""
    return HELP.get(measure) or f"estimated cost of {measure.removesuffix('_cost').replace('_', '-')}"


def month(connection: sa.Connection, month: date) -> Report:
    """Report every user's figures of a month, and what belongs to nobody."""
    found = costs.computed_months(connection, month_window(month))
    own = monthly_usage
    mine = sa.select(
        own.c.user_id,
        users.c.email,
        *(own.c[name] for name in MEASURES),
        _is_incomplete(own).label("is_cost_incomplete"),
        own.c.is_over_limit,
        own.c.exceeded_limits,
        own.c.unpriced,
        own.c.storage_days_interpolated,
        own.c.computed_at,
    ).select_from(own.outerjoin(users, users.c.id == own.c.user_id))
    rows = sa.union_all(mine.where(own.c.usage_month == month), _unattributed(month, found)).subquery("usage")
    return Report(
        sa.select(rows),
        (
            Column("user_id", Kind.ID, "the user; NULL for what belongs to nobody", wide=True, null="-"),
            Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
            *(Column(name, kind_of(name), help_of(name), wide=name not in _SHOWN) for name in MEASURES),
            Column("is_cost_incomplete", Kind.BOOLEAN, _INCOMPLETE, null="-"),
            Column("is_over_limit", Kind.BOOLEAN, "whether a limit is exceeded", wide=True, null="-"),
            Column("exceeded_limits", Kind.JSON, "metric -> value and limit", wide=True),
            Column("unpriced", Kind.JSON, "kind -> key -> quantity without a rate", wide=True),
            Column(
                "storage_days_interpolated",
                Kind.INTEGER,
                "days whose storage no run saw",
                wide=True,
                null="-",
            ),
            Column("computed_at", Kind.TIME, "when the row was last written", wide=True),
        ),
        sort="-total_cost,email",
        empty=_NOT_COMPUTED.format(f"{month:%Y-%m}"),
    )


def _unattributed(month: date, found: Sequence[Month]) -> sa.Select[Any]:
    """Return one row of the month's figures that belong to nobody, none where there are none."""
    days = usage_daily
    last = (month + timedelta(days=32)).replace(day=1)
    values: dict[str, sa.ColumnElement[Any]] = {
        name: sa.case((sa.func.count(days.c[name]) == sa.func.count(), sa.func.sum(days.c[name])))
        for name in METRICS
    }
    end = sa.func.least(last - timedelta(days=1), sa.func.current_date())
    values["storage_bytes"] = sa.func.max(days.c.storage_bytes).filter(days.c.day == end)
    paid = costs.of_nobody(found)
    for kind in KINDS:
        of_kind = sa.select(paid.c.cost).where(paid.c.kind == kind)
        values[f"{kind}_cost"] = of_kind.scalar_subquery()
    values["total_cost"] = sa.select(sa.func.sum(paid.c.cost)).scalar_subquery()
    is_incomplete = sa.select(sa.func.bool_or(paid.c.is_incomplete)).scalar_subquery()
    totals = [
        sa.cast(values.get(name, sa.null()), monthly_usage.c[name].type).label(name) for name in MEASURES
    ]
    return (
        sa.select(
            sa.cast(sa.null(), sa.Uuid).label("user_id"),
            sa.literal(NOBODY).label("email"),
            *totals,
            is_incomplete,
            sa.cast(sa.null(), sa.Boolean),
            sa.cast(sa.null(), monthly_usage.c.exceeded_limits.type),
            sa.cast(sa.null(), monthly_usage.c.unpriced.type),
            sa.cast(sa.null(), monthly_usage.c.storage_days_interpolated.type),
            sa.func.max(days.c.computed_at),
        )
        .where(days.c.user_id == UNATTRIBUTED, days.c.day >= month, days.c.day < last)
        .having(sa.func.count() > 0)
    )


def top(month: date, measure: str) -> Report:
    """Report the users with the most of a measure, and each one's share of all.

    Raises UsageError for an unknown measure.
    """
    demand_measure(measure)
    own = monthly_usage
    value = own.c[measure]
    ranked = sa.select(
        sa.func.rank().over(order_by=value.desc()).label("rank"),
        own.c.user_id,
        users.c.email,
        value.label(measure),
        _is_incomplete(own).label("is_cost_incomplete"),
        sa.func.round(value / sa.func.nullif(sa.func.sum(sa.cast(value, sa.Numeric)).over(), 0), 6).label(
            "share"
        ),
    )
    return Report(
        ranked.select_from(own.outerjoin(users, users.c.id == own.c.user_id)).where(
            own.c.usage_month == month, value > 0
        ),
        (
            Column("rank", Kind.INTEGER, "1 for the most"),
            Column("user_id", Kind.ID, "the user", wide=True),
            Column("email", Kind.TEXT, "the user's e-mail address", null="-"),
            Column(measure, kind_of(measure), help_of(measure)),
            Column("share", Kind.PERCENT, "of what all users together have"),
            Column(
                "is_cost_incomplete", Kind.BOOLEAN, _INCOMPLETE, wide=not measure.endswith("_cost"), null="-"
            ),
        ),
        sort="rank,email",
        empty=f"Nobody has any {measure} in {month:%Y-%m}, or it is not available here.",
    )


def show(user: UserName, month: date, notes: tuple[str, ...] = ()) -> Report:
    """Report one user's figures of a month, with the month before and the limits that are exceeded.

    `notes` are what `find_notes` returns: how sure the figures are.
    """
    this, before = monthly_usage.alias("this"), monthly_usage.alias("before")
    previous = (month - timedelta(days=1)).replace(day=1)
    joined = this.outerjoin(
        before, sa.and_(before.c.user_id == this.c.user_id, before.c.usage_month == previous)
    )
    avatars = this.c.exceeded_limits[AVATAR_LIMIT]["value"].astext
    metrics = (
        sa.values(
            sa.column("position", sa.Integer),
            sa.column("metric", sa.Text),
            sa.column("value", sa.Numeric),
            sa.column("previous", sa.Numeric),
            name="metrics",
        )
        .data(
            [
                *(
                    (sa.literal(i), sa.literal(name), _numeric(this.c[name]), _numeric(before.c[name]))
                    for i, name in enumerate(MEASURES)
                ),
                (sa.literal(len(MEASURES)), sa.literal(AVATAR_LIMIT), _numeric(avatars), _numeric(sa.null())),
            ]
        )
        .lateral()
    )
    limit = this.c.exceeded_limits[metrics.c.metric]["limit"]
    return Report(
        sa.select(
            metrics.c.metric,
            metrics.c.value,
            metrics.c.previous,
            limit.label("exceeded_limit"),
            metrics.c.position,
        )
        .select_from(joined.join(metrics, sa.true()))
        .where(this.c.user_id == user.id, this.c.usage_month == month)
        # How many avatars there are is stored only where they are too many.
        .where(sa.or_(metrics.c.metric != AVATAR_LIMIT, avatars.is_not(None))),
        (
            Column("metric", Kind.ID, "what is counted"),
            Column("value", Kind.DECIMAL, "how much of it in the month"),
            Column("previous", Kind.DECIMAL, "and in the month before"),
            Column("exceeded_limit", Kind.JSON, "the limit, where the value is above it", null="-"),
            Column("position", Kind.INTEGER, "the order of the metrics", wide=True),
        ),
        sort="position",
        notes=notes,
        empty=f"{user.email or user.id} has no usage in {month:%Y-%m}, or it was never computed.",
    )


def find_notes(connection: sa.Connection, user: UserName, month: date) -> tuple[str, ...]:
    """Return what there is to say of a user's month: what of it has no price, and how much was not seen."""
    own = monthly_usage
    select = sa.select(own.c.unpriced, own.c.storage_days_interpolated)
    row = connection.execute(select.where(own.c.user_id == user.id, own.c.usage_month == month)).one_or_none()
    return () if row is None else (*_incomplete(row.unpriced or {}), *_interpolated(row[1]))


def _incomplete(unpriced: Mapping[str, object]) -> Iterator[str]:
    parts = [f"{kind} {json.dumps(what)}" for kind, what in sorted(unpriced.items())]
    if parts:
        yield f"total_cost is incomplete, without a price for: {'; '.join(parts)}"


def _interpolated(days: int | None) -> Iterator[str]:
    if days:
        yield f"storage of {days} day{'s' if days > 1 else ''}, which no run saw, is interpolated"


def _is_incomplete(own: sa.FromClause) -> sa.ColumnElement[bool]:
    return own.c.unpriced != sa.literal_column("'{}'::jsonb")


def demand_measure(measure: str) -> None:
    """Raise UsageError unless monthly_usage has the measure."""
    if measure not in MEASURES:
        import difflib

        near = difflib.get_close_matches(measure, MEASURES, 1)
        raise UsageError(
            f"{measure!r} is not a metric{f'; did you mean {near[0]}?' if near else ''}",
            hint=f"metrics: {', '.join(MEASURES)}",
        )


def _numeric(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(column, sa.Numeric)
