"""Keys in the demo platform: what is reported of them against a recount in Python, and what no login must read."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import NotPermittedError
from avatarlab_cli.queries import key_audit, keys, provider_keys
from avatarlab_cli.queries.naming import find
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Report
from avatarlab_cli.schema.live import probe
from tests.database.logins import as_role, login

DAYS = 60
Row = dict[str, Any]
# All of auth.users, and of the provider keys all but the keys themselves.
GRANTS = (
    "GRANT USAGE ON SCHEMA public, auth TO {role}",
    "GRANT SELECT ON auth.users TO {role}",
    "GRANT SELECT (id, user_id, name, service, status, last_used_at, created_at) ON user_api_keys TO {role}",
)


# Keys in every state there may be, and in every mix of states.
_MORE_KEYS = """
    INSERT INTO platform_api_keys
        (user_id, key_name, api_key_hash, api_key_prefix, status, expires_at, last_used_at, request_count)
    SELECT (SELECT (array_agg(id))[1 + n % count(*)] FROM profiles), 'Test ' || n,
           CASE WHEN random() < 0.3 THEN 'revoked:' ELSE '' END || encode(sha256(n::text::bytea), 'hex'),
           'pk_live_' || lpad(n::text, 7, '0') || '...',
           (ARRAY['active', 'active', 'inactive', 'revoked', NULL])[1 + floor(random() * 5)],
           (ARRAY[NULL, '2020-01-01', '2999-01-01'])[1 + floor(random() * 3)]::timestamptz,
           (ARRAY[NULL, '2024-01-01', now()])[1 + floor(random() * 3)],
           (ARRAY[NULL, 0, 1, 2])[1 + floor(random() * 4)]
    FROM generate_series(1, 400) AS n
