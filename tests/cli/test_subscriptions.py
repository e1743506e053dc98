"""The noun tier, its verbs on users, as a user meets them."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.cli.invoking import invoke
from tests.cli.subscribers import write_people
from tests.conftest import created_database


@pytest.fixture(scope="module")
def people(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """The five users, for commands that only look."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        write_people(conninfo)
        yield conninfo


def test_limits(people: str) -> None:
    """A user's limits are shown with their use and origin; what is no limit is said to limit nothing."""
    shown = invoke(people, "tier", "limits", "ada@")
    assert (shown.code, shown.out) == (
        0,
        (
            "metric                   limit  used  left   percent  source\n"
            "chat_messages_count  unlimited   250     -         -  override until 2999-01-01T00:00:00Z\n"
            "images_generated            60    60     0  1.000000  override until 2999-01-01T00:00:00Z\n"
            "max_avatars                  3     2     1  0.666667  tier pro\n"
            "tts_characters       unlimited   n/a     -         -  tier pro\n"
        ),
    )
    assert shown.err == (
        'note: chat_messages_count "many" of the override until 2999-01-01T00:00:00Z is not a limit,'
        " so it limits nothing\n"
    )


def test_limits_of_nobody(people: str) -> None:
    """Somebody who is not there is not found."""
    assert invoke(people, "tier", "limits", "nobody@example.com").code == 5


def test_check(people: str) -> None:
    """All who are over, at or near a limit are listed, deleted accounts left out, and the exit code tells."""
    shown = invoke(people, "tier", "check")
    assert (shown.code, shown.out, shown.err) == (
        3,
        (
            "email              tier     metric               value  limit   percent  state\n"
            "Eve@example.org    starter  max_avatars              3      2  1.500000  over\n"
            "ada@example.com    pro      images_generated        60     60  1.000000  at\n"
            "adele@example.com  free     max_avatars              1      1  1.000000  at\n"
            "Eve@example.org    starter  chat_messages_count     95    100  0.950000  near\n"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--near", "96"), 3),
        (("--metric", "max_avatars", "--near", "50"), 3),
        (("--tier", "pro"), 1),
        (("--tier", "enterprise"), 0),
        (("--limit", "0"), 4),
    ],
)
def test_check_narrowed(people: str, options: tuple[str, ...], count: int) -> None:
    """The check can be narrowed; the exit code follows what it finds, not how much is shown."""
    shown = invoke(people, "tier", "check", *options, "-o", "count")
    assert (shown.code, shown.out) == (3 if count else 0, f"{count}\n")


def test_check_of_no_tier(people: str) -> None:
    """A tier that is not there has no users to be near a limit: the check says so instead of finding nobody."""
    missing = invoke(people, "tier", "check", "--tier", "nosuch")
    assert (missing.code, missing.out) == (5, "")
    assert "there is no tier 'nosuch'" in missing.err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 3),
        (("--metric", "images_generated"), 3),
        (("--metric", "max_avatars"), 0),
        (("--tier", "free"), 0),
    ],
)
def test_check_without_usage(migrated_panel_conninfo: str, options: tuple[str, ...], code: int) -> None:
    """Where a limit cannot be checked, because nobody knows the usage, the exit code is that of a finding."""
    write_people(migrated_panel_conninfo)
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute("DELETE FROM monthly_usage")
        connection.execute("DELETE FROM avatarlab_admin.job_runs")
        connection.execute("DELETE FROM avatars")
    shown = invoke(migrated_panel_conninfo, "tier", "check", *options, "-o", "count")
    assert (shown.code, shown.out) == (code, "0\n")


def test_check_says_what_it_did_not_check(migrated_panel_conninfo: str) -> None:
    """What can be checked is; the rest is named."""
    write_people(migrated_panel_conninfo)
    with psycopg.connect(migrated_panel_conninfo) as connection:
        connection.execute("DELETE FROM avatarlab_admin.job_runs")
        connection.execute("DELETE FROM monthly_usage")
    shown = invoke(migrated_panel_conninfo, "tier", "check", "--csv", "--fields", "email,metric")
    assert (shown.code, shown.out) == (
        3,
        "email,metric\nEve@example.org,max_avatars\nadele@example.com,max_avatars\n",
    )
    assert "was never computed: `avatarlab job run monthly-usage` computes it\n" in shown.err
    assert shown.err.endswith(", and so not checked: chat_messages_count, images_generated\n")


@pytest.mark.parametrize("near", ["0", "101"])
def test_check_takes_a_percentage(people: str, near: str) -> None:
    """Nothing is near a limit by no use at all."""
    refused = invoke(people, "tier", "check", "--near", near)
    assert (refused.code, refused.out) == (2, "")


def test_findings(people: str) -> None:
    """Accounts whose records contradict each other are listed with what would repair them."""
    shown = invoke(people, "tier", "findings")
    assert (shown.code, shown.out) == (
        3,
        (
            "email              finding                profile_tier  subscription_tier  repair\n"
            "Eve@example.org    several_subscriptions  free          starter            end 1 older\n"
            "Eve@example.org    tiers_disagree         free          starter            set the profile to starter\n"
            "adele@example.com  without_subscription   free          -                  start a free one\n"
            "fay@example.com    lapsed_subscription    pro           -                  none without --trust\n"
        ),
    )


def test_requests(people: str) -> None:
    """Requests are listed by status, the pending ones unless another is named."""
    assert invoke(people, "tier", "requests", "list", "--status", "all").err == "There is no such request.\n"
    refused = invoke(people, "tier", "requests", "list", "--status", "open")
    assert refused.code == 2
    assert "pending, approved, rejected, cancelled, all" in refused.err


def test_requests_without_the_web_panel(migrated_seed_conninfo: str) -> None:
    """Where users cannot ask, the list is empty and says why."""
    shown = invoke(migrated_seed_conninfo, "tier", "requests", "list", "--csv", "--fields", "id,email")
    assert (shown.code, shown.out) == (0, "id,email\n")
    assert shown.err == "note: users cannot ask for a tier here: there is no table tier_upgrade_requests\n"
