"""Carries an act out on some targets in one transaction: lock, check, change, compare, and an entry for each."""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli import __version__
from avatarlab_cli.actions import images
from avatarlab_cli.actions.act import Act, Change, Item, Outcome, Refusal, Run
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.process import host, os_user
from avatarlab_cli.queries.naming import Naming, error_of, resolving
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import demand_all_rows, probe

_ITEMS = """
    CREATE TEMPORARY TABLE act_items ON COMMIT DROP AS
    SELECT *, gen_random_uuid() AS entry, NULL::text AS resource_type, NULL::uuid AS resource_id, NULL::jsonb AS facts,
           NULL::int AS code, NULL::text AS detail FROM ({resolved}) AS resolved
"""
_TWICE = f"""
    UPDATE act_items t SET code = {ExitCode.OK:d}, detail = 'named twice'
    WHERE t.id = ANY (CAST(:done AS uuid[]))
       OR EXISTS (SELECT FROM act_items first WHERE first.id = t.id AND first.item < t.item)
"""
_ENTRIES = """
    INSERT INTO public.admin_audit_logs
        (id, admin_user_id, action, resource_type, resource_id, description, changes, ip_address, user_agent,
         justification, severity, batch_id, actor_host, actor_os_user)
    SELECT t.entry, :actor, :action, coalesce(t.resource_type, :noun), coalesce(t.resource_id, t.id), :description,
           coalesce(t.facts, '{}') || jsonb_build_object('rows', coalesce(c.rows, '[]')), inet_client_addr(), :user_agent,
           :reason, :severity, :batch, :host, :os_user
    FROM targets t LEFT JOIN changed c USING (item)
    WHERE c.item IS NOT NULL OR t.facts IS NOT NULL
    ORDER BY t.item
"""
_CHANGED = """
    CREATE TEMPORARY TABLE changed ON COMMIT DROP AS
    SELECT item, jsonb_agg(jsonb_build_object('table', relation, 'key', key, 'before', before, 'after', after)
                           ORDER BY relation, before IS NULL, key) AS rows
    FROM act_changes GROUP BY item
"""
_OUTCOMES = """
    SELECT i.item, i.name, i.id, i.label, i.candidates, i.entry, i.code, i.detail, t.facts, c.rows::text, now() AS at
    FROM act_items i LEFT JOIN targets t USING (item) LEFT JOIN changed c USING (item) ORDER BY i.item
"""


@dataclass(frozen=True)
class Order:
    """Who acts and why; all targets of one command share the batch. A preview writes no entries.

    `admin` is the name the setting gives the acting admin, by which each transaction looks that admin up anew.
    """

    admin: str | None
    reason: str | None
    batch: UUID
    is_preview: bool = False


def carry_out(
    connection: sa.Connection,
    act: Act,
    items: Sequence[Item],
    order: Order,
    done: AbstractSet[UUID] = frozenset(),
) -> list[Outcome]:
    """Do the act to the items in the caller's transaction; returns an outcome for each, in their order.

    A target that cannot be found, is refused, or was `done` already by the same order, is left alone. The caller must
    roll a preview back. Raises an AvatarLabError where the act as a whole is impossible, and what the driver raises.
    """
    actor = act.authorized(connection, order.admin)
    bound = act.parameters() | {"actor": actor.id, "reason": order.reason}
    run = Run(connection, probe(connection), actor, bound)
    _collect(run, act, items, done)
    _refuse(run, act)
    run.execute("CREATE TEMPORARY TABLE targets ON COMMIT DROP AS SELECT * FROM act_items WHERE code IS NULL")
    run.execute(images.TABLES)
    touched = act.touched(run)
    # Half an act would look like a whole one.
    demand_all_rows(connection, {qualified(part.table) for part in touched})
    images.lock(run, touched)
    images.take(run, touched, is_after=False)
    act.check(run)
    act.apply(run)
    images.take(run, touched, is_after=True)
    images.compare(run)
    run.execute(_CHANGED)
    if not order.is_preview:
        _write_entries(run, act, order)
        act.conclude(run)
    by_number = {item.number: item for item in items}
    found = run.execute(_OUTCOMES).all()
    return [_outcome(run, act.naming, by_number[row.item], row, order) for row in found]