"""


@pytest.fixture
def database(demo_conninfo: str) -> Database:
    """The demo platform with more keys, and accounts in every state."""
    with psycopg.connect(demo_conninfo) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            "UPDATE profiles SET account_status = (ARRAY['active', 'suspended', 'banned', 'deleted'])"
            "[1 + floor(random() * 4)]"
        )
        connection.execute("UPDATE auth.users SET banned_until = '2999-01-01' WHERE random() < 0.1")
        connection.execute("UPDATE auth.users SET banned_until = '2020-01-01' WHERE random() < 0.1")
        connection.execute(_MORE_KEYS)
        connection.execute(
            "INSERT INTO api_request_logs (api_key_id, endpoint, method)"
            " SELECT id, '/avatar-chat', 'POST' FROM platform_api_keys, generate_series(1, 2) WHERE random() < 0.4"
        )
    return Database(demo_conninfo)


def rows(connection: sa.Connection, report: Report) -> list[Row]:
    return [dict(row) for row in connection.execute(report.select).mappings()]


def table(connection: sa.Connection, name: str) -> list[Row]:
    return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {name}")).mappings()]


def owner_status(account: Row, label: str, now: datetime) -> str:
    """Return an account's status by the platform's own order of what counts."""
    if account["deleted_at"] or label == "deleted":
        return "deleted"
    if (account["banned_until"] and account["banned_until"] > now) or label == "banned":
        return "banned"
    return "suspended" if label == "suspended" else "active"


def findings(key: Row, owner: str, logged: int, now: datetime) -> Iterator[str]:
    """Yield what is wrong with one key."""
    is_over = key["expires_at"] is not None and key["expires_at"] <= now
    is_neutralised = key["api_key_hash"].startswith("revoked:")
    if key["status"] == "active" and is_over:
        yield "past_expiry"
    if key["status"] == "revoked" and not is_neutralised:
        yield "not_lasting"
    counted = key["request_count"] or 0
    if counted > logged:
        yield "counts_more_than_logged"
    if counted < logged:
        yield "counts_fewer_than_logged"
    if key["status"] != "active" or is_over or is_neutralised:
        return
    if owner != "active":
        yield f"owner_{owner}"
    if key["expires_at"] is None:
        yield "no_expiry"
    if key["last_used_at"] is None and not counted:
        yield "never_used"
    if key["last_used_at"] and key["last_used_at"] < now - timedelta(days=DAYS):
        yield "unused"


def test_audit_against_a_recount(database: Database) -> None:
    """Over every state of key and account, the findings are those a plain loop finds; each kind occurs."""
    with database.read() as connection:
        found = rows(connection, key_audit.audit(probe(connection), DAYS))
        now = connection.scalar(sa.func.now())
        accounts = {row["id"]: row for row in table(connection, "auth.users")}
        labels = {row["id"]: row["account_status"] for row in table(connection, "profiles")}
        logged = Counter(row["api_key_id"] for row in table(connection, "api_request_logs"))
        issued = table(connection, "platform_api_keys")
    assert now is not None
    expected = set()
    for key in issued:
        owner = owner_status(accounts[key["user_id"]], labels[key["user_id"]], now)
        expected |= {(key["id"], name) for name in findings(key, owner, logged[key["id"]], now)}
    assert {(row["id"], row["finding"]) for row in found} == expected
    assert len(found) == len(expected)
    assert {row["finding"] for row in found} == set(key_audit.FINDINGS)
    assert {row["id"]: row["logged_requests"] for row in found} == {
        key: logged[key] for key in {row["id"] for row in found}
    }


def plan_of(connection: sa.Connection, report: Report) -> str:
    text = str(report.select.compile(connection, compile_kwargs={"literal_binds": True}))
    return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {text}"))


def test_audit_scans_the_log_once(database: Database) -> None:
    """All findings together read the log once, and those that have no use for it not at all."""
    with database.read() as connection:
        live = probe(connection)
        assert plan_of(connection, key_audit.audit(live, DAYS)).count("on api_request_logs") == 1
        counted = key_audit.audit(live, DAYS, ["counts_more_than_logged", "counts_fewer_than_logged"])
        assert plan_of(connection, counted).count("on api_request_logs") == 1


def test_a_list_by_status_is_what_the_platform_accepts(database: Database) -> None:
    """The active keys of the list that are not neutralised are those that pass the platform's own rule."""
    rule = (
        "SELECT id FROM platform_api_keys WHERE status = 'active' AND (expires_at IS NULL OR expires_at > now())"
        " AND length(api_key_hash) = 64"
    )
    with database.read() as connection:
        listed = rows(connection, keys.listed(keys.KeyFilter(status="active")))
        accepted = set(connection.scalars(sa.text(rule)))
        by_status = Counter(row["status"] for row in rows(connection, keys.listed(keys.KeyFilter())))
        count = {
            status: len(rows(connection, keys.listed(keys.KeyFilter(status=status))))
            for status in keys.STATUSES
        }
    assert {row["id"] for row in listed if not row["is_neutralised"]} == accepted != set()
    assert count == {status: by_status[status] for status in keys.STATUSES}
    assert all(count.values())


def test_usage_adds_up_to_the_log(database: Database) -> None:
    """A key's requests by day and endpoint are its dated log rows, those of the last day included."""
    with database.read() as connection:
        log = table(connection, "api_request_logs")
        (busiest, _), *_ = Counter(row["api_key_id"] for row in log if row["api_key_id"]).most_common(1)
        key = find(connection, keys.KEY, str(busiest))
        report = keys.usage(connection, key, datetime(2000, 1, 1, tzinfo=UTC), None)
        counted = {
            (row["day"], row["endpoint"], row["method"]): row["requests"] for row in rows(connection, report)
        }
    own = [row for row in log if row["api_key_id"] == busiest]
    dated = [row for row in own if row["created_at"] is not None]
    assert counted == Counter(
        (row["created_at"].astimezone(UTC).date(), row["endpoint"], row["method"]) for row in dated
    )
    undated = len(own) - len(dated)
    assert any(note.endswith(f"on no day: {undated}") for note in report.notes) == bool(undated)


