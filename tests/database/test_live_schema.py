import pytest
import sqlalchemy as sa

from avatarlab_cli.schema import panel, reference
from avatarlab_cli.schema.drift import Difference, Drift, drift
from avatarlab_cli.schema.live import LiveSchema, Relation, probe


def look(engine: sa.Engine, *before: str, sizes: bool = False) -> LiveSchema:
    """Probe after `before` has run in the same transaction."""
    with engine.begin() as connection:
        for statement in before:
            connection.exec_driver_sql(statement)
        return probe(connection, sizes=sizes)


def relation(live: LiveSchema, name: str) -> Relation:
    found = live.relation(name)
    assert found is not None
    return found


def test_names_and_columns_are_found(seed_database: sa.Engine) -> None:
    """A name means public unless it says otherwise; every column asked for must be there."""
    live = look(seed_database)

    assert live.has("api_request_logs", "user_id", "created_at")
    assert live.has("auth.users", "banned_until")
    assert not live.has("users")
    assert not live.has("profiles", "id", "account_status")
    assert not live.has("monthly_usage")
    assert live.relation("monthly_usage") is None


def test_dropped_columns_are_gone(seed_database: sa.Engine) -> None:
    """The catalogue keeps a dropped column's entry, the probe does not."""
    live = look(seed_database, "ALTER TABLE profiles DROP COLUMN phone")

    assert not live.has("profiles", "phone")


def test_rows_are_unknown_until_analysed(seed_database: sa.Engine) -> None:
    """An estimate that was never made is None, not nought or minus one."""
    insert = "INSERT INTO tts_voices (id, name) SELECT n::text, 'voice' FROM generate_series(1, 50) AS n"

    assert relation(look(seed_database, insert), "tts_voices").estimated_rows is None
    assert relation(look(seed_database, "ANALYZE tts_voices"), "tts_voices").estimated_rows == 50


def test_sizes_are_read_on_demand(seed_database: sa.Engine) -> None:
    """Sizes take locks, so only who asks gets them."""
    assert relation(look(seed_database), "avatars").total_bytes is None
    assert (relation(look(seed_database, sizes=True), "avatars").total_bytes or 0) > 0


def test_a_locked_table_does_not_hold_up_the_probe(seed_database: sa.Engine) -> None:
    """While a table is being rewritten by somebody else, every command still learns what exists."""
    with seed_database.begin() as other:
        other.exec_driver_sql("LOCK TABLE avatars IN ACCESS EXCLUSIVE MODE")

        assert look(seed_database, "SET LOCAL statement_timeout = '5s'").has("avatars")


def test_leading_columns_of_complete_indexes_count(seed_database: sa.Engine) -> None:
    """A partial index cannot serve any range, and a second column cannot be searched alone."""
    before = relation(look(seed_database), "purchases").indexed
    after = relation(
        look(
            seed_database,
            "CREATE INDEX ON purchases (currency) WHERE currency <> 'USD'",
            "CREATE INDEX ON purchases (payment_method, transaction_id)",
        ),
        "purchases",
    ).indexed

    assert "purchased_at" in before
    assert after - before == {"payment_method"}


def test_required_columns_are_those_without_null(seed_database: sa.Engine) -> None:
    """What is NOT NULL holds none, unless the rows from before it was declared were never looked at."""
    column, other = "created_at", "phone"
    with seed_database.connect() as connection:
        can_be_declared = (connection.dialect.server_version_info or (0,)) >= (18,)
    # Before PostgreSQL 18 there is no such declaration, and the column stays as it was.
    declare = (
        "ALTER TABLE profiles ADD CONSTRAINT given NOT NULL phone NOT VALID"
        if can_be_declared
        else "SELECT 1"
    )
    validate = "VALIDATE CONSTRAINT given" if can_be_declared else "ALTER COLUMN phone SET NOT NULL"

    before = relation(look(seed_database, declare), "profiles").required
    after = relation(look(seed_database, f"ALTER TABLE profiles {validate}"), "profiles").required

    assert column in before
    assert after - before == {other}


def test_rights_are_those_of_the_current_role(panel_database: sa.Engine) -> None:
    """The public role has SELECT on public tables but row security filters them; auth.users it cannot read."""
    live = look(panel_database, "SET LOCAL ROLE anon")

    assert live.readable("profiles")
    assert relation(live, "profiles").is_filtered
    assert not relation(live, "conversations").is_filtered
    assert live.has("auth.users", "id")
    assert not live.readable("auth.users")
    assert not live.readable("no_such_table")


def test_select_without_the_schema_is_not_readable(seed_database: sa.Engine) -> None:
    """A granted table in a schema the role may not use is as good as none."""
    live = look(
        seed_database,
        "GRANT SELECT ON auth.users TO anon",
        "REVOKE USAGE ON SCHEMA auth FROM anon",
        "SET LOCAL ROLE anon",
    )

    assert live.has("auth.users", "email")
    assert not live.readable("auth.users")


def test_views_are_told_from_tables(seed_database: sa.Engine) -> None:
    """A view stands among the relations under its own kind."""
    live = look(seed_database, "CREATE VIEW active_avatars AS SELECT id FROM avatars")

    assert relation(live, "active_avatars").kind == "view"
    assert relation(live, "avatars").kind == "table"


@pytest.mark.parametrize("state", ["seed", "panel"])
def test_neither_state_is_a_drift(request: pytest.FixtureRequest, state: str) -> None:
    """What only the panel's migrations bring may be there or not."""
    live = look(request.getfixturevalue(f"{state}_database"))

    assert drift(live, reference.platform_tables()) == []


def test_the_panel_tables_are_as_described(panel_database: sa.Engine) -> None:
    """The six tables of the panel state agree with their own description."""
    assert drift(look(panel_database), panel.metadata.tables.values()) == []


def test_each_difference_is_named(seed_database: sa.Engine) -> None:
    """A lost table, a lost column, a new column and another type are four different findings."""
    live = look(
        seed_database,
        "DROP TABLE user_preferences",
        "ALTER TABLE conversations DROP COLUMN phone_number, ADD COLUMN channel text",
        "ALTER TABLE purchases ALTER COLUMN price_paid TYPE numeric(12,4)",
        "ALTER TABLE auth.users ADD COLUMN phone text",
    )

    assert set(drift(live, reference.platform_tables())) == {
        Drift(Difference.MISSING_TABLE, "user_preferences"),
        Drift(Difference.MISSING_COLUMN, "conversations", "phone_number", "character varying(15)"),
        Drift(Difference.EXTRA_COLUMN, "conversations", "channel", found="text"),
        Drift(Difference.TYPE, "purchases", "price_paid", "numeric(10,2)", "numeric(12,4)"),
    }


def test_the_extension_may_live_in_any_schema(seed_database: sa.Engine) -> None:
    """Supabase keeps pgvector outside the search path, which makes the type's name longer, not different."""
    live = look(seed_database, "CREATE SCHEMA extensions", "ALTER EXTENSION vector SET SCHEMA extensions")

    assert relation(live, "document_chunks").columns["embedding"] == "extensions.vector(1536)"
    assert drift(live, reference.platform_tables()) == []
