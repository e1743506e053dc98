"""The queue of what changed: a batch of it, as the cells of usage_daily that must be computed anew.

A cell is one source's part of one user's day. An entry's owner is found when it is taken, not when it was put down: of
a row that came while its avatar changed hands every owner the avatar ever had is looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from avatarlab_cli.rollup import capture, fresh
from avatarlab_cli.rollup.availability import Availability
from avatarlab_cli.rollup.metrics import STORAGE, UNATTRIBUTED, Source
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.logs import PRUNABLE
from avatarlab_cli.schema.private import usage_dirty
from avatarlab_cli.timeframe import Window

BATCH = 20_000
"""How many entries one transaction takes at most."""
CELLS, LATE = "dirty_cells", "dirty_late"


@dataclass(frozen=True)
class Cells:
    """The temporary table of cells: source, day, user_id, is_present, each once.

    `is_present` tells whether the user has an account. `of_users` and `of_nobody` name the sources. In uniform cells whoever has
    one of a day has one of each of these.
    """

    table: sa.Table
    of_users: frozenset[str]
    of_nobody: frozenset[str]
    is_uniform: bool = False

    @property
    def sources(self) -> frozenset[str]:
        """Every source that has a cell."""
        return self.of_users | self.of_nobody


@dataclass(frozen=True)
class Batch:
    """What was taken from the queue: how many entries, whether others are left, and the cells, None for no entry.

    `has_late` tells that the temporary table LATE (month, user_id) names cells of closed months.
    """

    entries: int
    is_last: bool
    cells: Cells | None
    has_late: bool = False


def take_whole_sources(connection: sa.Connection) -> frozenset[str]:
    """Remove the entries that stand for the whole of a source, and return those sources."""
    whole = sa.and_(
        usage_dirty.c.day == sa.text("date '-infinity'"),
        usage_dirty.c.user_id.is_(None),
        usage_dirty.c.via_id.is_(None),
    )
    return frozenset(connection.scalars(sa.delete(usage_dirty).where(whole).returning(usage_dirty.c.source)))


def forget(connection: sa.Connection, window: Window) -> bool:
    """Remove the window's entries, because the caller computes every source anew; tells whether earlier ones are left."""
    inside = sa.and_(usage_dirty.c.day >= window.first, usage_dirty.c.day < window.end)
    connection.execute(sa.delete(usage_dirty).where(inside))
    return bool(connection.scalar(sa.select(sa.exists().where(usage_dirty.c.day < window.first))))


def take(connection: sa.Connection, window: Window, available: Availability, most: int | None) -> Batch:
    """Remove the oldest entries, so many at most, and find their cells; those of days yet to come stay."""
    _spread(connection, [source for source, _ in available.measured])
    taken = fresh.temporary(connection, "dirty_taken", _TAKEN, end=window.end, most=most)
    is_taken = usage_dirty.c.id.in_(sa.select(taken.c.id))
    entries = fresh.counted(connection, sa.delete(usage_dirty).where(is_taken))
    if not entries:
        return Batch(0, is_last=True, cells=None)
    cells, has_late = _cells(connection, window, available)
    return Batch(entries, most is None or entries < most, cells, has_late)


_TAKEN = sa.text("""
    SELECT id, source, day, user_id, via_id FROM avatarlab_admin.usage_dirty
    WHERE day < :end ORDER BY id LIMIT :most
""")


def _spread(connection: sa.Connection, sources: list[Source]) -> None:
    """Put each entry that stands for all days of an account, avatar or key down as entries of these days.

    So it is entries that bound what a transaction computes, however long a history changes hands.
    """
    kinds = connection.execute(_KINDS).one()
    if not (kinds.has_links or kinds.has_accounts):
        return
    spread = fresh.temporary(connection, "dirty_spread", _OF_ALL_DAYS)
    changing = list(_of_links(sources)) if kinds.has_links else []
    changing += list(_of_accounts(sources)) if kinds.has_accounts else []
    parts = changing + [_NOBODYS_BEFORE.format(part=part) for part in changing]
    parts += [_NOBODYS_LINKED] if kinds.has_links else []
    parts += [_NOBODYS_OWN, _NOBODYS_REACHED] if kinds.has_accounts else []
    into = f"INSERT INTO {qualified(usage_dirty)} (source, day, user_id, via_id) {' UNION '.join(parts)}"
    connection.execute(sa.text(into))
    connection.execute(sa.delete(usage_dirty).where(usage_dirty.c.id.in_(sa.select(spread.c.id))))