def test_many_lines_are_looked_up_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines keep their numbers over the border of a batch, and only what is asked for is found."""
    monkeypatch.setattr(keys, "_BATCH", 3)
    secrets = [f"pk_live_{number:064x}" for number in range(10)]
    with database.write() as connection:
        ids = connection.scalars(sa.text("SELECT id FROM platform_api_keys ORDER BY id LIMIT 2")).all()
        for number, key in zip((0, 7), ids, strict=True):
            stored = hashlib.sha256(secrets[number].encode()).hexdigest()
            connection.execute(
                sa.text("UPDATE platform_api_keys SET api_key_hash = :stored WHERE id = :id"),
                {"stored": f"revoked:{stored}" if number else stored, "id": key},
            )
    with database.read() as connection:
        found = list(keys.find_owners(connection, (f"{secret}\n".encode() for secret in secrets)))
    assert [row["line"] for row in found] == list(range(1, 11))
    assert {row["line"]: row["id"] for row in found if row["id"]} == {1: ids[0], 8: ids[1]}


def test_leaked_keys_of_a_login_that_sees_not_all(demo_conninfo: str) -> None:
    """Where row security hides keys, none is called unknown: the question is refused."""
    grants = (
        "GRANT USAGE ON SCHEMA public, auth TO {role}",
        "GRANT SELECT ON platform_api_keys, auth.users TO {role}",
    )
    with login(demo_conninfo, *grants) as role:
        limited = Database(as_role(demo_conninfo, role))
        with limited.read() as connection, pytest.raises(NotPermittedError, match="row security hides rows"):
            list(keys.find_owners(connection, [b"pk_live_" + b"0" * 64]))


def test_provider_keys_without_the_right_to_read_them(demo_conninfo: str) -> None:
    """Both reports need no more than the columns beside the key: a login without that one column gets them whole."""
    with login(demo_conninfo, *GRANTS, options="BYPASSRLS") as role:
        with psycopg.connect(as_role(demo_conninfo, role)) as connection, pytest.raises(psycopg.Error):
            connection.execute("SELECT api_key_encrypted FROM user_api_keys")
        with Database(as_role(demo_conninfo, role)).read() as reading:
            some = [
                rows(reading, report)
                for report in (provider_keys.listed(None, None), provider_keys.audit(DAYS))
            ]
    with Database(demo_conninfo).read() as reading:
        whole = [
            rows(reading, report) for report in (provider_keys.listed(None, None), provider_keys.audit(DAYS))
        ]
    assert some == whole
    assert all(whole)


def test_provider_audit_against_a_recount(database: Database) -> None:
    """Each service's figures are those a plain loop counts, however its name is written."""
    with database.read() as connection:
        counted = {row.pop("service"): row for row in rows(connection, provider_keys.audit(DAYS))}
        held = table(connection, "user_api_keys")
        now = connection.scalar(sa.func.now())
    assert now is not None
    before = now - timedelta(days=DAYS)
    assert {"openai", "OpenAI"} <= {row["service"] for row in held}
    for service in {row["service"].lower() for row in held}:
        own = [row for row in held if row["service"].lower() == service]
        by_user = Counter(row["user_id"] for row in own)
        assert counted.pop(service) == {
            "keys": len(own),
            "users": len(by_user),
            "active": sum(row["status"] == "active" for row in own),
            "never_used": sum(row["last_used_at"] is None for row in own),
            "unused": sum(row["last_used_at"] is not None and row["last_used_at"] < before for row in own),
            "older": sum(row["created_at"] < before for row in own),
            "users_with_several": sum(number > 1 for number in by_user.values()),
        }
    assert counted == {}


def test_provider_list_of_one_user(database: Database) -> None:
    """A user's keys are all of them and nobody else's, with their age in whole days."""
    with database.read() as connection:
        held = table(connection, "user_api_keys")
        (user, number), *_ = Counter(row["user_id"] for row in held).most_common(1)
        listed = rows(connection, provider_keys.listed(UserName(user, None), None))
        now = connection.scalar(sa.func.now())
    assert now is not None
    ages = {row["id"]: (now - row["created_at"]).days for row in held if row["user_id"] == user}
    assert {row["id"]: row["age_days"] for row in listed} == ages
    assert len(listed) == number > 1
