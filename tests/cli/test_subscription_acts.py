"""The acts of the noun tier on users: what each leaves in the database, refuses, previews and takes back."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.cli.invoking import invoke
from tests.cli.overtaking import overtaken
from tests.cli.subscribers import (
    ADA,
    ADMIN,
    BOSS,
    EVE,
    act,
    ask,
    held,
    profile_tier,
    write_asking,
)
from tests.database.contents import Contents, contents


@pytest.fixture
def people(migrated_panel_conninfo: str) -> str:
    """The five users, an admin, and requests for tiers."""
    write_asking(migrated_panel_conninfo)
    return migrated_panel_conninfo


def substance(conninfo: str) -> Contents:
    """Return all that is stored of subscriptions and profiles, without the times of writing."""
    columns = {"user_subscriptions": "to_jsonb(r) - 'updated_at'", "profiles": "to_jsonb(r) - 'updated_at'"}
    return {
        table: ask(conninfo, f"SELECT ({shown})::text FROM {table} r ORDER BY 1")
        for table, shown in columns.items()
    }


def test_set(people: str) -> None:
    """Whoever had one tier has another: one live subscription, the profile in step, and undoing restores the rows."""
    before = substance(people)
    done = act(people, "set", "Eve@", "pro", "--fields", "user,result,detail")
    assert (done.code, done.out) == (
        0,
        "user             result   detail\nEve@example.org  changed  moved to pro\n",
    )
    assert held(people, "Eve@example.org") == [
        ("free", "cancelled", "monthly", False, False),
        ("pro", "active", "monthly", None, False),
        ("starter", "cancelled", "monthly", False, False),
    ]
    assert profile_tier(people, "Eve@example.org") == "pro"
    (entry,) = ask(people, "SELECT id, action, resource_id FROM admin_audit_logs")
    assert entry[1:] == ("tier.set", EVE)
    undone = invoke(people, "audit", "undo", str(entry[0]), env=BOSS)
    assert undone.code == 0, undone.err
    assert substance(people) == before


def test_set_again_changes_nothing(people: str) -> None:
    """Somebody who has exactly the tier keeps the row, its start and overrides."""
    before = substance(people)
    done = act(people, "set", "ada@", "pro", "--fields", "result")
    assert (done.code, done.out) == (0, "result\nunchanged\n")
    assert substance(people) == before


def test_a_returning_user_gets_the_row_back(people: str) -> None:
    """There is one row a user and tier: it is begun anew, and the old override does not come back to life."""
    for tier in ("free", "pro"):
        assert act(people, "set", "ada@", tier).code == 0
    assert held(people, "ada@example.com") == [
        ("free", "cancelled", "lifetime", False, False),
        ("pro", "active", "monthly", None, False),
    ]
    assert ask(people, "SELECT custom_limits FROM user_subscriptions WHERE user_id = %s", ADA) == [
        (None,),
        (None,),
    ]


def test_a_cycle_stays_unless_another_is_named(people: str) -> None:
    """Who pays by the year goes on doing so in another tier."""
    assert act(people, "set", "ada@", "starter", "--cycle", "yearly").code == 0
    assert act(people, "set", "ada@", "enterprise").code == 0
    assert held(people, "ada@example.com")[0] == ("enterprise", "active", "yearly", None, False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("set", "gus@", "pro"), 1, "gus@example.com has a deleted account"),
        (("set", "ada@", "platinum"), 5, "there is no tier 'platinum'"),
        (("set", "ada@", "pro", "--cycle", "weekly"), 2, "'weekly' is not a billing cycle"),
        (("set", "pro"), 2, "not enough is named: USER... TIER"),
        (("set", "nobody@", "pro"), 5, "there is no user 'nobody@'"),
        (("cancel", "adele@"), 1, "has no live subscription"),
        (("cancel", "adele@", "--now"), 1, "has no subscription to cancel"),
        (("trial", "start", "ada@", "starter"), 1, "ada@example.com has pro, which a trial would end"),
        (("trial", "start", "adele@", "free"), 2, "the tier 'free' has no trial"),
        (("trial", "start", "Eve@", "starter"), 1, "has starter, which a trial would end"),
        (("trial", "extend", "ada@", "--days", "3"), 1, "has no running trial that would end"),
        (("override", "ada@", "unicorns", "5", "--until", "never", "--reason", "r"), 2, "cannot be limited"),
        (
            ("override", "ada@", "tts_characters", "-5", "--until", "never", "--reason", "r"),
            2,
            "No such option",
        ),
        (
            ("override", "ada@", "tts_characters", "many", "--until", "never", "--reason", "r"),
            2,
            "is not a limit",
        ),
        (("override", "ada@", "tts_characters", "5", "--reason", "r"), 2, "it is not said when"),
        (
            ("override", "ada@", "tts_characters", "5", "--until", "2025-06-15", "--reason", "r"),
            2,
            "before the day",
        ),
        (("override", "ada@", "tts_characters", "5", "--until", "never"), 2, "a reason is required"),
        (
            ("override", "ada@", "tts_characters", "5", "--until", "never", "--reason", "r"),
            1,
            "has other overrides, and all end together: --until 2999-01-01T00:00:00Z",
        ),
        (
            ("override", "adele@", "tts_characters", "5", "--until", "never", "--reason", "r"),
            1,
            "no live subscription",
        ),
        (("repair", "fay@"), 1, "has no subscription to the tier of the profile"),
        (("repair", "fay@", "--trust", "me"), 2, "'me' cannot be trusted"),
    ],
)
def test_refused(people: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    """What cannot be done is refused with the reason, and nothing is changed."""
    before = contents(people)
    refused = act(people, *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err
    assert contents(people) == before


def test_a_closed_tier_is_not_given(people: str) -> None:
    """Nobody is moved to a tier that is archived or not active."""
    ask(people, "UPDATE subscription_tiers SET is_active = false WHERE name = 'pro' RETURNING id")
    refused = act(people, "set", "Eve@", "pro")
    assert refused.code == 2
    assert "the tier 'pro' is not active" in refused.err


CHANGES = (
    ("set", "Eve@", "pro"),
    ("cancel", "ada@", "--reason", "asked"),
    ("cancel", "ada@", "--now"),
    ("trial", "start", "adele@", "pro"),
    ("override", "ada@", "max_avatars", "unlimited", "--until", "2999-01-01", "--reason", "fair"),
    ("override", "ada@", "images_generated", "none", "--reason", "fair is over"),
    ("repair", "Eve@"),
    ("repair", "fay@", "--trust", "subscription"),
    ("repair", "fay@", "--trust", "profile"),
)


@pytest.mark.parametrize("arguments", CHANGES, ids=" ".join)
def test_each_change(people: str, arguments: tuple[str, ...]) -> None:
    """A dry run leaves everything as it is; the change writes one entry; undoing it restores the rows."""
    before, rows = contents(people), substance(people)
    dry = act(people, *arguments, "--dry-run")
    assert (dry.code, contents(people)) == (0, before)
    assert "would change" in dry.out
    assert act(people, *arguments).code == 0
    assert substance(people) != rows
    ((entry, count),) = ask(people, "SELECT min(id::text), count(*) FROM admin_audit_logs")
    assert count == 1
    undone = invoke(people, "audit", "undo", entry, env=BOSS)
    assert (undone.code, substance(people)) == (0, rows), undone.err


def test_cancel(people: str) -> None:
    """A cancelled subscription goes on until its period ends, counted in months from its start."""
    started = "UPDATE user_subscriptions SET started_at = now() - interval '40 days' WHERE user_id = %s RETURNING started_at"
    ((since,),) = ask(people, started, ADA)
    assert act(people, "cancel", "ada@", "--reason", "asked").code == 0
    ((status, ends, reason),) = ask(
        people,
        "SELECT status, expires_at, cancellation_reason FROM user_subscriptions WHERE user_id = %s",
        ADA,
    )
    ((expected,),) = ask(people, "SELECT %s::timestamptz + interval '2 months'", since)
    assert (status, ends, reason) == ("cancelled", expected, "asked")
    assert profile_tier(people, "ada@example.com") == "pro"
    assert act(people, "cancel", "ada@", "--fields", "result").out == "result\nunchanged\n"


def test_cancel_at_the_next_billing(people: str) -> None:
    """Where the next billing is known, it is the period's end."""
    ask(
        people,
        "UPDATE user_subscriptions SET next_billing_date = '2999-05-05' WHERE user_id = %s RETURNING id",
        ADA,
    )
    assert act(people, "cancel", "ada@").code == 0
    assert ask(people, "SELECT expires_at::date::text FROM user_subscriptions WHERE user_id = %s", ADA) == [
        ("2999-05-05",)
    ]


