"""Which tier a user has: one live subscription each, and a profile that agrees with it."""

from dataclasses import dataclass
from datetime import datetime

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.account_status import status_of
from avatarlab_cli.queries.accounts import IS_LIVE, TODAY_ENDS
from avatarlab_cli.queries.naming import USER
from avatarlab_cli.queries.subscriptions import IS_HELD
from avatarlab_cli.rollup.accounts import FREE
from avatarlab_cli.rollup.subscriptions import LATEST
from avatarlab_cli.schema.accounts import profiles
from avatarlab_cli.schema.admin import user_subscriptions

UNLIMITED = -1
CYCLES = ("monthly", "yearly", "lifetime")
ENDED = "status = 'cancelled', expires_at = now(), cancelled_at = coalesce(s.cancelled_at, now())"

# Why users cannot be given a tier, NULL where they can.
_CLOSED = "CASE WHEN archived_at IS NOT NULL THEN 'is archived' WHEN NOT is_active THEN 'is not active' END"
_TIER = "(SELECT id FROM public.subscription_tiers WHERE name = :tier)"
_TRIED = "SELECT id, trial_days FROM public.subscription_tiers WHERE name = :tier"
_IS_FREE = "(tier.price_monthly = 0 AND tier.price_yearly = 0)"
_IS_TRIAL = f"(s.status = 'trial' OR s.is_trial AND coalesce(s.trial_ends_at >= {TODAY_ENDS}, false))"
# A user's own limits, those that have ended left out.
_OVERRIDES = f"""
    CASE WHEN jsonb_typeof(s.custom_limits) = 'object' AND coalesce(s.override_expires_at >= {TODAY_ENDS}, true)
         THEN s.custom_limits ELSE '{{}}' END
"""
# What the trial or the paid period that runs ends at, the first such moment from now; NULL for a lifetime. A month that
# is too short for the day of the start must not shift those after it, so each is counted from the start.
_PERIOD_ENDS = f"""
    CASE WHEN {_IS_TRIAL} THEN s.trial_ends_at
         WHEN s.billing_cycle = 'lifetime' THEN NULL
         WHEN s.next_billing_date > CAST(now() AS date) THEN CAST(s.next_billing_date AS timestamp) AT TIME ZONE 'UTC'
         ELSE (SELECT min(s.started_at + number * length)
               FROM (SELECT CASE s.billing_cycle WHEN 'monthly' THEN 1 ELSE 12 END AS months) AS m,
                    LATERAL (SELECT make_interval(months => months) AS length,
                                    CAST(extract(year FROM age(now(), s.started_at)) * 12
                                         + extract(month FROM age(now(), s.started_at)) AS int) / months AS whole) AS l,
                    generate_series(whole, whole + 2) AS number
               WHERE s.started_at + number * length > now()) END
"""
_CURRENT = f"""
    (SELECT {{value}} FROM public.user_subscriptions s JOIN public.subscription_tiers tier ON tier.id = s.tier_id
     WHERE s.user_id = t.id AND {IS_LIVE} ORDER BY {LATEST} LIMIT 1)
"""
# The cycle is the one asked for, else the one the user has; what costs nothing is for life.
_GIVEN = f"""
    CREATE TEMPORARY TABLE given ON COMMIT DROP AS
    SELECT w.user_id, w.tier_id, w.trial_ends_at,
           coalesce(w.cycle, CASE WHEN s.tier_id = w.tier_id THEN s.billing_cycle END,
                    CASE WHEN {_IS_FREE} THEN 'lifetime' END, nullif(s.billing_cycle, 'lifetime'), 'monthly') AS cycle
    FROM ({{wanted}}) AS w (user_id, tier_id, cycle, trial_ends_at)
    JOIN public.subscription_tiers tier ON tier.id = w.tier_id
    LEFT JOIN LATERAL (
        SELECT s.tier_id, s.billing_cycle FROM public.user_subscriptions s
        WHERE s.user_id = w.user_id AND {IS_LIVE} ORDER BY {LATEST} LIMIT 1) AS s ON true
"""
# Whoever has exactly this already keeps it as it is. A returning user's old override must not come back to life.
_GIVE = f"""
    INSERT INTO public.user_subscriptions AS s
        (user_id, tier_id, status, billing_cycle, started_at, is_trial, trial_ends_at)
    SELECT user_id, tier_id, CASE WHEN trial_ends_at IS NULL THEN 'active' ELSE 'trial' END, cycle, now(),
           trial_ends_at IS NOT NULL, trial_ends_at
    FROM given
    ON CONFLICT (user_id, tier_id) DO UPDATE
    SET status = EXCLUDED.status, billing_cycle = EXCLUDED.billing_cycle, started_at = now(), expires_at = NULL,
        cancelled_at = NULL, cancellation_reason = NULL, next_billing_date = NULL,
        is_trial = EXCLUDED.is_trial, trial_ends_at = EXCLUDED.trial_ends_at,
        custom_limits = CASE WHEN {IS_LIVE} THEN s.custom_limits END,
        override_expires_at = CASE WHEN {IS_LIVE} THEN s.override_expires_at END
    WHERE EXCLUDED.status = 'trial' OR EXCLUDED.billing_cycle <> s.billing_cycle
       OR s.status <> 'active' OR s.expires_at IS NOT NULL OR {_IS_TRIAL} OR NOT ({IS_LIVE})
"""


