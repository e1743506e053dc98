"""What a month is closed with: its rows as JSON, kept apart from the public ones, and the digest that tells whether these are still the same."""

from datetime import date
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh, monthly
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.daily import COSTS, COUNTS
from avatarlab_cli.rollup.metrics import METRICS, UNATTRIBUTED
from avatarlab_cli.timeframe import month_window

# What changes under a closed month is told of these; total_cost is their sum.
FIGURES: tuple[str, ...] = (*METRICS, "storage_bytes", "storage_byte_days", *COSTS)
# Under this id a closing keeps what a user without a row has: 0, or NULL where nothing is known.
IDLE = UUID(int=2**128 - 1)

_OF_MONTH = (
    *FIGURES,
    *("storage_days_interpolated", "total_cost", "unpriced", "is_over_limit", "exceeded_limits"),
    *("definition_version", "rate_card_version"),
)
_OF_DAY = (*COUNTS, *COSTS, "unpriced", "definition_version", "rate_card_version")


def _image(row: str, columns: tuple[str, ...]) -> str:
    pairs = ", ".join(f"'{name}', {row}.{name}" for name in columns)
    return f"jsonb_build_object({pairs})"


# SQL of a month's row m, in monthly_usage or as it was computed: all that it says.
IMAGE = _image("m", _OF_MONTH)
# SQL of whether a row f of what the closing p froze is of an account that is gone, and its public row with it. Whoever
# came under the same id since is another account.
IS_GONE = f"""(
    f.user_id NOT IN ('{UNATTRIBUTED}', '{IDLE}')
    AND NOT EXISTS (SELECT FROM auth.users u WHERE u.id = f.user_id AND coalesce(u.created_at, '-infinity') <= p.closed_at)
    AND NOT EXISTS (SELECT FROM public.monthly_usage m WHERE m.user_id = f.user_id AND m.usage_month = p.month))"""
# SQL of the digest of the month of the closing p; docs/metrics.md says what it is made of. Accounts that are gone count
# as they were closed.
DIGEST = f"""(
    SELECT encode(sha256(convert_to(coalesce(string_agg(
               encode(sha256(convert_to(concat_ws(' ', l.user_id, l.day, l.image), 'UTF8')), 'hex'), E'\\n'
               ORDER BY l.user_id, l.day), ''), 'UTF8')), 'hex')
    FROM (
        SELECT m.user_id, NULL AS day, {IMAGE} AS image FROM public.monthly_usage m WHERE m.usage_month = p.month
        UNION ALL
        SELECT d.user_id, to_char(d.day, 'YYYY-MM-DD'), {_image("d", _OF_DAY)} FROM avatarlab_admin.usage_daily d
        WHERE d.user_id = '{UNATTRIBUTED}' AND d.day >= p.month AND d.day < p.month + interval '1 month'
        UNION ALL
        SELECT f.user_id, NULL, f.figures FROM avatarlab_admin.period_figures f
        WHERE f.closing_id = p.id AND {IS_GONE}
    ) AS l)"""
# SQL of what the closing :closing of :month froze, by user_id; the public rows themselves where nothing was kept.
FROZEN = f"""
    SELECT f.user_id, f.figures FROM avatarlab_admin.period_figures f WHERE f.closing_id = :closing
    UNION ALL
    SELECT m.user_id, {IMAGE} FROM public.monthly_usage m
    WHERE m.usage_month = :month
      AND NOT EXISTS (SELECT FROM avatarlab_admin.period_figures f WHERE f.closing_id = :closing)"""
_KEEP = f"""
    INSERT INTO avatarlab_admin.period_figures (closing_id, user_id, figures)
    SELECT :closing, m.user_id, {IMAGE} FROM public.monthly_usage m WHERE m.usage_month = :month
    UNION ALL
    SELECT :closing, m.user_id, {IMAGE} FROM usage_month_fresh m
"""
_OF_NOBODY = f"""
    SELECT day, user_id, {", ".join((*COUNTS, *COSTS))}, unpriced FROM avatarlab_admin.usage_daily
    WHERE user_id = :nobody AND day >= :first AND day < :end
"""


def keep(  # noqa: PLR0913 - what a month is made of
    connection: sa.Connection,
    closing: UUID,
    month: date,
    *,
    today: date,
    available: Availability,
    version: str,
) -> int:
    """Keep what a month is closed with, under the closing's id; returns how many users have a row.

    Needs the temporary tables of accounts, rates and limits, and replaces those of `monthly.recompute`.
    """
    window = month_window(month)
    bound = {"first": month, "end": window.end, "nobody": UNATTRIBUTED}
    nobody = fresh.temporary(connection, "closing_nobody", sa.text(_OF_NOBODY), **bound)
    fresh.temporary(
        connection,
        "closing_idle",
        sa.text(f"SELECT unnest(ARRAY['{UNATTRIBUTED}', '{IDLE}']::uuid[]) AS user_id"),
    )
    sum_month(connection, month, nobody.name, "closing_idle", available, today=today, version=version)
    connection.execute(sa.text(_KEEP), {"closing": closing, "month": month})
    rows = "SELECT count(*) FROM public.monthly_usage WHERE usage_month = :month"
    return int(connection.execute(sa.text(rows), {"month": month}).scalar_one())


def sum_month(  # noqa: PLR0913 - what a month is made of
    connection: sa.Connection,
    month: date,
    days: str,
    users: str,
    available: Availability,
    *,
    today: date,
    version: str,
) -> None:
    """Create usage_month_fresh of what a month's `days` come to, nobody's too, with a row for each of the `users`.

    Both are temporary tables. Needs those of accounts, rates and limits as well.
    """
    sql = sa.text(_with_nothing(days, users, available))
    fresh.temporary(connection, "closing_days", sql, month=month)
    monthly.collect(
        connection,
        monthly.Scope(month_window(month)),
        available,
        today=today,
        rate_version=version,
        days="closing_days",
        without=None,
    )


def _with_nothing(days: str, users: str, available: Availability) -> str:
    """Return the SQL of some days and, so that each of some users has a row in the month, of a day with nothing for each."""
    nothing = [f"{'0' if available.has(name) else 'NULL'}::bigint" for name in METRICS]
    return f"""
        SELECT day, user_id, {", ".join((*COUNTS, *COSTS))}, unpriced FROM {days} WHERE day IS NOT NULL
        UNION ALL
        SELECT CAST(:month AS date), user_id, {", ".join(nothing)}, NULL::bigint, {", ".join(["NULL::numeric"] * len(COSTS))}, '{{}}'::jsonb
        FROM {users}"""
