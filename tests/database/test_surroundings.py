import threading
import uuid
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from avatarlab_cli.schema import accounts, panel, supabase, surroundings

SIGNED_IN = datetime(2025, 3, 1, 12, tzinfo=UTC)


def sign_up(connection: sa.Connection, email: str) -> uuid.UUID:
    user = uuid.uuid4()
    data = {"full_name": "Ada"}
    connection.execute(sa.insert(supabase.users).values(id=user, email=email, raw_user_meta_data=data))
    return user


def act_as(connection: sa.Connection, user: uuid.UUID) -> None:
    """Continue this transaction as the platform's HTTP interface does for a signed-in user."""
    connection.execute(sa.text("SELECT set_config('request.jwt.claim.sub', :id, true)"), {"id": str(user)})
    connection.execute(sa.text("SET LOCAL ROLE authenticated"))


def test_signing_up_makes_a_profile(seed_database: sa.Engine) -> None:
    """A new account gets its profile from the trigger, with address, name and referral code."""
    with seed_database.begin() as connection:
        user = sign_up(connection, "ada@example.org")
        profile = connection.execute(
            sa.select(sa.text("email, name, referral_code"))
            .select_from(accounts.profiles)
            .where(accounts.profiles.c.id == user)
        ).one()

    assert tuple(profile)[:2] == ("ada@example.org", "Ada")
    assert len(profile.referral_code) == 8


@pytest.mark.parametrize(("state", "expected"), [("seed", None), ("panel", SIGNED_IN)])
def test_signing_in_stamps_the_profile_once_the_panel_is_there(
    request: pytest.FixtureRequest, state: str, expected: datetime | None
) -> None:
    """Only the panel's migrations bring the trigger that copies the last sign-in."""
    engine: sa.Engine = request.getfixturevalue(f"{state}_database")
    with engine.begin() as connection:
        user = sign_up(connection, "ada@example.org")
        connection.execute(
            sa.update(supabase.users).where(supabase.users.c.id == user).values(last_sign_in_at=SIGNED_IN)
        )
        found = connection.scalar(
            sa.select(accounts.profiles.c.last_login).where(accounts.profiles.c.id == user)
        )

    assert found == expected


def test_updates_overwrite_updated_at(seed_database: sa.Engine) -> None:
    """Whoever updates a profile cannot choose its updated_at."""
    with seed_database.begin() as connection:
        user = sign_up(connection, "ada@example.org")
        changed = (
            sa.update(accounts.profiles)
            .where(accounts.profiles.c.id == user)
            .values(name="Ada L.", updated_at=SIGNED_IN)
            .returning(accounts.profiles.c.updated_at == sa.func.now())
        )

        assert connection.scalar(changed)


def test_a_user_sees_own_rows_alone(seed_database: sa.Engine) -> None:
    """Row security shows a signed-in user one profile, the owner of the tables all of them."""
    count = sa.select(sa.func.count()).select_from(accounts.profiles)
    with seed_database.begin() as connection:
        ada = sign_up(connection, "ada@example.org")
        sign_up(connection, "bob@example.org")
        everyone = connection.scalar(count)
        act_as(connection, ada)

        assert (everyone, connection.scalar(count)) == (2, 1)


def test_claims_name_the_user_in_both_spellings(seed_database: sa.Engine) -> None:
    """auth.uid() reads the single claim and the JSON of all claims, and is NULL without either."""
    user = uuid.uuid4()
    spellings = {
        "request.jwt.claim.sub": str(user),
        "request.jwt.claims": f'{{"sub": "{user}"}}',
        "request.other": "",
    }
    found = []
    for name, value in spellings.items():
        with seed_database.begin() as connection:
            connection.execute(
                sa.text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value}
            )
            found.append(connection.scalar(sa.text("SELECT auth.uid()")))

    assert found == [user, user, None]


def test_the_panel_lets_anyone_write_statistics(panel_database: sa.Engine) -> None:
    """The reference has the hole the migrations must close: the public key writes the statistics."""
    with panel_database.begin() as connection:
        connection.execute(sa.text("SET LOCAL ROLE anon"))
        connection.execute(sa.insert(panel.platform_statistics).values(total_users=7))

        assert connection.scalars(sa.select(panel.platform_statistics.c.total_users)).all() == [7]


def test_buckets_and_default_tiers_are_there(panel_database: sa.Engine) -> None:
    """The panel state comes with the platform's buckets and its four tiers, and nothing else."""
    with panel_database.connect() as connection:
        buckets = set(connection.scalars(sa.select(supabase.buckets.c.id)))
        tiers = connection.execute(
            sa.text(
                "SELECT name, price_yearly::text, max_avatars FROM subscription_tiers ORDER BY sort_order"
            )
        ).all()

    assert buckets == set(surroundings.BUCKETS)
    assert [tuple(tier) for tier in tiers] == [
        ("free", "0.00", 1), ("starter", "99.99", 2), ("pro", "299.99", 3), ("enterprise", "2999.00", -1),
    ]  # fmt: skip


def test_two_databases_may_need_the_same_role_at_once(empty_database: sa.Engine) -> None:
    """A role created meanwhile by somebody else's transaction is taken as found."""
    role = f"role_{uuid.uuid4().hex[:8]}"
    statement = surroundings.create_role(role, "NOLOGIN")

    def create() -> None:
        with empty_database.begin() as connection:
            connection.exec_driver_sql(statement)

    second = threading.Thread(target=create)
    with empty_database.begin() as first:
        first.exec_driver_sql(statement)
        second.start()
        second.join(timeout=0.3)
        assert second.is_alive()
    second.join(timeout=10)
    with empty_database.begin() as connection:
        assert (
            connection.scalar(sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :role"), {"role": role})
            == 1
        )
        connection.exec_driver_sql(f"DROP ROLE {role}")
