import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from avatarlab_cli.schema import reference
from avatarlab_cli.schema.live import probe
from tests.database.facts import Facts, facts

STATES = ("seed", "panel")

COLUMNS = """
    SELECT c.relname AS "table", a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS required, pg_get_expr(d.adbin, d.adrelid) AS "default"
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
"""

CONSTRAINTS = """
    SELECT k.conname AS name, c.relname AS "table", k.contype::text AS kind, k.confdeltype::text AS on_delete,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (number, position)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number ORDER BY u.position) AS columns,
           replace(k.confrelid::regclass::text, 'public.', '') || '.'
               || (SELECT attname FROM pg_attribute WHERE attrelid = k.confrelid AND attnum = k.confkey[1]) AS target
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'public'::regnamespace AND k.contype::text = :kind
"""

LEADING = """
    SELECT c.relname AS "table", coalesce(a.attname, '(expression)') AS name
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attnum > 0
    WHERE c.relnamespace = 'public'::regnamespace
"""

CHECK = """
    SELECT pg_get_expr(k.conbin, k.conrelid) FROM pg_constraint k
    WHERE k.conrelid = cast(:table AS regclass) AND k.conname = :name
"""

RANGES = (
    ("avatars", "age", {"0": False, "1": True, "199": True, "200": False}),
    ("avatars", "mbti_type", {"INTJ": True, "ESFP": True, "INTX": False, "intj": False, "INTJX": False}),
    ("avatars", "price", {"-0.01": False, "0": True}),
    ("avatars", "rating", {"-0.1": False, "0": True, "5": True, "5.1": False}),
    ("avatars", "total_sales", {"-1": False, "0": True}),
    ("avatar_reviews", "rating", {"0": False, "1": True, "5": True, "6": False}),
    ("avatar_templates", "difficulty_level", {"0": False, "1": True, "5": True, "6": False}),
    ("avatar_training_examples", "quality_score", {"-0.01": False, "0": True, "1": True, "1.01": False}),
    ("avatar_knowledge_files", "file_size", {"0": False, "1": True}),
    ("generated_images", "cfg_scale", {"0": False, "0.01": True}),
    ("generated_images", "height", {"0": False, "1": True}),
    ("generated_images", "steps", {"0": False, "1": True}),
    ("generated_images", "width", {"0": False, "1": True}),
    ("purchases", "price_paid", {"-0.01": False, "0": True}),
)


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest) -> str:
    """Each of the two states a live database may be in."""
    return str(request.param)


@pytest.fixture
def database(state: str, request: pytest.FixtureRequest) -> sa.Engine:
    """Give a database in that state."""
    engine: sa.Engine = request.getfixturevalue(f"{state}_database")
    return engine


def rows(engine: sa.Engine, statement: str, **bound: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(statement), bound).mappings()]


