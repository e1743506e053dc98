"""A partly migrated or damaged database reaches the same end, or is refused with the number of rows in the way."""

import random

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.migrations import ops
from tests.database import catalog
from tests.database.test_migrations import execute, status, upgrade

# What may be missing: each query gives one statement a row that takes a part of the schema away.
DAMAGES = (
    "SELECT format('DROP TABLE IF EXISTS %s CASCADE', oid::regclass) FROM ours WHERE relkind = 'r'",
    """SELECT format('ALTER TABLE IF EXISTS %s DROP COLUMN IF EXISTS %I CASCADE', attrelid::regclass, attname)
       FROM pg_attribute JOIN ours ON ours.oid = attrelid AND relkind = 'r' WHERE attnum > 0 AND NOT attisdropped""",
    """SELECT format('ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::regclass, conname)
       FROM pg_constraint JOIN ours ON ours.oid = conrelid WHERE contype <> 'n'""",
    """SELECT format('DROP INDEX IF EXISTS %s', indexrelid::regclass)
       FROM pg_index AS i JOIN ours ON ours.oid = indrelid
       WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)""",
    """SELECT format('DROP TRIGGER IF EXISTS %I ON %s', tgname, tgrelid::regclass)
       FROM pg_trigger JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal""",
    """SELECT format('DROP POLICY IF EXISTS %I ON %I.%I', policyname, schemaname, tablename)
       FROM pg_policies WHERE tablename IN (SELECT relname FROM ours)""",
    """SELECT format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', oid::regclass) FROM ours WHERE relrowsecurity""",
    """SELECT format('GRANT ALL ON %s TO anon, authenticated', oid::regclass) FROM ours WHERE relkind = 'r'""",
    """SELECT format('CREATE POLICY open_%s ON %s USING (true)', relname, oid::regclass) FROM ours
       WHERE relrowsecurity""",
    """SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', attrelid::regclass, attname)
       FROM pg_attribute JOIN ours ON ours.oid = attrelid AND relkind = 'r'
       WHERE atthasdef AND attgenerated = ''""",
    """SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', attrelid::regclass, attname)
       FROM pg_attribute AS a JOIN ours ON ours.oid = attrelid AND relkind = 'r'
       WHERE attnotnull AND attidentity = '' AND attnum > 0 AND NOT EXISTS (
           SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype = 'p' AND attnum = ANY (conkey))""",
    "SELECT 'DROP FUNCTION IF EXISTS avatarlab_admin.record_tier_price CASCADE'",
    "SELECT 'DROP FUNCTION IF EXISTS avatarlab_admin.refuse_audit_change CASCADE'",
    "SELECT 'DROP FUNCTION IF EXISTS avatarlab_admin.chain_audit_entry CASCADE'",
    "SELECT 'DROP FUNCTION IF EXISTS avatarlab_admin.audit_hash CASCADE'",
    "SELECT 'DROP SCHEMA avatarlab_admin CASCADE'",
)


def damage(engine: sa.Engine, seed: int) -> None:
    """Take away a random part of the schema, a few things of two kinds."""
    chance = random.Random(seed)  # noqa: S311 - reproducible test data
    for query in chance.sample(DAMAGES, 2):
        with engine.begin() as connection:
            # The table of revisions is Alembic's: without a valid one there is no recorded revision to trust.
            ours = f"SELECT * FROM ({catalog.OURS}) AS ours WHERE relname NOT LIKE 'alembic_version%'"
            found = sa.text(
                f"WITH ours AS ({ours}) SELECT statement FROM ({query}) AS found (statement) ORDER BY 1"
            )
            statements = connection.scalars(found, {"tables": list(catalog.TABLES)}).all()
            for statement in chance.sample(statements, min(len(statements), chance.choice((1, 5, 40)))):
                connection.exec_driver_sql(statement)


@pytest.mark.parametrize("seed", range(16))
def test_random_damage_is_repaired(migrated_seed_database: sa.Engine, seed: int) -> None:
    """Whatever is taken away comes back as it was, with the recorded revision and without."""
    complete = catalog.dump(migrated_seed_database)
    # The tables are empty, since a row without its name or key would rightly stop the repair.
    execute(migrated_seed_database, "TRUNCATE subscription_tiers, avatarlab_admin.tier_price_history CASCADE")
    damage(migrated_seed_database, seed)
    if seed % 2:
        execute(migrated_seed_database, "DROP TABLE IF EXISTS avatarlab_admin.alembic_version")
    upgrade(migrated_seed_database, repair=not seed % 2)
    assert catalog.dump(migrated_seed_database) == complete


