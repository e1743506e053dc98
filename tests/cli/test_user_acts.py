"""Labels and bans: what each changes, what it refuses, and what lifting a ban gives back."""

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.acting import (
    ROOT,
    Rows,
    act,
    changes_between,
    copied,
    entries,
    key_id,
    rows,
    stored_hash,
    user_id,
)
from tests.cli.invoking import Outcome
from tests.database.contents import contents
from tests.examples import examples

ANN, BEN = "ann@example.com", "ben@example.com"
WHY = ("--reason", "spam", "--yes")
STANDING = """
    SELECT u.banned_until IS NOT NULL, p.account_status, p.banned_reason, p.banned_by
    FROM auth.users u JOIN profiles p USING (id) WHERE u.email = %s
"""


def execute(conninfo: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Do what somebody else does, or look; returns the rows where there are any."""
    with psycopg.connect(conninfo) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def rows_json(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = json.loads(outcome.out)
    return found


def key(conninfo: str, name: str = ANN) -> tuple[Any, ...]:
    """Return status, hash and whether it has ended of the user's key."""
    (row,) = execute(
        conninfo,
        "SELECT status, api_key_hash, coalesce(expires_at <= now(), false) FROM platform_api_keys WHERE id = %s",
        key_id(name),
    )
    return row


def add_key(conninfo: str, name: str, **values: object) -> UUID:
    """Issue another key, beside the commands."""
    row: dict[str, object] = {
        "status": "active",
        "api_key_hash": f"hash of {name}",
        "expires_at": None,
        **values,
    }
    identity = user_id(name)
    execute(
        conninfo,
        "INSERT INTO platform_api_keys (id, user_id, key_name, api_key_prefix, status, api_key_hash, expires_at)"
        " VALUES (%s, %s, 'k', 'p', %s, %s, %s)",
        *(identity, user_id(ANN), row["status"], row["api_key_hash"], row["expires_at"]),
    )
    return identity


def test_a_ban_on_stdout(conninfo: str) -> None:
    """One line says what was done, and stderr how to take it back."""
    done = act(conninfo, "user", "ban", ANN, *WHY)
    (entry,) = entries(conninfo)[2:]
    assert done == Outcome(
        0,
        "user             result   detail\nann@example.com  changed  banned for good\n",
        f"`avatarlab audit undo {entry['id']}` takes it back\n",
    )


def test_a_ban_shuts_out(conninfo: str) -> None:
    """The auth server refuses the user, no key works, the label says who and why; one entry holds all of it."""
    before = rows(conninfo)
    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    after = rows(conninfo)

    assert execute(conninfo, STANDING, ANN) == [(True, "banned", "spam", user_id(f"admin {ROOT}"))]
    assert execute(
        conninfo, "SELECT banned_until - now() > interval '99 years' FROM auth.users WHERE email = %s", ANN
    ) == [(True,)]
    assert key(conninfo) == ("revoked", f"revoked:{stored_hash(ANN)}", True)
    changed = changes_between(before, after)
    assert {change["table"] for change in changed} == {
        "auth.users",
        "public.platform_api_keys",
        "public.profiles",
    }
    (entry,) = entries(conninfo)[2:]
    assert (entry["action"], entry["resource_id"], entry["justification"]) == (
        "user.ban",
        user_id(ANN),
        "spam",
    )
    assert len(entry["changes"]["rows"]) == len(changed)
    assert stored_hash(ANN) not in json.dumps(entry["changes"])


def test_a_ban_until_a_time(conninfo: str) -> None:
    """A time ends the ban by itself; said again with another, the end moves, and without one there is none."""
    for option, expected in (
        (("--until", "2098-01-02T03:04Z"), "2098-01-02 03:04:00+00"),
        (("--until", "2099-01-01"), "2099-01-01 00:00:00+00"),
    ):
        assert act(conninfo, "user", "ban", ANN, *option, *WHY).code == 0
        assert execute(conninfo, "SELECT banned_until::text FROM auth.users WHERE email = %s", ANN) == [
            (expected,)
        ]
    assert rows_json(act(conninfo, "user", "ban", ANN, *WHY, "--json"))[0]["detail"] == "banned for good"
    ahead = act(conninfo, "user", "ban", BEN, "--until", "30d", *WHY)
    assert ahead.code == 0
    assert execute(
        conninfo,
        "SELECT banned_until - now() BETWEEN interval '29 days' AND interval '30 days' FROM auth.users WHERE email = %s",
        BEN,
    ) == [(True,)]


def test_a_repeated_ban_changes_nothing(conninfo: str) -> None:
    """The same ban again has no entry and leaves every row; another reason is a change of the reason alone."""
    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    before = contents(conninfo)
    again = rows_json(act(conninfo, "user", "ban", ANN, *WHY, "--json"))
    assert again[0]["result"] == "unchanged"
    assert contents(conninfo) == before
    other = rows_json(act(conninfo, "user", "ban", ANN, "--reason", "fraud", "--yes", "--json"))
    assert [change["after"] for change in other[0]["changes"]] == [{"banned_reason": "fraud"}]


def test_a_ban_catches_new_keys(conninfo: str) -> None:
    """A key made since the ban is neutralised by the next, and given back with the others."""
    before = rows(conninfo)
    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    new = add_key(conninfo, "since")
    assert rows_json(act(conninfo, "user", "ban", ANN, *WHY, "--json"))[0]["result"] == "changed"
    assert execute(conninfo, "SELECT status, api_key_hash FROM platform_api_keys WHERE id = %s", new) == [
        ("revoked", "revoked:hash of since")
    ]
    assert act(conninfo, "user", "unban", ANN).code == 0
    (left,) = changes_between(before, rows(conninfo))
    assert (left["before"], left["after"]["api_key_hash"], left["after"]["status"]) == (
        None,
        "hash of since",
        "active",
    )


def test_unban_gives_back_what_was(conninfo: str) -> None:
    """After ban and unban every row is as before: the label, and keys in whatever state they were."""
    execute(conninfo, "UPDATE profiles SET account_status = 'suspended' WHERE email = %s", ANN)
    for name, values in (
        ("open", {}),
        ("far", {"expires_at": "2999-01-01Z"}),
        ("ended", {"expires_at": "2020-01-01Z"}),
        ("revoked", {"status": "revoked"}),
        ("neutralised", {"status": "revoked", "api_key_hash": "revoked:x", "expires_at": "2020-01-01Z"}),
        ("paused", {"status": "inactive"}),
        ("unknown", {"status": None}),
    ):
        add_key(conninfo, name, **values)
    before = rows(conninfo)
    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    assert execute(
        conninfo,
        "SELECT count(*) FROM platform_api_keys WHERE user_id = %s AND NOT (status = 'revoked'"
        " AND api_key_hash ~ '^revoked:[^:]+$' AND expires_at <= now())",
        user_id(ANN),
    ) == [(0,)]
    done = rows_json(act(conninfo, "user", "unban", ANN, "--json"))
    assert (done[0]["result"], done[0]["stays"]) == ("changed", None)
    assert changes_between(before, rows(conninfo)) == []


def test_unban_goes_back_through_several_bans(conninfo: str) -> None:
    """Two bans, the second with another end and reason, are lifted at once, to what was before the first."""
    before = rows(conninfo)
    assert act(conninfo, "user", "ban", ANN, "--until", "2098-01-01", *WHY).code == 0
    assert act(conninfo, "user", "ban", ANN, "--reason", "fraud", "--yes").code == 0
    assert act(conninfo, "user", "unban", ANN).code == 0
    assert changes_between(before, rows(conninfo)) == []
    assert rows_json(act(conninfo, "user", "unban", ANN, "--json"))[0]["detail"] == "is not banned"


def test_unban_leaves_what_others_changed(conninfo: str) -> None:
    """What somebody changed since the ban stays and is named; the rest is given back."""
    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    execute(conninfo, "UPDATE profiles SET banned_reason = 'see file 7' WHERE email = %s", ANN)
    execute(conninfo, "UPDATE platform_api_keys SET expires_at = '2030-01-01Z' WHERE id = %s", key_id(ANN))
    done = rows_json(act(conninfo, "user", "unban", ANN, "--json"))

    assert done[0]["stays"] == [f"platform_api_keys.expires_at {key_id(ANN)}", "profiles.banned_reason"]
    assert execute(conninfo, STANDING, ANN) == [(False, "active", "see file 7", None)]
    assert key(conninfo)[:2] == ("active", stored_hash(ANN))


def test_an_owner_cannot_use_a_key_by_setting_it_active(conninfo: str) -> None:
    """The status is not all: the key stays unusable until the ban is lifted, and works then."""
    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    execute(conninfo, "UPDATE platform_api_keys SET status = 'active' WHERE id = %s", key_id(ANN))
    assert key(conninfo) == ("active", f"revoked:{stored_hash(ANN)}", True)
    assert rows_json(act(conninfo, "user", "unban", ANN, "--json"))[0]["stays"] is None
    assert key(conninfo) == ("active", stored_hash(ANN), False)


def test_unban_lifts_the_web_panels_ban(conninfo: str) -> None:
    """A ban without an entry is lifted by its label, reason and end; the keys are not touched."""
    execute(conninfo, "UPDATE auth.users SET banned_until = '2999-01-01Z' WHERE email = %s", ANN)
    execute(
        conninfo,
        "UPDATE profiles SET account_status = 'banned', banned_reason = 'x', banned_at = now() WHERE email = %s",
        ANN,
    )
    before = key(conninfo)
    assert act(conninfo, "user", "unban", ANN).code == 0
    assert execute(conninfo, STANDING, ANN) == [(False, "active", None, None)]
    assert key(conninfo) == before


def test_a_ban_under_ours(conninfo: str) -> None:
    """Of two bans of which the first was the web panel's, the first unban lifts ours and says what stays, the second all."""
    execute(conninfo, "UPDATE auth.users SET banned_until = '2999-01-01Z' WHERE email = %s", ANN)
    before = rows(conninfo)
    assert act(conninfo, "user", "ban", ANN, "--until", "2098-01-01", *WHY).code == 0
    first = rows_json(act(conninfo, "user", "unban", ANN, "--json"))
    assert first[0]["stays"] == ["auth.users.banned_until"]
    assert changes_between(before, rows(conninfo)) == []
    second = rows_json(act(conninfo, "user", "unban", ANN, "--json"))
    assert (second[0]["result"], second[0]["stays"]) == ("changed", None)
    assert execute(conninfo, STANDING, ANN)[0][0] is False


def test_a_ban_taken_back_and_forth(conninfo: str) -> None:
    """Undone, a ban needs no unban; an unban undone is a ban again, which an unban lifts wholly."""
    before = rows(conninfo)
    (banned,) = rows_json(act(conninfo, "user", "ban", ANN, *WHY, "--json"))
    assert act(conninfo, "audit", "undo", banned["entry"], "--yes").code == 0
    assert changes_between(before, rows(conninfo)) == []
    assert rows_json(act(conninfo, "user", "unban", ANN, "--json"))[0]["result"] == "unchanged"

    assert act(conninfo, "user", "ban", ANN, *WHY).code == 0
    (lifted,) = rows_json(act(conninfo, "user", "unban", ANN, "--json"))
    assert act(conninfo, "audit", "undo", lifted["entry"], "--yes").code == 0
    assert key(conninfo)[1] == f"revoked:{stored_hash(ANN)}"
    assert rows_json(act(conninfo, "user", "unban", ANN, "--json"))[0]["stays"] is None
    assert changes_between(before, rows(conninfo)) == []


def test_the_panels_ban_after_one_undone(conninfo: str) -> None:
    """A ban of ours that was undone does not hide one the web panel made later."""
    (banned,) = rows_json(act(conninfo, "user", "ban", ANN, *WHY, "--json"))
    assert act(conninfo, "audit", "undo", banned["entry"], "--yes").code == 0
    execute(conninfo, "UPDATE auth.users SET banned_until = '2999-01-01Z' WHERE email = %s", ANN)
    assert act(conninfo, "user", "unban", ANN).code == 0
    assert execute(conninfo, STANDING, ANN) == [(False, "active", None, None)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("ban", ANN, "--yes"), 2, "a reason is required"),
        (("ban", ANN, "--until", "2020-01-01", *WHY), 2, "2020-01-01T00:00:00Z is past"),
        (("ban", ANN, "--until", "soon", *WHY), 2, "'soon' is not a time"),
        (("ban", ANN, "--reason", "x"), 6, "not confirmed: Ban ann@example.com?"),
        (("ban", "second@example.com", *WHY), 7, "second@example.com is an admin"),
        (("ban", "nobody@example.com", *WHY), 5, "there is no user 'nobody@example.com'"),
        (("suspend", "banned1@example.com"), 1, "banned1@example.com is banned"),
        (("activate", "banned1@example.com"), 1, "banned1@example.com is banned"),
    ],
)
def test_what_is_refused(platform: str, arguments: tuple[str, ...], code: int, message: str) -> None:
    """What cannot be done ends with its reason and exit code, and nothing is changed."""
    before = contents(platform)
    done = act(platform, "user", *arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"avatarlab: {message}")
    assert contents(platform) == before


