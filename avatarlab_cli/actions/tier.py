"""The plans themselves: made, changed, put away, and brought to what a file says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.actor import Actor
from avatarlab_cli.errors import ExitCode, RefusedError
from avatarlab_cli.permissions import COMMANDS
from avatarlab_cli.queries.subscriptions import IS_HELD
from avatarlab_cli.queries.tiers import TIER, present
from avatarlab_cli.rollup.accounts import FREE
from avatarlab_cli.schema.admin import subscription_tiers
from avatarlab_cli.tier_file import FIELDS, Change, Tier, Values, compare

_ROW = Touched(subscription_tiers, "r.id = t.id")
# The beginning of a name does not name what is to be made.
_WHOLE_NAME = replace(TIER, prefixes=())
# What a new tier is where nothing else is said; its price is kept from its first moment on.
_NEW: Values = {
    "description": None,
    "price_monthly": 0,
    "price_yearly": 0,
    "trial_days": 0,
    "max_avatars": 1,
    "limits": {},
    "is_active": True,
    "is_featured": False,
    "priority_support": False,
    "custom_branding": False,
}
# PostgreSQL reads `now` as the moment the transaction began.
_ARCHIVED: Mapping[bool, Values] = {
    True: {"archived_at": "now", "is_active": False},
    False: {"archived_at": None, "is_active": True},
}
_COLUMNS = [*(name for name in FIELDS if name != "name"), "archived_at"]
_VALUES = ", ".join(f"p.{name}" for name in _COLUMNS)
_INSERT = f"""
    INSERT INTO public.subscription_tiers (id, name, {", ".join(_COLUMNS)})
    SELECT t.id, t.label, {_VALUES}
    FROM targets t
    CROSS JOIN LATERAL jsonb_populate_record(NULL::public.subscription_tiers,
        CAST(:new AS jsonb) || jsonb_build_object('display_name', initcap(t.label), 'sort_order',
            (SELECT coalesce(max(sort_order), 0) FROM public.subscription_tiers) + t.item) || {{values}}) AS p
    WHERE NOT EXISTS (SELECT FROM public.subscription_tiers o WHERE o.id = t.id)
"""
_UPDATE = f"""
    UPDATE public.subscription_tiers r SET ({", ".join(_COLUMNS)}) = ROW({_VALUES})
    FROM targets t JOIN public.subscription_tiers o ON o.id = t.id
    CROSS JOIN LATERAL jsonb_populate_record(o, {{values}}) AS p
    WHERE r.id = o.id AND p IS DISTINCT FROM o
"""
_LIVE_HOLDERS = f"""
    (SELECT count(*) FROM public.user_subscriptions s JOIN auth.users u ON u.id = s.user_id AND u.deleted_at IS NULL
     WHERE s.tier_id = t.id AND {IS_HELD})
"""
_PROFILES = """
    (SELECT count(*) FROM public.profiles p JOIN auth.users u ON u.id = p.id AND u.deleted_at IS NULL
     WHERE p.subscription_tier_id = t.id)
"""
# What a file wants made is found although it is not there yet: by name, or in a plan by the id it will have.
_FOUND_NEW = """
    UPDATE act_items t SET id = c.id, label = c.name, code = NULL
    FROM unnest(CAST(:ids AS uuid[]), CAST(:names AS text[])) AS c (id, name)
    WHERE t.id IS NULL AND t.name IN (c.name, c.id::text)
"""
_PUT_AWAY = (
    "CREATE TEMPORARY TABLE put_away ON COMMIT DROP AS SELECT unnest(CAST(:archived AS text[])) AS name"
)
_LEFT = """
    SELECT coalesce(label, name) AS name, coalesce(detail, 'is there no more') AS detail
    FROM act_items WHERE code IS NOT NULL ORDER BY item LIMIT 1
"""
_PRICES = frozenset({"price_monthly", "price_yearly"})
_FREE_STAYS = Refusal(
    f"t.label = '{FREE}'", "is the tier of everybody who has no other", code=ExitCode.REFUSED
)


def plain(values: Values) -> dict[str, Any]:
    """Return a tier's values as JSON has them, amounts as text."""
    plain_values: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain_values


@dataclass(frozen=True)
class Create(Act):
    """Make tiers; `values` is what is known of them, by column."""

    name = "tier.create"
    naming = _WHOLE_NAME
    creates = True
    values: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        return "made"

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_ROW,)

    def apply(self, run: Run) -> None:
        wanted = json.dumps(self.values)
        run.execute(_INSERT.format(values="CAST(:wanted AS jsonb)"), new=json.dumps(_NEW), wanted=wanted)


@dataclass(frozen=True)
class Update(Act):
    """Change tiers: the columns of `values`, and of their limits those of `limits`; `unlimited` ones are taken away."""

    name = "tier.update"
    naming = TIER
    values: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    unlimited: tuple[str, ...] = ()

    def describe(self) -> str:
        said = [f"{name} {json.dumps(value)}" for name, value in self.values.items()]
        said += [f"limit {name} {limit}" for name, limit in self.limits.items()]
        return "changed: " + ", ".join([*said, *(f"no limit {name}" for name in self.unlimited)])

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (_FREE_STAYS,) if _closes(self.values) else ()

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_ROW,)

    def apply(self, run: Run) -> None:
        limits = "(o.limits || CAST(:limits AS jsonb)) - CAST(:unlimited AS text[])"
        run.execute(
            _UPDATE.format(values=f"CAST(:wanted AS jsonb) || jsonb_build_object('limits', {limits})"),
            wanted=json.dumps(self.values),
            limits=json.dumps(self.limits),
            unlimited=list(self.unlimited),
        )


