"""Who may read and write after the migration, and what the triggers keep."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import sqlalchemy as sa

from tests.database import catalog
from tests.database.test_migrations import execute, upgrade

ROLES = ("anon", "authenticated")
WRITES = "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
COLUMN_WRITES = "INSERT, UPDATE, REFERENCES"


@pytest.fixture
def guarded(panel_database: sa.Engine) -> sa.Engine:
    """Fill a panel database, open it further by hand, then migrate it."""
    catalog.fill(panel_database)
    execute(
        panel_database,
        "GRANT UPDATE (status) ON user_subscriptions TO authenticated",
        "GRANT SELECT (user_id), INSERT (user_id) ON admin_users TO anon",
        "GRANT ALL ON platform_statistics TO PUBLIC",
        "UPDATE subscription_tiers SET is_active = false WHERE name = 'starter'",
    )
    upgrade(panel_database)
    execute(panel_database, "UPDATE subscription_tiers SET archived_at = now() WHERE name = 'pro'")
    return panel_database


@contextmanager
def acting(engine: sa.Engine, role: str) -> Iterator[sa.Connection]:
    """Work as the platform's HTTP interface does for the first user."""
    with engine.connect() as connection:
        user = {"user": str(catalog.USERS[0])}
        connection.execute(sa.text("SELECT set_config('request.jwt.claim.sub', :user, true)"), user)
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        yield connection


def read(engine: sa.Engine, role: str, query: str) -> list[object]:
    with acting(engine, role) as connection:
        return list(connection.scalars(sa.text(query)))


@pytest.mark.parametrize("table", catalog.TABLES)
@pytest.mark.parametrize("role", ROLES)
def test_nobody_writes_over_http(guarded: sa.Engine, role: str, table: str) -> None:
    """No privilege to write is left, neither on the table nor on a column, whoever granted it before."""
    query = sa.text(
        "SELECT has_table_privilege(:role, :table, :writes), has_any_column_privilege(:role, :table, :column_writes)"
    )
    values = {"role": role, "table": table, "writes": WRITES, "column_writes": COLUMN_WRITES}
    with guarded.connect() as connection:
        assert connection.execute(query, values).one() == (False, False)


@pytest.mark.parametrize("table", catalog.TABLES)
def test_anon_reads_nothing(guarded: sa.Engine, table: str) -> None:
    """The public key opens none of the six tables."""
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        read(guarded, "anon", f"SELECT count(*) FROM public.{table}")


@pytest.mark.parametrize("table", ["admin_audit_logs", "platform_statistics"])
def test_users_do_not_read_what_is_for_admins(guarded: sa.Engine, table: str) -> None:
    """Audit and statistics are closed to every signed-in user."""
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        read(guarded, "authenticated", f"SELECT count(*) FROM public.{table}")


@pytest.mark.parametrize("table", ["user_subscriptions", "monthly_usage", "admin_users"])
def test_users_read_their_own_rows(guarded: sa.Engine, table: str) -> None:
    """Of two users' rows the one signed in sees the own one."""
    assert read(guarded, "authenticated", f"SELECT user_id FROM public.{table}") == [catalog.USERS[0]]


def test_users_read_tiers_on_offer(guarded: sa.Engine) -> None:
    """Inactive and archived tiers are out of sight."""
    names = read(guarded, "authenticated", "SELECT name FROM subscription_tiers ORDER BY name")
    assert names == ["enterprise", "free"]


@pytest.mark.parametrize("column", ["two_factor_secret", "backup_codes", "db_role"])
def test_secrets_stay_hidden_from_their_owner(guarded: sa.Engine, column: str) -> None:
    """An admin's second factor and database login are not served, not even to that admin."""
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        read(guarded, "authenticated", f"SELECT {column} FROM admin_users")


@pytest.mark.parametrize("role", ROLES)
def test_the_private_schema_is_closed(guarded: sa.Engine, role: str) -> None:
    """Its tables cannot even be named."""
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied for schema"):
        read(guarded, role, "SELECT count(*) FROM avatarlab_admin.job_runs")


def test_the_service_role_keeps_everything(guarded: sa.Engine) -> None:
    """The platform's own server code reads and writes as before."""
    with acting(guarded, "service_role") as connection:
        for table in catalog.TABLES:
            connection.exec_driver_sql(f"SELECT count(*) FROM public.{table}")
        connection.exec_driver_sql("UPDATE subscription_tiers SET price_monthly = 11 WHERE name = 'starter'")
        connection.exec_driver_sql(
            "INSERT INTO admin_audit_logs (admin_user_id, action, resource_type) SELECT id, 'x', 'y' FROM admin_users"
        )