@pytest.mark.parametrize("verb", ["suspend", "activate", "ban", "unban"])
def test_a_deleted_account_is_left_alone(conninfo: str, verb: str) -> None:
    """No label and no ban touches an account that is deleted."""
    execute(conninfo, "UPDATE auth.users SET deleted_at = now() WHERE email = %s", ANN)
    before = contents(conninfo)
    done = act(conninfo, "user", verb, ANN, *WHY)
    assert (done.code, done.err.splitlines()[0]) == (1, "avatarlab: ann@example.com is deleted")
    assert contents(conninfo) == before


def test_suspend_and_activate(conninfo: str) -> None:
    """The label comes and goes, and nothing else changes; said twice it is said once."""
    before = rows(conninfo)
    first = act(conninfo, "user", "suspend", ANN, "--json")
    assert [change["after"] for change in rows_json(first)[0]["changes"]] == [{"account_status": "suspended"}]
    assert rows_json(act(conninfo, "user", "suspend", ANN, "--json"))[0]["result"] == "unchanged"
    assert act(conninfo, "user", "activate", ANN).out == (
        "user             result   detail\nann@example.com  changed  active again\n"
    )
    assert changes_between(before, rows(conninfo)) == []


def test_several_users_at_once(conninfo: str) -> None:
    """Those that can be banned are, the one that cannot is told, and the exit code says that one failed."""
    listed = f"{ANN}\n{BEN}\nsecond@example.com\n"
    done = act(
        conninfo, "user", "ban", "--ids-from", "-", *WHY, "--csv", "--fields", "user,result", stdin=listed
    )
    assert (done.code, done.out) == (
        1,
        "user,result\nann@example.com,changed\nben@example.com,changed\nsecond@example.com,failed\n",
    )
    assert [execute(conninfo, STANDING, name)[0][1] for name in (ANN, BEN)] == ["banned"] * 2
    both = act(conninfo, "user", "unban", ANN, BEN, "--yes")
    assert both.code == 0
    assert [execute(conninfo, STANDING, name)[0][1] for name in (ANN, BEN)] == ["active"] * 2


