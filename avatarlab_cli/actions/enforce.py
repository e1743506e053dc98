"""Holding users to their limits: who is over one now, by figures computed in the same transaction, is suspended."""

from dataclasses import dataclass

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.user import PROFILE, label_refusals, set_label
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries.account_status import status
from avatarlab_cli.queries.naming import USER
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup import closing, rates
from avatarlab_cli.rollup.rejudging import JUDGED, rejudge

_IS_OVER = "j.value > j.maximum"
# Why a target is left alone, once its limits are judged.
_WITHIN = f"""
    SELECT t.item, CASE WHEN count(j.name) = 0 THEN 'has no limit'
                        WHEN count(j.name) = count(j.value) THEN 'is within the limits'
                        ELSE format('is within the limits that can be judged; not known: %s',
                                    string_agg(j.name, ', ' ORDER BY j.name) FILTER (WHERE j.value IS NULL)) END AS detail
    FROM targets t LEFT JOIN {JUDGED} j ON j.user_id = t.id
    GROUP BY t.item HAVING NOT coalesce(bool_or({_IS_OVER}), false)
"""
_FACTS = f"""
    UPDATE targets t SET facts = jsonb_build_object('month', CAST(:month AS text), 'figures', j.figures, 'exceeded', j.exceeded)
    FROM (
        SELECT j.user_id, jsonb_object_agg(j.name, pair) AS figures,
               jsonb_object_agg(j.name, pair) FILTER (WHERE {_IS_OVER}) AS exceeded
        FROM {JUDGED} j CROSS JOIN LATERAL jsonb_build_object('value', j.value, 'limit', j.maximum) AS pair
        GROUP BY j.user_id
    ) AS j
    WHERE j.user_id = t.id
"""


@dataclass(frozen=True)
class Enforce(Act):
    """Suspend those of the users who are over a limit now; the others are left alone.

    First their figures of the running month are set to what the sources say, in the same transaction, at the rates of
    `rates_file` or the shipped ones. These stay where the act is taken back: they are what they are.
    """

    name = "tier.enforce"
    naming = USER
    severity = "warning"
    is_long = True
    # Until the commit nobody can add a row that refers to one of the users.
    items_per_transaction = 100
    columns = (Column("exceeded", Kind.JSON, "metric -> value and limit", null="-"),)
    rates_file: str | None = None

    def describe(self) -> str:
        return "suspended for being over a limit"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        state = status(run.live)
        held = Refusal(f"{state} IN ('suspended', 'banned')", "is %s already", (state,), ExitCode.OK)
        return (held, *label_refusals(run))

    def touched(self, run: Run) -> tuple[Touched, ...]:
        closing.lock(run.connection)
        return (PROFILE,)

    def check(self, run: Run) -> None:
        today = run.execute("SELECT current_date").scalar_one()
        rejudge(run.connection, run.live, "targets", today, rates.load(self.rates_file))
        run.refuse(_WITHIN, ExitCode.OK)

    def apply(self, run: Run) -> None:
        month = run.execute("SELECT to_char(current_date, 'YYYY-MM')").scalar_one()
        run.execute(_FACTS, month=month)
        set_label(run, "suspended")
        for row in run.execute("SELECT item, facts -> 'exceeded' AS exceeded FROM targets"):
            run.revealed[row.item] = {"exceeded": row.exceeded}
