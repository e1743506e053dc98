"""A tiers.yaml beside the tiers there are: how they differ, what would be, and how it is reached."""

from decimal import Decimal
from pathlib import Path

import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import Outcome, invoke, terminal
from tests.cli.known_tiers import ACTING, PLAN, act, entries, prices, tier, write_tiered
from tests.cli.overtaking import overtaken
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


def test_diff(tiered: str, file: str) -> None:
    """Each value that differs stands beside the present one; nothing is said of what the file leaves out."""
    shown = invoke(tiered, "tier", "diff", "-f", file)
    assert shown == Outcome(
        ExitCode.FOUND,
        "tier  change  field          before   after\n"
        'free  update  limits         {}       {"images_generated": 4}\n'
        'pro   update  price_monthly  "29.99"  "39.99"\n'
        'pro   update  limits         {}       {"images_generated": 100}\n'
        "pro   update  max_avatars    3        0\n"
        'team  create  name           -        "team"\n'
        'team  create  price_monthly  -        "99.00"\n',
        "note: left alone, as the file does not name them: starter, enterprise\n",
    )
    pruned = invoke(tiered, "tier", "diff", "-f", file, "--prune", "--csv", "--fields", "tier,change")
    assert pruned.out.endswith("starter,archive\nstarter,archive\nenterprise,archive\nenterprise,archive\n")
    assert pruned.err == ""


def test_diff_of_what_is_the_same(tiered: str, tmp_path: Path) -> None:
    """A file that says what is so differs in nothing."""
    file = tmp_path / "same.yaml"
    file.write_text("- {name: pro, price_monthly: 29.99, max_avatars: 3}\n")
    shown = invoke(tiered, "tier", "diff", "-f", str(file), "--json", "-q")
    assert shown == Outcome(0, "[]\n", "")


def test_what_if(tiered: str, file: str) -> None:
    """A month's usage is judged by the limits there are and by the file's, and revenue is reckoned at both prices."""
    fields = "tier,users,over_now,over_then,newly_over,exceeded_then,mrr_now,mrr_then,mrr_change"
    shown = invoke(tiered, "tier", "what-if", "-f", file, "--month", "2025-06", "--fields", fields, "--csv")
    assert shown == Outcome(
        0,
        f"{fields}\n"
        'free,2,0,1,1,"{""images_generated"": 1}",0.00,0.00,0.00\n'
        'pro,2,0,1,1,"{""max_avatars"": 1}",29.99,39.99,10.00\n',
        "note: all tiers together: an MRR of 29.99 now, 39.99 then\n",
    )
    named = invoke(tiered, "tier", "what-if", "-f", file, "--month", "2025-06", "--users")
    assert named.out == (
        "email              tier  metric            value  limit_now  limit_then\n"
        "ada@example.com    pro   max_avatars           1          3           0\n"
        "adele@example.com  free  images_generated      5          -           4\n"
    )


def test_what_if_without_usage(tiered: str, file: str, tmp_path: Path) -> None:
    """Figures that are not there are named, and nobody is said to be over them."""
    shown = invoke(
        tiered, "tier", "what-if", "-f", file, "--month", "2024-01", "--csv", "--field", "over_then"
    )
    assert shown.out == "over_then\n0\n1\n"
    assert "no usage is stored for 2024-01, so only avatars are judged" in shown.err
    stored = tmp_path / "stored.yaml"
    stored.write_text("- {name: pro, limits: {storage_bytes: 1}}\n")
    partial = invoke(tiered, "tier", "what-if", "-f", str(stored), "--month", "2025-06")
    assert "note: not available in 2025-06, and so not judged: storage_bytes\n" in partial.err


@pytest.mark.parametrize("verb", ["diff", "what-if", "apply"])
def test_a_faulty_file(tiered: str, tmp_path: Path, verb: str) -> None:
    """A fault is told with file and line, before anything is asked of the database."""
    file = tmp_path / "faulty.yaml"
    file.write_text("- name: pro\n  price_monthly: -1\n")
    assert invoke(None, "tier", verb, "-f", str(file)) == Outcome(
        ExitCode.USAGE,
        "",
        f"avatarlab: {file}:2: price_monthly must be from 0 to 99999999.99, in whole cents, not -1\n",
    )
    assert invoke(tiered, "tier", verb, "-f", str(tmp_path / "none.yaml")).code == ExitCode.USAGE


