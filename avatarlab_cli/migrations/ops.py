"""What the revisions are made of: SQL that adds what is missing, and changes nothing where it already stands.

Every statement runs as it is, both in a transaction and in the script that is pasted into an SQL editor; so each
decides in the database, not in Python, whether anything is to be done.
"""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from avatarlab_cli.schema.base import NAMING_CONVENTION

SCHEMA_PROBLEM = "AVL01"
"""The SQLSTATE under which a statement here reports a database that cannot be migrated as it is."""

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves dialects' constructors untyped
_COMPILER = _DIALECT.ddl_compiler(_DIALECT, None)  # type: ignore[arg-type]  # a statement is for compiling at once


def run(*statements: str) -> None:
    """Execute the statements in turn, or write them to the script that is being made."""
    context = op.get_context()
    for statement in statements:
        text = textwrap.dedent(statement).strip()
        if context.as_sql:
            context.impl.static_output(f"{text};")
        else:
            # Without parameters the driver takes a percent sign for what it is, as a pasted script would.
            op.get_bind().exec_driver_sql(text, execution_options={"no_parameters": True})


def note(text: str) -> None:
    """Write a comment to the script that is being made; say nothing otherwise."""
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(textwrap.indent(text, "-- "))


def run_if(condition: str, *statements: str) -> None:
    """Execute the statements where the SQL `condition` holds; what they name need not exist elsewhere."""
    body = "\n".join(f"        {statement};" for statement in statements)
    run(f"DO $$\nBEGIN\n    IF {condition} THEN\n{body}\n    END IF;\nEND $$")


def problem(message: str, hint: str) -> str:
    """Give the PL/pgSQL statement that ends a migration with `message`, an SQL expression, and a hint."""
    return f"RAISE EXCEPTION USING ERRCODE = '{SCHEMA_PROBLEM}', MESSAGE = {message}, HINT = {literal(hint)}"


def literal(text: str) -> str:
    """Quote `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def adopt(table: sa.Table) -> None:
    """Make `table` exist with at least these columns, defaults, constraints and indexes.

    What stands is kept as it is, whatever its name: a key or index counts by its columns, a check by its name.
    Rows that forbid a missing constraint end the migration with their number. A table without a schema is in public.
    """
    target = table.to_metadata(
        sa.MetaData(naming_convention=NAMING_CONVENTION), schema=table.schema or "public"
    )
    run(f"CREATE TABLE IF NOT EXISTS {target.fullname} ()", _add_columns(target))
    run(*_set_defaults(target), *_set_required(target))
    run(*_add_constraints(target))
    run(*map(_add_index, sorted(target.indexes, key=lambda index: str(index.name))))


def _add_columns(table: sa.Table) -> str:
    # NOT NULL follows on its own, so that rows without a value are counted instead of a bare refusal. Where a default
    # gives each of them one it comes at once: no row is read.
    columns = ",\n".join(f"    ADD COLUMN IF NOT EXISTS {_definition(column)}" for column in table.columns)
    return f"ALTER TABLE {table.fullname}\n{columns}"


def _definition(column: sa.Column[Any]) -> str:
    parts = [_DIALECT.identifier_preparer.quote(column.name), _COMPILER.type_compiler.process(column.type)]
    default = _COMPILER.get_column_default_string(column)
    if default:
        parts.append(f"DEFAULT {default}")
        if not column.nullable:
            parts.append("NOT NULL")
    parts.extend(_COMPILER.process(item) for item in (column.identity, column.computed) if item)
    return " ".join(parts)


def _set_defaults(table: sa.Table) -> Iterator[str]:
    wanted = [
        f"({literal(column.name)}, {literal(default)})"
        for column in table.columns
        if (default := _COMPILER.get_column_default_string(column))
    ]
    if wanted:
        values = ",\n            ".join(wanted)
        yield f"""DO $$
DECLARE
    missing record;
BEGIN
    FOR missing IN
        SELECT wanted.name, wanted.expression
        FROM (VALUES
            {values}
        ) AS wanted (name, expression)
        JOIN pg_attribute AS a ON a.attrelid = '{table.fullname}'::regclass AND a.attname = wanted.name
        WHERE NOT a.atthasdef
    LOOP
        EXECUTE format('ALTER TABLE {table.fullname} ALTER COLUMN %I SET DEFAULT %s', missing.name, missing.expression);
    END LOOP;
END $$"""


def _set_required(table: sa.Table) -> Iterator[str]:
    required = [column.name for column in table.columns if not column.nullable]
    if required:
        message = f"format('%s rows of {table.fullname} have no %s', empty, missing)"
        yield f"""DO $$
