"""Every starting state ends in the same schema, and no row of the platform's is touched."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from avatarlab_cli import migrations
from avatarlab_cli.database import Database
from avatarlab_cli.errors import BusyError, ConfigurationError
from avatarlab_cli.schema import admin, base, private, supabase
from tests.database import catalog

STATES = ("seed_database", "panel_database")
ALL = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
)


def upgrade(engine: sa.Engine, *, repair: bool = False) -> migrations.MigrationResult:
    with engine.connect() as connection:
        return migrations.upgrade(connection, repair=repair)


def status(engine: sa.Engine) -> migrations.MigrationStatus:
    with engine.connect() as connection:
        return migrations.status(connection)


def execute(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def test_both_states_reach_the_same_end(seed_database: sa.Engine, panel_database: sa.Engine) -> None:
    """The catalogue is equal to the byte, whether or not the web panel was there first."""
    catalog.fill(panel_database)
    upgrade(seed_database)
    upgrade(panel_database)
    assert catalog.dump(seed_database) == catalog.dump(panel_database)


@pytest.mark.parametrize("state", STATES)
def test_the_schema_is_the_sum_of_its_migrations(state: str, request: pytest.FixtureRequest) -> None:
    """Alembic finds no difference between the migrated database and the table definitions."""
    engine: sa.Engine = request.getfixturevalue(state)
    upgrade(engine)
    assert differences(engine) == []


def test_the_definitions_create_what_the_migrations_do(
    empty_database: sa.Engine, migrated_seed_database: sa.Engine
) -> None:
    """Checks and generated columns, which Alembic does not compare, agree as well."""
    tables = [*private_tables(), *(base.metadata.tables[name] for name in catalog.TABLES), supabase.users]
    with empty_database.begin() as connection:
        for schema in (private.SCHEMA, "auth"):
            connection.execute(sa.schema.CreateSchema(schema))
        base.metadata.create_all(connection, tables)
    parts = ("column", "constraint", "index")
    migrated = catalog.dump(migrated_seed_database, parts).splitlines()
    expected = catalog.dump(empty_database, parts).splitlines()
    assert [line for line in migrated if "alembic_version" not in line] == expected


def private_tables() -> list[sa.Table]:
    return [table for table in base.metadata.tables.values() if table.schema == private.SCHEMA]


def differences(engine: sa.Engine) -> list[Any]:
    """Compare the database with the definitions of the six tables and of the private schema."""

    def is_ours(name: str | None, schema: str | None) -> bool:
        return schema == private.SCHEMA or (schema is None and name in catalog.TABLES)

    def include_name(name: str | None, kind: str, parents: Any) -> bool:  # noqa: ANN401 - Alembic's own mapping
        if kind == "schema":
            return name in {None, private.SCHEMA}
        return kind != "table" or is_ours(name, parents["schema_name"])

    def include_object(item: sa.schema.SchemaItem, *_: object) -> bool:
        return not isinstance(item, sa.Table) or is_ours(item.name, item.schema)

    options = {
        "include_schemas": True,
        "include_name": include_name,
        "include_object": include_object,
        "compare_type": True,
        "compare_server_default": True,
        "version_table_schema": private.SCHEMA,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, base.metadata))


def test_status_follows_the_upgrade(seed_database: sa.Engine) -> None:
    """Everything is pending before, nothing afterwards, and the result names what ran."""
    assert status(seed_database) == migrations.MigrationStatus(None, "0017", ALL)
    assert upgrade(seed_database) == migrations.MigrationResult(None, "0017", ALL)
    assert status(seed_database).is_current
    assert upgrade(seed_database) == migrations.MigrationResult("0017", "0017", ())


def test_looking_creates_nothing(seed_database: sa.Engine) -> None:
    """Asking for the status leaves a database without the private schema."""
    status(seed_database)
    with seed_database.connect() as connection:
        assert private.SCHEMA not in sa.inspect(connection).get_schema_names()


def test_platform_rows_stay_as_they_are(panel_database: sa.Engine) -> None:
    """Every column of the panel's holds the same value in every row, and no row is added or lost."""
    catalog.fill(panel_database)
    before = catalog.platform_rows(panel_database)
    upgrade(panel_database)
    assert catalog.platform_rows(panel_database) == before
    assert all(before.values())


