"""Several admins at once: one order or the other, never a mix, and one unbroken chain of entries."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from random import Random
from threading import Barrier
from typing import Any

import psycopg
import pytest

from avatarlab_cli.actions.act import Act
from avatarlab_cli.actions.key import Create, Rotate
from avatarlab_cli.actions.subscription import Set as SetTier
from avatarlab_cli.actions.unban import Unban
from avatarlab_cli.actions.undo import Undo
from avatarlab_cli.actions.user import Activate, Ban, Suspend
from avatarlab_cli.errors import ExitCode
from tests.cli.acting import ROOT, act, carry_out, chain_breaks, entries, rows, user_id
from tests.cli.invoking import process
from tests.examples import TIMES

ANN, BEN = "ann@example.com", "ben@example.com"
ROUNDS = DEEDS = 10 * TIMES
# Another may be faster: refuse it, hold it, or take the new key away.
POSSIBLE = {ExitCode.OK, ExitCode.FAILED, ExitCode.NOT_FOUND, ExitCode.REFUSED, ExitCode.BUSY}
Counts = Counter[tuple[str, str]]


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Do all at the same moment; returns what each returned."""
    barrier = Barrier(len(deeds))

    def wait_and_do(deed: Callable[[], Any]) -> object:
        barrier.wait()
        return deed()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(wait_and_do, deeds))


def assert_images_chain(conninfo: str, since: int) -> None:
    """Check that each entry found a value as the entry before had left it, and the last as it is now."""
    last: dict[tuple[str, str, str], Any] = {}
    for entry in entries(conninfo)[since:]:
        for change in entry["changes"]["rows"]:
            before, after = change["before"] or {}, change["after"] or {}
            for name in before.keys() | after.keys():
                place = (change["table"], str(change["key"]), name)
                if place in last:
                    assert before.get(name) == last[place], (entry["seq"], place)
                last[place] = after.get(name)
    now = {(table, str(row)): row for (table, _), row in rows(conninfo).items()}
    for (table, key, name), value in last.items():
        found = [row for (where, _), row in now.items() if where == table and _has_key(row, key)]
        # Of a hash the entry has a fingerprint.
        if name != "api_key_hash":
            assert [row[name] for row in found] == ([value] if found else []), (table, key, name)
        assert found or value is None, (table, key, name)


def _has_key(row: dict[str, Any], key: str) -> bool:
    return key == str({"id": row.get("id")})


PAIRS: tuple[tuple[Act, Act], ...] = (
    (SetTier(tier="pro"), SetTier(tier="starter", cycle="yearly")),
    (Ban(until=datetime(2998, 1, 1, tzinfo=UTC)), Ban(until=datetime(2999, 1, 1, tzinfo=UTC))),
    (Suspend(), Activate()),
    (Ban(), SetTier(tier="enterprise")),
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " and ".join(one.name for one in pair))
def test_two_admins_change_one_user(conninfo: str, pair: tuple[Act, Act]) -> None:
    """Whichever comes first, the second finds what the first left, and the end is what the second alone would make."""
    since = len(entries(conninfo))
    reasons = ("the first's", "the second's")
    for _ in range(ROUNDS):
        deeds = [
            lambda wanted=wanted, why=why: carry_out(conninfo, wanted, ANN, BEN, reason=why)
            for wanted, why in zip(pair, reasons, strict=True)
        ]
        for outcomes in at_once(*deeds):
            assert {outcome.result for outcome in outcomes} <= {"changed", "unchanged"}
        assert_no_mix(conninfo)
    assert len(entries(conninfo)) > since
    assert_images_chain(conninfo, since)
    assert chain_breaks(conninfo) == []


def assert_no_mix(conninfo: str) -> None:
    """Check that what belongs together was written together: one live tier, the profile's; one ban, its reason and end."""
    statement = """
        SELECT u.banned_until, p.banned_reason, t.name, s.tiers
        FROM auth.users u JOIN profiles p USING (id) LEFT JOIN subscription_tiers t ON t.id = p.subscription_tier_id
        LEFT JOIN LATERAL (
            SELECT array_agg(t.name) AS tiers FROM user_subscriptions s JOIN subscription_tiers t ON t.id = s.tier_id
            WHERE s.user_id = u.id AND s.status = 'active'
        ) AS s ON true
        WHERE u.id = ANY (%s)
    """
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET timezone = 'UTC'")
        for until, reason, tier, tiers in connection.execute(statement, [[user_id(ANN), user_id(BEN)]]):
            assert (tiers or [None]) == [tier]
            if until is not None and until.year in {2998, 2999}:
                assert reason == {2998: "the first's", 2999: "the second's"}[until.year]


def test_targets_in_opposite_order(conninfo: str) -> None:
    """Two commands that name the same users the other way round do not lock each other up."""
    for _ in range(ROUNDS):
        outcomes = at_once(
            lambda: carry_out(conninfo, Suspend(), ANN, BEN, "idle1@example.com", "idle2@example.com"),
            lambda: carry_out(conninfo, Activate(), "idle2@example.com", "idle1@example.com", BEN, ANN),
        )
        assert {outcome.result for done in outcomes for outcome in done} <= {"changed", "unchanged"}
    assert_images_chain(conninfo, 2)


