"""Taking acts back: each row becomes what it was before, if it still is what the act made of it."""

import json
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.actions import images
from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.actor import has_super_admin
from avatarlab_cli.errors import ExitCode, RefusedError
from avatarlab_cli.permissions import COMMANDS, SUPER_ADMIN
from avatarlab_cli.queries.keys import NEUTRALISED
from avatarlab_cli.queries.naming import ENTRY
from avatarlab_cli.schema import accounts, admin, api, avatars, commerce, media, supabase  # noqa: F401 (they define what acts change)
from avatarlab_cli.schema.base import metadata, qualified
from avatarlab_cli.schema.foreign_keys import foreign_keys

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves dialects' constructors untyped
_ROWS = """
    CREATE TEMPORARY TABLE act_undo ON COMMIT DROP AS
    SELECT t.item, e.seq, c.row ->> 'table' AS relation, c.row -> 'key' AS key,
           nullif(c.row -> 'before', 'null') AS before, nullif(c.row -> 'after', 'null') AS after
    FROM targets t
    JOIN public.admin_audit_logs e ON e.id = t.id
    CROSS JOIN LATERAL jsonb_array_elements(e.changes -> 'rows') AS c (row)
"""
_MOVED = """
    SELECT DISTINCT ON (u.item) u.item, format('cannot be undone: %s is no longer as the act left it',
           concat_ws('.', replace(u.relation, 'public.', ''),
               (SELECT v.name FROM jsonb_each(u.after) AS v (name, value)
                WHERE v.value IS DISTINCT FROM i.image -> v.name LIMIT 1))) AS detail
    FROM act_undo u
    LEFT JOIN act_images i ON i.item = u.item AND i.relation = u.relation AND i.key = u.key
    WHERE CASE WHEN u.after IS NULL THEN i.image IS NOT NULL
               WHEN i.image IS NULL THEN true
               ELSE EXISTS (SELECT FROM jsonb_each(u.after) AS v (name, value)
                            WHERE v.value IS DISTINCT FROM i.image -> v.name) END
    ORDER BY u.item
"""
_OVERLAID = """
    SELECT DISTINCT older.item, 'cannot be undone before the later act on the same row, which is being undone now' AS detail
    FROM act_undo older JOIN act_undo newer USING (relation, key) WHERE newer.seq > older.seq
"""
# Of a key's hash an entry has a fingerprint alone, so a deleted key cannot come back.
_LOST = """
    SELECT DISTINCT item, 'cannot be undone: a key it deleted is kept nowhere' AS detail
    FROM act_undo WHERE after IS NULL AND before -> 'api_key_hash' IS NOT NULL
"""
# Whatever stands in an entry: it names rows that acts change and their columns, or nothing is done by it.
_STRANGE = """
    SELECT DISTINCT u.item, 'cannot be undone: it does not say which rows it changed' AS detail
    FROM act_undo u
    LEFT JOIN LATERAL (SELECT CAST(:known AS jsonb) -> u.relation AS columns) AS k ON true
    LEFT JOIN LATERAL (
        SELECT CASE jsonb_typeof(u.before) WHEN 'object' THEN jsonb_path_query_array(u.before, '$.keyvalue().key') END AS before,
               CASE jsonb_typeof(u.after) WHEN 'object' THEN jsonb_path_query_array(u.after, '$.keyvalue().key') END AS after
    ) AS c ON true
    WHERE NOT coalesce(
        u.key = jsonb_build_object('id', CAST(substring(u.key ->> 'id', CAST(:uuid AS text)) AS uuid))
        AND CASE WHEN u.before IS NULL THEN u.after -> 'id' = u.key -> 'id' AND k.columns @> c.after
                 WHEN u.after IS NULL THEN u.before -> 'id' = u.key -> 'id' AND k.columns @> c.before
                 ELSE k.columns @> c.before AND c.before = c.after AND c.before <> '[]' END, false)
"""
_UUID = "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
# What the act itself would refuse: that an active admin is shut out.
_ADMINS = """
    SELECT DISTINCT u.item, 'would shut an admin out; first `avatarlab admin deactivate`' AS detail
    FROM act_undo u JOIN public.admin_users a ON a.user_id::text = u.key ->> 'id' AND a.is_active
    WHERE u.relation IN ('auth.users', 'public.profiles')
      AND (u.before ->> 'banned_until' IS NOT NULL OR u.before ->> 'deleted_at' IS NOT NULL
           OR u.before ->> 'account_status' IN ('suspended', 'banned', 'deleted'))
"""