@pytest.mark.parametrize("repair", [False, True])
def test_a_second_run_touches_no_row(panel_database: sa.Engine, *, repair: bool) -> None:
    """Not one row is written again, so neither its place nor its transaction changes."""
    catalog.fill(panel_database)
    upgrade(panel_database)
    before = (catalog.rows(panel_database, "t.ctid, t.xmin, t.*"), catalog.dump(panel_database))
    upgrade(panel_database, repair=repair)
    assert (catalog.rows(panel_database, "t.ctid, t.xmin, t.*"), catalog.dump(panel_database)) == before


def test_default_tiers_where_none_exists(seed_database: sa.Engine, panel_database: sa.Engine) -> None:
    """An empty table gets the four published tiers; one tier of the operator's own is left alone."""
    execute(
        panel_database,
        "DELETE FROM subscription_tiers",
        "INSERT INTO subscription_tiers (name, display_name) VALUES ('own', 'Own')",
    )
    upgrade(seed_database)
    upgrade(panel_database)
    tiers = admin.subscription_tiers.c
    query = sa.select(
        tiers.name, tiers.price_monthly, tiers.price_yearly, tiers.trial_days, tiers.max_avatars
    ).order_by(tiers.sort_order)
    with seed_database.connect() as connection:
        assert [" ".join(map(str, row)) for row in connection.execute(query)] == [
            "free 0.00 0.00 0 1",
            "starter 9.99 99.99 7 2",
            "pro 29.99 299.99 14 3",
            "enterprise 299.00 2999.00 30 -1",
        ]
    with panel_database.connect() as connection:
        assert connection.scalars(query).all() == ["own"]


def test_two_upgrades_at_once(seed_conninfo: str) -> None:
    """The second process waits for the first and then finds nothing to do."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(upgrade_apart, [seed_conninfo] * 2))
    assert sorted(result.applied for result in results) == [(), ALL]


def upgrade_apart(conninfo: str) -> migrations.MigrationResult:
    """Upgrade in a process of its own, which inherits no engine."""
    return upgrade(Database(conninfo).engine)


def test_a_table_in_use_is_waited_for_briefly(
    panel_database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock held by somebody else ends the migration as busy, and nothing of it remains."""
    short = tuple(statement.replace("'5s'", "'50ms'") for statement in migrations._FRAME)
    monkeypatch.setattr(migrations, "_FRAME", short)
    with panel_database.begin() as other:
        other.exec_driver_sql("LOCK TABLE admin_users IN ACCESS SHARE MODE")
        with pytest.raises(BusyError):
            upgrade(panel_database)
    assert status(panel_database).current is None


def test_not_an_avatarlab_database(empty_database: sa.Engine) -> None:
    """A database without accounts is refused by name and stays empty."""
    with pytest.raises(ConfigurationError, match=r"not an AvatarLab database: auth\.users is missing"):
        upgrade(empty_database)
    with empty_database.connect() as connection:
        assert sa.inspect(connection).get_schema_names() == ["information_schema", "public"]


def test_migrated_by_a_newer_version(migrated_seed_database: sa.Engine) -> None:
    """An unknown revision is named and left alone."""
    execute(migrated_seed_database, "UPDATE avatarlab_admin.alembic_version SET version_num = '9999'")
    for act in (upgrade, status):
        with pytest.raises(ConfigurationError, match="revision 9999"):
            act(migrated_seed_database)
    with pytest.raises(ConfigurationError, match="revision 9999"):
        upgrade(migrated_seed_database, repair=True)
