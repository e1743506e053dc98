"""Users' requests for another tier, answered."""

from dataclasses import dataclass

import sqlalchemy as sa

from avatarlab_cli.actions.act import Act, Refusal, Run, Touched
from avatarlab_cli.actions.actor import Actor
from avatarlab_cli.actions.subscription import closed, deleted, give, hold, rows_of
from avatarlab_cli.errors import NotFoundError
from avatarlab_cli.queries.subscriptions import NO_REQUESTS, PENDING, REQUEST
from avatarlab_cli.schema.commerce import tier_upgrade_requests
from avatarlab_cli.schema.live import probe

_OF_REQUEST = Touched(tier_upgrade_requests, "r.id = t.id")
_USER = "(SELECT q.user_id FROM public.tier_upgrade_requests q WHERE q.id = t.id)"


@dataclass(frozen=True)
class _Answer(Act):
    naming = REQUEST

    def authorized(self, connection: sa.Connection, admin: str | None) -> Actor:
        """Return the acting admin; raises NotFoundError where users cannot ask at all."""
        actor = super().authorized(connection, admin)
        if not probe(connection).has(tier_upgrade_requests.name):
            raise NotFoundError(NO_REQUESTS)
        return actor

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        return (Refusal(f"r.status <> '{PENDING}'", "is %s already", values=("r.status",)),)

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_REQUEST,)

    @staticmethod
    def answer(run: Run, status: str) -> None:
        """Close the requests."""
        run.execute(
            """
            UPDATE public.tier_upgrade_requests r
            SET status = :status, reviewed_by = :actor, reviewed_at = now(), admin_notes = :reason
            FROM targets t WHERE r.id = t.id
            """,
            status=status,
        )


@dataclass(frozen=True)
class Approve(_Answer):
    """Give users the tiers they ask for."""

    name = "tier.requests.approve"

    def describe(self) -> str:
        return "approved"

    def refusals(self, run: Run) -> tuple[Refusal, ...]:
        # Whoever changes the same user another way waits here, or is waited for.
        run.execute("""
            SELECT 1 FROM auth.users WHERE id IN (
                SELECT q.user_id FROM public.tier_upgrade_requests q JOIN act_items t USING (id))
            ORDER BY id FOR UPDATE
        """)
        hold(
            run,
            "SELECT q.requested_tier_id FROM public.tier_upgrade_requests q JOIN act_items t USING (id)",
        )
        gone = closed("r.requested_tier_id")
        another = """
            EXISTS (SELECT FROM act_items o JOIN public.tier_upgrade_requests q USING (id)
                    WHERE q.user_id = r.user_id AND o.item < t.item AND o.code IS NULL)
        """
        return (
            *super().refusals(run),
            deleted(run, "r.user_id"),
            Refusal(f"{gone} IS NOT NULL", "asks for %s, which nobody can be given any more", values=(gone,)),
            Refusal(another, "comes from a user who asks twice here; one request at a time"),
        )

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return (_OF_REQUEST, *rows_of(run, _USER))

    def apply(self, run: Run) -> None:
        give(
            run,
            """
            SELECT q.user_id, q.requested_tier_id, CAST(NULL AS text), CAST(NULL AS timestamptz)
            FROM targets t JOIN public.tier_upgrade_requests q ON q.id = t.id
            """,
        )
        self.answer(run, "approved")


@dataclass(frozen=True)
class Reject(_Answer):
    """Leave users the tiers they have."""

    name = "tier.requests.reject"

    def describe(self) -> str:
        return "rejected"

    def apply(self, run: Run) -> None:
        self.answer(run, "rejected")
