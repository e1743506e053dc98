"""The noun `api` as its users meet it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.conftest import ADA, ADELE, EMAILS
from tests.cli.invoking import invoke
from tests.conftest import DEMO_END, created_database

YESTERDAY = DEMO_END.replace(hour=0) - timedelta(days=1)


@pytest.fixture(scope="module")
def known(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Ada's key with 30 requests on each of ten days and 300 yesterday, Adele's without any, and two rows without a key."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            for user in (ADA, ADELE):
                connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, EMAILS[user]])
                connection.execute(
                    "INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix, request_count,"
                    " created_at) VALUES (%s, %s, 'n8n', %s, %s, %s, %s)",
                    [
                        user,
                        user,
                        f"hash {user}",
                        f"pk_live_{user.hex[:6]}...",
                        700 if user == ADA else 0,
                        YESTERDAY,
                    ],
                )
            for days in range(11):
                for count in range(300 if days == 0 else 30):
                    _request(connection, YESTERDAY - timedelta(days=days) + timedelta(minutes=count))
            connection.execute(
                "UPDATE api_request_logs SET user_id = NULL WHERE created_at < %s", [YESTERDAY]
            )
            for moment in (YESTERDAY, None):
                _request(connection, moment, key=None)
        yield conninfo


def _request(
    connection: psycopg.Connection[tuple[object, ...]], moment: datetime | None, key: object = ADA
) -> None:
    connection.execute(
        "INSERT INTO api_request_logs (api_key_id, user_id, endpoint, method, created_at)"
        " VALUES (%s, %s, '/avatar-chat', 'POST', %s)",
        [key, key, moment],
    )


KEYS = """\
email              prefix             status  requests     share  endpoints  last_request
ada@example.com    pk_live_1a0000...  active       600  0.998336          1  2025-06-14T04:59:00Z
-                  (no key)           -              1  0.001664          1  2025-06-14T00:00:00Z
adele@example.com  pk_live_1b0000...  active         0  0.000000          0  -
total                                              601
"""
GAPS = """\
email            prefix             counted  logged  missing  surplus  no_user  no_time
ada@example.com  pk_live_1a0000...      700     600      100        0      300        0
-                (no key)                 -       2        -        -        2        1
total                                   700     602      100        0      302        1
"""


def test_keys_show_each_keys_share(known: str) -> None:
    """Keys stand in the order of their use, with what names no key among them, and the unused last."""
    assert invoke(known, "api", "keys").out == KEYS


def test_gaps_show_what_differs(known: str) -> None:
    """A key whose count is as its rows stands there only with --every."""
    assert invoke(known, "api", "gaps").out == GAPS
    assert "adele@example.com" in invoke(known, "api", "gaps", "--every").out


def test_a_request_without_a_user_is_its_keys_owners(known: str) -> None:
    """Ada is who called, also where the log names her key alone."""
    found = json.loads(invoke(known, "api", "users", "--json", "--fields", "email,requests,keys").out)
    assert found == [
        {"email": "ada@example.com", "requests": 600, "keys": 1},
        {"email": "(unattributed)", "requests": 1, "keys": 0},
    ]


def test_a_time_is_kept_to(known: str) -> None:
    """--since and --until bound what is counted."""
    bounds = ("--since", "2025-06-10", "--until", "2025-06-12")
    found = json.loads(invoke(known, "api", "endpoints", "--json", *bounds).out)
    assert [row["requests"] for row in found] == [60]
    assert json.loads(invoke(known, "api", "keys", "--json", *bounds).out)[0]["requests"] == 60


def test_unusual_ends_with_3(known: str) -> None:
    """A key that did ten times as much as ever is found, by name and day; a quiet day is none."""
    found = invoke(known, "api", "unusual", "--json")
    assert found.code == ExitCode.FOUND
    assert [
        (row["prefix"], row["finding"], row["requests"], row["median"]) for row in json.loads(found.out)
    ] == [("pk_live_1a0000...", "above", 300, 30)]
    quiet = invoke(known, "api", "unusual", "--day", "2025-06-13")
    assert (quiet.code, quiet.out) == (0, "")
    assert "No key is far outside its own history." in quiet.err


def test_a_silent_key_is_found_today(known: str) -> None:
    """On the day after, the same key is silent, as it never was."""
    found = json.loads(invoke(known, "api", "unusual", "--day", "2025-06-15", "--json").out)
    assert [(row["finding"], row["requests"], row["silent_days"]) for row in found] == [("silent", 0, 1)]


def test_a_key_too_young_is_told(known: str) -> None:
    """What has too short a history is no alarm, but said."""
    found = invoke(known, "api", "unusual", "--day", "2025-06-08")
    assert found.code == 0
    assert "not judged, with less than 7 days of history: 1 key" in found.err


def test_what_cannot_be_seen_is_no_good_news(known: str) -> None:
    """Without the log nothing is found, and the exit code is that of a finding."""
    server, _, name = known.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("ALTER TABLE api_request_logs DROP COLUMN created_at")
        found = invoke(conninfo, "api", "unusual")
        assert found.code == ExitCode.FOUND
        assert "public.api_request_logs.created_at is missing here" in found.err
        assert json.loads(invoke(conninfo, "api", "keys", "--json").out)[0]["requests"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("unusual", "--day", "2025-06-16"), "2025-06-16 lies in the future"),
        (("unusual", "--score", "much"), "--score takes a number above 0"),
        (("unusual", "--days", "3"), "3 is not in the range"),
        (("keys", "--since", "2025-07-01"), "nothing lies between"),
        (("users", "--until", "soon"), "'soon' is not a time"),
    ],
)
def test_bad_input_is_refused(known: str, arguments: tuple[str, ...], said: str) -> None:
    """An option that cannot be meant ends with 2 and one clear sentence."""
    found = invoke(known, "api", *arguments)
    assert found.code == ExitCode.USAGE
    assert said in found.err


def test_the_summary_is_one_object(known: str) -> None:
    """The figures of keys and log stand side by side; latency that nobody records is not known."""
    found = json.loads(invoke(known, "api", "summary", "--json").out)
    assert (found["keys"], found["keys_never_used"], found["counted_requests"]) == (2, 1, 700)
    assert (found["logged_requests"], found["undated_requests"], found["requests_30d"]) == (602, 1, 601)
    assert (found["users_30d"], found["average_ms_30d"]) == (1, None)
    # Today is not over yet, and of another status is none.
    assert (found["requests_per_day_30d"], found["keys_other"]) == ("20.72", 0)
    assert datetime.fromisoformat(found["last_request"]) == datetime(2025, 6, 14, 4, 59, tzinfo=UTC)
