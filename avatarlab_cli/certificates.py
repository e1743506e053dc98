"""Why a server's certificate was not believed: libpq tells an expired one and a foreign one by the same words."""

import re
import socket
import ssl
import struct
from pathlib import Path

from psycopg.pq import Conninfo

from avatarlab_cli.errors import ConfigurationError

SECONDS = 5.0
_REFUSED = re.compile(
    r'server at "(?P<host>[^"]+)"(?: \((?P<address>[^)]+)\))?, port (?P<port>\d+) failed: .*certificate verify failed'
)
# What a client of PostgreSQL sends before it speaks TLS: the length, and the number that asks for it.
_TLS_PLEASE = struct.pack("!ii", 8, 80877103)
_EXPIRED, _NOT_YET = 10, 9
SYSTEM_ROOTS = "system"
"""What sslrootcert says for the CAs that this system trusts."""


def doubt(conninfo: str, told: str) -> ConfigurationError | None:
    """Return what is wrong with a certificate that libpq refused by these words, None where that cannot be seen.

    Asks the server once more for its certificate; nothing else is sent.
    """
    found = _REFUSED.search(told)
    if found is None:
        return None
    root = _root(conninfo)
    code = _verified(found["address"] or found["host"], int(found["port"]), root)
    if code is None:
        return None
    if code == _EXPIRED:
        return ConfigurationError(
            "the server's certificate has expired",
            hint="whoever runs the server renews it; until then nobody can tell the server from another",
        )
    if code == _NOT_YET:
        return ConfigurationError(
            "the server's certificate is not valid yet", hint="look at this host's clock first"
        )
    whose = "a CA that this system trusts" if root == SYSTEM_ROOTS else f"the CA in {root}"
    return ConfigurationError(
        f"the server's certificate is not from {whose}",
        hint="fetch the CA of the server's certificate anew (Supabase: dashboard, Database settings, SSL configuration);"
        " where it is the right one, somebody else answers there",
    )


def _root(conninfo: str) -> str:
    """Return where libpq looks for root certificates: as the URL says, the environment, or by default."""
    given = (*Conninfo.parse(conninfo.encode()), *Conninfo.get_defaults())
    named = (each.val.decode() for each in given if each.keyword == b"sslrootcert" and each.val)
    return next(named, default_root())


def default_root() -> str:
    """Return where libpq looks for root certificates when nobody says where."""
    return str(Path("~/.postgresql/root.crt").expanduser())


def _verified(host: str, port: int, root: str) -> int | None:
    """Return OpenSSL's number for what is wrong with the certificate there, None where nothing is or nobody answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # libpq looks at the name after this.
    context.check_hostname = False
    try:
        if root == SYSTEM_ROOTS:
            context.load_default_certs()
        else:
            context.load_verify_locations(root)
        with socket.create_connection((host, port), SECONDS) as raw:
            raw.sendall(_TLS_PLEASE)
            if raw.recv(1) == b"S":
                context.wrap_socket(raw).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_code
    except OSError:
        return None
    return None
