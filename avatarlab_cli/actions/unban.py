"""Lifting bans: each value a ban changed becomes what it was, unless somebody has changed it since."""

from collections import defaultdict
from dataclasses import dataclass

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.images import fingerprint
from avatarlab_cli.actions.user import account_rows, deleted
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries.account_status import status
from avatarlab_cli.queries.keys import NEUTRALISED
from avatarlab_cli.queries.naming import USER
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.base import qualified

# Each value that a ban since the last unban changed, the latest first. Undoing one of them is an entry as well, and
# so is undoing that: whoever goes back through all of them arrives where the first began.
_STEPS = """
    CREATE TEMPORARY TABLE ban_steps ON COMMIT DROP AS
    WITH entries AS (
        SELECT t.item, e.seq, e.changes,
               max(e.seq) FILTER (WHERE e.action = 'user.unban' AND e.undone_by IS NULL) OVER (PARTITION BY t.item) AS last
        FROM targets t JOIN public.admin_audit_logs e ON e.resource_id = t.id
        WHERE e.action IN ('user.ban', 'user.unban', 'audit.undo')
          AND coalesce(e.changes ->> 'action', e.action) IN ('user.ban', 'user.unban')
    )
    SELECT e.item, c.row ->> 'table' AS relation, c.row -> 'key' AS key, v.name, c.row -> 'before' -> v.name AS before,
           v.value AS after,
           row_number() OVER (PARTITION BY e.item, c.row ->> 'table', c.row -> 'key', v.name ORDER BY e.seq DESC) AS step
    FROM entries e
    CROSS JOIN LATERAL jsonb_array_elements(e.changes -> 'rows') AS c (row)
    CROSS JOIN LATERAL jsonb_each(c.row -> 'after') AS v (name, value)
    WHERE e.seq > coalesce(e.last, 0)
"""
# From what a value is now, back through the bans; it ends where somebody else has set another one.
_UNWOUND = """
    CREATE TEMPORARY TABLE ban_unwound ON COMMIT DROP AS
    WITH RECURSIVE unwound AS (
        SELECT item, relation, key, s.name, 0::bigint AS step, i.image -> s.name AS current, i.image -> s.name AS value,
               false AS is_moved
        FROM ban_steps s JOIN act_images i USING (item, relation, key)
        WHERE s.step = 1 AND NOT i.is_after
        UNION ALL
        SELECT item, relation, key, name, s.step, u.current,
               CASE WHEN u.value = s.after THEN s.before ELSE u.value END, u.value NOT IN (s.before, s.after)
        FROM unwound u JOIN ban_steps s USING (item, relation, key, name)
        WHERE s.step = u.step + 1 AND NOT u.is_moved
    )
    SELECT DISTINCT ON (item, relation, key, name) item, relation, key, name, value, value <> current AS is_restored,
           is_moved
    FROM unwound ORDER BY item, relation, key, name, step DESC
"""
_IS_OURS = "EXISTS (SELECT FROM ban_unwound b WHERE b.item = t.item AND b.is_restored)"
_REASON = ("banned_reason", "banned_at", "banned_by")
_VALUES = {
    "auth.users": ("banned_until",),
    "public.profiles": ("account_status", *_REASON),
    "public.platform_api_keys": ("status", "expires_at"),
}
# Behind the mark the former hash is still there; the entries hold a fingerprint of it.
_FORMER_HASH = f"substr(r.api_key_hash, {len(NEUTRALISED) + 1})"


@dataclass(frozen=True)
class Unban(Act):
    """Restore what the bans since the last unban changed; what others changed since is left as it is and named."""

    name = "user.unban"
    naming = USER
    severity = "warning"
    columns = (Column("stays", Kind.JSON, "what somebody else has set, and is left as it is", null="-"),)

    def describe(self) -> str:
        return "the ban is lifted"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (deleted(run),)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return account_rows(run)

    def check(self, run: Run) -> None:
        run.execute(_STEPS)
        run.execute(_UNWOUND)
        run.refuse(
            f"""
            SELECT t.item, 'is not banned' AS detail FROM targets t JOIN auth.users r ON r.id = t.id
            WHERE {status(run.live)} <> 'banned' AND NOT {_IS_OURS}
            """,
            ExitCode.OK,
        )

    def apply(self, run: Run) -> None:
        _lift_others(run)
        for touched in self.touched(run):
            _restore(run, touched)
        _tell(run)


def _lift_others(run: Run) -> None:
    """Lift what is not of our making: the web panel bans by label and date, and leaves no entry and the keys alone."""
    run.execute(f"DELETE FROM ban_unwound b USING targets t WHERE t.item = b.item AND NOT {_IS_OURS}")
    run.execute(
        f"UPDATE auth.users r SET banned_until = NULL FROM targets t WHERE t.id = r.id AND NOT {_IS_OURS}"
    )
    if run.live.has("profiles", "account_status"):
        cleared = "".join(f", {name} = NULL" for name in _REASON if run.live.has("profiles", name))
        run.execute(
            f"""
            UPDATE public.profiles r SET account_status = 'active'{cleared}
            FROM targets t WHERE t.id = r.id AND r.account_status = 'banned' AND NOT {_IS_OURS}
            """
        )


def _restore(run: Run, touched: Touched) -> None:
    table = qualified(touched.table)
    values = [
        f"{name} = CASE WHEN b.row ? '{name}' THEN (jsonb_populate_record(r, b.row)).{name} ELSE r.{name} END"
        for name in _VALUES[table]
        if run.live.has(table, name)
    ]
    if table == "public.platform_api_keys":
        is_former = f"b.row ->> 'api_key_hash' = {fingerprint(_FORMER_HASH)}"
        values.append(f"api_key_hash = CASE WHEN {is_former} THEN {_FORMER_HASH} ELSE r.api_key_hash END")
    run.execute(
        f"""
        UPDATE {table} r SET {", ".join(values)}
        FROM (SELECT CAST(key ->> 'id' AS uuid) AS id, jsonb_object_agg(name, value) AS row
              FROM ban_unwound WHERE relation = :relation AND is_restored GROUP BY key) AS b
        WHERE r.id = b.id
        """,
        relation=table,
    )


def _tell(run: Run) -> None:
    """Name what is as somebody else left it; so is a ban that was there before the first of ours."""
    left = run.execute("""
        SELECT item, concat_ws(' ', replace(relation, 'public.', '') || '.' || name,
                               CASE relation WHEN 'public.platform_api_keys' THEN key ->> 'id' END) AS value
        FROM ban_unwound WHERE is_moved
        UNION SELECT t.item, 'auth.users.banned_until'
        FROM targets t JOIN auth.users r ON r.id = t.id WHERE r.banned_until > now()
        ORDER BY item, value
    """)
    stays = defaultdict(list)
    for row in left:
        stays[row.item].append(row.value)
    run.revealed.update({item: {"stays": values} for item, values in stays.items()})