def give(run: Run, wanted: str) -> None:
    """Give users a tier each: end what else they have, and set their profiles.

    `wanted` is a SELECT of user, tier, cycle (NULL: as it is) and end of a trial (NULL: none).
    """
    run.execute(_GIVEN.format(wanted=wanted))
    run.execute(f"""
        UPDATE public.user_subscriptions s SET {ENDED} FROM given g
        WHERE s.user_id = g.user_id AND s.tier_id <> g.tier_id AND {IS_HELD}
    """)
    run.execute(_GIVE)
    if has_profile_tier(run):
        run.execute("""
            UPDATE public.profiles p SET subscription_tier_id = g.tier_id
            FROM given g WHERE p.id = g.user_id AND p.subscription_tier_id IS DISTINCT FROM g.tier_id
        """)


def has_profile_tier(run: Run) -> bool:
    """Tell whether profiles carry a tier here."""
    return run.live.has("profiles", "subscription_tier_id")


def rows_of(run: Run, user: str = "t.id") -> tuple[Touched, ...]:
    """Return the rows that say which tier a user has, by the SQL that names the user."""
    subscription = Touched(user_subscriptions, f"r.user_id = {user}")
    return (subscription, Touched(profiles, f"r.id = {user}")) if has_profile_tier(run) else (subscription,)


def deleted(run: Run, user: str = "t.id") -> Refusal:
    """Refuse accounts that are deleted."""
    return Refusal(f"{status_of(run.live, user)} = 'deleted'", "has a deleted account")


def current(value: str) -> str:
    """Return the SQL of a value of the target's current subscription `s` and its `tier`, NULL without one."""
    return _CURRENT.format(value=value)


def demand_open(run: Run, tier: str) -> None:
    """Raise UsageError unless users can be given the tier, which stays so until the act is done."""
    state = run.execute(
        f"SELECT {_CLOSED} FROM public.subscription_tiers WHERE name = :name FOR SHARE", name=tier
    ).all()
    why = state[0][0] if state else "does not exist"
    if why:
        raise UsageError(
            f"the tier {tier!r} {why}", hint="`avatarlab tier list` shows those users can be given"
        )


def hold(run: Run, tiers: str) -> None:
    """Keep the tiers, by a SELECT of their ids, as they are until the act is done, so that what `closed` says holds."""
    run.execute(f"SELECT 1 FROM public.subscription_tiers WHERE id IN ({tiers}) ORDER BY id FOR SHARE")


def closed(tier: str) -> str:
    """Return the SQL of the name of a tier that users cannot be given, by the SQL of its id; NULL if they can."""
    return f"(SELECT name FROM public.subscription_tiers WHERE id = {tier} AND {_CLOSED} IS NOT NULL)"


def end_others(run: Run) -> None:
    """Of several subscriptions of each target end all but the current one, or the latest where all are paused."""
    run.execute(f"""
        CREATE TEMPORARY TABLE kept ON COMMIT DROP AS
        SELECT DISTINCT ON (s.user_id) s.user_id, s.id
        FROM public.user_subscriptions s JOIN targets t ON t.id = s.user_id
        WHERE {IS_HELD} ORDER BY s.user_id, ({IS_LIVE}) DESC, {LATEST}
    """)
    run.execute(f"""
        UPDATE public.user_subscriptions s SET {ENDED} FROM kept k
        WHERE s.user_id = k.user_id AND s.id <> k.id AND {IS_HELD}
    """)


