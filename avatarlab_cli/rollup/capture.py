"""Change capture: triggers on the sources that put down which user's which day an insert, update or delete changes.

They run once a statement, over the rows it touched, in the writer's own transaction: what is rolled back was never
put down, and what is committed cannot be missed. An entry names the row's owner or, where the row has none of its own,
the avatar or key through which it has one; whose that was is remembered beyond its row. The day `-infinity` stands for
all days: of one avatar or key whose owner changed, of one account that came or went, or of the whole source after a
TRUNCATE.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.rollup.metrics import SOURCES, STORAGE, Source
from avatarlab_cli.schema import supabase
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.private import SCHEMA, remembered_owner, storage_daily, usage_dirty

ACCOUNTS = qualified(supabase.users)
FAILURES = f"{SCHEMA}.capture_failures"
"""A sequence: what is counted with it stands even where the transaction that counted is rolled back."""
EVENTS = ("insert", "update", "delete", "truncate")
_QUEUE = qualified(usage_dirty)
_MEMORY = qualified(remembered_owner)


@dataclass(frozen=True)
class Captured:
    """A table under triggers: the sources it feeds, and of those that reach an owner through its rows the names."""

    name: str
    feeds: tuple[Source, ...] = ()
    leads_to: tuple[Source, ...] = ()

    @property
    def source(self) -> str:
        """What entries about its own rows say as their source."""
        if self.name == ACCOUNTS:
            return ACCOUNTS
        return STORAGE if self.name == qualified(storage_daily) else self.name.rpartition(".")[2]

    @property
    def function(self) -> str:
        """The name of its trigger function."""
        return f"{SCHEMA}.capture_{self.name.replace('.', '_')}"


def tables() -> tuple[Captured, ...]:
    """Return every table whose rows make figures, in the order in which they are locked."""
    names = {qualified(source.table) for source in SOURCES}
    names |= {qualified(source.via.target.table) for source in SOURCES if source.via}
    names |= {ACCOUNTS, qualified(storage_daily)}
    return tuple(
        Captured(
            name,
            tuple(source for source in SOURCES if qualified(source.table) == name),
            tuple(source for source in SOURCES if source.via and qualified(source.via.target.table) == name),
        )
        for name in sorted(names)
    )


def present(live: LiveSchema) -> tuple[Captured, ...]:
    """Return those of the tables that are there with every column their triggers read."""
    return tuple(table for table in tables() if live.has(table.name, *_columns(table)))


def _columns(table: Captured) -> set[str]:
    if table.name == ACCOUNTS:
        return {"id"}
    if table.name == qualified(storage_daily):
        return {"day"}
    own = {column.name for source in table.feeds for column in _read(source)}
    return own | {name for source in table.leads_to for name in _link(source)}


def _read(source: Source) -> list[sa.Column[Any]]:
    return source.own_columns(source.measures, is_priced=True)


def _link(source: Source) -> tuple[str, str]:
    assert source.via is not None  # noqa: S101 (asked of those that have one)
    return source.via.target.name, source.via.owner.name


def install(connection: sa.Connection, live: LiveSchema) -> None:
    """Create or renew every trigger, and have the next run look at all that was before them, under closed months too.

    Each table is locked against writers until the transaction ends, in which no later statement can be missed:
    a writer that came before is waited for. `lock_timeout` ends that with a BusyError, and nothing is changed.
    """
    connection.execute(sa.text(f"CREATE SEQUENCE IF NOT EXISTS {FAILURES}"))
    # A job's login reads it, and reaches nothing else in the schema by that.
    connection.execute(sa.text(f"GRANT SELECT ON SEQUENCE {FAILURES} TO PUBLIC"))
    for table in present(live):
        connection.execute(_statement(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))
        for statement in statements(table):
            connection.execute(_statement(statement))
        for source in table.leads_to:
            connection.execute(_statement(_remember(table.name, source)))
    seen = {"failures": failures(connection)}
    connection.execute(sa.text(f"UPDATE {SCHEMA}.rollup_state SET failures_seen = :failures"), seen)
    connection.execute(_statement(_mark_whole(NAMES)))


def remove(connection: sa.Connection) -> None:
    """Drop every trigger and function, whatever they stand on, and empty the queue."""
    for table, trigger in connection.execute(_TRIGGERS_FOUND).all():
        connection.execute(_statement(f"DROP TRIGGER {trigger} ON {table}"))
    for function in connection.scalars(_FUNCTIONS_FOUND).all():
        connection.execute(_statement(f"DROP FUNCTION {function}"))
    connection.execute(_statement(f"DROP SEQUENCE IF EXISTS {FAILURES}"))
    connection.execute(sa.delete(usage_dirty))
    forget_state(connection)


def forget_state(connection: sa.Connection) -> None:
    """Have the next run recompute every open day, whatever is in the queue."""
    connection.execute(sa.text(f"UPDATE {SCHEMA}.rollup_state SET rate_card_version = NULL"))


def _statement(sql: str) -> sa.TextClause:
    return sa.text(sql.replace(":", r"\:"))


def statements(table: Captured) -> Iterator[str]:
    """Yield the statements that put a table under its triggers."""
    yield f"""
        CREATE OR REPLACE FUNCTION {table.function}() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $capture${body(table)}$capture$"""
    yield f"REVOKE ALL ON FUNCTION {table.function}() FROM PUBLIC"
    shown = {
        "insert": "REFERENCING NEW TABLE AS new_rows",
        "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "delete": "REFERENCING OLD TABLE AS old_rows",
        "truncate": "",
    }
    for event in EVENTS:
        yield f"""
            CREATE OR REPLACE TRIGGER avatarlab_capture_{event} AFTER {event.upper()} ON {table.name}
            {shown[event]} FOR EACH STATEMENT EXECUTE FUNCTION {table.function}()"""
        # A load that turns triggers off would else pass unseen.
        yield f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER avatarlab_capture_{event}"


def body(table: Captured) -> str:
    """Return the trigger function's text.

    It never fails the writer: statistics are worth less than what the platform's users do, and a renamed column would
    stop every write. What cannot be put down row by row is put down as the whole of the source, which the next run
    reads. Where that fails too, it is counted where no rollback reaches, and every run reads everything until the
    triggers are installed anew: only then are the writers over that were counted.
    """
    cases = {event: "\n".join(_bodies(table, event)) for event in EVENTS}
    return f"""
