"""What the noun `tier` tells of the plans and changes in them: exact output, prices kept, dry runs, and the way back."""

import json
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.conftest import ADELE, EVE
from tests.cli.invoking import Outcome, invoke
from tests.cli.known_tiers import ACTING, PLAN, act, entries, prices, query, tier, write_tiered
from tests.database.contents import contents


@pytest.fixture
def tiered(migrated_panel_conninfo: str) -> str:
    """Ada pays for pro, Eve tries it, Adele has starter suspended, and an admin has nothing."""
    write_tiered(migrated_panel_conninfo)
    return migrated_panel_conninfo


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file that differs from the tiers there are in three of them."""
    path = tmp_path / "tiers.yaml"
    path.write_text(PLAN)
    return str(path)


def test_list(tiered: str) -> None:
    """Each tier stands with prices, limits and its users; an archived one only where it is asked for."""
    with psycopg.connect(tiered) as connection:
        connection.execute("UPDATE subscription_tiers SET archived_at = now() WHERE name = 'enterprise'")
    shown = invoke(tiered, "tier", "list")
    assert shown == Outcome(
        0,
        "tier     display_name  price_monthly  price_yearly  trial_days  max_avatars  limits  users  state\n"
        "free     Free                   0.00          0.00           0            1  {}          2  active\n"
        "starter  Starter                9.99         99.99           7            2  {}          0  active\n"
        "pro      Pro                   29.99        299.99          14            3  {}          2  active\n",
        "",
    )
    both = invoke(tiered, "tier", "list", "--archived", "--csv", "--fields", "tier,state", "--no-headers")
    assert both.out == "free,active\nstarter,active\npro,active\nenterprise,archived\n"


def test_show(tiered: str) -> None:
    """One tier's page has its users by billing cycle and every price it had; a tier is named as users are."""
    fields = ("--fields", "tier,users,users_by_cycle,prices")
    assert json.loads(invoke(tiered, "tier", "show", "PRO", "--json", *fields).out) == {
        "tier": "pro",
        "users": 2,
        "users_by_cycle": {"monthly": 1, "yearly": 1},
        "prices": [{"from": None, "monthly": 29.99, "yearly": 299.99}],
    }
    free = json.loads(invoke(tiered, "tier", "show", str(tier(tiered, "free")["id"]), "--json").out)
    assert (free["tier"], free["users_by_cycle"]) == ("free", {"none": 2})
    assert invoke(tiered, "tier", "show", "enter", "--field", "tier").out == "tier  enterprise\n"
    missing = invoke(tiered, "tier", "show", "gold")
    assert (missing.code, missing.out) == (ExitCode.NOT_FOUND, "")
    assert (
        missing.err == "avatarlab: there is no tier 'gold'\n`avatarlab tier list --archived` shows them all\n"
    )


def test_distribution(tiered: str) -> None:
    """A trial and a pause pay nothing; who has nothing live has the profile's tier."""
    assert invoke(tiered, "tier", "distribution").out == (
        "tier        users     share  paying  trialing  paused    mrr     arr\n"
        "free            2  0.500000       0         0       1   0.00    0.00\n"
        "pro             2  0.500000       1         1       0  29.99  359.88\n"
        "enterprise      0  0.000000       0         0       0   0.00    0.00\n"
        "starter         0  0.000000       0         0       0   0.00    0.00\n"
    )


def test_create(tiered: str) -> None:
    """A new tier is what the options say, else free of charge and last in order; its price is kept from the start."""
    options = ("--price-monthly", "99", "--max-avatars", "10", "--set-limit", "images_generated=50")
    made = act(tiered, "create", "team", *options, "--reason", "Asked for")
    assert (made.code, made.out) == (0, "tier  result   detail\nteam  changed  made\n")
    row = tier(tiered, "team")
    assert (row["display_name"], row["price_monthly"], row["price_yearly"]) == (
        "Team",
        Decimal(99),
        Decimal(0),
    )
    assert (row["max_avatars"], row["limits"], row["is_active"]) == (10, {"images_generated": 50}, True)
    assert row["sort_order"] > tier(tiered, "enterprise")["sort_order"]
    assert prices(tiered, "team") == [Decimal(99)]
    (entry,) = entries(tiered)
    assert (entry["action"], entry["resource_type"], entry["resource_id"]) == (
        "tier.create",
        "tier",
        row["id"],
    )
    assert entry["justification"] == "Asked for"
    again = act(tiered, "create", "TEAM")
    assert (again.code, again.out) == (ExitCode.FAILED, "")
    assert act(tiered, "create", "tea").code == 0


