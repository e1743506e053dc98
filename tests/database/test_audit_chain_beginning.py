"""What the chain of the audit log begins with, and how it goes on when the migration runs again."""

import pytest
import sqlalchemy as sa

from avatarlab_cli.actions.user import Ban
from avatarlab_cli.audit_chain import Anchor, verify
from avatarlab_cli.database import Database
from tests.database import audit_log, catalog
from tests.database.audit_log import UNGUARDED, change, found
from tests.database.test_migrations import execute, upgrade

FORGED_BEFORE = """
    INSERT INTO admin_audit_logs (admin_user_id, action, resource_type, seq) OVERRIDING SYSTEM VALUE
    SELECT admin_user_id, action, resource_type, 0 FROM admin_audit_logs WHERE seq = 1
"""


@pytest.fixture
def inherited(panel_conninfo: str, panel_database: sa.Engine) -> str:
    """Two entries of the web panel's, then the migration."""
    catalog.fill(panel_database)
    upgrade(panel_database)
    return panel_conninfo


def test_entries_from_before_the_chain(inherited: str) -> None:
    """The chain begins with a hash over the entries that were there; they themselves stay as they were."""
    before = audit_log.log(inherited)
    opening = audit_log.opening_hash(before)
    assert [(entry["seq"], entry["prev_hash"], entry["hash"]) for entry in before] == [
        (1, None, None),
        (2, None, None),
    ]
    assert audit_log.head(inherited) == (2, opening)
    audit_log.enrol(inherited)
    audit_log.act(inherited, Ban(), audit_log.sign_up(inherited, 1))
    first = audit_log.log(inherited)[2]
    assert (first["seq"], first["prev_hash"], first["hash"]) == (
        3,
        opening,
        audit_log.entry_hash(opening, first),
    )
    with Database(inherited).read() as connection:
        assert found(connection) == (None, None)
        assert found(connection, Anchor(2, opening)) == (None, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE admin_audit_logs SET description = 'x' WHERE seq = 1",
        "UPDATE admin_audit_logs SET changes = '{\"a\": 1.00}' WHERE seq = 2",
        "UPDATE admin_audit_logs SET prev_hash = repeat('0', 64) WHERE seq = 2",
        "DELETE FROM admin_audit_logs WHERE seq = 1",
        FORGED_BEFORE,
    ],
)
def test_entries_from_before_the_chain_are_covered(inherited: str, statement: str) -> None:
    """Altering, deleting or adding one of them is found, before there is any chained entry and afterwards."""
    with Database(inherited).preview() as connection:
        connection.exec_driver_sql(UNGUARDED)
        change(connection, statement)
        verdict = verify(connection)
        assert (verdict.seq, verdict.id) == (2, None)
        assert verdict.problem == "the entries from before the chain are not what the chain began with"
    audit_log.enrol(inherited)
    audit_log.act(inherited, Ban(), audit_log.sign_up(inherited, 1))
    with Database(inherited).preview() as connection:
        connection.exec_driver_sql(UNGUARDED)
        change(connection, statement)
        seq, problem = found(connection)
        assert seq == 3
        assert str(problem).startswith("its prev_hash is not that of the entries from before the chain")


@pytest.mark.parametrize(
    "damage",
    [
        "SELECT 1",
        "DROP TABLE avatarlab_admin.audit_head",
        "DELETE FROM avatarlab_admin.audit_head",
        "DROP TRIGGER avatarlab_chain ON admin_audit_logs",
        "DROP FUNCTION avatarlab_admin.chain_audit_entry CASCADE",
        "DROP FUNCTION avatarlab_admin.audit_hash",
        "UPDATE avatarlab_admin.alembic_version SET version_num = '0006'",
        "DROP TABLE avatarlab_admin.audit_head; UPDATE avatarlab_admin.alembic_version SET version_num = '0006'",
    ],
)
def test_migrating_again_goes_on_with_the_chain(
    inherited: str, panel_database: sa.Engine, damage: str
) -> None:
    """Whichever part of it was lost, the chain has the same entries and head afterwards, and the next one follows."""
    audit_log.enrol(inherited)
    users = audit_log.sign_up(inherited, 2)
    audit_log.act(inherited, Ban(), users[:1])
    before = (audit_log.log(inherited), audit_log.head(inherited))
    execute(panel_database, *damage.split("; "))
    upgrade(panel_database, repair=True)
    assert (audit_log.log(inherited), audit_log.head(inherited)) == before
    audit_log.act(inherited, Ban(), users[1:])
    with Database(inherited).read() as connection:
        assert found(connection) == (None, None)
        assert verify(connection).entries == 4


def test_without_the_trigger_nothing_is_written_in_secret(inherited: str, panel_database: sa.Engine) -> None:
    """An entry written while the trigger was gone stands out, also after the repair."""
    audit_log.enrol(inherited)
    audit_log.act(inherited, Ban(), audit_log.sign_up(inherited, 1))
    execute(
        panel_database,
        "DROP TRIGGER avatarlab_chain ON admin_audit_logs",
        "INSERT INTO admin_audit_logs (admin_user_id, action, resource_type) SELECT id, 'x', 'user' FROM admin_users LIMIT 1",
    )
    upgrade(panel_database, repair=True)
    with Database(inherited).read() as connection:
        assert found(connection) == (4, "it has no hash: it was not written through the chain")