BEGIN
    IF TG_OP = 'INSERT' THEN
{cases["insert"]}
    ELSIF TG_OP = 'UPDATE' THEN
{cases["update"]}
    ELSIF TG_OP = 'DELETE' THEN
{cases["delete"]}
    ELSE
{cases["truncate"]}
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'avatarlab: what changed in {table.name} is not on record, so the next run reads all of it: %', SQLERRM;
    BEGIN
{cases["truncate"]}
    EXCEPTION WHEN OTHERS THEN
        BEGIN
            PERFORM nextval('{FAILURES}');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'avatarlab: this could not be counted either: %', SQLERRM;
        END;
    END;
    RETURN NULL;
END
"""


def _bodies(table: Captured, event: str) -> Iterator[str]:
    if table.name == ACCOUNTS:
        yield _of_accounts(event)
    elif table.name == qualified(storage_daily):
        yield _of_storage(event)
    for source in table.feeds:
        yield _of_source(source, event)
    if table.leads_to:
        yield from _of_owners(table, event)


_CHANGED: Mapping[str, str] = {
    "insert": "SELECT {columns} FROM new_rows",
    "delete": "SELECT {columns} FROM old_rows",
    # What an update leaves as it was changes no figure.
    "update": """(SELECT {columns} FROM old_rows EXCEPT ALL SELECT {columns} FROM new_rows)
        UNION ALL (SELECT {columns} FROM new_rows EXCEPT ALL SELECT {columns} FROM old_rows)""",
}


def _changed(event: str, columns: Iterable[str]) -> str:
    return _CHANGED[event].format(columns=", ".join(f'"{name}"' for name in columns))


def _of_source(source: Source, event: str) -> str:
    name = source.table.name
    if event == "truncate":
        return f"        {_mark_whole([name])};"
    owner = f'c."{source.owner.name}"' if source.owner is not None else "NULL::uuid"
    via = "NULL::uuid"
    if source.via is not None:
        key = f'c."{source.via.key.name}"'
        via = key if source.owner is None else f"CASE WHEN {owner} IS NULL THEN {key} END"
    return f"""
        INSERT INTO {_QUEUE} (source, day, user_id, via_id)
        SELECT DISTINCT '{name}', {day_of("c", source)}, {owner}, {via}
        FROM ({_changed(event, [column.name for column in _read(source)])}) AS c
        WHERE isfinite(c."{source.time.name}");"""


def _mark_whole(names: Iterable[str]) -> str:
    """Return the SQL that puts down the whole of some sources."""
    values = ", ".join(f"('{name}', date '-infinity')" for name in names)
    return f"INSERT INTO {_QUEUE} (source, day) VALUES {values}"


def day_of(alias: str, source: Source) -> str:
    """Return the SQL of the UTC day of a source's row."""
    column = f'{alias}."{source.time.name}"'
    return column if isinstance(source.time.type, sa.Date) else f"({column} AT TIME ZONE 'UTC')::date"


