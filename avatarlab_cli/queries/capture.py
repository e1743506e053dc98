"""Whether changes are captured: of each table its triggers, and the indexes by which what changed is looked up."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup import capture
from avatarlab_cli.schema.live import LiveSchema, probe
from avatarlab_cli.schema.private import rollup_state, usage_dirty

COLUMNS = (
    Column("table", Kind.ID, "a table whose rows make figures"),
    Column("state", help="captured; off; broken: a trigger is missing, off or of another version; missing"),
    Column("waiting", Kind.INTEGER, "entries of it in the queue"),
    Column("since", Kind.TIME, "when the oldest of them was put down", null="-"),
    Column("index", help="what makes the index by which its changed rows are found", null="-", wide=True),
)
CAPTURED, OFF, BROKEN, MISSING = "captured", "off", "broken", "missing"
Row = dict[str, object]


def status(connection: sa.Connection) -> tuple[list[Row], list[str]]:
    """Return a row a table, and what is wrong in sentences."""
    live = probe(connection)
    complete, found = capture.complete(connection), capture.touched(connection)
    waiting = {row.source: row for row in connection.execute(_waiting())}
    present = {table.name for table in capture.present(live)}
    rows: list[Row] = []
    for table in capture.tables():
        state = CAPTURED if table.name in complete else BROKEN if table.name in found else OFF
        entries = waiting.get(table.source)
        rows.append(
            {
                "table": table.name,
                "state": state if table.name in present else MISSING,
                "waiting": 0 if entries is None else entries.entries,
                "since": None if entries is None else entries.since,
                "index": "; ".join(_indexes(connection, live, table)) or None,
            }
        )
    return rows, list(_wrong(connection, rows))


def _waiting() -> sa.Select[Any]:
    own = usage_dirty.c
    oldest = sa.func.min(own.enqueued_at).label("since")
    return sa.select(own.source, sa.func.count().label("entries"), oldest).group_by(own.source)


def _wrong(connection: sa.Connection, rows: list[Row]) -> Iterator[str]:
    states = {str(row["state"]) for row in rows}
    if BROKEN in states or {CAPTURED, OFF} <= states:
        yield "not every table is captured, and of the others each run reads all open days: avatarlab db capture install"
    seen = connection.scalar(sa.select(rollup_state.c.failures_seen)) or 0
    lost = (capture.failures(connection) or 0) - seen
    if lost > 0:
        yield (
            f"what {lost} statements changed, the toolkit's own among them, could not be put down (the server's log says"
            " why), so each run reads all open days until the triggers are renewed: avatarlab db capture install"
        )


def _indexes(connection: sa.Connection, live: LiveSchema, table: capture.Captured) -> Iterator[str]:
    """Yield what would make the indexes that are missing: owner or key and then the time, and for nobody's rows the time."""
    for source in table.feeds:
        leading = [source.owner] if source.owner is not None else []
        leading += [source.via.key] if source.via is not None else []
        for names in (*([column.name, source.time.name] for column in leading), [source.time.name]):
            bound = {"table": table.name, "leading": names}
            if live.has(table.name, *names) and not connection.scalar(_INDEXED, bound):
                columns = ", ".join(f'"{name}"' for name in names)
                yield f"CREATE INDEX CONCURRENTLY ON {table.name} ({columns})"


_INDEXED = sa.text("""
    SELECT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = CAST(:table AS regclass) AND i.indisvalid AND i.indpred IS NULL
          AND ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
                    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                    WHERE k.place <= cardinality(CAST(:leading AS text[])) ORDER BY k.place) = CAST(:leading AS text[])
    )
""")
