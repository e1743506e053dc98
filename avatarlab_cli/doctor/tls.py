"""Whether others can listen, and whether somebody else could pass for the server."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from avatarlab_cli.certificates import SYSTEM_ROOTS, default_root
from avatarlab_cli.doctor.address import is_here
from avatarlab_cli.doctor.kind import Kind
from avatarlab_cli.doctor.rows import Row, row
from avatarlab_cli.queries.health import BAD, OK, UNKNOWN, WARN
from avatarlab_cli.refusals import VERIFY

ENDS_SOON = timedelta(days=60)


@dataclass(frozen=True)
class Link:
    """A connection's way to whoever answered: server or pooler."""

    is_here: bool
    is_encrypted: bool
    mode: str
    root: str


def link(connection: psycopg.Connection[Any]) -> Link:
    """Return what libpq was told and did; the password stays there."""
    raw = connection.pgconn
    told = {each.keyword: (each.val or b"").decode() for each in raw.info if each.keyword.startswith(b"ssl")}
    root = told[b"sslrootcert"] or default_root()
    return Link(
        is_here=is_here(raw.host.decode(), raw.hostaddr.decode()),
        is_encrypted=raw.ssl_in_use,
        mode=told[b"sslmode"],
        root=root,
    )


def checks(link: Link, kind: Kind, server: str | None, now: datetime) -> Iterator[Row]:
    """Check the way to whoever answers, and behind a pooler what is known of the way on to the server.

    `server` is the TLS version of the server's own end, None where it has none.
    """
    if kind is Kind.DIRECT:
        yield _encryption(link, server or "on")
    else:
        yield _encryption(link, "TLSv1.2 or newer")
        yield row("tls, pooler to server", OK, server or "off", "whoever runs the pooler decides on it")
    if link.is_encrypted:
        yield from _certificate(link, now)


def _encryption(link: Link, version: str) -> Row:
    if link.is_encrypted:
        return row("tls", OK, version)
    if link.is_here:
        return row("tls", OK, "off, and nothing leaves this machine")
    return row("tls", BAD, "off", f"whoever is in between reads the data: {VERIFY}")


def _certificate(link: Link, now: datetime) -> Iterator[Row]:
    """Check what libpq looks at before it sends a password; `require` with a root is as good as verify-ca."""
    has_root = link.root == SYSTEM_ROOTS or Path(link.root).exists()
    if link.mode == "verify-full":
        yield row("server's identity", OK, "verify-full: its CA and its name are verified")
    elif link.mode == "verify-ca" or (link.mode == "require" and has_root):
        more = f"whoever has a certificate of the same CA passes for the server: {VERIFY}"
        yield row(
            "server's identity", OK if link.is_here else WARN, f"{link.mode}: its CA alone is verified", more
        )
    else:
        more = f"whoever is in between can pass for the server, and gets password and data: {VERIFY}"
        yield row(
            "server's identity", OK if link.is_here else WARN, f"{link.mode}: nothing is verified", more
        )
        return
    yield _root(link.root, now)


def _root(root: str, now: datetime) -> Row:
    """Check until when the file's CAs hold; the last one counts, as a new one stands beside the old for a while."""
    if root == SYSTEM_ROOTS:
        return row("root certificate", OK, "those of the system")
    try:
        found = ssl.create_default_context(cafile=root).get_ca_certs()
    except (OSError, ssl.SSLError):
        found = []
    ends = [datetime.fromtimestamp(ssl.cert_time_to_seconds(str(each["notAfter"])), UTC) for each in found]
    if not ends:
        return row("root certificate", UNKNOWN, root, "what it holds cannot be read here")
    is_ending = max(ends) < now + ENDS_SOON
    more = "get the CA's next one before that, and add it to the file" if is_ending else None
    return row("root certificate", WARN if is_ending else OK, f"{root}, until {max(ends):%Y-%m-%d}", more)
