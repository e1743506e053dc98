"""The reports of the noun `key`: what each shows of known keys, and that no secret is ever shown."""

import json
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from avatarlab_cli.context import Context
from avatarlab_cli.main import app
from tests.cli.conftest import ADELE, EVE
from tests.cli.invoking import Outcome, invoke, process, terminal, variables
from tests.cli.known_keys import KEYS, digest, secret, write_keys
from tests.conftest import DEMO_END, created_database


def with_input(conninfo: str, text: bytes, *arguments: str) -> Outcome:
    """Run a command in this process with something on its stdin."""
    context = Context(variables(conninfo), clock=lambda: DEMO_END)
    result = CliRunner().invoke(app, list(arguments), obj=context, prog_name="avatarlab", input=text)
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def keyed(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """The known keys, for commands that only look."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            write_keys(connection)
        yield conninfo


def test_list(keyed: str) -> None:
    """The latest issued key stands first; a key that is past its end has expired whatever its row says."""
    shown = invoke(
        keyed, "key", "list", "--csv", "--fields", "id,email,name,prefix,status,expires_at,is_neutralised"
    )
    rows = (
        ("deleted", "dan@example.com", "active", "2999-01-01T00:00:00Z"),
        ("banned", "Eve@example.org", "active", "2999-01-01T00:00:00Z"),
        ("paused", "ada@example.com", "inactive", ""),
        ("lasting", "Eve@example.org", "revoked", "2025-02-01T00:00:00Z"),
        ("loose", "Eve@example.org", "revoked", "2999-01-01T00:00:00Z"),
        ("gone", "Eve@example.org", "expired", "2025-02-01T00:00:00Z"),
        ("old", "adele@example.com", "active", "2999-01-01T00:00:00Z"),
        ("test", "ada@example.com", "active", ""),
        ("bridge", "ada@example.com", "active", "2999-01-01T00:00:00Z"),
    )
    lines = [
        f"{KEYS[name]},{email},{name},{secret(name)[:15]}...,{status},{end},{str(name == 'lasting').lower()}"
        for name, email, status, end in rows
    ]
    assert shown == Outcome(
        0, "\n".join(["id,email,name,prefix,status,expires_at,is_neutralised", *lines, ""]), ""
    )


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--status", "expired"), ["gone"]),
        (("--status", "revoked"), ["lasting", "loose"]),
        (("--status", "inactive"), ["paused"]),
        (("--user", "ada@", "--status", "active"), ["test", "bridge"]),
        (("--expires-before", "2025-02-01T00:00:01Z"), ["lasting", "gone"]),
        (("--expires-before", "2025-02-01"), []),
        # Never used, so as old as they are: paused was issued on the 7th, lasting on the 6th, test on the 2nd.
        (("--unused-since", "2025-01-07"), ["lasting", "test"]),
        (("--unused-since", "2025-02-01"), ["paused", "lasting", "old", "test"]),
    ],
)
def test_list_filters(keyed: str, options: tuple[str, ...], names: list[str]) -> None:
    """Each filter leaves the keys it names, and together they leave what fits all."""
    shown = invoke(keyed, "key", "list", *options, "-o", "ids")
    assert shown == Outcome(0, "".join(f"{KEYS[name]}\n" for name in names), "")


def test_list_of_an_unknown_status(keyed: str) -> None:
    """A status no key can have is refused with those there are."""
    refused = invoke(keyed, "key", "list", "--status", "banned")
    assert refused == Outcome(
        2, "", "avatarlab: 'banned' is not a status\nstatuses: active, inactive, revoked, expired\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        str(KEYS["gone"]),
        str(KEYS["gone"])[:3].upper(),
        f"{secret('gone')[:15]}...",
        secret("gone")[:12] + "...",
    ],
)
def test_show_by_any_name(keyed: str, name: str) -> None:
    """A key is shown by UUID or prefix, whole or begun, with or without the dots."""
    shown = invoke(keyed, "key", "show", name, "--json")
    assert shown.code == 0, shown.err
    record = json.loads(shown.out)
    record.pop("last_used_at")
    record.pop("updated_at")
    assert record == {
        "id": str(KEYS["gone"]),
        "email": "Eve@example.org",
        "name": "gone",
        "prefix": f"{secret('gone')[:15]}...",
        "status": "expired",
        "request_count": 0,
        "expires_at": "2025-02-01T00:00:00Z",
        "user_id": str(EVE),
        "scopes": "chat,config,knowledge",
        "avatar_id": None,
        "created_at": "2025-01-04T00:00:00Z",
        "is_neutralised": False,
        "description": None,
    }


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("pk_live_", 2, "fits several keys: "),
        ("c0", 5, "there is no key 'c0'"),
        ("zzz", 5, "there is no key 'zzz'"),
        ("%%%", 5, "there is no key '%%%'"),
        ("...", 5, "there is no key ''"),
    ],
)
def test_names_that_fit_no_one_key(keyed: str, name: str, code: int, message: str) -> None:
    """What names no key, or several, is refused; nothing in it is a pattern."""
    refused = invoke(keyed, "key", "show", name)
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err


@pytest.mark.parametrize(
    "given", [secret("gone"), secret("gone").upper(), secret("gone")[8:], digest("gone"), secret("gone")[:16]]
)
@pytest.mark.parametrize("verb", ["show", "usage"])
def test_a_key_itself_is_no_argument(keyed: str, verb: str, given: str) -> None:
    """A key, most of one or its hash is refused before anything is asked, and not repeated, under --debug neither."""
    for more in ((), ("--debug",), ("--show-sql",), ("--json",)):
        refused = invoke(keyed, "key", verb, given, *more)
        assert (refused.code, refused.out) == (2, "")
        assert "key find --stdin" in refused.err
        assert given.lower() not in refused.err.lower()


def test_usage(keyed: str) -> None:
    """Requests are counted by UTC day and endpoint; what has no day, and what is never logged, is said."""
    shown = invoke(keyed, "key", "usage", secret("bridge")[:12], "--csv")
    assert shown == Outcome(
        0,
        "day,endpoint,method,requests\n2025-06-11,/avatar-chat,POST,2\n2025-06-10,/avatar-chat,POST,1\n",
        "note: only successful calls of four endpoints are logged, so no error rate can be known\n"
        "note: logged requests of this key without a time, and so on no day: 1\n",
    )


@pytest.mark.parametrize(
    ("options", "days"),
    [
        (("--since", "2025-06-11"), ["2025-06-11"]),
        (("--since", "2025-06-10T23:59:59Z", "--until", "2025-06-11"), ["2025-06-10"]),
        (("--since", "2025-06-12"), []),
        (("--since", "2025-01-01", "--until", "2025-06-11T05:00Z"), ["2025-06-11", "2025-06-10"]),
    ],
)
def test_usage_of_some_days(keyed: str, options: tuple[str, ...], days: list[str]) -> None:
    """The days begin with the whole day of --since and end before --until."""
    shown = invoke(keyed, "key", "usage", str(KEYS["bridge"]), *options, "--csv", "--field", "day", "-q")
    assert shown == Outcome(0, "".join(f"{line}\n" for line in ["day", *days]), "")


FINDINGS = {
    "never_used": ["test"],
    "unused": ["old"],
    "no_expiry": ["test"],
    "owner_suspended": ["old"],
    "owner_banned": ["banned"],
    "owner_deleted": ["deleted"],
    "past_expiry": ["gone"],
    "counts_more_than_logged": ["old"],
    "counts_fewer_than_logged": ["loose"],
    "not_lasting": ["loose"],
}


def test_audit(keyed: str) -> None:
    """Each finding is a row of its own, and having any is an exit code."""
    shown = invoke(keyed, "key", "audit", "--csv", "--fields", "finding,id,owner_status")
    owners = {
        "old": "suspended",
        "banned": "banned",
        "gone": "banned",
        "loose": "banned",
        "deleted": "deleted",
    }
    rows = [
        f"{finding},{KEYS[name]},{owners.get(name, 'active')}\n"
        for finding, names in sorted(FINDINGS.items())
        for name in names
    ]
    assert shown == Outcome(3, f"finding,id,owner_status\n{''.join(rows)}", "")


def test_audit_of_some_findings(keyed: str) -> None:
    """Only the findings named are looked for; having none of them is well, and a wrong one lists all."""
    both = invoke(keyed, "key", "audit", "--finding", "unused", "--finding", "past_expiry", "-o", "ids")
    assert both == Outcome(3, f"{KEYS['gone']}\n{KEYS['old']}\n", "")
    assert invoke(keyed, "key", "audit", "--finding", "unused", "--days", "36500") == Outcome(
        0, "", "Nothing is wrong with any key.\n"
    )
    assert invoke(keyed, "key", "audit", "--finding", "past_expiry", "--limit", "0").code == 3
    refused = invoke(keyed, "key", "audit", "--finding", "nope")
    assert (refused.code, refused.out) == (2, "")
    assert ", ".join(FINDINGS) in refused.err


def test_audit_in_the_seed_state(migrated_seed_conninfo: str) -> None:
    """Where no profile has a label, the log-in's own bans and deletions still count."""
    with psycopg.connect(migrated_seed_conninfo) as connection:
        has_label = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'profiles'::regclass AND attname = 'account_status'"
        row = connection.execute(has_label).fetchone()
        if row == (0,):
            connection.execute("ALTER TABLE profiles ADD COLUMN account_status text")
        write_keys(connection)
        connection.execute("ALTER TABLE profiles DROP COLUMN account_status CASCADE")
    owners = [argument for name in FINDINGS if name.startswith("owner_") for argument in ("--finding", name)]
    shown = invoke(migrated_seed_conninfo, "key", "audit", *owners, "--csv", "--fields", "finding,id")
    assert shown == Outcome(
        3, f"finding,id\nowner_banned,{KEYS['banned']}\nowner_deleted,{KEYS['deleted']}\n", ""
    )


LEAKED = b"\n".join(
    (
        secret("old").encode(),
        b"",
        secret("nobody").encode(),
        b"  " + secret("lasting").encode() + b"\r",
        secret("old").encode()[:-1],
        b"\xff\xfe not a key",
    )
)


def test_find(keyed: str) -> None:
    """Each line is answered by its number: whose key, revoked ones too, or that it is none."""
    shown = with_input(keyed, LEAKED, "key", "find", "--stdin", "--csv")
    assert shown == Outcome(
        0,
        "line,id,email,prefix,status,is_neutralised,user_id\n"
        f"1,{KEYS['old']},adele@example.com,{secret('old')[:15]}...,active,false,{ADELE}\n"
        "3,,,,unknown,,\n"
        f"4,{KEYS['lasting']},Eve@example.org,{secret('lasting')[:15]}...,revoked,true,{EVE}\n"
        "5,,,,malformed,,\n"
        "6,,,,malformed,,\n",
        "",
    )


def test_find_pipes_what_it_found(keyed: str) -> None:
    """As ids there are only the keys that exist, ready to be revoked."""
    shown = with_input(keyed, LEAKED, "key", "find", "--stdin", "-o", "ids")
    assert shown == Outcome(0, f"{KEYS['old']}\n{KEYS['lasting']}\n", "")


@pytest.mark.parametrize("text", [b"", b"nothing\n", secret("nobody").encode()])
def test_find_nothing(keyed: str, text: bytes) -> None:
    """Where no line is a key of the platform's, the exit code says so."""
    shown = with_input(keyed, text, "key", "find", "--stdin", "--json")
    assert shown.code == 5
    assert json.loads(shown.err)["error"] == "none of these is a key of the platform"


@pytest.mark.parametrize("option", ["--debug", "--show-sql", "-v", "--json"])
def test_find_shows_nothing_of_a_key(keyed: str, migrated_panel_conninfo: str, option: str) -> None:
    """Neither a key nor its hash is shown, whatever else is; and when the statement fails, neither."""
    with psycopg.connect(migrated_panel_conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE platform_api_keys RENAME COLUMN api_key_prefix TO elsewhere")
    for conninfo, code in ((keyed, 0), (migrated_panel_conninfo, 78)):
        shown = with_input(conninfo, LEAKED, "key", "find", "--stdin", option)
        assert shown.code == code
        for name in ("old", "nobody", "lasting"):
            for hidden in (secret(name)[15:40], digest(name)[:20]):
                assert hidden not in shown.out + shown.err


def test_find_reads_stdin_alone(keyed: str) -> None:
    """Without --stdin the way is named, and a terminal, which would show what is typed, is refused."""
    refused = invoke(keyed, "key", "find")
    assert (refused.code, refused.out) == (2, "")
    assert "avatarlab key find --stdin < FILE" in refused.err
    typed = terminal(keyed, "key", "find", "--stdin")
    assert typed.code == 2
    assert "a terminal would show the keys" in typed.out


def test_provider_list(keyed: str) -> None:
    """Users' own keys are listed with their age, and a service is one however it is written."""
    fields = ("--fields", "id,email,service,name,status,age_days")
    shown = process(keyed, "key", "provider", "list", "--csv", *fields, "--sort", "-age_days")
    assert shown.code == 0
    assert shown.out == (
        "id,email,service,name,status,age_days\n"
        f"{UUID(int=0xD0 << 120)},ada@example.com,openai,first,active,400\n"
        f"{UUID(int=0xD2 << 120)},Eve@example.org,openai,mine,active,100\n"
        f"{UUID(int=0xD1 << 120)},ada@example.com,openai,second,inactive,10\n"
        f"{UUID(int=0xD3 << 120)},Eve@example.org,elevenlabs,voice,active,5\n"
    )
    assert "an upper bound" in shown.err


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--service", "OPENAI", "--user", "ada@"), "first second"),
        (("--service", "Elevenlabs"), "voice"),
        (("--user", "EVE"), "voice mine"),
        (("--user", "ada@", "--service", "elevenlabs"), ""),
    ],
)
def test_provider_list_filters(keyed: str, options: tuple[str, ...], names: str) -> None:
    """A service is meant in any case, a user by any name; a user's keys stand by service and age."""
    shown = invoke(keyed, "key", "provider", "list", *options, "--csv", "--field", "name", "-q")
    assert shown.out.split() == ["name", *names.split()]


def test_provider_audit(keyed: str) -> None:
    """A service's keys are counted whole, by use and by age; what last use means is said."""
    shown = invoke(keyed, "key", "provider", "audit", "--csv")
    header = "service,keys,users,active,never_used,unused,older,users_with_several\n"
    assert (shown.code, shown.out) == (0, f"{header}openai,3,2,2,1,1,2,1\nelevenlabs,1,1,1,1,0,0,0\n")
    assert "an upper bound" in shown.err
    longer = invoke(keyed, "key", "provider", "audit", "--days", "200", "--csv")
    assert longer.out == f"{header}openai,3,2,2,1,0,1,1\nelevenlabs,1,1,1,1,0,0,0\n"