@dataclass(frozen=True)
class Undo(Act):
    """Take entries of the audit log back; each becomes an entry of its own, which can be undone as well."""

    name = "audit.undo"
    naming = ENTRY
    severity = "warning"

    def describe(self) -> str:
        return "taken back"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        rows = "CASE jsonb_typeof(r.changes -> 'rows') WHEN 'array' THEN jsonb_array_length(r.changes -> 'rows') ELSE 0 END"
        return (
            Refusal("r.undone_by IS NOT NULL", "was undone already", code=ExitCode.REFUSED),
            Refusal(
                f"r.hash IS NULL OR r.action IN ({_literals(final_acts())}) OR {rows} = 0",
                "cannot be undone: it is not an act that can be taken back",
                code=ExitCode.REFUSED,
            ),
            *_not_permitted(run),
        )

    def touched(self, run: Run) -> tuple[Touched, ...]:
        run.execute(_ROWS)
        run.refuse(_STRANGE, ExitCode.REFUSED, known=json.dumps(_changeable(run)), uuid=_UUID)
        run.execute("DELETE FROM act_undo WHERE item NOT IN (SELECT item FROM targets)")
        _demand_super_admin_acts(run)
        tables = run.execute("SELECT DISTINCT relation FROM act_undo ORDER BY relation").scalars()
        return tuple(Touched(table_named(name), _same_row(table_named(name))) for name in tables)

    def check(self, run: Run) -> None:
        run.refuse(_OVERLAID, ExitCode.REFUSED)
        run.refuse(_MOVED, ExitCode.REFUSED)
        run.refuse(_LOST, ExitCode.REFUSED)
        run.refuse(_ADMINS, ExitCode.REFUSED)
        _refuse_what_is_in_use(run)
        run.execute("DELETE FROM act_undo WHERE item NOT IN (SELECT item FROM targets)")

    def apply(self, run: Run) -> None:
        shapes = run.execute("""
            SELECT DISTINCT relation, before IS NULL AS is_new, after IS NULL AS is_gone,
                   (SELECT array_agg(name ORDER BY name) FROM jsonb_object_keys(before) AS k (name)) AS columns
            FROM act_undo ORDER BY relation
        """).all()
        for shape in shapes:
            table = table_named(shape.relation)
            if shape.is_new:
                run.execute(_delete(table))
            else:
                write = _insert if shape.is_gone else _update
                run.execute(write(table, shape.columns), columns=shape.columns)
        run.execute("""
            UPDATE targets t SET resource_type = e.resource_type, resource_id = e.resource_id,
                   facts = jsonb_build_object('undoes', e.id, 'action', coalesce(e.changes ->> 'action', e.action))
            FROM public.admin_audit_logs e WHERE e.id = t.id
        """)
        _demand_super_admin(run)

    def conclude(self, run: Run) -> None:
        run.execute(
            "UPDATE public.admin_audit_logs e SET undone_by = t.entry FROM targets t WHERE e.id = t.id"
        )


def final_acts() -> list[str]:
    """Return the names of the acts that cannot be taken back."""
    from avatarlab_cli.actions.catalog import acts

    return [act.name for act in acts() if not act.undoable]


def table_named(relation: str) -> sa.Table:
    """Return the table an entry names."""
    return metadata.tables[relation.removeprefix("public.")]


def _changeable(run: Run) -> dict[str, list[str]]:
    """Return the columns an entry can name, by table: not those of the log itself, nor what an entry never holds."""
    tables = (
        table
        for table in metadata.tables.values()
        # The toolkit's own records say what was, or guard it.
        if table.schema in {None, "auth"} and table is not admin.admin_audit_logs
    )
    found = ((qualified(table), run.live.relation(qualified(table)), table) for table in tables)
    return {
        name: [column.name for column in table.c if column.name in live.columns and images.is_kept(column)]
        for name, live, table in found
        if live is not None
    }


def _not_permitted(run: Run) -> tuple[Refusal, ...]:
    """Refuse what the acting admin could not have done."""
    barred = [
        name.replace(" ", ".") for name, permission in COMMANDS.items() if not run.actor.may(permission)
    ]
    condition = f"coalesce(r.changes ->> 'action', r.action) IN ({_literals(barred)})"
    return (Refusal(condition, "is an act you may not do", code=ExitCode.NOT_PERMITTED),)


