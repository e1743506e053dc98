"""The doctor's page: every check, in the order in which one stands on the other."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime

import sqlalchemy as sa

from avatarlab_cli.database import Database, translated
from avatarlab_cli.doctor import address, kind, rights, server, tls
from avatarlab_cli.doctor.rows import Row, row
from avatarlab_cli.errors import AvatarLabError, NotPermittedError
from avatarlab_cli.queries.health import BAD, OK, UNKNOWN
from avatarlab_cli.schema.live import probe


def page(database: Database, now: Callable[[], datetime]) -> list[Row]:
    """Return one row a check; raises an AvatarLabError where there is no connection. Nothing is changed."""
    found = kind.find(database)
    with translated(), closing(database.connect()) as connection:
        host, port, link = connection.info.host, connection.info.port, tls.link(connection)
    with database.read() as reading:
        facts = server.facts(reading)
        rows = [
            *address.connection(found),
            *address.address(host, port, found.kind),
            *tls.checks(link, found.kind, facts["tls"], now()),
            *server.version(facts),
            *server.writing(facts),
            *server.row_security(facts, probe(reading)),
            *rights.rights(reading, facts["login"]),
            *server.timeouts(reading, database.limits, facts["login"]),
            *server.clock(reading, now),
            *server.connections(reading),
            *server.prepared(facts),
        ]
    # Not while the other transaction has what may be the pool's only process.
    return [*rows, *_locks(found), *_temporary(database, facts)]


def _locks(found: kind.Finding) -> Iterator[Row]:
    """Check what keeps two runs apart."""
    if found.locks:
        yield row("locks", OK, "one transaction's keeps another out")
    elif found.locks is None:
        yield row("locks", UNKNOWN, "could not be tried", "give the pool two processes at least")
    else:
        more = "two runs would not see each other: do two servers answer at this address?"
        yield row("locks", BAD, "one transaction's does not keep another out", more)


def _temporary(database: Database, facts: sa.RowMapping) -> Iterator[Row]:
    """Try what jobs do, in a transaction that is rolled back."""
    try:
        with database.preview() as connection:
            connection.execute(sa.text("CREATE TEMPORARY TABLE avatarlab_doctor (n int) ON COMMIT DROP"))
    except NotPermittedError:
        names = server.quoted(facts["database"]), server.quoted(facts["login"])
        more = "GRANT TEMPORARY ON DATABASE {} TO {}; jobs cannot do without".format(*names)
        yield row("temporary tables", BAD, "not allowed", more)
    except AvatarLabError as error:
        yield row("temporary tables", UNKNOWN, error.message, error.hint)
    else:
        yield row("temporary tables", OK, "work in a transaction")
