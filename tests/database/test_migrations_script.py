"""The script for an SQL editor does exactly what the upgrade does."""

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.migrations import script
from tests.database import catalog
from tests.database.test_migrations import execute, status, upgrade


def paste(conninfo: str) -> None:
    """Send the script as one text, as an SQL editor does."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(script().encode())


@pytest.mark.parametrize("state", ["seed", "panel"])
def test_pasting_equals_upgrading(
    state: str, migrated_panel_database: sa.Engine, request: pytest.FixtureRequest
) -> None:
    """From either state the script ends where the upgrade does, its revision recorded."""
    conninfo: str = request.getfixturevalue(f"{state}_conninfo")
    engine: sa.Engine = request.getfixturevalue(f"{state}_database")
    paste(conninfo)
    assert catalog.dump(engine) == catalog.dump(migrated_panel_database)
    assert status(engine).is_current
    assert upgrade(engine).applied == ()


def test_pasting_twice_changes_nothing(panel_conninfo: str, panel_database: sa.Engine) -> None:
    """The second time no row is written and the catalogue stays the same."""
    catalog.fill(panel_database)
    paste(panel_conninfo)
    before = (catalog.rows(panel_database, "t.ctid, t.xmin, t.*"), catalog.dump(panel_database))
    paste(panel_conninfo)
    assert (catalog.rows(panel_database, "t.ctid, t.xmin, t.*"), catalog.dump(panel_database)) == before


def test_the_script_refuses_as_a_whole(panel_conninfo: str, panel_database: sa.Engine) -> None:
    """Duplicates end it with their number, and nothing of it remains."""
    catalog.fill(panel_database)
    execute(
        panel_database,
        "ALTER TABLE platform_statistics DROP CONSTRAINT platform_statistics_stat_date_key",
        "INSERT INTO platform_statistics (stat_date) SELECT stat_date FROM platform_statistics",
    )
    with pytest.raises(psycopg.Error, match=r"1 values of \(stat_date\) occur more than once"):
        paste(panel_conninfo)
    assert status(panel_database).current is None


def test_the_script_is_readable() -> None:
    """It says what it is, and carries each revision's summary as a comment."""
    text = script()
    assert text.startswith("-- The administration schema of AvatarLab")
    assert "-- 0006: Who may reach the tables over HTTP" in text
    assert text.count("BEGIN;\n") == text.count("COMMIT;") == 1