def test_update(tiered: str) -> None:
    """What is named changes, the rest stays, limits singly; the former price is kept beside the new one."""
    assert act(tiered, "update", "pro", "--set-limit", "images_generated=9").code == 0
    limits = ("--set-limit", "images_generated=", "--set-limit", "tts_characters=-1")
    changed = act(
        tiered, "update", "pro", "--price-monthly", "34.99", "--trial-days", "0", "--featured", *limits
    )
    assert changed.code == 0, changed.err
    row = tier(tiered, "pro")
    assert (row["price_monthly"], row["price_yearly"]) == (Decimal("34.99"), Decimal("299.99"))
    assert (row["trial_days"], row["is_featured"], row["limits"]) == (0, True, {"tts_characters": -1})
    assert prices(tiered, "pro") == [Decimal("29.99"), Decimal("34.99")]
    assert [len(entry["changes"]["rows"]) for entry in entries(tiered)] == [1, 1]
    same = act(tiered, "update", "pro", "--price-monthly", "34.99")
    assert (same.code, same.out) == (0, "tier  result     detail\npro   unchanged  -\n")
    assert len(entries(tiered)) == 2


def test_update_of_several(tiered: str) -> None:
    """Several tiers change at once, each with an entry; one that is not there does not keep the others back."""
    done = act(tiered, "update", "starter", "pro", "gold", "--inactive", "--yes", "--fields", "tier,result")
    assert (done.code, done.out) == (
        ExitCode.FAILED,
        "tier     result\nstarter  changed\npro      changed\ngold     failed\n",
    )
    assert [tier(tiered, name)["is_active"] for name in ("free", "starter", "pro")] == [True, False, False]
    assert len({entry["batch_id"] for entry in entries(tiered)}) == 1
    assert len(entries(tiered)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing is to be changed"),
        (("--price-monthly", "free"), "a price must be an amount in USD such as 9.99"),
        (("--price-yearly", "-1"), "price_yearly must be from 0"),
        (("--max-avatars", "-2"), "max_avatars must be a whole number from -1"),
        (("--set-limit", "images_generated"), "--set-limit takes METRIC=N"),
        (("--set-limit", "images_generated=many"), "images_generated must be a whole number from 0, or -1"),
        (("--set-limit", "images_generated=-2"), "images_generated must be a whole number from 0, or -1"),
        (("--set-limit", "total_cost=5"), "'total_cost' cannot be limited; one of: avatars_created"),
        (("--set-limit", "max_avatars=5"), "max_avatars is not one of the limits"),
        (("--display-name", " "), "display_name must be a text of 1 to 100 characters"),
    ],
)
def test_wrong_values(tiered: str, options: tuple[str, ...], message: str) -> None:
    """A value no tier can have is refused before anything is changed."""
    before = contents(tiered)
    refused = act(tiered, "update", "pro", *options)
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert refused.err.startswith(f"avatarlab: {message}")
    assert contents(tiered) == before


