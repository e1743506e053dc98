"""What the doctor makes of an address and of TLS, where no test can connect to."""

from datetime import UTC, datetime

import pytest

from avatarlab_cli.doctor import address, tls
from avatarlab_cli.doctor.kind import Kind
from avatarlab_cli.doctor.server import milliseconds, quoted

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIRECT, POOLER = "db.abcdefghijklmnop.supabase.co", "aws-0-eu-central-1.pooler.supabase.com"


@pytest.mark.parametrize(
    ("host", "port", "kind", "name"),
    [
        (DIRECT, 5432, Kind.DIRECT, "direct address: IPv6"),
        (DIRECT, 6543, Kind.TRANSACTION, "dedicated pooler"),
        (POOLER, 5432, Kind.SESSION, "in session mode"),
        (POOLER, 6543, Kind.TRANSACTION, "in transaction mode"),
    ],
)
def test_supabase_addresses(host: str, port: int, kind: Kind, name: str) -> None:
    """Each is told as what it is, and as suspicious where it behaves like another."""
    (found,) = address.address(host, port, kind)
    assert (found["state"], found["value"]) == ("ok", f"{host}:{port}")
    assert name in str(found["more"])
    for other in set(Kind) - {kind, Kind.UNKNOWN}:
        (found,) = address.address(host, port, other)
        assert found["state"] == "warn"
        assert f"but this is a {other} connection" in str(found["more"])


@pytest.mark.parametrize(
    "host", ["db.example.com", "pooler.supabase.com.example.org", "xdb.a.supabase.co", "10.0.0.1"]
)
def test_other_addresses(host: str) -> None:
    """Of other addresses nothing is claimed."""
    assert [row["more"] for row in address.address(host, 5432, Kind.DIRECT)] == [None]


@pytest.mark.parametrize(
    ("host", "hostaddr", "is_here"),
    [
        ("/run/postgresql", "", True),
        ("@abstract", "", True),
        ("", "", True),
        ("localhost", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("db.example.com", "192.0.2.1", False),
        ("db.example.com", "", False),
        ("localhost", "192.0.2.1", False),
    ],
)
def test_what_stays_on_this_machine(host: str, hostaddr: str, *, is_here: bool) -> None:
    """The address counts, not the name."""
    assert address.is_here(host, hostaddr) is is_here


def checks(
    mode: str, *, is_encrypted: bool = True, is_here: bool = False, root: str = "/nowhere"
) -> dict[object, tuple[object, str]]:
    link = tls.Link(is_here=is_here, is_encrypted=is_encrypted, mode=mode, root=root)
    return {
        row["check"]: (row["state"], f"{row['value']} {row['more']}")
        for row in tls.checks(link, Kind.DIRECT, "TLSv1.3" if is_encrypted else None, NOW)
    }


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_without_tls(mode: str) -> None:
    """Data in the clear is bad on a network, and no concern on this machine."""
    found = checks(mode, is_encrypted=False)
    assert found["tls"][0] == "bad"
    assert "sslmode=verify-full" in found["tls"][1]
    assert checks(mode, is_encrypted=False, is_here=True).keys() == {"tls"}
    assert checks(mode, is_encrypted=False, is_here=True)["tls"][0] == "ok"


@pytest.mark.parametrize(
    ("mode", "root", "state", "sentence"),
    [
        ("prefer", "/nowhere", "warn", "nothing is verified"),
        ("require", "/nowhere", "warn", "nothing is verified"),
        ("require", "/etc/hostname", "warn", "its CA alone"),
        ("verify-ca", "/etc/hostname", "warn", "its CA alone"),
        ("verify-full", "system", "ok", "its CA and its name"),
    ],
)
def test_whom_tls_keeps_out(mode: str, root: str, state: str, sentence: str) -> None:
    """What each mode looks at; `require` looks at the CA where there is a root certificate."""
    found = checks(mode, root=root)
    assert found["tls"] == ("ok", "TLSv1.3 None")
    assert found["server's identity"][0] == state
    assert sentence in found["server's identity"][1]
    assert ("root certificate" in found) is ("nothing" not in sentence)


@pytest.mark.parametrize(
    ("text", "duration"), [("60s", 60_000), ("250", 250), ("5ms", 5), ("2min", 120_000), ("1h", 3_600_000)]
)
def test_durations(text: str, duration: int) -> None:
    """A duration is read as PostgreSQL reads it: without a unit in milliseconds."""
    assert milliseconds(text) == duration


def test_names_in_statements() -> None:
    """A name that SQL would read otherwise is quoted."""
    assert [quoted(name) for name in ("ada", "Ada", 'a"b', "a-b")] == ["ada", '"Ada"', '"a""b"', '"a-b"']
