"""What admins do to accounts, short of deleting them: labels, and bans that hold."""

from dataclasses import dataclass
from datetime import datetime

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.admin import admin_above
from avatarlab_cli.actions.key import IS_REVOKED, REVOKED
from avatarlab_cli.errors import ConfigurationError, ExitCode, UsageError
from avatarlab_cli.queries.account_status import status
from avatarlab_cli.queries.naming import USER
from avatarlab_cli.schema.accounts import profiles
from avatarlab_cli.schema.api import platform_api_keys
from avatarlab_cli.schema.supabase import users

# The auth server cannot read `infinity`.
_FOR_GOOD = "now() + interval '100 years'"
# A ban set so far ahead is one for good: repeating it must not move it.
_IS_FOR_GOOD = "coalesce(r.banned_until > now() + interval '90 years', false)"
_ACCOUNT = Touched(users, "r.id = t.id")
PROFILE = Touched(profiles, "r.id = t.id")
_KEYS = Touched(platform_api_keys, "r.user_id = t.id")
_IS_ADMIN = "EXISTS (SELECT FROM public.admin_users a WHERE a.user_id = r.id AND a.is_active)"
ADMIN = Refusal(
    _IS_ADMIN, "is an admin: first `avatarlab admin deactivate`, then this", code=ExitCode.REFUSED
)


def account_rows(run: Run) -> tuple[Touched, ...]:
    """Return the rows that make up an account's standing: the account, its label where there is one, its keys."""
    has_label, has_keys = run.live.has("profiles", "account_status"), run.live.has("platform_api_keys")
    return (_ACCOUNT, *((PROFILE,) if has_label else ()), *((_KEYS,) if has_keys else ()))


def deleted(run: Run) -> Refusal:
    """Refuse accounts that are deleted."""
    return Refusal(f"{status(run.live)} = 'deleted'", "is deleted")


def shut_out(run: Run, until: datetime | None = None) -> None:
    """Have the auth server refuse the targets until then, for good without a time."""
    moment = f"coalesce(CAST(:until AS timestamptz), CASE WHEN {_IS_FOR_GOOD} THEN r.banned_until ELSE {_FOR_GOOD} END)"
    run.execute(
        f"""
        UPDATE auth.users r SET banned_until = {moment}
        FROM targets t WHERE r.id = t.id AND r.banned_until IS DISTINCT FROM {moment}
        """,
        until=until,
    )


def neutralise_keys(run: Run) -> None:
    """Make every platform key of the targets useless, in a way their owners cannot take back."""
    if run.live.has("platform_api_keys"):
        run.execute(
            f"""
            UPDATE public.platform_api_keys r SET {REVOKED}
            FROM targets t WHERE r.user_id = t.id AND NOT {IS_REVOKED}
            """
        )


def set_label(run: Run, label: str) -> None:
    """Label the targets' accounts, where there is a column for it."""
    if run.live.has("profiles", "account_status"):
        run.execute(
            """
            UPDATE public.profiles r SET account_status = :label
            FROM targets t WHERE r.id = t.id AND coalesce(r.account_status, 'active') <> :label
            """,
            label=label,
        )


@dataclass(frozen=True)
class Suspend(Act):
    """Label accounts as suspended; nothing in the app looks at the label."""

    name = "user.suspend"
    naming = USER

    def describe(self) -> str:
        return "suspended"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return label_refusals(run)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (PROFILE,)

    def apply(self, run: Run) -> None:
        set_label(run, "suspended")


@dataclass(frozen=True)
class Activate(Act):
    """Take the label suspended away."""

    name = "user.activate"
    naming = USER

    def describe(self) -> str:
        return "active again"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return label_refusals(run)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (PROFILE,)

    def apply(self, run: Run) -> None:
        set_label(run, "active")


@dataclass(frozen=True)
class Ban(Act):
    """Shut users out: no login, no key of theirs works, and the account says why."""

    name = "user.ban"
    naming = USER
    severity = "warning"
    needs_reason = True
    question = "Ban"
    until: datetime | None = None

    def describe(self) -> str:
        return f"banned until {self.until:%Y-%m-%dT%H:%M:%SZ}" if self.until else "banned for good"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        if self.until and run.execute("SELECT CAST(:until AS timestamptz) <= now()").scalar_one():
            raise UsageError(f"{self.until:%Y-%m-%dT%H:%M:%SZ} is past", hint="a ban ends in the future")
        return (deleted(run), ADMIN)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return account_rows(run)

    def apply(self, run: Run) -> None:
        shut_out(run, self.until)
        neutralise_keys(run)
        _give_reason(run)
        set_label(run, "banned")


def _give_reason(run: Run) -> None:
    """Write into the profile what there is a column for; before the label, for a repeated ban keeps its date."""
    values = {
        "banned_reason": ":reason",
        "banned_by": ":actor",
        "banned_at": "CASE WHEN r.account_status = 'banned' THEN coalesce(r.banned_at, now()) ELSE now() END",
    }
    given = {
        name: value for name, value in values.items() if run.live.has("profiles", "account_status", name)
    }
    is_other = "r.banned_reason IS DISTINCT FROM :reason" if "banned_reason" in given else "false"
    if given:
        run.execute(
            f"""
            UPDATE public.profiles r SET {", ".join(f"{name} = {value}" for name, value in given.items())}
            FROM targets t WHERE r.id = t.id AND (r.account_status IS DISTINCT FROM 'banned' OR {is_other})
            """
        )


def label_refusals(run: Run) -> tuple[Refusal, ...]:
    """Refuse what a label cannot be set on; raises ConfigurationError where there is no column for it."""
    if not run.live.has("profiles", "account_status"):
        raise ConfigurationError(
            "accounts have no status in this database: profiles.account_status is missing",
            hint="the web panel's migrations bring it; `avatarlab user ban` works without",
        )
    return (
        admin_above(run, "r.id"),
        deleted(run),
        Refusal(f"{status(run.live)} = 'banned'", "is banned; `avatarlab user unban` lifts that"),
        Refusal("NOT EXISTS (SELECT FROM public.profiles p WHERE p.id = r.id)", "has no profile"),
    )
