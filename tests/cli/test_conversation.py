"""The noun `conversation` as its users meet it: a few known exchanges, and who may read what was said."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import ROOT, arranged, chain_breaks, entries, user_id
from tests.cli.invoking import Outcome, invoke, terminal
from tests.conftest import DEMO_END

ANN, BEN = user_id("ann@example.com"), user_id("ben@example.com")
NUMBER, SPOKEN, ADDRESS = "+4915112345678", "+49 (0)151 1234-5678", "ann@mail.example.com"
SENT = (
    (ANN, NUMBER, f"user: Refund me! Call {SPOKEN} or write to {ADDRESS} | assistant: Gladly", 1),
    (ANN, NUMBER, "user: hello | assistant: hi", 1),
    (BEN, "77", "user: 100% sure_ | assistant: ok", 2),
    (ANN, NUMBER, "user: an old refund | assistant: ok", 40),
)
# Who chats with which avatar, what about, how it is rated, days ago.
CHATS = (
    (BEN, ANN, "A REFUND?", "neutral", 1),
    (BEN, ANN, "A REFUND?", "bad", 1),
    (BEN, BEN, "thanks", "neutral", 3),
    *((BEN, BEN, "thanks", "good", 3),) * 3,
)


@pytest.fixture(scope="module")
def known(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Two avatars, spoken with over both channels, and a pattern; admins of every role."""
    with arranged(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            _write(connection)
        yield conninfo


def _write(connection: psycopg.Connection[Any]) -> None:
    for avatar, number, text, days in SENT:
        connection.execute(
            "INSERT INTO conversations (avatar_id, phone_number, text, timestamp) VALUES (%s, %s, %s, %s)",
            [avatar, number, text, DEMO_END - timedelta(days=days)],
        )
    for user, avatar, text, feedback, days in CHATS:
        connection.execute(
            "INSERT INTO conversation_feedback (user_id, avatar_id, user_message, avatar_response, feedback, created_at)"
            " VALUES (%s, %s, %s, 'You are welcome', %s, %s)",
            [user, avatar, text, feedback, DEMO_END - timedelta(days=days)],
        )
    connection.execute(
        "INSERT INTO conversation_patterns (user_id, avatar_id, trigger_words, response_pattern, examples, usage_count,"
        " pattern_type, created_at, updated_at) VALUES (%s, %s, '{hi,there}', %s, '{hi there}', 7, 'greeting', %s, %s)",
        [ANN, ANN, "Hello! " * 40, DEMO_END - timedelta(days=9), DEMO_END - timedelta(days=2)],
    )


def search(conninfo: str, *arguments: str, admin: str | None = ROOT) -> Outcome:
    """Search on the demo's last day, as this admin."""
    env = {} if admin is None else {"AVATARLAB_ADMIN": admin}
    return invoke(conninfo, "conversation", "search", *arguments, env=env)


def searches(conninfo: str) -> list[dict[str, Any]]:
    """Return what the audit log says of searches."""
    return [entry for entry in entries(conninfo) if entry["action"] == "conversation.search"]


def test_volume_by_day(known: str) -> None:
    """Both channels stand side by side, a day without exchanges has a row, and a week ago is far enough."""
    shown = invoke(known, "conversation", "volume", "--since", "2025-06-11")
    assert shown.out.splitlines() == [
        "day         api  web  exchanges  customers  chatters",
        "2025-06-11    0    0          0          0         0",
        "2025-06-12    0    1          1          0         1",
        "2025-06-13    1    0          1          1         0",
        "2025-06-14    2    1          3          1         1",
        "2025-06-15    0    0          0          0         0",
        "total         3    2          5",
    ]


def test_an_exchange_over_the_api_is_its_avatars_owners(known: str) -> None:
    """By user, the API's exchanges count for whoever has the avatar, those of the web chat for whoever chatted."""
    found = json.loads(invoke(known, "conversation", "volume", "--by", "user", "--json").out)
    assert [(row["email"], row["api"], row["web"]) for row in found] == [
        ("ben@example.com", 1, 2),
        ("ann@example.com", 2, 0),
    ]


def test_quality_puts_few_votes_below_many(known: str) -> None:
    """The order is that of the interval's lower bound; an avatar with fewer ratings than asked for is left out."""
    rows = json.loads(invoke(known, "conversation", "quality", "--json").out)
    assert [(row["rank"], row["owner"], row["rate"], row["lower"], row["upper"]) for row in rows] == [
        (1, "ben@example.com", "1.000000", "0.438503", "1.000000"),
        (2, "ann@example.com", "0.000000", "0.000000", "0.793451"),
    ]
    least = invoke(known, "conversation", "quality", "--min-ratings", "4")
    assert (least.code, least.err.splitlines()[0]) == (0, "No avatar has 4 or more ratings in that time.")


def test_feedback_by_model(known: str) -> None:
    """The model is the avatar's present one, and the report says so."""
    shown = invoke(known, "conversation", "feedback", "--by", "model", "--csv")
    assert shown.out.splitlines()[1:] == ["gpt-4o-mini-2024-07-18,3,1,2,4,0.750000"]
    assert "do not record the model" in shown.err


def test_patterns(known: str) -> None:
    """Words and figures are shown, and in no format what was said: reading that takes a search."""
    shown = terminal(known, "conversation", "patterns", "--color", "never")
    assert shown.out.splitlines()[:2] == [
        "triggers   type      avatar  uses  success_rate  last_used",
        "hi, there  greeting  Ava        7        80.0 %  2025-06-13 12:00",
    ]
    every = invoke(known, "conversation", "patterns", "--json").out
    assert not [text for text in ("Hello", "hi there") if text in every]


def test_summary(known: str) -> None:
    """It is one object, and tells rates beside what they are of."""
    found = json.loads(invoke(known, "conversation", "summary", "--json").out)
    assert (found["api_exchanges"], found["api_exchanges_30d"], found["customers"]) == (4, 3, 2)
    assert (found["good_30d"], found["bad_30d"], found["rate_30d"]) == (3, 1, "0.750000")


def test_search_hides_whose_it_is(known: str) -> None:
    """Neither the number, nor one that was said, nor an address is shown, in any format."""
    for format_name in ("table", "csv", "json", "ndjson", "yaml", "markdown"):
        shown = search(known, "refund", "-o", format_name)
        assert shown.code == 0, shown.err
        assert shown.out.count("hidden") == 2
        assert not [text for text in (NUMBER, SPOKEN, ADDRESS, "1234") if text in shown.out]
    assert shown.err.splitlines() == ["that you searched, and for what, is in the audit log"]
    rows = json.loads(search(known, "refund", "--json", "--sort", "channel").out)
    assert [(row["channel"], row["phone_number"]) for row in rows] == [("api", "+49…78"), ("web", None)]


def test_a_search_is_kept_before_it_is_shown(known: str) -> None:
    """The entry has the text, the time, what came up and why; it names the admin, and the chain stays whole."""
    before = len(searches(known))
    assert search(known, "REFUND", "--avatar", str(ANN), "--limit", "1", "--reason", "ticket 7").code == 0
    (entry,) = searches(known)[before:]
    assert entry["changes"] == {
        "rows": [],
        "text": "REFUND",
        "since": "2025-05-17T00:00:00+00:00",
        "until": "2025-06-15T12:00:00+00:00",
        "avatar_id": str(ANN),
        "is_revealed": False,
        "found": 2,
        "shown": 1,
    }
    assert (entry["justification"], entry["severity"]) == ("ticket 7", "warning")
    assert entry["resource_id"] == user_id(f"admin {ROOT}") == entry["admin_user_id"]
    assert chain_breaks(known) == []


@pytest.mark.parametrize(
    ("lost", "back"),
    [
        (
            b"ALTER TABLE conversation_feedback RENAME TO elsewhere",
            b"ALTER TABLE elsewhere RENAME TO conversation_feedback",
        ),
        (
            b"ALTER TABLE conversation_feedback RENAME avatar_response TO elsewhere",
            b"ALTER TABLE conversation_feedback RENAME elsewhere TO avatar_response",
        ),
    ],
    ids=["chats", "answers"],
)
def test_what_is_there_is_searched(known: str, lost: bytes, back: bytes) -> None:
    """Without the chats, or what avatars said in them, the exchanges over the API are found and shown, with a note."""
    with psycopg.connect(known, autocommit=True) as connection:
        connection.execute(lost)
        try:
            found = search(known, "refund", "--json")
        finally:
            connection.execute(back)
    assert found.code == 0, found.err
    assert "api" in {row["channel"] for row in json.loads(found.out)}
    assert "missing here" in found.err


def test_what_is_found_nowhere_is_kept_too(known: str) -> None:
    """A search without result is one."""
    before = len(searches(known))
    shown = search(known, "no such words")
    assert (shown.code, shown.err.splitlines()[0]) == (0, "Nobody said that in that time.")
    (entry,) = searches(known)[before:]
    assert entry["changes"]["found"] == 0


@pytest.mark.parametrize("secret", [SPOKEN, ADDRESS])
def test_the_log_hides_what_was_searched_for(known: str, secret: str) -> None:
    """More may read the audit log than may see a number or an address, so it has neither."""
    before = len(searches(known))
    assert search(known, f"call {secret}").code == 0
    (entry,) = searches(known)[before:]
    assert secret not in json.dumps(entry, default=str)
    assert entry["changes"]["text"] == "call [hidden]"
    assert "for 'call [hidden]'" in entry["description"]


def test_nothing_is_shown_that_cannot_be_kept(known: str) -> None:
    """Where the audit log takes no entry, the search shows nothing and fails."""
    with psycopg.connect(known) as connection:
        connection.execute("ALTER TABLE admin_audit_logs ADD CONSTRAINT shut CHECK (false) NOT VALID")
    try:
        shown = search(known, "refund")
    finally:
        with psycopg.connect(known) as connection:
            connection.execute("ALTER TABLE admin_audit_logs DROP CONSTRAINT shut")
    assert (shown.code != 0, shown.out) == (True, "")


@pytest.mark.parametrize(("text", "found"), [("100% SURE_", 1), ("100_", 0), ("%%", 0), ("user: H", 1)])
def test_a_text_means_itself(known: str, text: str, found: int) -> None:
    """No character of it stands for others, and its case does not matter; a count tells how many hold it."""
    shown = search(known, text, "-o", "count")
    assert (shown.code, shown.out) == (0, f"{found}\n")


def test_reveal(known: str) -> None:
    """Numbers and addresses are shown whole to whoever may delete users, for a reason that is kept."""
    refused = search(known, "refund", "--reveal")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    reason = ("--reveal", "--reason", "police request 12")
    refused = search(known, "refund", *reason, admin="moderator@example.com")
    assert (refused.code, refused.out) == (ExitCode.NOT_PERMITTED, "")
    before = len(searches(known))
    shown = search(known, "refund", *reason, "--csv")
    assert all(text in shown.out for text in (NUMBER, SPOKEN, ADDRESS))
    (entry,) = searches(known)[before:]
    assert (entry["changes"]["is_revealed"], entry["justification"]) == (True, "police request 12")
    assert entry["description"].endswith("numbers and addresses revealed")


@pytest.mark.parametrize(
    ("admin", "code"),
    [
        *((f"{role}@example.com", 0) for role in ("super_admin", "admin", "moderator")),
        *((f"{role}@example.com", ExitCode.NOT_PERMITTED) for role in ("support", "analyst")),
        (None, ExitCode.NOT_PERMITTED),
    ],
)
def test_who_may_search(known: str, admin: str | None, code: int) -> None:
    """It takes moderation.write and a name, and whoever is refused leaves no trace of a result."""
    before = len(searches(known))
    assert search(known, "refund", admin=admin).code == code
    assert len(searches(known)) - before == (code == 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("volume", "--by", "planet"), "by: day, week, month, channel, avatar, user"),
        (("feedback", "--by", "month"), "by: avatar, model, user, day, week"),
        (("patterns", "--by", "day"), "by: avatar, type, week"),
        (("patterns", "--since", "7d"), "--since and --until go with --by"),
        (("quality", "--min-ratings", "0"), "--min-ratings"),
        (("volume", "--since", "soon"), "'soon' is not a time"),
        (("search", "x"), "2 or more characters"),
        (("search", "ab\udcff"), "not UTF-8"),
        (("search", "refund", "--limit", "1001"), "1,000 exchanges at most"),
        (("search", "refund", "--limit", "0"), "-o count"),
        (("search", "refund", "--fields", "passage,secret"), "secret"),
    ],
)
def test_what_is_not_understood(known: str, arguments: tuple[str, ...], said: str) -> None:
    """A wrong option is told before anything is read or kept."""
    before = len(searches(known))
    shown = invoke(known, "conversation", *arguments, env={"AVATARLAB_ADMIN": ROOT})
    assert (shown.code, shown.out) == (ExitCode.USAGE, "")
    assert said in shown.err
    assert len(searches(known)) == before


def test_an_avatar_nobody_has(known: str) -> None:
    """Whoever is named must be there."""
    shown = search(known, "refund", "--avatar", "ffffffff")
    assert (shown.code, shown.out) == (ExitCode.NOT_FOUND, "")
