"""What only a day's own run could see stays as it saw it, whatever the rows say later."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from jobs import monthly_usage, platform_statistics
from tests.database.comparing import TODAY, drop_temporary_tables, rolled_back, stored, task


def add_subscriber(connection: sa.Connection, email: str = "a@example.com") -> UUID:
    """Write a user with a monthly starter plan, whose last login was today."""
    user = uuid4()
    connection.execute(
        sa.text(
            "insert into auth.users (id, email, created_at, last_sign_in_at)"
            " values (:user, :email, '2025-01-05', :today)"
        ),
        {"user": user, "email": email, "today": TODAY},
    )
    connection.execute(
        sa.text(
            "insert into user_subscriptions (user_id, tier_id, started_at)"
            " select :user, id, '2025-01-05' from subscription_tiers where name = 'starter'"
        ),
        {"user": user},
    )
    return user


def add_object(connection: sa.Connection, name: str, size: int) -> None:
    """Write an object of so many bytes in the bucket of avatars."""
    bucket = "insert into storage.buckets (id, name) values ('avatars', 'avatars') on conflict do nothing"
    connection.execute(sa.text(bucket))
    connection.execute(
        sa.text(
            "insert into storage.objects (bucket_id, name, metadata)"
            " values ('avatars', :name, jsonb_build_object('size', CAST(:size AS int)))"
        ),
        {"name": name, "size": size},
    )


def run_on(connection: sa.Connection, day: date) -> dict[date, dict[str, object]]:
    """Run the job as on a day and return what is stored by day."""
    drop_temporary_tables(connection)
    platform_statistics.run(connection, task(day))
    return {key[0]: row for key, row in stored(connection, "platform_statistics", ("stat_date",)).items()}


def test_observed_subscriptions_outlive_their_rows(migrated: Database) -> None:
    """Revenue and tiers of a day whose end a run has seen stay; the days no later run followed follow the rows."""
    with rolled_back(migrated) as connection:
        add_subscriber(connection)
        run_on(connection, TODAY)
        before = run_on(connection, TODAY + timedelta(days=1))
        connection.execute(sa.text("update user_subscriptions set status = 'expired'"))
        after = run_on(connection, TODAY + timedelta(days=5))
        assert before[TODAY]["arr_cents"] == after[TODAY]["arr_cents"] == 11988
        assert after[TODAY]["users_by_tier"] == {"starter": 1}
        assert not after[TODAY]["is_reconstructed"]
        unseen = after[TODAY + timedelta(days=1)]
        assert (unseen["arr_cents"], unseen["is_reconstructed"]) == (0, True)
        assert unseen["users_by_tier"] == {"free": 1}
        assert (unseen["mrr_churn"], unseen["churned_users"]) == (Decimal("9.990000"), 1)


def test_day_that_was_only_begun_is_taken_again(migrated: Database) -> None:
    """What happened after a day's last run counts on that day, when no run saw its end."""
    with rolled_back(migrated) as connection:
        add_subscriber(connection)
        begin = sa.text("update user_subscriptions set started_at = :moment")
        connection.execute(begin, {"moment": f"{TODAY + timedelta(days=30)} 00:00Z"})
        run_on(connection, TODAY)
        connection.execute(begin, {"moment": f"{TODAY} 15:00Z"})
        after = run_on(connection, TODAY + timedelta(days=3))
        assert (after[TODAY]["mrr_new"], after[TODAY]["is_reconstructed"]) == (Decimal("9.990000"), True)
        assert after[TODAY + timedelta(days=1)]["mrr_new"] == 0


def test_tiers_sum_to_the_total_when_an_account_is_gone(migrated: Database) -> None:
    """An account that was deleted outright leaves no tier behind on the days already observed."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        add_subscriber(connection, "b@example.com")
        for day in range(3):
            run_on(connection, TODAY + timedelta(days=day))
        connection.execute(sa.text("delete from auth.users where id = :user"), {"user": user})
        for row in run_on(connection, TODAY + timedelta(days=3)).values():
            tiers = row["users_by_tier"]
            assert isinstance(tiers, dict)
            assert sum(tiers.values()) == row["total_users"] == 1


def test_days_before_the_first_account_vanish(migrated: Database) -> None:
    """When the only account is gone, so are the days it made the platform's."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        assert run_on(connection, TODAY)
        connection.execute(sa.text("delete from auth.users where id = :user"), {"user": user})
        assert run_on(connection, TODAY) == {}


