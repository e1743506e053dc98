"""Who is an admin, in which role, with which permissions and which database login."""

import json
from dataclasses import dataclass
from typing import ClassVar

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.actor import CAN_ACT, Actor, has_super_admin, rank_of
from avatarlab_cli.errors import ExitCode, RefusedError, UsageError
from avatarlab_cli.permissions import CEILINGS, PERMISSIONS, ROLES, STANDARD, SUPER_ADMIN, column_of, rank
from avatarlab_cli.queries.account_status import status
from avatarlab_cli.queries.naming import ADMIN, USER
from avatarlab_cli.schema.admin import admin_users

_OF_USER = Touched(admin_users, "r.user_id = t.id")
_OF_ADMIN = Touched(admin_users, "r.id = t.id")


@dataclass(frozen=True)
class Bootstrap(Act):
    """Make the first super_admin; possible only while there is none."""

    name = "admin.bootstrap"
    naming = USER
    resource = "admin"
    severity = "critical"
    # Taken back, nobody would be left who could do anything.
    undoable = False
    plannable = False

    def describe(self) -> str:
        return "made the first super_admin"

    def authorized(self, connection: sa.Connection, admin: str | None) -> Actor:
        """Return nobody: the entry is the new admin's own. Raises RefusedError while there is a super_admin."""
        if has_super_admin(connection):
            raise RefusedError(
                "there is a super_admin already", hint="`avatarlab admin add` makes further admins"
            )
        return Actor.nobody()

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        # Of two at the same time, the second waits here, and then finds the first.
        run.execute("LOCK TABLE public.admin_users IN SHARE ROW EXCLUSIVE MODE")
        self.authorized(run.connection, None)
        return (_gone(run),)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        if run.execute("SELECT count(*) FROM targets").scalar_one() > 1:
            raise UsageError("only one admin can be the first")
        return (_OF_USER,)

    def apply(self, run: Run) -> None:
        _enrol(run, SUPER_ADMIN, frozenset(PERMISSIONS))
        admin = run.execute("SELECT resource_id FROM targets").scalar()
        run.bound = {**run.bound, "actor": admin}


@dataclass(frozen=True)
class Add(Act):
    """Make a user an admin, or one again."""

    name = "admin.add"
    naming = USER
    resource = "admin"
    severity = "critical"
    role: str = "admin"
    login: str | None = None
    is_service: bool = False

    def describe(self) -> str:
        return f"made {self.role}" + (", for automation" if self.is_service else "")

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        _demand_role(self.role)
        is_admin = "EXISTS (SELECT FROM public.admin_users a WHERE a.user_id = t.id AND a.is_active)"
        return (
            _gone(run),
            Refusal(is_admin, "is an admin already; `admin role` changes the role"),
            *_above(run, self.role),
        )

    def touched(self, run: Run) -> tuple[Touched, ...]:
        _demand_free_login(run, self.login)
        return (_OF_USER,)

    def apply(self, run: Run) -> None:
        held = frozenset(filter(run.actor.may, STANDARD[self.role]))
        _enrol(run, self.role, held, login=self.login, is_service=self.is_service)


@dataclass(frozen=True)
class Role(Act):
    """Give an admin another role, with that role's standard permissions."""

    name = "admin.role"
    naming = ADMIN
    severity = "critical"
    role: str = "admin"

    def describe(self) -> str:
        return f"made {self.role}"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        _demand_role(self.role)
        own = Refusal(
            f"t.id = :actor AND {rank_of('r.role')} > {rank(self.role)}",
            "cannot raise their own role",
            code=ExitCode.NOT_PERMITTED,
        )
        last = () if self.role == SUPER_ADMIN else (_last_one(run),)
        return (own, *_above(run, self.role), *last)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_ADMIN,)

    def apply(self, run: Run) -> None:
        held = frozenset(filter(run.actor.may, STANDARD[self.role]))
        run.execute(
            """
            UPDATE public.admin_users r SET role = :role, permissions = CAST(:permissions AS jsonb)
            FROM targets t WHERE r.id = t.id AND r.role <> :role
            """,
            permissions=json.dumps(column_of(held)),
        )


@dataclass(frozen=True)
class _Permissions(Act):
    naming = ADMIN
    severity = "critical"
    permissions: tuple[str, ...] = ()
    is_granted: ClassVar[bool]

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        for permission in self.permissions:
            if permission not in PERMISSIONS:
                raise UsageError(
                    f"{permission!r} is not a permission", hint=f"permissions: {', '.join(PERMISSIONS)}"
                )
            run.actor.demand(permission, self.command)
        own = Refusal("t.id = :actor", "cannot change their own permissions", code=ExitCode.NOT_PERMITTED)
        unlimited = Refusal(f"r.role = '{SUPER_ADMIN}'", "is super_admin, a role that holds every permission")
        return (own, *_above(run), unlimited)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_ADMIN,)

    def apply(self, run: Run) -> None:
        for permission in self.permissions:
            area, right = permission.split(".")
            run.execute(
                """
                UPDATE public.admin_users r
                SET permissions = r.permissions || jsonb_build_object(CAST(:area AS text),
                    coalesce(r.permissions -> :area, '{}') || jsonb_build_object(CAST(:right AS text), :is_granted))
                FROM targets t WHERE r.id = t.id
                """,
                area=area,
                right=right,
                is_granted=self.is_granted,
            )


