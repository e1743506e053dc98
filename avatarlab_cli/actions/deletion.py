"""Deleting accounts: as a state that can be taken back, or for good, with all that hangs on them."""

import json
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.user import ADMIN, account_rows, neutralise_keys, set_label, shut_out
from avatarlab_cli.errors import ExitCode, UsageError
from avatarlab_cli.queries import deletion, objects
from avatarlab_cli.queries.naming import USER
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup import adjusting, closing, fresh, rates
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.rejudging import rejudge
from avatarlab_cli.schema.foreign_keys import foreign_keys, relation
from avatarlab_cli.schema.supabase import users

_KINDS = {deletion.DELETES: "deleted", deletion.STAYS: "kept"}
# What the account did and cost, month by month: its own rows go with it, and figures must not vanish.
_USAGE = """
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(m) - '{id,user_id,created_at,updated_at}'::text[])
                              ORDER BY m.usage_month), '[]')
    FROM public.monthly_usage m WHERE m.user_id = :user
"""
_DELETED = "the account was deleted for good"
# The closed months in which the account has figures, for it and for nobody: what stays of its rows is nobody's then.
_CLOSED = """
    SELECT month, unnest(ARRAY[:user, :nobody]::uuid[]) AS user_id
    FROM (SELECT p.month FROM avatarlab_admin.period_close p
          JOIN avatarlab_admin.period_figures f ON f.closing_id = p.id AND f.user_id = :user WHERE p.reopened_at IS NULL
          UNION SELECT month FROM avatarlab_admin.usage_adjustment WHERE user_id = :user) AS closed
"""


@dataclass(frozen=True)
class Delete(Act):
    """Mark accounts as deleted and shut their users out; all their data stays."""

    name = "user.delete"
    naming = USER
    severity = "critical"
    needs_reason = True
    question = "Delete"

    def describe(self) -> str:
        return "deleted; the data is kept"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (ADMIN,)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return account_rows(run)

    def apply(self, run: Run) -> None:
        run.execute("""
            UPDATE auth.users r SET deleted_at = now() FROM targets t WHERE r.id = t.id AND r.deleted_at IS NULL
        """)
        shut_out(run)
        neutralise_keys(run)
        set_label(run, "deleted")


@dataclass(frozen=True)
class Erase(Act):
    """Delete one account for good, with every row that goes with it.

    `confirm` must be the account's e-mail address. Its usage of the month is aggregated first, with the rates of
    `rates_file` or the shipped ones. Under closed months the account's figures become adjustments.
    """

    name = "user.delete.hard"
    naming = USER
    severity = "critical"
    needs_reason = True
    undoable = False
    plannable = False
    is_long = True
    columns = (
        Column("deleted", Kind.JSON, "the rows that went with the account, by table", null="-"),
        Column(
            "cleared", Kind.JSON, "the rows that lost their reference to one of these, by column", null="-"
        ),
        Column("kept", Kind.JSON, "the rows that still name the account, by table", null="-"),
        Column("objects", Kind.JSON, "bucket and key of what the Storage API is to delete", null="-"),
    )
    confirm: str = ""
    rates_file: str | None = None

    def describe(self) -> str:
        return "deleted for good"

    @property
    def command(self) -> str:
        """The words of the verb, of which the act is one half."""
        return Delete().command

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        unconfirmed = "lower(coalesce(r.email, r.id::text)) <> lower(:confirm)"
        return (
            Refusal(unconfirmed, "has another e-mail address than --confirm says", code=ExitCode.DECLINED),
            ADMIN,
        )

    def touched(self, run: Run) -> tuple[Touched, ...]:
        if run.execute("SELECT count(*) FROM targets").scalar_one() > 1:
            raise UsageError("accounts are deleted for good one at a time")
        # Hundreds of rows would be whole in the entry, for good: it counts them instead.
        return ()

    def check(self, run: Run) -> None:
        for item, user in _targets(run):
            held = deletion.blockers(run.connection, [user]).get(user)
            if held:
                detail = f"cannot be deleted for good while these refer to it: {', '.join(map(str, held))}"
                found = "SELECT CAST(:item AS bigint) AS item, CAST(:detail AS text) AS detail"
                run.refuse(found, ExitCode.REFUSED, item=item, detail=detail)

    def apply(self, run: Run) -> None:
        for item, user in _targets(run):
            _aggregate(run, self.rates_file)
            counts, usage = _counted(run, user), run.execute(_USAGE, user=user).scalar()
            stored = _stored(run, user)
            bound = {"user": user, "nobody": UNATTRIBUTED}
            closed = fresh.temporary(run.connection, "closed_months", sa.text(_CLOSED), **bound)
            run.connection.execute(_removal(run.connection, user))
            today = run.execute("SELECT current_date").scalar_one()
            adjusted = adjusting.adjust(run.connection, today, cells=closed, reason=_DELETED).recorded
            buckets = Counter(place["bucket"] for place in stored)
            run.execute(
                "UPDATE targets SET facts = CAST(:facts AS jsonb)",
                facts=json.dumps(
                    {
                        **counts,
                        "objects": buckets,
                        "usage": usage,
                        **({"adjusted": adjusted} if adjusted else {}),
                    },
                    default=str,
                ),
            )
            run.revealed[item] = {**counts, "objects": stored}


def _targets(run: Run) -> list[tuple[int, UUID]]:
    return [(row.item, row.id) for row in run.execute("SELECT item, id FROM targets")]


def _aggregate(run: Run, rates_file: str | None) -> None:
    """Bring the account's month up to date while its rows are there; raises BusyError while a job does the same."""
    closing.lock(run.connection)
    today = run.execute("SELECT current_date").scalar_one()
    rejudge(run.connection, run.live, "targets", today, rates.load(rates_file))


def _counted(run: Run, user: UUID) -> dict[str, dict[str, int]]:
    """Return what the deletion will do to how many rows: deleted and kept by table, cleared by column."""
    found = deletion.cascade(foreign_keys(run.connection), [user])
    counts: dict[str, dict[str, int]] = {"deleted": {}, "cleared": {}, "kept": {}}
    for row in run.connection.execute(deletion.effects(found, run.live, [user]).order_by("table", "column")):
        kind = _KINDS.get(row.effect, "cleared")
        place = f"{row.table}.{row.column}" if kind == "cleared" else row.table
        counts[kind][place] = row.rows
    return counts


def _stored(run: Run, user: UUID) -> list[dict[str, str]]:
    if not objects.is_stored_here(run.live):
        return []
    stored = objects.objects_of(run.live, [user]).subquery("stored")
    places = sa.select(stored.c.bucket, stored.c.key).order_by(stored.c.bucket, stored.c.key)
    return [dict(row) for row in run.connection.execute(places).mappings()]


def _removal(connection: sa.Connection, user: UUID) -> sa.Delete:
    """Return the one statement that deletes the account.

    PostgreSQL may look at a reference before the cascade has come to the row that makes it. Such rows are deleted
    by the statement itself, which is before anything is looked at.
    """
    found = deletion.cascade(foreign_keys(connection), [user])
    early = []
    for table in sorted({key.table for key in found.blocking() if key.table in found.rows}):
        row = relation(table, ["tableoid", "ctid"])
        going = found.goes_too(row, table, sa.literal(user, sa.Uuid))
        early.append(
            sa.delete(row).where(going).returning(row.c.ctid).cte(f"early_{table.replace('.', '_')}")
        )
    return sa.delete(users).where(users.c.id == user).add_cte(*early)