_OF_ALL_DAYS = sa.text("""
    SELECT id, source, user_id, via_id FROM avatarlab_admin.usage_dirty WHERE day = '-infinity'
""")


def _cells(connection: sa.Connection, window: Window, available: Availability) -> tuple[Cells, bool]:
    """Find the batch's cells, and tell whether there are some of closed months."""
    now = [
        _NOBODYS_NOW.format(
            source=source.table.name,
            table=qualified(source.via.target.table),
            key=source.via.target.name,
            owner=source.via.owner.name,
        )
        for source, _ in available.measured
        if source.via
    ]
    owned = " UNION ALL ".join((_OWNED, *now))
    bound = {"first": window.first, "end": window.end, "nobody": UNATTRIBUTED}
    table = fresh.temporary(connection, CELLS, sa.text(_CELLS.format(owned=owned)), **bound)
    found = connection.execute(_SOURCES, bound).all()
    has_late = any(row.is_late for row in found)
    if has_late:
        fresh.temporary(connection, LATE, _LATE, **bound)
        connection.execute(_LEAVE_OUT_THE_LATE, bound)
    open_ = [row for row in found if not row.is_late]
    of_users = frozenset(row.source for row in open_ if row.of_users)
    of_nobody = frozenset(row.source for row in open_ if row.of_nobody)
    return Cells(table, of_users, of_nobody), has_late


_KINDS = sa.text(f"""
    SELECT coalesce(bool_or(via_id IS NOT NULL), false) AS has_links,
           coalesce(bool_or(source = '{capture.ACCOUNTS}'), false) AS has_accounts
    FROM avatarlab_admin.usage_dirty WHERE day = '-infinity'
""")


def _of_links(sources: list[Source]) -> Iterator[str]:
    """Yield the dated rows of the avatars and keys whose owner changed."""
    for source in sources:
        if source.via is not None:
            key = f's."{source.via.key.name}"'
            owner = "NULL::uuid" if source.owner is None else f's."{source.owner.name}"'
            free = "true" if source.owner is None else f"{owner} IS NULL"
            yield f"""
                SELECT '{source.table.name}', {capture.day_of("s", source)}, {owner}, {key}
                FROM dirty_spread t JOIN {qualified(source.table)} s ON {key} = t.via_id
                WHERE t.source = '{source.table.name}' AND {free}
                  AND isfinite(s."{source.time.name}")"""


def _of_accounts(sources: list[Source]) -> Iterator[str]:
    """Yield every day on which an account that came or went has anything, on record or in the sources."""
    account = f"t.source = '{capture.ACCOUNTS}'"
    for source in sources:
        dated = f"""SELECT '{source.table.name}', {capture.day_of("s", source)}"""
        is_dated = f'isfinite(s."{source.time.name}")'
        if source.owner is not None:
            yield f"""{dated}, s."{source.owner.name}", NULL::uuid
                FROM dirty_spread t JOIN {qualified(source.table)} s ON s."{source.owner.name}" = t.user_id
                WHERE {account} AND {is_dated}"""
        if source.via is not None:
            free = "" if source.owner is None else f'AND s."{source.owner.name}" IS NULL'
            yield f"""{dated}, NULL::uuid, m.id
                FROM dirty_spread t JOIN avatarlab_admin.remembered_owner m ON m.user_id = t.user_id
                JOIN {qualified(source.table)} s ON s."{source.via.key.name}" = m.id
                WHERE {account} AND {is_dated} {free}"""
    names = ", ".join(f"('{name}')" for name in capture.NAMES)
    logs = ", ".join(f"('{table.name}')" for table in PRUNABLE if table.name in capture.NAMES)
    for table, each in (("usage_daily", names), ("pruned_daily", logs), ("storage_daily", f"('{STORAGE}')")):
        yield f"""
            SELECT n.source, d.day, d.user_id, NULL::uuid
            FROM dirty_spread t JOIN avatarlab_admin.{table} d ON d.user_id = t.user_id
            CROSS JOIN (VALUES {each}) AS n (source) WHERE {account}"""