def test_login_that_a_later_one_replaced_stays_counted(migrated: Database) -> None:
    """Of an account only the latest login is kept, so a day's count is never lowered."""
    with rolled_back(migrated) as connection:
        add_subscriber(connection)
        assert run_on(connection, TODAY)[TODAY]["logins_today"] == 1
        tomorrow = TODAY + timedelta(days=1)
        moved = sa.text("update auth.users set last_sign_in_at = :moment")
        connection.execute(moved, {"moment": tomorrow})
        after = run_on(connection, tomorrow)
        assert (after[TODAY]["logins_today"], after[tomorrow]["logins_today"]) == (1, 1)


def test_storage_is_known_of_the_days_a_run_saw(migrated: Database) -> None:
    """A snapshot stays when objects vanish; between two a day is interpolated, before the first it is unknown."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        add_object(connection, f"{user}/a.png", 700)
        monthly_usage.run(connection, task())
        connection.execute(sa.text("delete from storage.objects"))
        drop_temporary_tables(connection)
        later = TODAY + timedelta(days=2)
        monthly_usage.run(connection, task(later))
        found = connection.execute(
            sa.text(
                "select day, storage_bytes from avatarlab_admin.usage_daily where user_id = :user order by day"
            ),
            {"user": user},
        ).all()
        assert found == [(TODAY, 700), (TODAY + timedelta(days=1), 350)]
        month = stored(connection, "monthly_usage", ("user_id", "usage_month"))[user, TODAY.replace(day=1)]
        assert (month["storage_bytes"], month["storage_byte_days"]) == (0, None)
        assert month["storage_days_interpolated"] == 1
        assert month["unpriced"] == {"storage": {"days_without_snapshot": later.day - 3}}


def test_what_an_account_stored_is_nobodys_when_it_is_gone(migrated: Database) -> None:
    """The days on record of an account that was deleted outright count on, as nobody's, and stop no run."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        add_object(connection, f"{user}/a.png", 700)
        monthly_usage.run(connection, task())
        connection.execute(sa.text("delete from auth.users where id = :user"), {"user": user})
        drop_temporary_tables(connection)
        monthly_usage.run(connection, task(TODAY + timedelta(days=1)))
        days = sa.text("select day, user_id, storage_bytes from avatarlab_admin.usage_daily order by day")
        nobody = UUID(int=0)
        assert connection.execute(days).all() == [
            (TODAY, nobody, 700),
            (TODAY + timedelta(days=1), nobody, 700),
        ]
        assert stored(connection, "monthly_usage", ("user_id", "usage_month")) == {}


@pytest.mark.parametrize(
    "name", ["{user}-1699999.png", "{user}x/a.png", "no-slash", "profiles/{user}", "/", "profiles"]
)
def test_object_with_an_odd_name_is_attributed_or_nobodys(migrated: Database, name: str) -> None:
    """A key in no known form does not stop the run; only a whole UUID in its place names an owner."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        add_object(connection, name.format(user=user), 5)
        monthly_usage.run(connection, task())
        owner = connection.scalar(
            sa.text("select user_id from avatarlab_admin.storage_daily where bytes = 5")
        )
        assert owner == (user if name == "profiles/{user}" else UUID(int=0))


def test_revenue_in_other_currencies_and_refunds_is_named_apart(migrated: Database) -> None:
    """The day's revenue is completed purchases in US dollars; the rest stands beside it, by what it is."""
    with rolled_back(migrated) as connection:
        user = add_subscriber(connection)
        for amount, currency, status in (
            ("10.50", "usd", "completed"),
            ("2.25", None, "completed"),
            ("7", "EUR", "completed"),
            ("3", "EUR", "completed"),
            ("4", "USD", "refunded"),
            ("99", "USD", "pending"),
        ):
            connection.execute(
                sa.text(
                    "with sold as (insert into avatars (name) values ('A') returning id)"
                    " insert into purchases (user_id, avatar_id, price_paid, currency, status, purchased_at)"
                    " select :user, id, :amount, :currency, :status, :moment from sold"
                ),
                {"user": user, "amount": amount, "currency": currency, "status": status, "moment": TODAY},
            )
        row = run_on(connection, TODAY)[TODAY]
        assert row["revenue_today"] == Decimal("12.75")
        assert row["revenue_other"] == {"EUR": 10, "refunded USD": 4}
