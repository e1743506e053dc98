"""Where the connection leads, as far as its address tells."""

import ipaddress
import re
from collections.abc import Iterator

from avatarlab_cli.doctor.kind import Finding, Kind
from avatarlab_cli.doctor.rows import Row, row
from avatarlab_cli.queries.health import OK, UNKNOWN, WARN

_DIRECT, _POOLER = r"db\.[a-z0-9]+\.supabase\.co", r"[a-z0-9-]+\.pooler\.supabase\.com"
# Supabase's addresses, the kind of connection they give, and what they are.
_SUPABASE = (
    (_DIRECT, 5432, Kind.DIRECT, "Supabase's direct address: IPv6, or IPv4 with the project's add-on"),
    (_DIRECT, 6543, Kind.TRANSACTION, "Supabase's dedicated pooler, one transaction at a time"),
    (_POOLER, 5432, Kind.SESSION, "Supabase's shared pooler, in session mode"),
    (_POOLER, 6543, Kind.TRANSACTION, "Supabase's shared pooler, in transaction mode"),
)
# What each kind means for those who work through it.
_RULED_OUT = {
    Kind.DIRECT: "nothing is ruled out; each command takes one or two of the server's connections while it runs",
    Kind.SESSION: "nothing is ruled out; each client keeps one of the pool's processes until it leaves",
    Kind.TRANSACTION: (
        "SET, session locks, LISTEN, WITH HOLD cursors and temporary tables last no longer than a transaction here,"
        " and pg_dump and replication need another address; the toolkit uses none of these"
    ),
    Kind.UNKNOWN: "give its pool a second process, or try again when it is less busy",
}


def connection(finding: Finding) -> Iterator[Row]:
    """Tell the kind of connection, what proves it, and what it rules out."""
    state = UNKNOWN if finding.kind is Kind.UNKNOWN else OK
    yield row("connection", state, f"{finding.kind}: {finding.proof}", _RULED_OUT[finding.kind])


def address(host: str, port: int, kind: Kind) -> Iterator[Row]:
    """Tell what the address is known as, and whether it behaves like that."""
    if is_socket(host):
        yield row("address", OK, f"a socket in {host}")
        return
    value = f"{host}:{port}"
    for pattern, known_port, expected, name in _SUPABASE:
        if re.fullmatch(pattern, host) and port == known_port:
            is_as_known = kind in {expected, Kind.UNKNOWN}
            more = (
                name if is_as_known else f"{name}, but this is a {kind} connection: is something in between?"
            )
            yield row("address", OK if is_as_known else WARN, value, more)
            return
    yield row("address", OK, value)


def is_socket(host: str) -> bool:
    """Tell whether a host of libpq's is a directory or an abstract socket: it leads nowhere else."""
    return not host or host.startswith(("/", "@"))


def is_here(host: str, hostaddr: str) -> bool:
    """Tell whether what is sent there stays on this machine."""
    try:
        return is_socket(host) or ipaddress.ip_address(hostaddr).is_loopback
    except ValueError:
        return False
