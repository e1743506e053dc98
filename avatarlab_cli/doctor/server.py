"""What the server says of itself and of this login, in one transaction that only reads."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from avatarlab_cli.doctor.rows import Row, row
from avatarlab_cli.queries.health import BAD, OK, WARN
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.timeframe import parse_duration

OLDEST = 15
FEW = 5
CLOCKS_APART = 5.0

_SERVER = sa.text("""
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
           current_user AS login, current_database() AS database, pg_is_in_recovery() AS is_replica,
           current_setting('default_transaction_read_only')::boolean AS is_read_only,
           (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS sees_all,
           (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls,
           (SELECT count(*) FROM pg_prepared_statements) AS prepared
""")


def facts(connection: sa.Connection) -> sa.RowMapping:
    """Return what one SELECT tells of server and login."""
    return connection.execute(_SERVER).mappings().one()


def version(found: sa.RowMapping) -> Iterator[Row]:
    """Check that the server is new enough."""
    is_old = found["major"] < OLDEST
    more = f"PostgreSQL {OLDEST} or newer is needed: some statements fail on this one" if is_old else None
    yield row("server", BAD if is_old else OK, f"PostgreSQL {found['version']}", more)


def writing(found: sa.RowMapping) -> Iterator[Row]:
    """Check that the server takes changes."""
    if found["is_replica"]:
        more = "reports work; jobs and acts end with 69: connect to the primary"
        yield row("changes", BAD, "a replica, or in recovery", more)
    elif found["is_read_only"]:
        more = (
            "reports work; jobs and acts end with 69. Supabase does this to a project whose disk is full; else"
            " default_transaction_read_only is set for the login, database or server"
        )
        yield row("changes", BAD, "transactions are read-only by default", more)
    else:
        yield row("changes", OK, "taken")


def row_security(found: sa.RowMapping, live: LiveSchema) -> Iterator[Row]:
    """Check that no row is hidden from the login."""
    hidden = sorted(name for name, relation in live.relations.items() if relation.is_filtered)
    login = found["login"]
    if hidden:
        more = (
            f"ALTER ROLE {quoted(login)} BYPASSRLS; figures would be too low, so reports and jobs end with 4"
        )
        yield row("row security", BAD, f"hides rows of {len(hidden)} tables from {login}", more)
    else:
        by = "bypassed" if found["sees_all"] else "hides nothing"
        yield row("row security", OK, f"{by} ({login})")


def prepared(found: sa.RowMapping) -> Iterator[Row]:
    """Tell of prepared statements, of which the toolkit makes none."""
    others = found["prepared"]
    value = f"none of the toolkit's, {others} of others" if others else "none, as the toolkit makes none"
    yield row("prepared statements", OK, value)


_CONNECTIONS = sa.text("""
    SELECT current_setting('max_connections')::int AS most,
           least(
               current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                   - coalesce(current_setting('reserved_connections', true)::int, 0)
                   - (SELECT sum(numbackends) FROM pg_stat_database),
               (SELECT rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid)
                FROM pg_roles r WHERE rolname = current_user AND rolconnlimit >= 0),
               (SELECT datconnlimit - pg_stat_get_db_numbackends(oid)
                FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0)) AS left
""")


def connections(connection: sa.Connection) -> Iterator[Row]:
    """Check that the server has room, by the narrowest limit: its own, the login's, or the database's."""
    most, left = connection.execute(_CONNECTIONS).one()
    more = "whoever comes next ends with 75: raise the limit, or go through a pooler in transaction mode"
    yield row(
        "connections left",
        WARN if left < FEW else OK,
        f"{max(left, 0)} of {most}",
        more if left < FEW else None,
    )


_TIMES = sa.text("""
    SELECT name, setting::bigint AS here, reset_val::bigint AS own FROM pg_settings
    WHERE name = ANY (ARRAY['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
                            'transaction_timeout'])
""")


def timeouts(connection: sa.Connection, limits: Mapping[str, str], login: str) -> Iterator[Row]:
    """Check that the toolkit's limits hold in its transactions, whatever the login has as its own."""
    found = {each.name: each for each in connection.execute(_TIMES)}
    wrong = [
        name for name, text in limits.items() if name in found and found[name].here != milliseconds(text)
    ]
    own = found["statement_timeout"].own
    value = f"statements {limits.get('statement_timeout', 'n/a')}, the login's own is {_shown(own)}"
    more = (
        f"{', '.join(wrong)} cannot be set for a transaction: is a pooler in between that sets them?"
        if wrong
        else None
    )
    yield row("time limits", BAD if wrong else OK, value, more)
    whole = found.get("transaction_timeout")
    if whole is not None and whole.here:
        more = f"ALTER ROLE {quoted(login)} SET transaction_timeout = 0; a job's transaction may take longer"
        yield row("transaction_timeout", WARN, _shown(whole.here), more)


def milliseconds(text: str) -> int:
    """Return a duration as PostgreSQL reads it, in milliseconds."""
    return parse_duration(text) // timedelta(milliseconds=1)


def _shown(duration: int) -> str:
    return f"{duration / 1000:g}s" if duration else "none"


def clock(connection: sa.Connection, now: Callable[[], datetime]) -> Iterator[Row]:
    """Check that host and server agree on the time, as exactly as the way there allows."""
    before = now()
    there: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    after = now()
    ahead = (before - there).total_seconds() if there < before else (after - there).total_seconds()
    apart = 0.0 if before <= there <= after else ahead
    is_wrong = abs(apart) >= CLOCKS_APART
    value = f"this host is {abs(apart):,.1f} s {'ahead' if apart > 0 else 'behind'}" if apart else "agrees"
    more = "set this host's clock by NTP: what a timer runs for is read from it" if is_wrong else None
    yield row("clock", WARN if is_wrong else OK, value, more)


def quoted(name: str) -> str:
    """Write a role's or table's name as SQL takes it."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
