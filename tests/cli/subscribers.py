"""Five users whose tiers, subscriptions and usage are known, and ways to look at what acts make of them."""

from typing import Any
from uuid import UUID

import psycopg

from tests.cli.invoking import Outcome, invoke

ADA, ADELE, EVE, FAY, GUS = (UUID(int=number << 120) for number in (0x1A, 0x1B, 0x2C, 0x3D, 0x4E))
EMAILS = {
    ADA: "ada@example.com",
    ADELE: "adele@example.com",
    EVE: "Eve@example.org",
    FAY: "fay@example.com",
    GUS: "gus@example.com",
}
BOSS = {"AVATARLAB_ADMIN": "boss@example.com"}
ADMIN = """
    INSERT INTO auth.users (id, email) VALUES ('b055b055-0000-0000-0000-000000000000', 'boss@example.com');
    INSERT INTO admin_users (user_id, role) VALUES ('b055b055-0000-0000-0000-000000000000', 'super_admin');
"""
REQUESTS = """
    INSERT INTO tier_upgrade_requests (id, user_id, requested_tier_id, status, created_at)
    SELECT gen_random_uuid(), u.id, t.id, n.status, now() - n.days * interval '1 day'
    FROM (VALUES ('ada', 'enterprise', 'pending', 3), ('adele', 'pro', 'pending', 2), ('adele', 'starter', 'pending', 1),
                 ('Eve', 'pro', 'rejected', 0)) AS n (name, tier, status, days)
    JOIN auth.users u ON u.email LIKE n.name || '@%' JOIN subscription_tiers t ON t.name = n.tier
"""
HELD = """
    SELECT t.name, s.status, s.billing_cycle, s.expires_at - now() > interval '1 second', s.is_trial
    FROM user_subscriptions s JOIN subscription_tiers t ON t.id = s.tier_id JOIN auth.users u ON u.id = s.user_id
    WHERE u.email = %s ORDER BY t.name
"""
Held = list[tuple[Any, ...]]
PEOPLE = """
    UPDATE subscription_tiers SET limits = '{"images_generated": 50, "tts_characters": -1}' WHERE name = 'pro';
    UPDATE subscription_tiers SET limits = '{"chat_messages_count": 100}' WHERE name = 'starter';
    CREATE TEMPORARY TABLE person (id uuid, tier text, held text[], avatars int);
"""
SUBSCRIBED = """
    UPDATE profiles p SET subscription_tier_id = t.id
    FROM person n JOIN subscription_tiers t ON t.name = n.tier WHERE n.id = p.id;
    INSERT INTO user_subscriptions (user_id, tier_id, started_at)
    SELECT n.id, t.id, now() - h.number * interval '10 days'
    FROM person n, unnest(n.held) WITH ORDINALITY AS h (name, number), subscription_tiers t WHERE t.name = h.name;
    INSERT INTO avatars (user_id, name) SELECT n.id, 'an avatar' FROM person n, generate_series(1, n.avatars);
    INSERT INTO avatarlab_admin.job_runs (job, status, window_to, metrics_skipped)
    VALUES ('monthly-usage', 'succeeded', current_date + 1, '{}');
    INSERT INTO monthly_usage (user_id, usage_month, images_generated, chat_messages_count, computed_at)
    SELECT n.id, date_trunc('month', current_date::timestamp), f.images, f.chats, now()
    FROM person n JOIN (VALUES ('pro', 60, 250), ('starter', 0, 95)) AS f (tier, images, chats) ON f.tier = n.held[1];
    UPDATE user_subscriptions
    SET custom_limits = '{"images_generated": 60, "chat_messages_count": "many"}', override_expires_at = '2999-01-01'
    WHERE user_id = (SELECT id FROM person WHERE held[1] = 'pro');
    UPDATE auth.users SET deleted_at = now() WHERE email = 'gus@example.com';
"""


def write_people(conninfo: str) -> None:
    """Write five users: on pro, without anything, with two subscriptions, lapsed, and deleted."""
    people: tuple[tuple[UUID, str, list[str], int], ...] = (
        (ADA, "pro", ["pro"], 2),
        (ADELE, "free", [], 1),
        (EVE, "free", ["starter", "free"], 3),
        (FAY, "pro", [], 0),
        (GUS, "pro", [], 9),
    )
    with psycopg.connect(conninfo) as connection:
        connection.execute(PEOPLE)
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO auth.users (id, email) VALUES (%s, %s)", list(EMAILS.items()))
            cursor.executemany("INSERT INTO person VALUES (%s, %s, %s, %s)", people)
        connection.execute(SUBSCRIBED)


def write_asking(conninfo: str) -> None:
    """Write the five users, an admin, and requests for tiers."""
    write_people(conninfo)
    with psycopg.connect(conninfo) as connection:
        connection.execute(ADMIN)
        connection.execute(REQUESTS)


def act(conninfo: str, *arguments: str) -> Outcome:
    """Run a command of the noun tier as the admin."""
    return invoke(conninfo, "tier", *arguments, env=BOSS)


def held(conninfo: str, email: str) -> Held:
    """Return the user's subscriptions: tier, status, cycle, whether they end later (None: never), whether a trial."""
    return ask(conninfo, HELD, email)


def ask(conninfo: str, sql: str, *values: object) -> Held:
    """Return the rows a statement finds."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(sql.encode(), values).fetchall()


def profile_tier(conninfo: str, email: str) -> Any:  # noqa: ANN401 (a text, or None)
    """Return the tier the user's profile carries."""
    found = ask(
        conninfo,
        "SELECT t.name FROM profiles p JOIN subscription_tiers t ON t.id = p.subscription_tier_id WHERE p.email = %s",
        email,
    )
    return found[0][0] if found else None
