"""Accounts whose subscriptions contradict each other, or their profiles, put in order."""

from dataclasses import dataclass

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.subscription import (
    closed,
    current,
    deleted,
    demand_open,
    end_others,
    free_for_life,
    give,
    has_profile_tier,
    hold,
    rows_of,
)
from avatarlab_cli.errors import UsageError
from avatarlab_cli.queries.accounts import IS_LIVE
from avatarlab_cli.queries.naming import USER
from avatarlab_cli.queries.subscriptions import IS_HELD
from avatarlab_cli.rollup.accounts import FREE

SUBSCRIPTION, PROFILE = "subscription", "profile"
_HOLDS_NONE = f"NOT EXISTS (SELECT FROM public.user_subscriptions s WHERE s.user_id = t.id AND {IS_HELD})"
_PROFILE_TIER = "(SELECT p.subscription_tier_id FROM public.profiles p WHERE p.id = t.id)"
_FREE_TIER = f"(SELECT id FROM public.subscription_tiers WHERE name = '{FREE}')"

# Whether the profile, where it is trusted, gives the user its tier. Who has nothing but a paused subscription keeps
# that: there is nothing the profile contradicts.
_IS_BY_PROFILE = f"""
    {_PROFILE_TIER} IS NOT NULL
    AND CASE WHEN {_HOLDS_NONE} THEN true ELSE {_PROFILE_TIER} <> {current("s.tier_id")} END
"""


@dataclass(frozen=True)
class Repair(Act):
    """Leave each user one subscription, the current one, and let the profile agree; who has none gets the free tier.

    Where a profile carries a tier and there is no subscription, `trust` says which of the two is right; trusting
    the profile lets it also win over a subscription to another tier.
    """

    name = "tier.repair"
    naming = USER
    trust: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for something that cannot be trusted."""
        if self.trust not in (None, SUBSCRIPTION, PROFILE):
            raise UsageError(f"{self.trust!r} cannot be trusted", hint=f"--trust {SUBSCRIPTION} or {PROFILE}")

    def describe(self) -> str:
        return "subscriptions and profile put in order"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        demand_open(run, FREE)
        if self.trust or not has_profile_tier(run):
            return (deleted(run),)
        lapsed = Refusal(
            f"{_HOLDS_NONE} AND {_PROFILE_TIER} <> {_FREE_TIER}",
            "has no subscription to the tier of the profile: --trust says which of the two is right",
        )
        return (deleted(run), lapsed)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return rows_of(run)

    def check(self, run: Run) -> None:
        if self._obeys_profiles(run):
            hold(run, f"SELECT {_PROFILE_TIER} FROM targets t")
            run.refuse(f"""
                SELECT item, format('has %s in the profile, which nobody can be given any more', tier) AS detail
                FROM (SELECT t.item, {closed(_PROFILE_TIER)} AS tier FROM targets t WHERE {_IS_BY_PROFILE}) AS given
                WHERE tier IS NOT NULL
            """)

    def _obeys_profiles(self, run: Run) -> bool:
        return self.trust == PROFILE and has_profile_tier(run)

    def apply(self, run: Run) -> None:
        end_others(run)
        without = f"SELECT t.id FROM targets t WHERE {_HOLDS_NONE}"
        if self._obeys_profiles(run):
            give(
                run,
                f"""
                SELECT t.id, {_PROFILE_TIER}, CAST(NULL AS text), CAST(NULL AS timestamptz)
                FROM targets t WHERE {_IS_BY_PROFILE}
                UNION ALL {free_for_life(f"{without} AND {_PROFILE_TIER} IS NULL")}
                """,
            )
        else:
            give(run, free_for_life(without))
        if has_profile_tier(run):
            run.execute(f"""
                UPDATE public.profiles p SET subscription_tier_id = s.tier_id
                FROM targets t JOIN public.user_subscriptions s ON s.user_id = t.id
                WHERE p.id = t.id AND {IS_LIVE} AND p.subscription_tier_id IS DISTINCT FROM s.tier_id
            """)