@dataclass(frozen=True)
class Grant(_Permissions):
    """Let an admin do more, as far as the role allows."""

    name = "admin.grant"
    is_granted = True

    def describe(self) -> str:
        return f"granted {', '.join(self.permissions)}"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        beyond = tuple(
            Refusal(f"r.role = '{role}'", f"is {role}, a role that cannot hold {permission}")
            for role, ceiling in CEILINGS.items()
            for permission in self.permissions
            if permission not in ceiling
        )
        return (*super().refusals(run), *beyond)


@dataclass(frozen=True)
class Withdraw(_Permissions):
    """Let an admin do less."""

    name = "admin.withdraw"
    is_granted = False

    def describe(self) -> str:
        return f"withdrew {', '.join(self.permissions)}"


@dataclass(frozen=True)
class Map(Act):
    """Say which database login is the admin; without a login none is."""

    name = "admin.map"
    naming = ADMIN
    severity = "critical"
    login: str | None = None

    def describe(self) -> str:
        return f"mapped to the login {self.login}" if self.login else "mapped to no login"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return _above(run)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        _demand_free_login(run, self.login)
        return (_OF_ADMIN,)

    def apply(self, run: Run) -> None:
        run.execute("UPDATE public.admin_users r SET db_role = :login FROM targets t WHERE r.id = t.id")


@dataclass(frozen=True)
class Deactivate(Act):
    """Take an admin's rights away; the row stays, for it is in the audit log."""

    name = "admin.deactivate"
    naming = ADMIN
    severity = "critical"
    question = "Deactivate the admin"

    def describe(self) -> str:
        return "deactivated"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (*_above(run), _last_one(run))

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_ADMIN,)

    def apply(self, run: Run) -> None:
        run.execute("UPDATE public.admin_users r SET is_active = false FROM targets t WHERE r.id = t.id")


def _gone(run: Run) -> Refusal:
    return Refusal(f"{status(run.live)} IN ('deleted', 'banned')", "has an account that is deleted or banned")


def _enrol(
    run: Run, role: str, permissions: frozenset[str], *, login: str | None = None, is_service: bool = False
) -> None:
    values = {"role": role, "permissions": json.dumps(column_of(permissions)), "is_service": is_service}
    run.execute(
        """
        INSERT INTO public.admin_users AS a (user_id, role, permissions, db_role, is_service, created_by)
        SELECT t.id, :role, CAST(:permissions AS jsonb), :login, :is_service, (SELECT id FROM public.admin_users WHERE id = :actor)
        FROM targets t
        ON CONFLICT (user_id) DO UPDATE
        SET role = EXCLUDED.role, permissions = EXCLUDED.permissions, is_active = true, locked_until = NULL,
            db_role = coalesce(EXCLUDED.db_role, a.db_role), is_service = EXCLUDED.is_service
        """,
        **values,
        login=login,
    )
    run.execute("UPDATE targets t SET resource_id = a.id FROM public.admin_users a WHERE a.user_id = t.id")


def _demand_free_login(run: Run, login: str | None) -> None:
    """Raise UsageError unless the login is there and can become the one target's."""
    if login is None:
        return
    if run.execute("SELECT count(*) FROM targets").scalar_one() > 1:
        raise UsageError("one database login is one admin's")
    if not run.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :login)", login=login).scalar():
        raise UsageError(f"there is no database login {login!r}", hint="CREATE ROLE makes one")
    holder = run.execute(
        """
        SELECT coalesce(u.email, a.id::text) FROM public.admin_users a LEFT JOIN auth.users u ON u.id = a.user_id
        WHERE a.db_role = :login AND NOT EXISTS (SELECT FROM targets t WHERE t.id IN (a.id, a.user_id))
        """,
        login=login,
    ).scalar()
    if holder:
        raise UsageError(f"the login {login!r} is {holder} already", hint=f"avatarlab admin map {holder}")


def _demand_role(role: str) -> None:
    if role not in ROLES:
        raise UsageError(f"{role!r} is not a role", hint=f"roles: {', '.join(ROLES)}")


def _above(run: Run, role: str | None = None) -> tuple[Refusal, ...]:
    """Refuse admins above the acting one, and a role above the acting admin's."""
    own = rank(run.actor.role)
    current = f"(SELECT {rank_of('a.role')} FROM public.admin_users a WHERE t.id IN (a.id, a.user_id))"
    refusals = [Refusal(f"{current} < {own}", f"is above a {run.actor.role}", code=ExitCode.NOT_PERMITTED)]
    if role is not None and rank(role) < own:
        message = f"cannot be made {role} by a {run.actor.role}"
        refusals.append(Refusal("true", message, code=ExitCode.NOT_PERMITTED))
    return tuple(refusals)


def admin_above(run: Run, user: str) -> Refusal:
    """Refuse what belongs to an active admin above the acting one; `user` is the SQL of whose it is."""
    above = f"""
        EXISTS (SELECT FROM public.admin_users a
                WHERE a.user_id = {user} AND a.is_active AND {rank_of("a.role")} < {rank(run.actor.role)})
    """
    return Refusal(above, "belongs to an admin above you", code=ExitCode.NOT_PERMITTED)


def _last_one(run: Run) -> Refusal:
    """Refuse to leave the platform without a super_admin."""
    run.execute(
        "SELECT 1 FROM public.admin_users WHERE role = :super ORDER BY id FOR NO KEY UPDATE",
        super=SUPER_ADMIN,
    )
    others = f"""
        r.role = '{SUPER_ADMIN}' AND r.is_active AND NOT EXISTS (
            SELECT FROM public.admin_users a WHERE a.role = '{SUPER_ADMIN}' AND {CAN_ACT}
              AND a.id NOT IN (SELECT i.id FROM act_items i WHERE i.id IS NOT NULL))
    """
    return Refusal(others, "is the last super_admin", code=ExitCode.REFUSED)