def free_for_life(users: str) -> str:
    """Return the SELECT, for `give`, of the free tier for each user of a SELECT."""
    tier = f"(SELECT id FROM public.subscription_tiers WHERE name = '{FREE}')"
    return f"SELECT id, {tier}, 'lifetime', CAST(NULL AS timestamptz) FROM ({users}) AS u"


_NOTHING_LIVE = Refusal(
    f"{current('s.id')} IS NULL", "has no live subscription; `avatarlab tier set` gives one"
)


@dataclass(frozen=True)
class Set(Act):
    """Give users a tier, whatever they had."""

    name = "tier.set"
    naming = USER
    tier: str = FREE
    cycle: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a billing cycle there is not."""
        if self.cycle is not None and self.cycle not in CYCLES:
            raise UsageError(f"{self.cycle!r} is not a billing cycle", hint=f"cycles: {', '.join(CYCLES)}")

    def describe(self) -> str:
        return f"moved to {self.tier}" + (f", {self.cycle}" if self.cycle else "")

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        demand_open(run, self.tier)
        return (deleted(run),)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return rows_of(run)

    def apply(self, run: Run) -> None:
        give(run, f"SELECT t.id, {_TIER}, CAST(:cycle AS text), CAST(NULL AS timestamptz) FROM targets t")


@dataclass(frozen=True)
class Cancel(Act):
    """End users' subscriptions: when what runs is over, or now, and then they have the free tier."""

    name = "tier.cancel"
    naming = USER
    severity = "warning"
    now: bool = False

    def describe(self) -> str:
        return "cancelled, and moved to free" if self.now else "cancelled at the period's end"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        if self.now:
            demand_open(run, FREE)
            held = f"SELECT FROM public.user_subscriptions s WHERE s.user_id = t.id AND {IS_HELD}"
            return (deleted(run), Refusal(f"NOT EXISTS ({held})", "has no subscription to cancel"))
        free = Refusal(current(_IS_FREE), "has a tier that costs nothing: there is nothing to cancel")
        endless = Refusal(
            current(f"s.status <> 'cancelled' AND {_PERIOD_ENDS} IS NULL"),
            "has %s without a period that would end; --now ends it now",
            values=(current("tier.name"),),
        )
        return (deleted(run), _NOTHING_LIVE, free, endless)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return rows_of(run)

    def apply(self, run: Run) -> None:
        if self.now:
            run.execute(f"""
                UPDATE public.user_subscriptions s SET {ENDED}, cancellation_reason = :reason
                FROM targets t, public.subscription_tiers tier
                WHERE s.user_id = t.id AND tier.id = s.tier_id AND tier.name <> '{FREE}' AND {IS_HELD}
            """)
            give(run, free_for_life("SELECT id FROM targets"))
            return
        end_others(run)
        run.execute(f"""
            UPDATE public.user_subscriptions s
            SET status = 'cancelled', is_trial = {_IS_TRIAL}, expires_at = least(s.expires_at, {_PERIOD_ENDS}),
                cancelled_at = now(), cancellation_reason = :reason
            FROM kept k WHERE s.id = k.id AND s.status <> 'cancelled'
        """)


@dataclass(frozen=True)
class TrialStart(Act):
    """Let users try a tier; what else they have ends."""

    name = "tier.trial.start"
    naming = USER
    tier: str = FREE
    days: int | None = None
    again: bool = False

    def describe(self) -> str:
        return f"trial of {self.tier}" + (f" for {_days(self.days)}" if self.days else "")

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        demand_open(run, self.tier)
        if self.days is None and not run.execute(f"SELECT trial_days FROM ({_TRIED}) AS tried").scalar():
            raise UsageError(f"the tier {self.tier!r} has no trial", hint="--days N says how long one lasts")
        paid = current(f"CASE WHEN NOT ({_IS_FREE} OR {_IS_TRIAL}) THEN tier.name END")
        pays = Refusal(f"{paid} IS NOT NULL", "has %s, which a trial would end", values=(paid,))
        had = f"SELECT FROM public.user_subscriptions s WHERE s.user_id = t.id AND s.tier_id = {_TIER}"
        repeated = Refusal(f"EXISTS ({had})", "has or had the tier; --again gives a trial all the same")
        return (deleted(run), pays, *(() if self.again else (repeated,)))

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return rows_of(run)

    def apply(self, run: Run) -> None:
        give(
            run,
            f"""
            SELECT t.id, tried.id, CAST(NULL AS text),
                   now() + make_interval(days => coalesce(CAST(:days AS int), tried.trial_days))
            FROM targets t, ({_TRIED}) AS tried
            """,
        )