# What gets an owner was nobody's until then, and what loses one is nobody's from now on.
_NOBODYS_BEFORE = """
    SELECT source, day, NULL::uuid, NULL::uuid FROM ({part}) AS changing (source, day, user_id, via_id)"""
# Neither tells what is there no more: nobody had it, if it was counted before its avatar or account came to be what it is.
_NOBODYS = "SELECT q.source, q.day, NULL::uuid, NULL::uuid FROM dirty_spread t {by} WHERE isfinite(q.day) AND {which}"
_OF_ACCOUNT = f"t.source = '{capture.ACCOUNTS}'"
_NOBODYS_LINKED = _NOBODYS.format(
    by="JOIN avatarlab_admin.usage_dirty q ON q.via_id = t.via_id AND q.source = t.source", which="true"
)
_NOBODYS_OWN = _NOBODYS.format(
    by="JOIN avatarlab_admin.usage_dirty q ON q.user_id = t.user_id", which=_OF_ACCOUNT
)
_NOBODYS_REACHED = _NOBODYS.format(
    by="JOIN avatarlab_admin.remembered_owner m ON m.user_id = t.user_id"
    " JOIN avatarlab_admin.usage_dirty q ON q.via_id = m.id",
    which=_OF_ACCOUNT,
)
# Whose an entry may be: every owner its avatar or key ever had, and nobody where it has none now. A snapshot's entry is nobody's
# too, so that a day is looked at which nobody has anything of any more.
_OWNED = f"""
    SELECT source, day, user_id FROM dirty_taken WHERE via_id IS NULL
    UNION ALL SELECT d.source, d.day, m.user_id FROM dirty_taken d
          JOIN avatarlab_admin.remembered_owner m ON m.id = d.via_id
    UNION ALL SELECT source, day, user_id FROM dirty_taken WHERE via_id IS NOT NULL AND user_id IS NOT NULL
    UNION ALL SELECT '{STORAGE}', u.day, u.user_id FROM avatarlab_admin.usage_daily u
          JOIN (SELECT DISTINCT day FROM dirty_taken WHERE source = '{STORAGE}') AS d ON d.day = u.day
    UNION ALL SELECT '{STORAGE}', k.day, k.user_id FROM avatarlab_admin.storage_daily k
          JOIN (SELECT DISTINCT day FROM dirty_taken WHERE source = '{STORAGE}') AS d ON d.day = k.day"""
_NOBODYS_NOW = """
    SELECT d.source, d.day, NULL::uuid FROM dirty_taken d
    LEFT JOIN {table} o ON o."{key}" = d.via_id
    WHERE d.source = '{source}' AND d.via_id IS NOT NULL AND o."{owner}" IS NULL"""
# What belongs to an account that is not there is nobody's; the row the account may have had must go.
_CELLS = """
    WITH owned AS MATERIALIZED (
        SELECT each.*, a.id IS NOT NULL AS is_present FROM ({owned}) AS each (source, day, user_id)
        LEFT JOIN auth.users a ON a.id = each.user_id
        WHERE isfinite(day) AND day >= '0001-01-01' AND day < :end
    )
    SELECT source, day, user_id, is_present FROM owned WHERE user_id IS NOT NULL
    UNION SELECT source, day, CAST(:nobody AS uuid), false FROM owned WHERE NOT is_present
    ORDER BY user_id, day
"""
_LATE = sa.text(f"""
    SELECT DISTINCT date_trunc('month', day::timestamp)::date AS month, user_id
    FROM {CELLS} WHERE day < :first
""")
_LEAVE_OUT_THE_LATE = sa.text(f"DELETE FROM {CELLS} WHERE day < :first")
_SOURCES = sa.text(f"""
    SELECT source, day < :first AS is_late, bool_or(user_id <> :nobody) AS of_users, bool_or(user_id = :nobody) AS of_nobody
    FROM {CELLS} GROUP BY 1, 2
""")