def test_cancel_what_has_no_end(people: str) -> None:
    """A subscription for life ends only now; what costs nothing is not cancelled."""
    assert act(people, "set", "ada@", "pro", "--cycle", "lifetime").code == 0
    refused = act(people, "cancel", "ada@")
    assert (refused.code, "has pro without a period that would end" in refused.err) == (1, True)
    assert act(people, "cancel", "ada@", "--now").code == 0
    assert held(people, "ada@example.com") == [
        ("free", "active", "lifetime", None, False),
        ("pro", "cancelled", "lifetime", False, False),
    ]
    assert profile_tier(people, "ada@example.com") == "free"
    refused = act(people, "cancel", "ada@")
    assert (refused.code, "costs nothing" in refused.err) == (1, True)


def test_trial(people: str) -> None:
    """A trial lasts as long as the tier says, can be extended, and is not given twice unasked."""
    length = "SELECT extract(day FROM trial_ends_at - started_at)::int FROM user_subscriptions WHERE status = 'trial'"
    assert act(people, "trial", "start", "adele@", "pro").code == 0
    assert held(people, "adele@example.com") == [("pro", "trial", "monthly", None, True)]
    assert ask(people, length) == [(14,)]
    assert act(people, "trial", "extend", "adele@", "--days", "6").code == 0
    assert ask(people, length) == [(20,)]
    again = ("trial", "start", "adele@", "pro", "--days", "3")
    assert "has or had the tier" in act(people, *again).err
    assert act(people, *again, "--again").code == 0
    assert ask(people, length) == [(3,)]