@dataclass(frozen=True)
class TrialExtend(Act):
    """Let running trials run longer."""

    name = "tier.trial.extend"
    naming = USER
    repeats = True
    days: int = 0

    def describe(self) -> str:
        return f"trial extended by {_days(self.days)}"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        ends = f"CASE WHEN {_IS_TRIAL} THEN s.trial_ends_at END"
        none = Refusal(f"{current(ends)} IS NULL", "has no running trial that would end")
        stopped = Refusal(current("s.status = 'cancelled'"), "has cancelled the trial")
        return (deleted(run), none, stopped)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (Touched(user_subscriptions, "r.user_id = t.id"),)

    def apply(self, run: Run) -> None:
        run.execute(f"""
            UPDATE public.user_subscriptions s SET trial_ends_at = s.trial_ends_at + make_interval(days => :days)
            FROM targets t WHERE s.user_id = t.id AND s.id = {current("s.id")}
        """)


@dataclass(frozen=True)
class Override(Act):
    """Give users a limit of their own, which wins over the tier's, or with a limit of None take it away.

    All of a user's overrides stand in one subscription and end together, so one that would end at another time than
    those there are is refused. Those that have ended are dropped: they must not come back to life.
    """

    name = "tier.override"
    naming = USER
    needs_reason = True
    metric: str = ""
    limit: int | None = None
    until: datetime | None = None

    def describe(self) -> str:
        if self.limit is None:
            return f"{self.metric} as the tier has it"
        limit = "unlimited" if self.limit == UNLIMITED else f"limited to {self.limit}"
        return f"{self.metric} {limit}" + (f" until {self.until:%Y-%m-%dT%H:%M:%SZ}" if self.until else "")

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        if self.limit is None:
            return (deleted(run), _NOTHING_LIVE)
        others = f"({_OVERRIDES} - CAST(:metric AS text)) <> '{{}}'"
        is_other_end = "s.override_expires_at IS DISTINCT FROM CAST(:until AS timestamptz)"
        ends = """coalesce(to_char(s.override_expires_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'never')"""
        clash = Refusal(
            current(f"{others} AND {is_other_end}"),
            "has other overrides, and all end together: --until %s, or take those away first",
            values=(current(ends),),
        )
        return (deleted(run), _NOTHING_LIVE, clash)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (Touched(user_subscriptions, "r.user_id = t.id"),)

    def apply(self, run: Run) -> None:
        given = "jsonb_strip_nulls(jsonb_build_object(CAST(:metric AS text), CAST(:limit AS bigint)))"
        run.execute(f"""
            UPDATE public.user_subscriptions s
            SET custom_limits = nullif(n.limits, '{{}}'), override_expires_at = CASE WHEN n.limits <> '{{}}' THEN n.until END
            FROM (
                SELECT s.id, ({_OVERRIDES} - CAST(:metric AS text)) || {given} AS limits,
                       CASE WHEN CAST(:limit AS bigint) IS NULL THEN s.override_expires_at
                            ELSE CAST(:until AS timestamptz) END AS until
                FROM targets t JOIN public.user_subscriptions s ON s.user_id = t.id
                WHERE s.id = {current("s.id")}
            ) AS n
            WHERE s.id = n.id
              AND (s.custom_limits, s.override_expires_at) IS DISTINCT FROM
                  (nullif(n.limits, '{{}}'), CASE WHEN n.limits <> '{{}}' THEN n.until END)
        """)


def _days(number: int | None) -> str:
    return "1 day" if number == 1 else f"{number} days"