def _of_owners(table: Captured, event: str) -> Iterator[str]:
    """Yield what remembers the owner, and has every day of those rows looked at again whose owner changes."""
    names = [source.table.name for source in table.leads_to]
    if event == "truncate":
        yield f"        {_mark_whole(names)};"
        return
    key, owner = _link(table.leads_to[0])
    if event in ("insert", "update"):
        yield _remember("new_rows", table.leads_to[0]) + ";"
    if event in ("update", "delete"):
        for name in names:
            yield f"""
        INSERT INTO {_QUEUE} (source, day, via_id)
        SELECT DISTINCT '{name}', date '-infinity', c."{key}" FROM ({_changed(event, (key, owner))}) AS c;"""


def _remember(rows: str, source: Source) -> str:
    key, owner = _link(source)
    return f"""
        INSERT INTO {_MEMORY} (id, user_id)
        SELECT "{key}", "{owner}" FROM {rows} WHERE "{owner}" IS NOT NULL ON CONFLICT DO NOTHING"""


def _of_accounts(event: str) -> str:
    if event == "truncate":
        return f"        {_mark_whole(NAMES)};"
    return f"""
        INSERT INTO {_QUEUE} (source, day, user_id)
        SELECT '{ACCOUNTS}', date '-infinity', c.id FROM ({_changed(event, ("id",))}) AS c;"""


def _of_storage(event: str) -> str:
    if event == "truncate":
        return f"        {_mark_whole([STORAGE])};"
    columns = ("day", "user_id", "kind", "bucket", "bytes", "is_interpolated")
    return f"""
        INSERT INTO {_QUEUE} (source, day)
        SELECT DISTINCT '{STORAGE}', c.day FROM ({_changed(event, columns)}) AS c WHERE isfinite(c.day);"""


NAMES: tuple[str, ...] = (*dict.fromkeys(source.table.name for source in SOURCES), STORAGE)
"""What an entry's `source` may be, besides the accounts."""

_TRIGGERS_FOUND = sa.text("""
    SELECT t.tgrelid::regclass::text, quote_ident(t.tgname) FROM pg_trigger t
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgname LIKE 'avatarlab\\_capture\\_%'
    ORDER BY t.tgrelid::regclass::text, t.tgname
""")
_FUNCTIONS_FOUND = sa.text(f"""
    SELECT p.oid::regprocedure::text FROM pg_proc p
    WHERE p.pronamespace = to_regnamespace('{SCHEMA}') AND p.proname LIKE 'capture\\_%' AND p.prorettype = 'trigger'::regtype
""")
_TOUCHED = sa.text("""
    SELECT DISTINCT n.nspname || '.' || c.relname FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgname LIKE 'avatarlab\\_capture\\_%'
""")
_STATE = sa.text(f"""
    SELECT n.nspname || '.' || c.relname AS name, array_agg(t.tgname::text) AS triggers, min(p.prosrc) AS body
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = to_regnamespace('{SCHEMA}')
    WHERE t.tgname LIKE 'avatarlab\\_capture\\_%' AND t.tgenabled = 'A'
    GROUP BY 1 HAVING count(DISTINCT p.oid) = 1
""")


def touched(connection: sa.Connection) -> frozenset[str]:
    """Return the tables that have any of the triggers."""
    return frozenset(connection.scalars(_TOUCHED))


def complete(connection: sa.Connection) -> frozenset[str]:
    """Return the tables all of whose triggers are there, turned on, and as this version writes them."""
    found = {row.name: row for row in connection.execute(_STATE)}
    wanted = {f"avatarlab_capture_{event}" for event in EVENTS}
    return frozenset(
        table.name
        for table in tables()
        if table.name in found
        and wanted <= set(found[table.name].triggers)
        and found[table.name].body == _bodies_wanted()[table.name]
    )


@functools.cache
def _bodies_wanted() -> Mapping[str, str]:
    return {table.name: body(table) for table in tables()}


def failures(connection: sa.Connection) -> int | None:
    """Return how often a trigger failed since they were first installed; None where that is not counted."""
    if connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": FAILURES}) is None:
        return None
    counted = sa.text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {FAILURES}")
    return int(connection.scalar(counted) or 0)


def captured(connection: sa.Connection) -> frozenset[str]:
    """Return the sources of which every change is put down: their own rows, the owners' and the accounts."""
    under = complete(connection)
    if ACCOUNTS not in under or failures(connection) is None:
        return frozenset()
    found = {STORAGE} if qualified(storage_daily) in under else set()
    missing = {
        source.table.name
        for source in SOURCES
        if qualified(source.table) not in under
        or (source.via is not None and qualified(source.via.target.table) not in under)
    }
    return frozenset(found | ({source.table.name for source in SOURCES} - missing))
