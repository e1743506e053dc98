"""Whether the login may read what the reports read, and write what the jobs write."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from avatarlab_cli.doctor.rows import Row, row
from avatarlab_cli.doctor.server import quoted
from avatarlab_cli.queries.health import BAD, OK, UNKNOWN
from avatarlab_cli.schema.admin import monthly_usage, platform_statistics
from avatarlab_cli.schema.areas import by_table
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.private import SCHEMA
from avatarlab_cli.schema.supabase import sessions

_WRITTEN = (qualified(monthly_usage), qualified(platform_statistics))
# `user sessions` alone reads it, and says so where it may not.
_OPTIONAL = {qualified(sessions)}

# `missing` lists what the login lacks; USAGE is the schema's.
_RIGHTS = sa.text("""
    SELECT n.nspname AS schema, n.nspname || '.' || quote_ident(c.relname) AS relation,
           array_remove(ARRAY[
               CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'USAGE' END,
               CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END,
               CASE WHEN w.is_written AND NOT has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END,
               CASE WHEN w.is_written AND NOT has_table_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END,
               CASE WHEN w.is_written AND NOT has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END
           ], NULL) AS missing
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT n.nspname = :ours OR n.nspname || '.' || c.relname = ANY (:written) AS is_written
    ) w
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname = :ours OR n.nspname || '.' || c.relname = ANY (:known))
    ORDER BY relation
""")


def rights(connection: sa.Connection, login: str) -> Iterator[Row]:
    """Check reading and writing, each with the statements that grant what is missing."""
    bound = {"known": sorted(by_table().keys() - _OPTIONAL), "ours": SCHEMA, "written": list(_WRITTEN)}
    found = connection.execute(_RIGHTS, bound).all()
    if not found:
        more = "`avatarlab config show --origin` tells which database is meant"
        yield row("rights to read", UNKNOWN, "no table of the platform is here", more)
        return
    yield _reading(found, login)
    if any(each.schema == SCHEMA for each in found):
        yield _writing(found, login)
    else:
        yield row("rights to write", UNKNOWN, "the tables are not there yet", "avatarlab db migrate")


def _reading(found: Sequence[sa.Row[tuple[object, ...]]], login: str) -> Row:
    lacking = [each for each in found if {"USAGE", "SELECT"} & set(each.missing)]
    if not lacking:
        return row("rights to read", OK, f"all {len(found)} tables")
    statements = [
        _grant("USAGE", f"SCHEMA {name}", login)
        for name in sorted({each.schema for each in found if "USAGE" in each.missing})
    ]
    if unread := [each.relation for each in found if "SELECT" in each.missing]:
        statements.append(_grant("SELECT", ", ".join(unread), login))
    return row(
        "rights to read", BAD, f"{len(lacking)} of {len(found)} tables cannot be read", " ".join(statements)
    )


def _writing(found: Sequence[sa.Row[tuple[object, ...]]], login: str) -> Row:
    wanted = {"INSERT", "UPDATE", "DELETE"}
    lacking = [each.relation for each in found if wanted & set(each.missing)]
    if not lacking:
        return row("rights to write", OK, "all that the jobs write")
    more = _grant("INSERT, UPDATE, DELETE", ", ".join(lacking), login)
    return row("rights to write", BAD, f"{len(lacking)} tables cannot be written: jobs end with 4", more)


def _grant(what: str, on: str, login: str) -> str:
    return f"GRANT {what} ON {on} TO {quoted(login)};"
