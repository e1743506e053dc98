"""Some users' running month, computed anew and held against their limits; everybody else's figures stay as they are."""

from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import accounts, fresh, history, limits, monthly, rates, recounting, storage, usage
from avatarlab_cli.rollup.availability import Availability, availability
from avatarlab_cli.rollup.daily import COUNTS, EVERY_SOURCE, Scope
from avatarlab_cli.rollup.dirty import Cells
from avatarlab_cli.rollup.limits import AVATAR_LIMIT
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.timeframe import Window, month_window

JUDGED = "limits_judged"
"""The temporary table of what limits whom: user_id, name, value (NULL where it is not known) and maximum."""


def rejudge(connection: sa.Connection, live: LiveSchema, users: str, today: date, card: RateCard) -> None:
    """Set usage_daily and monthly_usage of these users' running month to what the sources say, and create JUDGED.

    `users` is a temporary table with their ids. What is stored is looked at anew for everybody, because an object's owner
    is found among all that name one. Needs the jobs' lock, and a transaction that may write.
    """
    available = availability(live)
    window = month_window(today.replace(day=1))
    storage.snapshot(connection, window, today, live, available)
    history.fill_gaps(connection, history.STORAGE, today)
    prices = rates.collect(connection, card)
    named = sa.text(f"SELECT id FROM {users}").columns(id=sa.Uuid)
    fresh.temporary(
        connection, "accounts_fresh", accounts.selected(live).where(supabase.users.c.id.in_(named))
    )
    limits.collect(connection, live, today)
    recounting.recompute(
        connection,
        Scope(window, cells=_cells(connection, users, window)),
        available,
        prices,
        card.version,
    )
    touched = sa.text(f"SELECT id AS user_id, CAST(:month AS date) AS month FROM {users}")
    fresh.temporary(connection, "usage_touched", touched, month=window.first)
    scope = monthly.Scope(window, running_from=window.first, of_everybody=False)
    monthly.recompute(connection, scope, available, today=today, rate_version=card.version)
    usage.note_some_months(connection, usage.Basis(live, available, prices, card.version, today))
    has_avatars = limits.has_avatars(live)
    fresh.temporary(connection, JUDGED, sa.text(_judged_sql(available, has_avatars=has_avatars)))


def _cells(connection: sa.Connection, users: str, window: Window) -> Cells:
    """Return every source's part of each of the users' days in the month."""
    every = sa.text(f"""
        SELECT s.source, d.day::date AS day, u.id AS user_id, a.id IS NOT NULL AS is_present
        FROM {users} u
        LEFT JOIN auth.users a ON a.id = u.id
        CROSS JOIN unnest(CAST(:sources AS text[])) AS s (source)
        CROSS JOIN generate_series(CAST(:first AS timestamp), CAST(:end AS timestamp) - interval '1 day', interval '1 day') AS d (day)
    """)
    bound = {"sources": sorted(EVERY_SOURCE), "first": window.first, "end": window.end}
    table = fresh.temporary(connection, "rejudged_cells", every, **bound)
    return Cells(table, EVERY_SOURCE, frozenset(), is_uniform=True)


def _judged_sql(available: Availability, *, has_avatars: bool) -> str:
    """Return the SQL of JUDGED. Who did nothing has no row of the month; a column that cannot say n/a holds 0 there."""
    values = " ".join(
        f"WHEN '{name}' THEN CASE WHEN m.user_id IS NULL THEN 0 ELSE m.{name} END"
        for name in COUNTS
        if available.has(name)
    )
    avatars = "coalesce(a.avatars, 0)" if has_avatars else "NULL"
    return f"""
        SELECT l.user_id, l.name, (l.maximum #>> '{{}}')::numeric AS maximum,
               (CASE l.name {values} WHEN '{AVATAR_LIMIT}' THEN {avatars} END)::numeric AS value
        FROM limits_fresh l
        LEFT JOIN usage_month_fresh m ON m.user_id = l.user_id
        LEFT JOIN avatars_fresh a ON a.user_id = l.user_id"""