def _demand_super_admin_acts(run: Run) -> None:
    """Leave what changed admins to a super_admin: an older state may hold more rights than the acting one has."""
    if run.actor.role != SUPER_ADMIN:
        found = "SELECT DISTINCT item, 'takes a super_admin to undo' AS detail FROM act_undo WHERE relation = :admins"
        run.refuse(found, ExitCode.NOT_PERMITTED, admins=qualified(admin.admin_users))


def _refuse_what_is_in_use(run: Run) -> None:
    """Refuse to take away a row that others stand on: they would go with it, or forbid it."""
    new = set(run.execute("SELECT DISTINCT relation FROM act_undo WHERE before IS NULL").scalars())
    for key in foreign_keys(run.connection):
        if key.target in new and len(key.columns) == 1:
            target = table_named(key.target)
            run.refuse(
                f"""
                SELECT DISTINCT u.item, 'cannot be undone: {key.table} has rows that belong to it' AS detail
                FROM act_undo u JOIN {key.table} c ON c.{key.columns[0]} = {_key(target.c[key.target_columns[0]])}
                WHERE u.before IS NULL AND u.relation = '{key.target}' AND NOT EXISTS (
                    SELECT FROM act_undo own WHERE own.item = u.item AND own.relation = '{key.table}'
                    AND own.before IS NULL AND own.key ->> 'id' = to_jsonb(c) ->> 'id')
                """,
                ExitCode.REFUSED,
            )


def _demand_super_admin(run: Run) -> None:
    is_about_admins = "SELECT EXISTS (SELECT FROM act_undo WHERE relation = 'public.admin_users')"
    if run.execute(is_about_admins).scalar() and not has_super_admin(run.connection):
        raise RefusedError("this would leave no super_admin")


def _same_row(table: sa.Table) -> str:
    """Return the condition that `r` is a row which the target's entry changed."""
    keys = list(table.primary_key.columns)
    named = ", ".join(_key(column) for column in keys)
    rows = ", ".join(f"r.{column.name}" for column in keys)
    return f"(t.item, {rows}) IN (SELECT u.item, {named} FROM act_undo u WHERE u.relation = '{qualified(table)}')"


def _key(column: sa.Column[object]) -> str:
    return f"CAST(u.key ->> '{column.name}' AS {column.type.compile(_DIALECT)})"


def _matches(table: sa.Table) -> str:
    same = " AND ".join(f"r.{column.name} = {_key(column)}" for column in table.primary_key.columns)
    return f"u.relation = '{qualified(table)}' AND {same}"


def _delete(table: sa.Table) -> str:
    return f"DELETE FROM {qualified(table)} r USING act_undo u WHERE u.before IS NULL AND {_matches(table)}"


def _insert(table: sa.Table, columns: list[str]) -> str:
    names = ", ".join(columns)
    return f"""
        INSERT INTO {qualified(table)} ({names})
        SELECT {", ".join(f"p.{name}" for name in columns)}
        FROM act_undo u CROSS JOIN LATERAL jsonb_populate_record(NULL::{qualified(table)}, u.before) AS p
        WHERE u.relation = '{qualified(table)}' AND u.after IS NULL AND {_has_columns()}
    """


def _update(table: sa.Table, columns: list[str]) -> str:
    values = ", ".join(f"{name} = {_former(name)}" for name in columns)
    return f"""
        UPDATE {qualified(table)} r SET {values}
        FROM act_undo u CROSS JOIN LATERAL jsonb_populate_record(NULL::{qualified(table)}, u.before) AS p
        WHERE u.after IS NOT NULL AND {_matches(table)} AND {_has_columns()}
    """


def _has_columns() -> str:
    return "ARRAY(SELECT name FROM jsonb_object_keys(u.before) AS k (name) ORDER BY name) = :columns"


def _former(column: str) -> str:
    """Return the former value of a column; of a key's hash the entry knows the fingerprint alone."""
    if column != "api_key_hash":
        return f"p.{column}"
    bare, revoked = f"substr(r.{column}, {len(NEUTRALISED) + 1})", f"'{NEUTRALISED}' || r.{column}"
    choices = " ".join(f"WHEN {images.fingerprint(text)} THEN {text}" for text in (bare, revoked))
    return f"CASE p.{column} {choices} END"


def _literals(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "NULL"
