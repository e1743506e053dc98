"""`tier findings` and `tier repair`: accounts whose subscriptions and profiles contradict each other, put in order."""

import json
from pathlib import Path

import pytest

from tests.cli.invoking import Outcome, invoke
from tests.cli.overtaking import overtaken
from tests.cli.subscribers import BOSS, act, ask, held, profile_tier, write_asking
from tests.database.contents import contents

MEND = "avatarlab tier repair --everyone --trust subscription --yes"


@pytest.fixture
def people(migrated_panel_conninfo: str) -> str:
    """The five users, an admin, and requests for tiers."""
    write_asking(migrated_panel_conninfo)
    return migrated_panel_conninfo


def test_repair_everyone(people: str) -> None:
    """All that can be repaired is; what needs a decision is left, until it is made."""
    done = act(people, "repair", "--everyone", "--yes", "--fields", "user,result", "--sort", "user")
    assert (done.code, done.out) == (
        0,
        "user               result\nEve@example.org    changed\nadele@example.com  changed\nboss@example.com   changed\n",
    ), done.err
    assert held(people, "adele@example.com") == [("free", "active", "lifetime", None, False)]
    assert profile_tier(people, "Eve@example.org") == "starter"
    left = act(people, "findings", "--fields", "email,finding", "--json")
    assert (left.code, json.loads(left.out)) == (
        3,
        [{"email": "fay@example.com", "finding": "lapsed_subscription"}],
    )
    assert act(people, "repair", "--everyone", "--trust", "profile").code == 0
    assert held(people, "fay@example.com") == [("pro", "active", "monthly", None, False)]
    assert act(people, "findings").code == 0


def test_repair_of_nothing(people: str) -> None:
    """Where nothing is to be repaired, that is said and is no failure; what takes a decision is not passed over."""
    assert act(people, "repair", "--everyone", "--yes").code == 0
    before = contents(people)
    note = "note: there is nothing to repair"
    undecided = f"{note} without --trust; `avatarlab tier findings` lists what needs it\n"
    assert act(people, "repair", "--everyone", "--json") == Outcome(0, "[]\n", undecided)
    assert act(people, "repair", "--everyone", "--trust", "subscription").code == 0
    assert act(people, "repair", "--everyone", "--trust", "subscription", "--json", "--dry-run") == Outcome(
        0, "[]\n", f"{note}\n"
    )
    assert contents(people) != before


def test_everyone_is_nobody_in_particular(people: str, tmp_path: Path) -> None:
    """Neither users nor a file of them may stand beside --everyone, and without any of these there is nobody."""
    file = tmp_path / "ids"
    file.write_text("Eve@example.org\n")
    before = contents(people)
    for named in (("Eve@",), ("--ids-from", str(file)), ("--from-csv", str(file))):
        refused = act(people, "repair", *named, "--everyone", "--yes")
        assert (refused.code, refused.out) == (2, "")
        assert "users are named beside --everyone" in refused.err
    refused = act(people, "repair")
    assert (refused.code, refused.out) == (2, "")
    assert "no user is named" in refused.err
    assert "`avatarlab tier findings` lists who needs it" in refused.err
    assert contents(people) == before


REPAIR_FAY = ("tier", "repair", "fay@example.com", "--trust", "profile")


@pytest.mark.parametrize("closed", ["archived_at = now()", "is_active = false"])
def test_a_closed_tier_of_a_profile(people: str, closed: str) -> None:
    """A profile does not give its tier where nobody can be given it, even where that has just come to be."""
    refused = overtaken(
        people, f"UPDATE subscription_tiers SET {closed} WHERE name = 'pro'", *REPAIR_FAY, env=BOSS
    )
    assert (refused.code, refused.out) == (1, "")
    assert "fay@example.com has pro in the profile, which nobody can be given any more" in refused.err
    assert held(people, "fay@example.com") == []
    # Who has the tier already keeps it, and the rest is put in order.
    assert act(people, "repair", "ada@", "--trust", "profile").code == 0
    assert held(people, "ada@example.com") == [("pro", "active", "monthly", None, False)]


@pytest.mark.parametrize(
    ("command", "over"),
    [
        (("trial", "start", "adele@", "pro"), "trial_ends_at = now() - interval '1 day'"),
        (("cancel", "ada@"), "expires_at = now() - interval '1 day'"),
    ],
)
def test_what_is_over(people: str, command: tuple[str, ...], over: str) -> None:
    """A trial or a cancelled subscription that is over is found, and the command its help names gives the free tier."""
    email = {"adele@": "adele@example.com", "ada@": "ada@example.com"}[
        command[-2 if "trial" in command else -1]
    ]
    verb = command[: -2 if "trial" in command else -1]
    assert MEND in " ".join(act(people, *verb, "--help").out.split())
    assert act(people, *command).code == 0
    assert email not in act(people, "findings", "--csv").out
    ask(
        people,
        f"UPDATE user_subscriptions s SET {over} FROM auth.users u WHERE u.id = s.user_id AND u.email = %s RETURNING s.id",
        email,
    )
    assert profile_tier(people, email) == "pro"
    found = json.loads(act(people, "findings", "--json", "--fields", "email,finding").out)
    assert {"email": email, "finding": "lapsed_subscription"} in found
    assert invoke(people, *MEND.split()[1:], env=BOSS).code == 0
    assert profile_tier(people, email) == "free"
    assert [row[:3] for row in held(people, email) if row[0] == "free"] == [("free", "active", "lifetime")]
    assert act(people, "findings").code == 0
