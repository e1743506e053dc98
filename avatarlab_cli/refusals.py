"""Refusals that come as text alone: from libpq before there is a server, and from poolers in the server's place."""

import re

from avatarlab_cli.errors import (
    AvatarLabError,
    BusyError,
    ConfigurationError,
    NotPermittedError,
    UnavailableError,
)

_ROOT = (
    "name the file of the CA that signed the server's certificate in sslrootcert (Supabase: dashboard, Database"
    " settings, SSL configuration)"
)
VERIFY = "add sslmode=verify-full and sslrootcert=FILE to the database URL"
# A pattern, what it means, the sentence, and what to do. The first that fits counts.
_REFUSALS: tuple[tuple[re.Pattern[str], type[AvatarLabError], str, str], ...] = (
    (
        re.compile(r'server certificate for "(?P<names>.*?)".* does not match host name "(?P<host>[^"]*)"'),
        ConfigurationError,
        "the server's certificate is for {names}, not for {host}",
        "connect by a name that the certificate has; where the name is right, somebody else answers there",
    ),
    (
        re.compile(r"certificate verify failed"),
        ConfigurationError,
        "the server's certificate is not from the CA in sslrootcert, or has expired",
        f"{_ROOT}; where it is that one, the certificate has expired, or somebody else answers there",
    ),
    (
        re.compile(r'root certificate file "(?P<file>[^"]*)" does not exist'),
        ConfigurationError,
        "there is no root certificate in {file}, so the server cannot be verified",
        _ROOT,
    ),
    (
        re.compile(r'could not read root certificate file "(?P<file>[^"]*)"'),
        ConfigurationError,
        "{file} holds no root certificate, or cannot be read",
        _ROOT,
    ),
    (
        re.compile(r"server does not support SSL, but SSL was required"),
        ConfigurationError,
        "the server offers no TLS, which sslmode demands",
        "turn TLS on there; sslmode=disable is for a server on this machine alone",
    ),
    (
        re.compile(r"no pg_hba\.conf entry for .*, (no encryption|SSL off)"),
        ConfigurationError,
        "the server refuses this login without TLS",
        VERIFY,
    ),
    (
        re.compile(r"SSL connection is required|SSL required"),
        ConfigurationError,
        "the pooler refuses connections without TLS",
        VERIFY,
    ),
    (
        re.compile(r"channel binding (is )?required"),
        ConfigurationError,
        "the server does not bind the login to the TLS connection, which channel_binding demands",
        "poolers mostly cannot: leave channel_binding out there, and keep sslmode=verify-full",
    ),
    (
        re.compile(r"unsupported startup parameter"),
        ConfigurationError,
        "the pooler takes no options in the database URL or PGOPTIONS",
        "take them out; what must hold is set by ALTER ROLE ... SET, or by the toolkit's own settings",
    ),
    (
        re.compile(r"transaction blocks not allowed in statement pooling mode"),
        ConfigurationError,
        "the pooler is in statement mode, in which there are no transactions",
        "set pool_mode = transaction there, or connect directly",
    ),
    (
        re.compile(r"Tenant or user not found|no tenant identifier provided"),
        NotPermittedError,
        "Supabase's pooler does not know this project or user",
        "its user is USER.PROJECT, and its host names the project's region: copy both from the dashboard, Connect",
    ),
    (
        re.compile(r"[Mm]ax clients reached|[Mm]ax client connections reached|no more connections allowed"),
        BusyError,
        "the pooler has no connection left",
        "try again later; in session mode each client keeps one: Supabase's port 6543 shares them",
    ),
    (
        re.compile(r"query_wait_timeout"),
        BusyError,
        "the pooler had no connection to the server for too long",
        "try again later, or give its pool more connections",
    ),
    (
        re.compile(
            r"(?s)db\.\w+\.supabase\.co.*(Network is unreachable|Cannot assign requested|Name or service not known"
            r"|No address associated|No route to host)"
        ),
        UnavailableError,
        "cannot reach Supabase's direct address, which speaks IPv6 alone unless the project has the IPv4 add-on",
        "use the pooler's address and user: dashboard, Connect",
    ),
)


def refusal(text: str) -> AvatarLabError | None:
    """Return the error that such a text means, None where it is none of these."""
    for pattern, kind, sentence, hint in _REFUSALS:
        if found := pattern.search(text):
            return kind(sentence.format(**found.groupdict()), hint=hint)
    return None