def test_cancel_a_trial(people: str) -> None:
    """A cancelled trial still ends when it would have, and brings nothing in until then."""
    assert act(people, "trial", "start", "adele@", "pro").code == 0
    assert act(people, "cancel", "adele@").code == 0
    sql = "SELECT status, is_trial, expires_at = trial_ends_at FROM user_subscriptions WHERE trial_ends_at IS NOT NULL"
    assert ask(people, sql) == [("cancelled", True, True)]


def test_override(people: str) -> None:
    """An override stands beside those that end with it, and is in force at once; without one the tier's limit is."""
    fields = ("--fields", "metric,limit,source")
    until = ("--until", "2999-01-01", "--reason", "fair")
    assert act(people, "override", "ada@", "max_avatars", "7", *until).code == 0
    assert act(people, "override", "ada@", "images_generated", "unlimited", *until).code == 0
    assert (
        act(people, "override", "ada@", "chat_messages_count", "none", "--reason", "typing error").code == 0
    )
    assert act(people, "limits", "ada@", *fields, "--csv").out == (
        "metric,limit,source\n"
        "images_generated,,override until 2999-01-01T00:00:00Z\n"
        "max_avatars,7,override until 2999-01-01T00:00:00Z\n"
        "tts_characters,,tier pro\n"
    )
    for metric in ("images_generated", "max_avatars"):
        assert act(people, "override", "ada@", metric, "none", "--reason", "over").code == 0
    sql = "SELECT custom_limits, override_expires_at FROM user_subscriptions WHERE user_id = %s"
    assert ask(people, sql, ADA) == [(None, None)]