DECLARE
    missing name;
    empty bigint;
BEGIN
    FOR missing IN
        SELECT attname FROM pg_attribute
        WHERE attrelid = '{table.fullname}'::regclass AND NOT attnotnull AND attname = ANY ({_array(required)})
    LOOP
        EXECUTE format('SELECT count(*) FROM {table.fullname} WHERE %I IS NULL', missing) INTO empty;
        IF empty > 0 THEN
            {problem(message, "give these rows a value, then migrate again")};
        END IF;
        EXECUTE format('ALTER TABLE {table.fullname} ALTER COLUMN %I SET NOT NULL', missing);
    END LOOP;
END $$"""


def _add_constraints(table: sa.Table) -> Iterator[str]:
    keys = (
        item for item in table.constraints if isinstance(item, sa.PrimaryKeyConstraint | sa.UniqueConstraint)
    )
    for key in sorted(keys, key=lambda item: str(item.name)):
        if key.columns:
            yield _add_key(table, key)
    for column in table.columns:
        yield from (
            _add_check(table, item) for item in column.constraints if isinstance(item, sa.CheckConstraint)
        )
        yield from (_add_reference(table, item) for item in column.foreign_keys)


def _add_key(table: sa.Table, key: sa.PrimaryKeyConstraint | sa.UniqueConstraint) -> str:
    columns = ", ".join(key.columns.keys())
    is_null_a_value = key.dialect_options["postgresql"].get("nulls_not_distinct")
    present = " AND ".join(f"{name} IS NOT NULL" for name in key.columns.keys())  # noqa: SIM118 - iterating gives columns
    compared = "TRUE" if is_null_a_value else present
    return _add_constraint(
        table,
        unless=_on_columns("p" if isinstance(key, sa.PrimaryKeyConstraint) else "u", key.columns.keys()),
        violations=f"(SELECT FROM {table.fullname} WHERE {compared} GROUP BY {columns} HAVING count(*) > 1) AS repeated",
        complaint=f"values of ({columns}) occur more than once in {table.fullname}",
        definition=_COMPILER.process(key),
    )


def _add_check(table: sa.Table, check: sa.CheckConstraint) -> str:
    return _add_constraint(
        table,
        unless=f"c.conname = '{check.name}'",
        violations=f"{table.fullname} WHERE NOT ({check.sqltext})",
        complaint=f"rows of {table.fullname} break the rule {check.sqltext}",
        definition=_COMPILER.process(check),
    )


def _add_reference(table: sa.Table, key: sa.ForeignKey) -> str:
    column = key.parent.name
    parent, _, target = key.target_fullname.rpartition(".")
    action = f" ON DELETE {key.ondelete}" if key.ondelete else ""
    return _add_constraint(
        table,
        unless=f"{_on_columns('f', [column])} AND c.confrelid = '{parent}'::regclass",
        violations=(
            f"{table.fullname} AS child WHERE child.{column} IS NOT NULL"
            f" AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE parent.{target} = child.{column})"
        ),
        complaint=f"rows of {table.fullname} have a {column} that {parent} does not hold",
        definition=f"CONSTRAINT {table.name}_{column}_fkey FOREIGN KEY ({column}) REFERENCES {parent} ({target}){action}",
    )


def _add_constraint(table: sa.Table, *, unless: str, violations: str, complaint: str, definition: str) -> str:
    message = f"violations || {literal(f' {complaint}')}"
    return f"""DO $$
DECLARE
    violations bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = '{table.fullname}'::regclass AND {unless}) THEN
        SELECT count(*) INTO violations FROM {violations};
        IF violations > 0 THEN
            {problem(message, "correct these rows, then migrate again")};
        END IF;
        ALTER TABLE {table.fullname} ADD {definition};
    END IF;
END $$"""


def _on_columns(kind: str, columns: Iterable[str]) -> str:
    return f"""c.contype = '{kind}' AND {_array(sorted(columns))} = (
        SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_attribute AS a
        WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
    )"""


def _add_index(index: sa.Index) -> str:
    table = index.table.fullname if index.table is not None else ""
    return f"""DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = '{table}'::regclass AND i.indpred IS NULL AND {_array(index.columns.keys())} = (
            SELECT array_agg(a.attname ORDER BY k.position)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        )
    ) THEN
        {sa.schema.CreateIndex(index).compile(dialect=_DIALECT)};
    END IF;
END $$"""


def _array(names: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(literal(name) for name in names)}]::name[]"