def test_dropped_policies_can_be_restored(panel_database: sa.Engine) -> None:
    """What was kept of a policy is a statement that makes the same policy again."""
    query = sa.text(
        "SELECT * FROM pg_policies WHERE tablename = ANY (:tables) ORDER BY tablename, policyname"
    )
    tables = {"tables": list(catalog.TABLES)}
    execute(
        panel_database,
        'CREATE POLICY "it\'s ""strict""" ON admin_users AS RESTRICTIVE FOR UPDATE TO anon, authenticated'
        " USING (user_id = auth.uid()) WITH CHECK (role <> 'super_admin')",
    )
    with panel_database.connect() as connection:
        before = connection.execute(query, tables).all()
    upgrade(panel_database)
    with panel_database.connect() as connection:
        policies = connection.execute(query, tables).all()
        kept = connection.scalars(sa.text("SELECT statement FROM avatarlab_admin.dropped_policy")).all()
    own = [f"DROP POLICY {policy.policyname} ON {policy.tablename}" for policy in policies]
    execute(panel_database, *own, *kept)
    with panel_database.connect() as connection:
        assert connection.execute(query, tables).all() == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM admin_audit_logs",
        "TRUNCATE admin_audit_logs",
        "UPDATE admin_audit_logs SET action = 'nothing'",
        "UPDATE admin_audit_logs SET undone_by = NULL",
        "UPDATE admin_audit_logs SET undone_by = id, severity = 'info', changes = '{\"a\": 1.00}'",
    ],
)
def test_the_audit_log_only_grows(guarded: sa.Engine, statement: str) -> None:
    """Not even the tables' owner rewrites or removes an entry."""
    with pytest.raises(sa.exc.ProgrammingError, match="append-only"):
        execute(guarded, statement)


def test_an_entry_is_marked_undone_once(guarded: sa.Engine) -> None:
    """The mark is the one change allowed, and it stays."""
    execute(guarded, "UPDATE admin_audit_logs SET undone_by = (SELECT id FROM admin_audit_logs LIMIT 1)")
    with pytest.raises(sa.exc.ProgrammingError, match="append-only"):
        execute(guarded, "UPDATE admin_audit_logs SET undone_by = id")


def test_prices_are_remembered(guarded: sa.Engine) -> None:
    """A tier's price is known from always, and each change from when it happened; other changes add nothing."""
    execute(guarded, "UPDATE subscription_tiers SET price_monthly = 12 WHERE name = 'starter'")
    execute(
        guarded, "UPDATE subscription_tiers SET price_monthly = 12, trial_days = 3 WHERE name = 'starter'"
    )
    execute(
        guarded, "INSERT INTO subscription_tiers (name, display_name, price_yearly) VALUES ('new', 'New', 5)"
    )
    query = sa.text(
        "SELECT name, valid_from = '-infinity', h.price_monthly::text, h.price_yearly::text"
        " FROM avatarlab_admin.tier_price_history AS h JOIN subscription_tiers AS t ON t.id = tier_id"
        " WHERE name IN ('starter', 'new') ORDER BY name, valid_from"
    )
    with guarded.connect() as connection:
        assert [tuple(row) for row in connection.execute(query)] == [
            ("new", False, "0.00", "5.00"),
            ("starter", True, "9.99", "99.99"),
            ("starter", False, "12.00", "99.99"),
        ]


def test_of_two_price_changes_the_later_one_holds(guarded: sa.Engine) -> None:
    """A transaction that began earlier but changed the price later has the last word."""
    with guarded.connect() as early:
        early.exec_driver_sql("SELECT now()")
        execute(guarded, "UPDATE subscription_tiers SET price_monthly = 20 WHERE name = 'pro'")
        early.exec_driver_sql("UPDATE subscription_tiers SET price_monthly = 30 WHERE name = 'pro'")
        early.commit()
    query = sa.text(
        "SELECT h.price_monthly::int FROM avatarlab_admin.tier_price_history AS h"
        " JOIN subscription_tiers AS t ON t.id = tier_id WHERE name = 'pro' ORDER BY valid_from DESC LIMIT 1"
    )
    with guarded.connect() as connection:
        assert connection.scalars(query).one() == 30


def test_a_server_without_the_platform_roles(seed_database: sa.Engine, server_conninfo: str) -> None:
    """Where there is no HTTP interface there is nobody to shut out, and the migration goes through."""
    with renamed_roles(server_conninfo):
        upgrade(seed_database)


def test_without_the_user_function_nobody_reads(seed_database: sa.Engine) -> None:
    """If the database cannot tell who is signed in, own rows cannot be told either."""
    execute(seed_database, "DROP FUNCTION auth.uid CASCADE")
    upgrade(seed_database)
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        read(seed_database, "authenticated", "SELECT count(*) FROM monthly_usage")


@contextmanager
def renamed_roles(server: str) -> Iterator[None]:
    """Give the platform's roles other names for a while."""
    roles = (*ROLES, "service_role")
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as connection:
        for role in roles:
            connection.execute(f"ALTER ROLE {role} RENAME TO {role}_away".encode())
        try:
            yield
        finally:
            for role in roles:
                connection.execute(f"ALTER ROLE {role}_away RENAME TO {role}".encode())