def test_keys_of_other_names_are_adopted(panel_database: sa.Engine) -> None:
    """A unique key, foreign key or index that stands under another name is not made a second time."""
    execute(
        panel_database,
        "ALTER TABLE monthly_usage RENAME CONSTRAINT monthly_usage_user_id_usage_month_key TO one_a_month",
        "ALTER TABLE monthly_usage RENAME CONSTRAINT monthly_usage_user_id_fkey TO of_user",
        "ALTER INDEX monthly_usage_usage_month_idx RENAME TO by_month",
    )
    upgrade(panel_database)
    dump = catalog.dump(panel_database)
    for name in ("monthly_usage_user_id_usage_month_key", "monthly_usage_user_id_fkey", "usage_month_idx"):
        assert name not in dump


@pytest.mark.parametrize(
    ("preparation", "message"),
    [
        (
            (
                "ALTER TABLE monthly_usage DROP CONSTRAINT monthly_usage_user_id_usage_month_key",
                "INSERT INTO monthly_usage (user_id, usage_month) SELECT user_id, usage_month FROM monthly_usage",
            ),
            r"2 values of \(user_id, usage_month\) occur more than once in public\.monthly_usage",
        ),
        (
            (
                "ALTER TABLE monthly_usage DROP CONSTRAINT monthly_usage_user_id_fkey",
                "INSERT INTO monthly_usage (user_id) VALUES (gen_random_uuid())",
            ),
            r"1 rows of public\.monthly_usage have a user_id that auth\.users does not hold",
        ),
        (
            (
                "ALTER TABLE user_subscriptions DROP CONSTRAINT user_subscriptions_status_check",
                "UPDATE user_subscriptions SET status = '100%'",
            ),
            r"2 rows of public\.user_subscriptions break the rule status IN",
        ),
        (
            ("ALTER TABLE subscription_tiers DROP COLUMN display_name",),
            r"4 rows of public\.subscription_tiers have no display_name",
        ),
    ],
)
def test_rows_in_the_way_are_counted(
    panel_database: sa.Engine, preparation: tuple[str, ...], message: str
) -> None:
    """One message names the table and how many rows; nothing is done."""
    catalog.fill(panel_database)
    execute(panel_database, *preparation)
    before = catalog.rows(panel_database, "t.*")
    with pytest.raises(ConfigurationError, match=message) as raised:
        upgrade(panel_database)
    assert raised.value.hint is not None
    assert catalog.rows(panel_database, "t.*") == before
    assert status(panel_database).current is None


def test_entries_of_the_panel_get_numbers(panel_database: sa.Engine) -> None:
    """Audit entries from before are numbered like later ones."""
    catalog.fill(panel_database)
    upgrade(panel_database)
    with panel_database.connect() as connection:
        numbers = connection.scalars(sa.text("SELECT seq FROM admin_audit_logs ORDER BY seq"))
        assert numbers.all() == [1, 2]


def test_a_required_column_with_a_default_reads_no_row(migrated_panel_database: sa.Engine) -> None:
    """A column that comes with a value for every row locks its table for a moment, however many rows there are."""
    execute(
        migrated_panel_database,
        "ALTER TABLE avatarlab_admin.storage_daily DROP COLUMN is_interpolated",
        "INSERT INTO avatarlab_admin.storage_daily (day, user_id, kind, bucket)"
        " SELECT '2025-01-01', gen_random_uuid(), 'other', '' FROM generate_series(1, 9)",
    )
    column = sa.Column("is_interpolated", sa.Boolean, nullable=False, server_default=sa.false())
    table = sa.Table("storage_daily", sa.MetaData(), column, schema="avatarlab_admin")
    scans = "SELECT pg_stat_get_xact_numscans('avatarlab_admin.storage_daily'::regclass)"
    with migrated_panel_database.begin() as connection:
        before = connection.scalar(sa.text(scans))
        with Operations.context(MigrationContext.configure(connection)):
            ops.adopt(table)
        assert connection.scalar(sa.text(scans)) == before
        marked = "SELECT count(*) FROM avatarlab_admin.storage_daily WHERE NOT is_interpolated"
        assert connection.scalar(sa.text(marked)) == 9