def by_table(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped = defaultdict(list)
    for row in found:
        grouped[row["table"]].append(row)
    return grouped


def constraints(engine: sa.Engine, kind: str) -> dict[str, list[dict[str, Any]]]:
    return by_table(rows(engine, CONSTRAINTS, kind=kind))


def embeddings(engine: sa.Engine, known: Facts) -> dict[str, str]:
    """Return the types that embeddings have instead on a server without pgvector."""
    if rows(engine, "SELECT FROM pg_available_extensions WHERE name = 'vector'"):
        return {}
    return {name: "real[]" for name, type_ in known.types.items() if type_.startswith("vector")}


def accepts(engine: sa.Engine, table: str, column: str, value: str, type_: str) -> bool:
    """Ask the column's CHECK, as the database holds it, about one value."""
    (check,) = rows(engine, CHECK, table=table, name=f"{table}_{column}_check")
    question = (
        f"SELECT {check['pg_get_expr']} AS answer FROM (SELECT cast(:value AS {type_}) AS {column}) AS t"
    )
    return bool(rows(engine, question, value=value)[0]["answer"])


def test_columns_have_the_known_types_and_nullability(database: sa.Engine, state: str) -> None:
    """The tables, their columns, types and NOT NULLs are exactly those of the fact sheet."""
    found = by_table(rows(database, COLUMNS))

    assert {name: {row["name"]: row["type"] for row in columns} for name, columns in found.items()} == {
        name: known.types | embeddings(database, known) for name, known in facts(state).items()
    }
    assert {name: {row["name"] for row in columns if row["required"]} for name, columns in found.items()} == {
        name: known.required for name, known in facts(state).items()
    }


def test_defaults_yield_the_known_values(database: sa.Engine, state: str) -> None:
    """Each default, evaluated by the database, gives the value the fact sheet names; no column has another."""
    found = {(row["table"], row["name"]): row["default"] for row in rows(database, COLUMNS)}
    expected = {
        (table, name): column.get("default")
        for table, known in facts(state).items()
        for name, column in known.columns.items()
    }
    expressions = {key: default for key, default in found.items() if default is not None}

    assert expressions.keys() == {key for key, default in expected.items() if default is not None}
    with database.connect() as connection:
        for key, expression in expressions.items():
            value = connection.exec_driver_sql(f"SELECT {expression}").scalar_one()
            assert is_default(value, expression, expected[key]), key


def is_default(value: object, expression: str, expected: object) -> bool:
    """Compare a default with the fact sheet's word for it."""
    computed = {
        "now": "now()",
        "today": "CURRENT_DATE",
        "random uuid": "gen_random_uuid()",
        "first day of current month": "(date_trunc('month'::text, now()))::date",
    }
    if isinstance(expected, str) and expected in computed:
        return expression == computed[expected]
    if expected == "8 random hex characters":
        return re.fullmatch("[0-9a-f]{8}", str(value)) is not None
    if isinstance(value, Decimal):
        return value == Decimal(str(expected))
    return value == {"empty array": [], "empty object": {}}.get(str(expected), expected)


def test_keys_reference_what_they_should(database: sa.Engine, state: str) -> None:
    """Primary keys and foreign keys, with what a deletion does to the referring row, are the known ones."""
    primary, foreign = constraints(database, "p"), constraints(database, "f")

    for name, known in facts(state).items():
        assert [key["columns"] for key in primary[name]] == [known.sheet["primary_key"]], name
        found = {(key["columns"][0], key["target"], key["on_delete"]) for key in foreign[name]}
        assert found == known.foreign_keys, name


def test_unique_constraints_are_the_known_ones(database: sa.Engine, state: str) -> None:
    """Each combination of columns that must be unique is, and no other."""
    found = constraints(database, "u")

    for name, known in facts(state).items():
        assert sorted(key["columns"] for key in found[name]) == sorted(known.sheet.get("unique", [])), name


def test_constraints_are_named_as_postgres_would(seed_database: sa.Engine) -> None:
    """A copy of a table whose unique constraints the server names itself gets the very same names."""
    named = {row["name"] for row in rows(seed_database, CONSTRAINTS, kind="u")}
    with seed_database.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA copy")
        for name, known in facts("seed").items():
            uniques = "".join(f", UNIQUE ({', '.join(columns)})" for columns in known.sheet.get("unique", []))
            connection.exec_driver_sql(f"CREATE TABLE copy.{name} (LIKE public.{name}{uniques})")
        own = "SELECT conname FROM pg_constraint WHERE connamespace = 'copy'::regnamespace AND contype = 'u'"

        assert set(connection.scalars(sa.text(own))) == named


def test_restricted_columns_have_a_check(database: sa.Engine, state: str) -> None:
    """Each restricted column has one CHECK, and no column has another."""
    found = constraints(database, "c")

    for name, known in facts(state).items():
        assert sorted(check["columns"] for check in found[name]) == sorted([[c] for c in known.checked]), name


def test_allowed_values_pass_and_others_do_not(panel_database: sa.Engine) -> None:
    """The database takes every value of the fact sheet's lists and refuses one that is not in them."""
    for table, known in facts("panel").items():
        for column, values in known.sheet.get("allowed_values", {}).items():
            answers = {
                value: accepts(panel_database, table, column, value, "text") for value in (*values, "other")
            }
            assert answers == {**dict.fromkeys(values, True), "other": False}, (table, column)


@pytest.mark.parametrize(("table", "column", "values"), RANGES)
def test_ranges_end_where_they_should(
    seed_database: sa.Engine, table: str, column: str, values: dict[str, bool]
) -> None:
    """A restricted number or pattern is accepted up to its last allowed value."""
    type_ = facts("seed")[table].columns[column]["type"]

    assert {value: accepts(seed_database, table, column, value, type_) for value in values} == values


def test_ranges_cover_the_fact_sheet() -> None:
    """Every range of the fact sheet has its boundary test above."""
    named = {
        (name, column)
        for name, known in facts("panel").items()
        for column in known.sheet.get("value_ranges", {})
    }

    assert {(table, column) for table, column, _ in RANGES} == named


def test_indexes_lead_with_the_known_columns(database: sa.Engine, state: str) -> None:
    """The columns that lead an index are the known ones: where the platform has none, neither has the reference."""
    found = by_table(rows(database, LEADING))

    assert {name: {row["name"] for row in found[name]} for name in facts(state)} == {
        name: known.indexed for name, known in facts(state).items()
    }


def test_row_security_is_on_where_the_platform_has_it(database: sa.Engine, state: str) -> None:
    """Row security and the presence of policies follow the fact sheet, the forgotten tables included."""
    statement = """
        SELECT c.relname AS "table", c.relrowsecurity AS enabled,
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS has_policy
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    """
    found = {row["table"]: (row["enabled"], row["has_policy"]) for row in rows(database, statement)}

    assert found == {name: row_security(known) for name, known in facts(state).items()}


def row_security(known: Facts) -> tuple[bool, bool]:
    return known.sheet["rls"]["enabled"], known.sheet["rls"]["policies"] > 0


def test_every_table_says_what_reports_need() -> None:
    """Each of the 42 tables and the 2 extra ones names its area, its use and a time column it really has."""
    tables = [table for table in reference.platform_tables() if table.schema is None]

    assert {table.name for table in tables if table.info.get("state") != "panel"} == facts("seed").keys()
    for table in tables:
        assert table.info["area"], table.name
        assert table.info["used_for"], table.name
        assert table.info["event_time"] in table.columns, table.name


def test_unused_tables_say_so() -> None:
    """The 13 tables the app leaves alone are marked, so that nobody wonders why they are empty."""
    unused = {
        table.name
        for table in reference.platform_tables()
        if table.info["used_for"].startswith("unused by the app")
    }

    assert unused == {
        "user_sessions", "user_activities", "user_preferences", "user_favorites", "avatar_versions",
        "avatar_reviews", "knowledge_chunks", "n8n_integrations", "system_logs", "ui_state_cache",
        "training_cache", "memory_categories", "memory_category_mappings",
    }  # fmt: skip


def test_embeddings_degrade_without_the_extension(
    empty_database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server without pgvector an embedding is an array, and everything else stays."""
    monkeypatch.setattr(reference, "_install_vector", lambda _: False)

    with empty_database.begin() as connection:
        reference.create_reference(connection, "seed")
        live = probe(connection)

    chunks = live.relation("document_chunks")
    assert chunks is not None
    assert chunks.columns["embedding"] == "real[]"
    assert facts("seed").keys() <= {relation.name for relation in live.relations.values()}