def test_archive(tiered: str) -> None:
    """A tier nobody has is put away and can come back; one in use, and free, are left alone and say why."""
    assert act(tiered, "archive", "enterprise").code == ExitCode.DECLINED
    done = act(tiered, "archive", "enterprise", "pro", "starter", "free", "--yes")
    assert done.code == ExitCode.FAILED
    assert done.out == (
        "tier        result   detail\n"
        "enterprise  changed  archived\n"
        "pro         failed   is still in use: 2 subscriptions, 0 profiles; `avatarlab tier set` gives their users another tier\n"
        "starter     failed   is still in use: 1 subscriptions, 0 profiles; `avatarlab tier set` gives their users another tier\n"
        "free        failed   is the tier of everybody who has no other\n"
    )
    row = tier(tiered, "enterprise")
    assert (row["archived_at"] is None, row["is_active"]) == (False, False)
    assert act(tiered, "archive", "enterprise", "--yes", "--field", "result").out == "result\nunchanged\n"
    assert act(tiered, "archive", "pro", "--yes").code == ExitCode.REFUSED
    assert act(tiered, "update", "enterprise", "--active").code == 0
    row = tier(tiered, "enterprise")
    assert (row["archived_at"], row["is_active"]) == (None, True)


def test_archive_counts_profiles(tiered: str) -> None:
    """A tier a profile carries is in use; what deleted accounts had does not count."""
    with psycopg.connect(tiered) as connection:
        connection.execute(
            "UPDATE profiles SET subscription_tier_id = t.id FROM subscription_tiers t"
            " WHERE t.name = 'enterprise' AND profiles.id = %s",
            [EVE],
        )
    refused = act(tiered, "archive", "enterprise", "--yes")
    assert refused.err.startswith("avatarlab: enterprise is still in use: 0 subscriptions, 1 profiles;")
    with psycopg.connect(tiered) as connection:
        connection.execute("UPDATE auth.users SET deleted_at = now() WHERE id IN (%s, %s)", [EVE, ADELE])
    assert act(tiered, "archive", "enterprise", "starter", "--yes").code == 0


ACTS = (
    ("create", "team", "--price-monthly", "99"),
    ("update", "pro", "--price-monthly", "34.99", "--set-limit", "images_generated=9"),
    ("archive", "enterprise", "--yes"),
    ("apply", "-f", "FILE", "--yes"),
)


@pytest.mark.parametrize("words", ACTS, ids=lambda words: words[0])
def test_undo(tiered: str, file: str, words: tuple[str, ...]) -> None:
    """What an act did to the tiers is taken back whole."""
    shown = "SELECT to_jsonb(t) - 'updated_at' AS tier FROM subscription_tiers t ORDER BY name"
    before = query(tiered, shown)
    assert act(tiered, *(file if word == "FILE" else word for word in words)).code == 0
    assert query(tiered, shown) != before
    batch = str(entries(tiered)[0]["batch_id"])
    undone = invoke(tiered, "audit", "undo", "--batch", batch, "--yes", env=ACTING)
    assert undone.code == 0, undone.err
    assert query(tiered, shown) == before


@pytest.mark.parametrize("words", ACTS[1:], ids=lambda words: words[0])
def test_a_plan_is_carried_out_later(tiered: str, file: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    """What --plan wrote changes the tiers as the verb itself would have."""
    plan = str(tmp_path / "tiers.plan")
    before = contents(tiered)
    assert act(tiered, *(file if word == "FILE" else word for word in words), "--plan", plan).code == 0
    assert contents(tiered) == before
    done = invoke(tiered, "apply", plan, "--yes", env=ACTING)
    assert done.code == 0, done.err
    assert {entry["action"] for entry in entries(tiered)} == {f"tier.{words[0]}"}


def test_free_stays_open(tiered: str, tmp_path: Path) -> None:
    """The tier of everybody who has no other can be closed neither by an option nor by a file."""
    before = contents(tiered)
    refused = act(tiered, "update", "free", "--inactive")
    assert refused == Outcome(
        ExitCode.REFUSED, "", "avatarlab: free is the tier of everybody who has no other\n"
    )
    file = tmp_path / "closed.yaml"
    file.write_text("- {name: free, is_active: false}\n- {name: pro, price_monthly: 1}\n")
    refused = act(tiered, "apply", "-f", str(file), "--yes")
    assert refused.code == ExitCode.REFUSED
    assert refused.err.endswith("free is the tier of everybody who has no other\nno tier was changed\n")
    assert contents(tiered) == before
    assert act(tiered, "update", "free", "--trial-days", "3").code == 0