def test_overrides_that_have_ended_are_dropped(people: str) -> None:
    """A new override does not bring old ones back to life."""
    ask(
        people,
        "UPDATE user_subscriptions SET override_expires_at = '2020-01-01' WHERE user_id = %s RETURNING id",
        ADA,
    )
    assert (
        act(people, "override", "ada@", "tts_characters", "9", "--until", "never", "--reason", "fair").code
        == 0
    )
    sql = "SELECT custom_limits, override_expires_at FROM user_subscriptions WHERE user_id = %s"
    assert ask(people, sql, ADA) == [({"tts_characters": 9}, None)]


def test_requests(people: str) -> None:
    """Approving moves the user in the same act; only what is pending is answered, one request of a user at a time."""
    fields = ("--fields", "id,email,requested_tier", "--json")
    ada, adele, adeles_other = json.loads(act(people, "requests", "list", *fields).out)
    done = act(
        people,
        "requests",
        "approve",
        ada["id"],
        adele["id"],
        adeles_other["id"],
        "--yes",
        "--reason",
        "agreed",
        "--fields",
        "result,detail",
        "--csv",
    )
    assert (done.code, done.out) == (
        1,
        (
            "result,detail\n"
            "changed,approved\n"
            "changed,approved\n"
            "failed,comes from a user who asks twice here; one request at a time\n"
        ),
    )
    assert held(people, "ada@example.com")[0] == ("enterprise", "active", "monthly", None, False)
    assert profile_tier(people, "adele@example.com") == "pro"
    assert act(people, "requests", "reject", adeles_other["id"][:8]).code == 0
    answered = (
        "SELECT status, admin_notes, reviewed_by IS NOT NULL FROM tier_upgrade_requests ORDER BY created_at"
    )
    assert ask(people, answered) == [
        ("approved", "agreed", True),
        ("approved", "agreed", True),
        ("rejected", None, True),
        ("rejected", None, False),
    ]
    refused = act(people, "requests", "approve", ada["id"])
    assert (refused.code, "is approved already" in refused.err) == (1, True)
    (entries,) = ask(people, "SELECT count(*) FROM admin_audit_logs WHERE resource_type = 'request'")
    assert entries == (3,)


def test_requests_where_nobody_can_ask(migrated_seed_conninfo: str) -> None:
    """Without the web panel there is no request to approve, and that is said."""
    with psycopg.connect(migrated_seed_conninfo) as connection:
        connection.execute(ADMIN)
    refused = act(migrated_seed_conninfo, "requests", "approve", "3fa85f64")
    assert (refused.code, refused.out) == (5, "")
    assert "no table tier_upgrade_requests" in refused.err


def test_many_from_a_list(people: str, tmp_path: Path) -> None:
    """The users of a list's CSV are moved by one command, with the tier alone on the command line."""
    listed = tmp_path / "users.csv"
    listed.write_text(act(people, "check", "--metric", "max_avatars", "--near", "50", "--csv").out)
    done = act(people, "set", "--from-csv", str(listed), "enterprise", "--yes", "-o", "count")
    assert (done.code, done.out) == (0, "3\n")
    paying = "SELECT count(*) FROM user_subscriptions s JOIN subscription_tiers t ON t.id = s.tier_id WHERE t.name = 'enterprise'"
    assert ask(people, paying) == [(3,)]


def test_a_request_for_a_tier_that_is_just_archived(people: str) -> None:
    """Whoever approves while the tier is being archived waits, and then gives it to nobody."""
    ((request,),) = ask(
        people,
        "SELECT r.id::text FROM tier_upgrade_requests r JOIN auth.users u ON u.id = r.user_id WHERE u.email = 'ada@example.com'",
    )
    archive = "UPDATE subscription_tiers SET archived_at = now(), is_active = false WHERE name = 'enterprise'"
    refused = overtaken(people, archive, "tier", "requests", "approve", request, env=BOSS)
    assert (refused.code, refused.out) == (1, "")
    assert "asks for enterprise, which nobody can be given any more" in refused.err
    assert held(people, "ada@example.com") == [("pro", "active", "monthly", None, False)]