def test_eight_writers(conninfo: str) -> None:
    """Under eight writers at once the chain stays whole, without a gap, and every change has its entry."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("""
            INSERT INTO auth.users (id, email)
            SELECT gen_random_uuid(), format('w%s-%s@example.org', w, n) FROM generate_series(0, 7) w, generate_series(0, 19) n
        """)
    since = len(entries(conninfo))

    def write(writer: int) -> int:
        done = 0
        for number in range(20):
            outcome = carry_out(conninfo, Suspend(), f"w{writer}-{number}@example.org")
            done += outcome[0].result == "changed"
        return done

    assert at_once(*(lambda writer=writer: write(writer) for writer in range(8))) == [20] * 8
    written = entries(conninfo)[since:]
    assert [entry["seq"] for entry in written] == list(range(since + 1, since + 161))
    assert len({entry["resource_id"] for entry in written}) == 160
    assert chain_breaks(conninfo) == []
    verified = act(conninfo, "audit", "verify")
    assert verified.code == 0, verified.out


def deeds(conninfo: str, chance: Random) -> Iterator[tuple[Act, str]]:
    """Yield without end what an admin might do, and to what."""
    ours = [str(user_id(name)) for name in (ANN, BEN)]
    latest = "SELECT id::text FROM admin_audit_logs WHERE resource_id IS NOT NULL ORDER BY seq DESC LIMIT 6"
    keys = "SELECT id::text FROM platform_api_keys WHERE user_id = ANY (%s) ORDER BY created_at DESC LIMIT 4"
    while True:
        with psycopg.connect(conninfo) as connection:
            entry = chance.choice([name for (name,) in connection.execute(latest)])
            key = chance.choice([name for (name,) in connection.execute(keys, [ours])])
        user = chance.choice(ours)
        yield chance.choice(
            [
                *((SetTier(tier=tier), user) for tier in ("starter", "pro", "enterprise")),
                *((wanted, user) for wanted in (Create(key_name="n8n"), Ban(), Unban())),
                *((Rotate(), key), (Undo(), entry), (Undo(), entry), (Undo(), entry)),
            ]
        )


def test_undoing_among_other_writers(conninfo: str) -> None:
    """While five do and undo on the same two users, each finds what the one before left, and nobody ends with two tiers."""
    since = len(entries(conninfo))
    carry_out(conninfo, SetTier(tier="pro"), ANN, BEN)

    def write(writer: int) -> Counts:
        seen = Counts()
        for wanted, name in islice(deeds(conninfo, Random(writer)), DEEDS):  # noqa: S311 (a choice, not a secret)
            (outcome,) = carry_out(conninfo, wanted, name)
            seen[wanted.name, outcome.result] += 1
            assert outcome.code in POSSIBLE, outcome
        return seen

    seen = sum(at_once(*(lambda writer=writer: write(writer) for writer in range(5))), Counts())
    # What else was possible depends on whose turn it was.
    assert {"tier.set", "audit.undo"} <= {name for name, result in seen if result == "changed"}
    changed = sum(number for (_, result), number in seen.items() if result == "changed")
    assert len(entries(conninfo)) == since + 2 + changed
    assert chain_breaks(conninfo) == []
    assert_images_chain(conninfo, since)
    live = """
        SELECT user_id FROM user_subscriptions WHERE status IN ('active', 'trial') AND coalesce(expires_at > now(), true)
        GROUP BY user_id HAVING count(*) > 1
    """
    with psycopg.connect(conninfo) as connection:
        assert connection.execute(live).fetchall() == []


def command(conninfo: str, *arguments: str, admin: str = ROOT) -> int:
    """Run a command as a process of its own; returns its exit code."""
    return process(conninfo, *arguments, env={"AVATARLAB_ADMIN": admin}).code


def test_one_entry_is_undone_once(conninfo: str) -> None:
    """Of several who take the same entry back at once, one does."""
    carry_out(conninfo, Suspend(), ANN)
    number = str(entries(conninfo)[-1]["seq"])
    codes = at_once(*(lambda: command(conninfo, "audit", "undo", number) for _ in range(4)))
    assert sorted(codes) == [0, 7, 7, 7]
    assert len([entry for entry in entries(conninfo) if entry["action"] == "audit.undo"]) == 1


def test_one_of_two_becomes_the_first_admin(conninfo: str) -> None:
    """Of two who bootstrap at once, one becomes super_admin."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE admin_users SET is_active = false WHERE role = 'super_admin'")
    codes = at_once(
        *(lambda name=name: command(conninfo, "admin", "bootstrap", name, admin="") for name in (ANN, BEN))
    )
    assert sorted(codes) == [0, 7]


def test_the_last_super_admin_stays(conninfo: str) -> None:
    """Two super_admins who deactivate each other at once leave one."""
    names = ("super_admin@example.com", "second@example.com")
    at_once(
        *(
            lambda own=own, other=other: command(conninfo, "admin", "deactivate", other, "--yes", admin=own)
            for own, other in (names, names[::-1])
        )
    )
    with psycopg.connect(conninfo) as connection:
        left = connection.execute(
            "SELECT count(*) FROM admin_users WHERE role = 'super_admin' AND is_active"
        ).fetchone()
    assert left == (1,)
