"""What the database itself says about the tables of administration, as sorted text lines to compare."""

import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.schema import panel, supabase

USERS = (uuid.UUID(int=1), uuid.UUID(int=2))
TABLES = tuple(panel.metadata.tables)
OURS = """
    SELECT c.* FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'avatarlab_admin' OR n.nspname = 'public' AND c.relname = ANY (:tables)
"""
# Column order is left out on purpose: a column that was added later stands last.
PARTS = {
    "table": "SELECT oid::regclass, relkind, relrowsecurity, relforcerowsecurity FROM ours",
    "column": """
        SELECT a.attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
            attgenerated, pg_get_expr(adbin, adrelid)
        FROM pg_attribute AS a JOIN ours ON ours.oid = a.attrelid AND relkind = 'r'
        LEFT JOIN pg_attrdef ON adrelid = a.attrelid AND adnum = attnum WHERE attnum > 0 AND NOT attisdropped""",
    "constraint": """
        SELECT conrelid::regclass, conname, pg_get_constraintdef(k.oid)
        FROM pg_constraint AS k JOIN ours ON ours.oid = conrelid WHERE contype <> 'n'""",
    "index": "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN ours ON ours.oid = indrelid",
    "trigger": """
        SELECT pg_get_triggerdef(t.oid), tgenabled
        FROM pg_trigger AS t JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal""",
    "policy": "SELECT p.* FROM pg_policies AS p WHERE tablename IN (SELECT relname FROM ours)",
    "grant": """
        SELECT ours.oid::regclass, grantee::regrole, privilege_type, is_grantable
        FROM ours, aclexplode(coalesce(relacl, acldefault(
            CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)))""",
    "column grant": """
        SELECT attrelid::regclass, attname, grantee::regrole, privilege_type
        FROM ours JOIN pg_attribute ON attrelid = ours.oid AND NOT attisdropped, aclexplode(attacl)""",
    "function": """
        SELECT pg_get_functiondef(oid), proacl FROM pg_proc WHERE pronamespace = 'avatarlab_admin'::regnamespace""",
    "schema": """
        SELECT nspname, grantee::regrole, privilege_type
        FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) WHERE nspname = 'avatarlab_admin'""",
    "default grant": "SELECT * FROM pg_default_acl WHERE defaclnamespace = 'avatarlab_admin'::regnamespace",
}


def dump(engine: sa.Engine, parts: Iterable[str] = tuple(PARTS)) -> str:
    """Describe everything a migration makes, or some parts: columns, constraints, triggers, policies, grants."""
    lines: list[str] = []
    with engine.connect() as connection:
        for part in parts:
            query = PARTS[part]
            rows = connection.execute(sa.text(f"WITH ours AS ({OURS}) {query}"), {"tables": list(TABLES)})
            lines += sorted(f"{part}: " + " | ".join(map(str, row)) for row in rows)
    return "\n".join(lines)


def rows(engine: sa.Engine, columns: str) -> dict[str, list[Any]]:
    """Read `columns`, an SQL list, of every row of the six tables that exist."""
    found = {}
    with engine.connect() as connection:
        for name in TABLES:
            if sa.inspect(connection).has_table(name):
                query = sa.text(f"SELECT {columns} FROM public.{name} AS t ORDER BY t.id")
                found[name] = [tuple(row) for row in connection.execute(query)]
    return found


def platform_rows(engine: sa.Engine) -> dict[str, list[Any]]:
    """Read the panel's own columns of every row of the six tables."""
    found = {}
    with engine.connect() as connection:
        for name, table in panel.metadata.tables.items():
            query = sa.select(sa.func.md5(sa.cast(sa.func.row(*table.columns), sa.Text))).order_by(table.c.id)
            found[name] = list(connection.scalars(query))
    return found


def fill(engine: sa.Engine) -> None:
    """Put the web panel's kind of rows into all six tables: two users, one of them an admin."""
    with engine.begin() as connection:
        for user in USERS:
            connection.execute(sa.insert(supabase.users), {"id": user, "email": f"{user}@example.com"})
        tiers = connection.scalars(
            sa.select(panel.subscription_tiers.c.id).order_by(panel.subscription_tiers.c.sort_order)
        ).all()
        connection.execute(
            sa.insert(panel.user_subscriptions), [{"user_id": user, "tier_id": tiers[2]} for user in USERS]
        )
        connection.execute(
            sa.insert(panel.monthly_usage),
            [{"user_id": user, "usage_month": date(2024, 5, 1), "avatars_created": 7} for user in USERS],
        )
        connection.execute(sa.insert(panel.admin_users), [{"user_id": USERS[0], "two_factor_secret": "s"}])
        admin = connection.scalars(sa.select(panel.admin_users.c.id)).one()
        connection.execute(
            sa.insert(panel.admin_audit_logs),
            [{"admin_user_id": admin, "action": "ban", "resource_type": "user", "changes": {"a": 1.0}}] * 2,
        )
        connection.execute(sa.insert(panel.platform_statistics), [{"stat_date": date(2024, 5, 31)}])
