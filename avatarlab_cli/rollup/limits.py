"""The limits in force for each user: the tier's, with the user's own in front."""

from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa

from avatarlab_cli.rollup import fresh
from avatarlab_cli.rollup.metrics import METRICS
from avatarlab_cli.rollup.subscriptions import LATEST, LIVE
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import judged_limits, rollup_state

AVATAR_LIMIT = "max_avatars"
# What may be limited: a metric of the month, what is stored, or the avatars there are.
LIMITABLE = (*METRICS, "storage_bytes", AVATAR_LIMIT)

_END = "((CAST(:today AS date) + 1)::timestamp AT TIME ZONE 'UTC')"


def found(tiers: str = "public.subscription_tiers") -> sa.TextClause:
    """Return the query of what tiers and the users' own limits say of each account in accounts_fresh, sense or not.

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
        LEFT JOIN {tiers} named ON named.name = a.tier
        JOIN {tiers} t ON t.id = CASE WHEN c.tier_id IS NULL THEN named.id ELSE c.tier_id END
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
_TAKE_INVALID = sa.text("""
    WITH gone AS (DELETE FROM limits_fresh WHERE is_invalid RETURNING name)
    SELECT name, count(*) AS users FROM gone GROUP BY name
""")
_IS_COUNTED = "status IS DISTINCT FROM 'deleted'"
_AVATARS = f"""
    SELECT user_id, count(*) AS avatars FROM public.avatars
    WHERE user_id {{which}} AND {_IS_COUNTED}
    GROUP BY user_id
"""
AVATARS = sa.text(_AVATARS.format(which="IS NOT NULL"))
_NO_AVATARS = sa.text(
    "SELECT NULL::uuid AS user_id, NULL::bigint AS avatars, NULL::boolean AS is_over WHERE false"
)


def collect(connection: sa.Connection, live: LiveSchema, today: date) -> dict[str, int]:
    """Create the temporary tables limits_fresh (user_id, name, maximum) and avatars_fresh (user_id, avatars, is_over).

    `is_over` tells who has more avatars than the limit allows. Returns how many users have a limit that is none, by its
    name: neither -1 nor a number from 0, or of something that cannot be limited. Needs the temporary table of accounts.
    """
    bound = {"today": today, "known": list(LIMITABLE)}
    fresh.temporary(connection, "limits_fresh", _JUDGED, ("user_id", "name"), **bound)
    invalid = {row.name: row.users for row in connection.execute(_TAKE_INVALID)}
    _count_avatars(connection, live, "SELECT id FROM accounts_fresh")
    return invalid


def recall(connection: sa.Connection, live: LiveSchema, users: str) -> None:
    """Create the tables of `collect` of these users alone, a query's, by what months were judged last.

    That is what `collect` would find as long as `digest` stays, at the price of a look-up.
    """
    fresh.temporary(
        connection, "limits_fresh", sa.text(_JUDGED_LAST.format(users=users)), ("user_id", "name")
    )
    _count_avatars(connection, live, users)


def _count_avatars(connection: sa.Connection, live: LiveSchema, users: str) -> None:
    counted = sa.text(_OVER.format(avatars=_AVATARS.format(which=f"IN ({users})")))
    fresh.temporary(
        connection, "avatars_fresh", counted if has_avatars(live) else _NO_AVATARS, ("user_id", "is_over")
    )


_JUDGED = sa.text(f"""
    SELECT user_id, name, maximum, is_invalid
    FROM (SELECT user_id, name, maximum, {IS_LIMIT} AS is_limit, {IS_INVALID} AS is_invalid FROM ({FOUND.text}) AS found) AS each
    WHERE is_limit OR is_invalid""")
_JUDGED_LAST = f"""
    SELECT user_id, name, maximum, false AS is_invalid FROM {qualified(judged_limits)} WHERE user_id IN ({{users}})"""
_OVER = f"""
    SELECT a.user_id, a.avatars, coalesce(a.avatars > (l.maximum #>> '{{{{}}}}')::numeric, false) AS is_over
    FROM ({{avatars}}) AS a
    LEFT JOIN limits_fresh l ON l.user_id = a.user_id AND l.name = '{AVATAR_LIMIT}'"""


def digest(connection: sa.Connection, live: LiveSchema, today: date) -> str:
    """Return a digest of all that `collect` of everybody reads: as long as it stays, nobody is judged otherwise.

    Rows are hashed one by one and summed up, 64 bits each, in a fraction of the time in which limits are found.
    """
    sums = []
    for table, columns in _READ.items():
        there = [f'"{name}"' for name in columns if live.has(table, name)]
        if there and live.readable(table):
            sums.append(_HASHED.format(hash=f"hash_record_extended(ROW({', '.join(there)}), 0)", rows=table))
    if has_avatars(live) and live.readable("avatars"):
        # Of these no more is read than whose they are.
        counted = f"public.avatars WHERE {_IS_COUNTED}"
        sums.append(_HASHED.format(hash="uuid_hash_extended(user_id, 0)", rows=counted))
    parts = connection.execute(sa.text(f"SELECT {', '.join(sums)}")).one()
    return " ".join((str(today), *map(str, parts)))


_HASHED = "(SELECT concat_ws('/', count(*), sum({hash})) FROM {rows})"
_READ = {
    "auth.users": ("id", "deleted_at"),
    "public.profiles": ("id", "subscription_tier_id", "account_status"),
    "public.subscription_tiers": ("id", "name", "limits", "max_avatars"),
    "public.user_subscriptions": (
        *("id", "user_id", "tier_id", "status", "started_at", "created_at", "expires_at", "trial_ends_at"),
        *("custom_limits", "override_expires_at"),
    ),
}


def note_changed(connection: sa.Connection) -> None:
    """Create the temporary table limits_changed (user_id) of whose limits are others than when months were judged last.

    From then on they are those of limits_fresh, so the caller must judge these users' months in the same transaction.
    """
    _forget_digest(connection)
    fresh.temporary(connection, "limits_changed", sa.text(_CHANGED))
    if connection.scalar(sa.text("SELECT EXISTS (SELECT FROM limits_changed)")):
        fresh.replace(connection, judged_limits, _FRESH, ("user_id", "name"), window=sa.true())


def note_others(connection: sa.Connection) -> None:
    """Have the next run judge the months of these accounts whose limits are others than months were judged by last.

    For whoever judges some months alone: else nobody would notice where limits become again what they were before.
    """
    _forget_digest(connection)
    connection.execute(_NOTE_OTHERS)


def remember(connection: sa.Connection, digest_: str, invalid: Mapping[str, int], **more: object) -> None:
    """Keep by what every open month is judged now, and the invalid limits among it: what `digest` and `collect` returned.

    What rollup_state keeps besides may be set at once.
    """
    values = {"limits_digest": digest_, "invalid_limits": dict(invalid), **more}
    connection.execute(sa.update(rollup_state).values(values))


def _forget_digest(connection: sa.Connection) -> None:
    # What is judged meanwhile by other limits or avatars is not noticed where these become again what they were.
    connection.execute(sa.update(rollup_state).values(limits_digest=None))


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