@dataclass(frozen=True)
class Archive(Act):
    """Put tiers away that nobody has."""

    name = "tier.archive"
    naming = TIER
    severity = "warning"
    question = "Archive"

    def describe(self) -> str:
        return "archived"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (_FREE_STAYS, _in_use(run))

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_ROW,)

    def apply(self, run: Run) -> None:
        run.execute("""
            UPDATE public.subscription_tiers r SET archived_at = now(), is_active = false
            FROM targets t WHERE r.id = t.id AND r.archived_at IS NULL
        """)


@dataclass(frozen=True)
class Apply(Act):
    """Bring tiers to what a file says, all of them or none; `wanted` has of each tier the columns that change.

    `tiers` is what the file says, and `prune` whether those it does not name are archived, which nobody may have.
    Tiers of `created`, the ids they get by name, are made where there are none.
    """

    name = "tier.apply"
    is_whole = True
    items_per_transaction = 10_000
    naming = _WHOLE_NAME
    file: str = ""
    tiers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prune: bool = False
    wanted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    created: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, file: str, tiers: Sequence[Tier], changes: Sequence[Change], *, prune: bool) -> "Apply":
        """Return the act that makes these changes, which are those the file's tiers ask for."""
        said = {tier.name: plain(tier.values) for tier in tiers}
        created = {change.tier: str(uuid4()) for change in changes if change.kind == "create"}
        return cls(file=file, tiers=said, prune=prune, wanted=_wanted(changes), created=created)

    @property
    def archived(self) -> list[str]:
        """The tiers that are put away."""
        return [name for name, values in self.wanted.items() if values.get("archived_at")]

    def authorized(self, connection: sa.Connection, admin: str | None) -> Actor:
        """Return the acting admin, who must also hold the permission to archive where a tier is archived."""
        actor = super().authorized(connection, admin)
        if self.archived:
            actor.demand(COMMANDS["tier archive"], "tier apply --prune")
        return actor

    def describe(self) -> str:
        return f"made as in {self.file}"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        run.execute(_FOUND_NEW, ids=list(self.created.values()), names=list(self.created))
        run.execute(_PUT_AWAY, archived=self.archived)
        used = _in_use(run)
        used = replace(used, condition=f"t.label IN (TABLE put_away) AND {used.condition}")
        return (_FREE_STAYS, used) if _closes(self.wanted.get(FREE, {})) else (used,)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_ROW,)

    def check(self, run: Run) -> None:
        left = run.execute(_LEFT).first()
        if left is not None:
            raise RefusedError(f"{left.name} {left.detail}", hint="no tier was changed")
        # Neither a tier that is as the file says nor one that is not there yet may become another meanwhile.
        run.execute("LOCK TABLE public.subscription_tiers IN SHARE ROW EXCLUSIVE MODE")
        changes = compare(self._tiers(), present(run.connection), prune=self.prune)
        is_complete = run.execute("SELECT count(*) FROM targets").scalar_one() == len(self.wanted)
        if not is_complete or _wanted(changes) != self.wanted:
            raise RefusedError(
                "the tiers are no longer as they were when they were compared with the file",
                hint="no tier was changed; `avatarlab tier diff` compares them anew",
            )

    def apply(self, run: Run) -> None:
        values, wanted = "(CAST(:wanted AS jsonb) -> t.label)", json.dumps(self.wanted)
        run.execute(_UPDATE.format(values=values), wanted=wanted)
        run.execute(_INSERT.format(values=values), wanted=wanted, new=json.dumps(_NEW))

    def _tiers(self) -> list[Tier]:
        """Return what the file says as it was read; a plan holds amounts as text."""
        return [
            Tier(name, {**values, **{price: Decimal(values[price]) for price in _PRICES & values.keys()}})
            for name, values in self.tiers.items()
        ]


def _wanted(changes: Sequence[Change]) -> dict[str, dict[str, Any]]:
    """Return for each tier the columns that change, and to what."""
    return {change.tier: _columns(change.after) for change in changes}


def _columns(values: Values) -> dict[str, Any]:
    """Return the columns that say what a change of tiers.yaml says."""
    archiving = _ARCHIVED[values["is_archived"]] if "is_archived" in values else {}
    return {**archiving, **{name: value for name, value in plain(values).items() if name in _COLUMNS}}


def _closes(values: Values) -> bool:
    """Tell whether a tier of these values can be given to nobody."""
    return values.get("is_active") is False


def _in_use(run: Run) -> Refusal:
    """Refuse tiers that somebody has."""
    has_profiles = run.live.has("profiles", "subscription_tier_id")
    profiles = _PROFILES if has_profiles else "0"
    return Refusal(
        f"({_LIVE_HOLDERS} + {profiles} > 0)",
        "is still in use: %s subscriptions, %s profiles; `avatarlab tier set` gives their users another tier",
        values=(_LIVE_HOLDERS, profiles),
        code=ExitCode.REFUSED,
    )
