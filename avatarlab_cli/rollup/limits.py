"""The limits in force for each user: the tier's, with the user's own in front."""

from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.metrics import METRICS
from avatarlab_cli.rollup.subscriptions import LATEST, LIVE
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import judged_limits

AVATAR_LIMIT = "max_avatars"
# What may be limited: a metric of the month, what is stored, or the avatars there are.
LIMITABLE = (*METRICS, "storage_bytes", AVATAR_LIMIT)

_END = "((CAST(:today AS date) + 1)::timestamp AT TIME ZONE 'UTC')"


def found(tiers: str = "public.subscription_tiers") -> sa.TextClause:
    """Return the query of what tiers and the users' own limits say of each of `accounts_fresh`, sense or not.

    `tiers` is the relation it reads the tiers from; it binds :today, and as :known what can be limited.
    """
    return sa.text(f"""
        WITH current AS (
            SELECT DISTINCT ON (s.user_id) s.user_id, s.tier_id,
                   CASE WHEN jsonb_typeof(s.custom_limits) = 'object'
                         AND (s.override_expires_at IS NULL OR s.override_expires_at >= {_END})
                        THEN s.custom_limits ELSE '{{}}' END AS overrides, s.override_expires_at
            FROM public.user_subscriptions s
            JOIN accounts_fresh a ON a.id = s.user_id AND (a.deleted_at IS NULL OR a.deleted_at >= {_END})
            WHERE {LIVE.format(end=_END)}
            ORDER BY s.user_id, {LATEST}
        )
        SELECT a.id AS user_id, l.key AS name, l.value AS maximum,
               jsonb_typeof(l.value) = 'number' AND l.key = ANY (:known) AS is_number,
               t.name AS tier, coalesce(c.overrides, '{{}}') ? l.key AS is_override, c.override_expires_at
        FROM accounts_fresh a
        LEFT JOIN current c ON c.user_id = a.id
        JOIN {tiers} t ON CASE WHEN c.tier_id IS NULL THEN t.name = a.tier ELSE t.id = c.tier_id END
        CROSS JOIN LATERAL jsonb_each(
            CASE WHEN jsonb_typeof(t.limits) = 'object' THEN t.limits ELSE '{{}}' END
            || jsonb_build_object('{AVATAR_LIMIT}', t.max_avatars)
            || coalesce(c.overrides, '{{}}')
        ) AS l
    """)


FOUND = found()
# Of a row so found: the number it gives, whether that limits, and whether it is what no limit can be; -1, unlimited,
# is neither.
NUMBER = "CASE WHEN is_number THEN (maximum #>> '{}')::numeric END"
IS_LIMIT = f"coalesce({NUMBER} >= 0, false)"
IS_INVALID = f"coalesce({NUMBER} < 0 AND {NUMBER} <> -1, true)"
_INVALID = sa.text(f"SELECT name, count(*) AS users FROM limits_found WHERE {IS_INVALID} GROUP BY name")
_VALID = sa.text(f"SELECT user_id, name, maximum FROM limits_found WHERE {IS_LIMIT}")
AVATARS = sa.text("""
    SELECT user_id, count(*) AS avatars FROM public.avatars
    WHERE user_id IS NOT NULL AND status IS DISTINCT FROM 'deleted'
    GROUP BY user_id
""")
_NO_AVATARS = sa.text("SELECT NULL::uuid AS user_id, NULL::bigint AS avatars WHERE false")


def collect(connection: sa.Connection, live: LiveSchema, today: date) -> dict[str, int]:
    """Create the temporary tables limits_fresh (user_id, name, maximum) and avatars_fresh (user_id, avatars).

    Returns how many users have a limit that is none, by its name: neither -1 nor a number from 0, or of
    something that cannot be limited. Needs the temporary table of accounts.
    """
    fresh.temporary(connection, "limits_found", FOUND, today=today, known=list(LIMITABLE))
    fresh.temporary(connection, "limits_fresh", _VALID)
    fresh.temporary(connection, "avatars_fresh", AVATARS if has_avatars(live) else _NO_AVATARS)
    return {row.name: row.users for row in connection.execute(_INVALID)}


def note_changed(connection: sa.Connection) -> None:
    """Create the temporary table limits_changed (user_id) of whose limits are others than when months were judged last.

    From then on they are those of limits_fresh, so the caller must judge these users' months in the same transaction.
    """
    fresh.temporary(connection, "limits_changed", sa.text(_CHANGED))
    if connection.scalar(sa.text("SELECT EXISTS (SELECT FROM limits_changed)")):
        fresh.replace(connection, judged_limits, _FRESH, ("user_id", "name"), window=sa.true())


def note_others(connection: sa.Connection) -> None:
    """Have the next run judge the months of these accounts whose limits are others than months were judged by last.

    For whoever judges some months alone: else nobody would notice where limits become again what they were before.
    """
    connection.execute(_NOTE_OTHERS)


_FRESH = sa.Table(
    "limits_fresh", sa.MetaData(), *(sa.Column(name) for name in ("user_id", "name", "maximum"))
)
_CHANGED = f"""
    SELECT DISTINCT user_id FROM limits_fresh f FULL JOIN {qualified(judged_limits)} j USING (user_id, name)
    WHERE f.maximum IS DISTINCT FROM j.maximum
"""
# No limit has that name, so whatever theirs are then, they are others.
_NOTE_OTHERS = sa.text(f"""
    INSERT INTO {qualified(judged_limits)} (user_id, name, maximum)
    SELECT c.user_id, '', 'null' FROM ({_CHANGED}) AS c JOIN accounts_fresh a ON a.id = c.user_id
    ON CONFLICT DO NOTHING
""")


def has_avatars(live: LiveSchema) -> bool:
    """Tell whether a user's avatars can be counted here."""
    return live.has("avatars", "user_id", "status")