def test_without_the_panels_columns(migrated_seed_conninfo: str) -> None:
    """Where accounts have no label a ban holds all the same, and what is a label alone says what is missing."""
    execute(
        migrated_seed_conninfo,
        "INSERT INTO auth.users (id, email) VALUES (%s, %s), (%s, %s)",
        *(value for name in (ROOT, ANN) for value in (user_id(name), name)),
    )
    execute(
        migrated_seed_conninfo,
        "INSERT INTO admin_users (id, user_id, role) VALUES (%s, %s, 'super_admin')",
        *(user_id(f"admin {ROOT}"), user_id(ROOT)),
    )
    add_key(migrated_seed_conninfo, "one")
    before = rows(migrated_seed_conninfo)
    for verb in ("suspend", "activate"):
        done = act(migrated_seed_conninfo, "user", verb, ANN)
        assert (done.code, done.out) == (78, "")
        assert "profiles.account_status is missing" in done.err
    assert act(migrated_seed_conninfo, "user", "ban", ANN, *WHY).code == 0
    assert len(changes_between(before, rows(migrated_seed_conninfo))) == 2
    assert act(migrated_seed_conninfo, "user", "unban", ANN).code == 0
    assert changes_between(before, rows(migrated_seed_conninfo)) == []


DEEDS = st.lists(
    st.sampled_from(
        [
            "ban",
            "ban until",
            "unban",
            "suspend",
            "activate",
            "new key",
            "owner activates",
            "panel's reason",
            "undo",
        ]
    ),
    min_size=2,
    max_size=7,
)