def test_apply(tiered: str, file: str) -> None:
    """The file is reached in one go, each tier with an entry, every price kept; then nothing differs."""
    done = act(tiered, "apply", "-f", file, "--yes")
    assert (done.code, done.out) == (
        0,
        "tier  result   detail\n"
        + "".join(f"{name:4}  changed  made as in {file}\n" for name in ("free", "pro", "team")),
    )
    assert 'update pro: price_monthly "29.99" -> "39.99"\n' in done.err
    assert 'create team: price_monthly "99.00"\n' in done.err
    assert invoke(tiered, "tier", "diff", "-f", file).code == 0
    assert (prices(tiered, "pro"), prices(tiered, "team")) == (
        [Decimal("29.99"), Decimal("39.99")],
        [Decimal(99)],
    )
    pro, team = tier(tiered, "pro"), tier(tiered, "team")
    assert (pro["price_yearly"], pro["max_avatars"], pro["limits"]) == (
        Decimal("299.99"),
        0,
        {"images_generated": 100},
    )
    assert (team["display_name"], team["max_avatars"], team["limits"]) == ("Team", 1, {})
    log = entries(tiered)
    assert [entry["action"] for entry in log] == ["tier.apply"] * 3
    assert len({entry["batch_id"] for entry in log}) == 1
    assert act(tiered, "apply", "-f", file, "--json", "-q") == Outcome(0, "[]\n", "")


def test_apply_all_or_nothing(tiered: str, file: str) -> None:
    """Where one tier of the file cannot be what it says, no tier is changed."""
    before = contents(tiered)
    refused = act(tiered, "apply", "-f", file, "--prune", "--yes")
    assert (refused.code, refused.out) == (ExitCode.REFUSED, "")
    assert "starter is still in use: 1 subscriptions, 0 profiles" in refused.err
    assert refused.err.endswith("no tier was changed\n")
    assert contents(tiered) == before


def test_apply_asks(tiered: str, file: str) -> None:
    """What would change is shown, then asked once; a no leaves everything as it is."""
    before = contents(tiered)
    declined = terminal(tiered, "tier", "apply", "-f", file, answer="n\n", env=ACTING)
    assert declined.code == ExitCode.DECLINED
    assert 'update pro: price_monthly "29.99" -> "39.99"' in declined.out
    assert contents(tiered) == before
    agreed = terminal(tiered, "tier", "apply", "-f", file, answer="y\n", env=ACTING)
    assert (agreed.code, agreed.out.count("[y/N]")) == (0, 1)
    assert tier(tiered, "pro")["price_monthly"] == Decimal("39.99")


def test_apply_brings_back_and_prunes(tiered: str, tmp_path: Path) -> None:
    """A tier the file names is not archived afterwards; with --prune one it does not name is."""
    file = tmp_path / "tiers.yaml"
    file.write_text("- name: free\n- name: starter\n- name: pro\n")
    assert act(tiered, "apply", "-f", str(file), "--prune", "--yes").code == 0
    assert tier(tiered, "enterprise")["archived_at"] is not None
    assert invoke(tiered, "tier", "diff", "-f", str(file), "--prune").code == 0
    file.write_text("- {name: enterprise, max_avatars: 50}\n")
    assert act(tiered, "apply", "-f", str(file), "--yes").code == 0
    row = tier(tiered, "enterprise")
    assert (row["archived_at"], row["is_active"], row["max_avatars"]) == (None, True, 50)


def test_a_plan_that_no_longer_holds(tiered: str, file: str, tmp_path: Path) -> None:
    """Where one tier of a planned file has changed since, none is changed."""
    plan = str(tmp_path / "tiers.plan")
    assert act(tiered, "apply", "-f", file, "--plan", plan).code == 0
    assert act(tiered, "update", "pro", "--price-monthly", "31").code == 0
    before = contents(tiered)
    refused = invoke(tiered, "apply", plan, "--yes", env=ACTING)
    assert (refused.code, refused.out) == (ExitCode.REFUSED, "")
    assert contents(tiered) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE subscription_tiers SET price_yearly = 1 WHERE name = 'pro'",
        "UPDATE subscription_tiers SET max_avatars = 9 WHERE name = 'starter'",
        "INSERT INTO subscription_tiers (name, display_name) VALUES ('rogue', 'Rogue')",
    ],
    ids=["another column", "another tier", "a new tier"],
)
def test_apply_of_what_changes_meanwhile(tiered: str, tmp_path: Path, change: str) -> None:
    """What was as the file says when it was compared, and is no longer, keeps all tiers as they are."""
    file = tmp_path / "tiers.yaml"
    file.write_text(
        "- name: free\n- {name: starter, max_avatars: 2}\n- name: enterprise\n"
        "- {name: pro, price_monthly: 39.99, price_yearly: 299.99}\n"
    )
    apply = ("tier", "apply", "-f", str(file), "--prune", "--yes")
    refused = overtaken(tiered, change, *apply, env=ACTING)
    assert (refused.code, refused.out) == (ExitCode.REFUSED, "")
    assert "no longer as they were when they were compared" in refused.err
    assert (tier(tiered, "pro")["price_monthly"], entries(tiered)) == (Decimal("29.99"), [])