def _collect(run: Run, act: Act, items: Sequence[Item], done: AbstractSet[UUID]) -> None:
    """Find the targets and lock their rows: of two admins who change one, the second sees what the first left."""
    naming = act.naming
    given = {
        "items": [item.number for item in items],
        "names": [item.name for item in items],
        "typed": [item.is_typed for item in items],
    }
    run.execute(_ITEMS.format(resolved=resolving(naming)), **given)
    if act.creates:
        code, detail = act.when_there
        run.execute(f"UPDATE act_items SET code = {code:d}, detail = '{detail}' WHERE matches > 0")
        run.execute("UPDATE act_items SET id = gen_random_uuid(), label = name WHERE code IS NULL")
        return
    # Not even a row that refers to one of these can come between the two looks: it would pass for the act's.
    run.execute(f"SELECT 1 FROM {naming.table} WHERE id IN (SELECT id FROM act_items) ORDER BY id FOR UPDATE")
    run.execute(f"UPDATE act_items SET code = {ExitCode.NOT_FOUND:d} WHERE id IS NULL")
    # Whoever held a row may have deleted it.
    run.execute(f"""
        UPDATE act_items SET code = {ExitCode.NOT_FOUND:d}, detail = 'has just been deleted'
        WHERE code IS NULL AND NOT EXISTS (SELECT FROM {naming.table} r WHERE r.id = act_items.id)
    """)
    found = run.execute("SELECT id FROM act_items WHERE id IS NOT NULL").scalars()
    run.execute(_TWICE, done=[identity for identity in found if identity in done])


def _refuse(run: Run, act: Act) -> None:
    rows = "(SELECT NULL) AS r" if act.creates else act.naming.rows
    same = "true" if act.creates else "r.id = t.id"
    for refusal in act.refusals(run):
        # A join of the row inside FROM cannot name the table that is updated, so the items are looked at first.
        run.execute(
            f"""
            UPDATE act_items SET code = {refusal.code:d}, detail = refused.detail
            FROM (SELECT t.item, {_message(refusal)} AS detail FROM act_items t, {rows}
                  WHERE t.code IS NULL AND {same} AND ({refusal.condition})) AS refused
            WHERE refused.item = act_items.item
            """
        )


def _message(refusal: Refusal) -> str:
    text = "'" + refusal.message.replace("'", "''") + "'"
    return f"format({', '.join([text, *refusal.values])})" if refusal.values else text


def _write_entries(run: Run, act: Act, order: Order) -> None:
    run.execute(
        _ENTRIES,
        action=act.name,
        noun=act.resource or act.naming.noun,
        description=act.describe_done(run),
        severity=act.severity,
        batch=order.batch,
        user_agent=f"avatarlab {__version__}",
        host=host(),
        os_user=os_user(),
    )


def _outcome(run: Run, naming: Naming, item: Item, row: sa.Row[Any], order: Order) -> Outcome:
    code = None if row.code is None else ExitCode(row.code)
    if code is ExitCode.NOT_FOUND and row.detail is None:
        error = error_of(run.connection, naming, item.name, row.candidates)
        return Outcome(item, None, None, "failed", error.exit_code, error.message)
    if code:
        return Outcome(item, row.id, row.label, "failed", code, row.detail)
    if row.rows is None and row.facts is None:
        return Outcome(item, row.id, row.label, "unchanged", detail=row.detail)
    return Outcome(
        item,
        row.id,
        row.label,
        "changed",
        entry=None if order.is_preview else row.entry,
        # A number with decimals stays the text it is: a binary one would be near it.
        changes=tuple(Change(**change) for change in json.loads(row.rows or "[]", parse_float=str)),
        revealed=run.revealed.get(item.number, {}),
        at=row.at,
    )