@examples(5)
@given(deeds=DEEDS)
def test_an_unban_reverses_the_bans_and_nothing_else(platform: str, deeds: list[str]) -> None:
    """Whatever happened in between, at the end each value is what others last made it, as if no ban had been."""
    with copied(platform) as conninfo:
        twin = rows(conninfo)
        for number, deed in enumerate(deeds):
            _do(conninfo, deed, number)
            twin = _as_if_unbanned(conninfo, deed, twin)
        act(conninfo, "user", "unban", ANN)
        assert changes_between(twin, rows(conninfo)) == []


def _do(conninfo: str, deed: str, number: int) -> None:
    if deed == "new key":
        add_key(conninfo, f"key {number}")
    elif deed == "owner activates":
        execute(conninfo, "UPDATE platform_api_keys SET status = 'active' WHERE id = %s", key_id(ANN))
    elif deed == "panel's reason":
        execute(conninfo, "UPDATE profiles SET banned_reason = %s WHERE email = %s", f"note {number}", ANN)
    elif deed == "undo":
        last = entries(conninfo)[-1]
        if last["action"] in ("user.ban", "user.unban") and last["resource_id"] == user_id(ANN):
            assert act(conninfo, "audit", "undo", str(last["id"]), "--yes").code in (0, 7)
    else:
        verb, *more = deed.split()
        act(conninfo, "user", verb, ANN, *(("--until", "2098-01-01") if more else ()), *WHY)


def _as_if_unbanned(conninfo: str, deed: str, twin: Rows) -> Rows:
    """Apply to the rows without a ban what the deed changed besides banning."""
    now = rows(conninfo)
    profile = next(place for place in twin if place[0] == "public.profiles" and str(user_id(ANN)) in place[1])
    twin = dict(twin)
    if deed == "new key":
        twin |= {
            place: row for place, row in now.items() if place not in twin and "platform_api_keys" in place[0]
        }
    elif deed in ("suspend", "activate"):
        label = now[profile]["account_status"]
        if label != "banned":
            twin[profile] = twin[profile] | {"account_status": label}
    elif deed == "panel's reason":
        twin[profile] = twin[profile] | {"banned_reason": now[profile]["banned_reason"]}
    return twin
