"""Which kind of connection this is, proved by two of them, without a trace in any session."""

import secrets
import select
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg

from avatarlab_cli.database import Database, translated

ROUNDS = 5
# How long a pooler may take to find a server process, in seconds.
PATIENCE = 3.0
_WHO = "SELECT pg_backend_pid()"


class Kind(StrEnum):
    """Whose server process a connection has, and for how long."""

    DIRECT = "direct"
    SESSION = "session pooler"
    TRANSACTION = "transaction pooler"
    UNKNOWN = "pooler"


@dataclass(frozen=True)
class Finding:
    """The kind, what proves it, and whether one transaction's lock keeps another out (None: could not be tried)."""

    kind: Kind
    proof: str
    locks: bool | None


def find(database: Database) -> Finding:
    """Tell the kind by who serves two connections in turn; raises an AvatarLabError where there is no connection."""
    with translated(), ExitStack() as stack:
        first, second = (stack.enter_context(closing(database.connect())) for _ in range(2))
        served: tuple[set[str | None], set[str | None]] = (set(), set())
        for _ in range(ROUNDS):
            for connection, processes in zip((first, second), served, strict=True):
                processes.add(ask(connection, _WHO))
            if None in served[0] | served[1]:
                return _of_waiting(first, second, served[0])
        kind, proof = _judged(str(first.pgconn.backend_pid), *served)
        return Finding(kind, proof, _locks(first, second))


def _judged(own: str, first: set[str | None], second: set[str | None]) -> tuple[Kind, str]:
    if shared := first & second:
        return (
            Kind.TRANSACTION,
            f"two connections at once were both served by process {min(map(str, shared))}",
        )
    if len(first) > 1 or len(second) > 1:
        return Kind.TRANSACTION, "one connection was served by several processes in turn"
    if own in first:
        return Kind.DIRECT, f"the connection's own process {own} serves it"
    return (
        Kind.SESSION,
        f"in {ROUNDS} turns each of two connections kept a process, which is not the one it was told of",
    )


def _of_waiting(
    first: psycopg.Connection[Any], second: psycopg.Connection[Any], served: set[str | None]
) -> Finding:
    """Tell a pool whose one process belongs to the first connection from one that is busy for others."""
    first.close()
    if received(second, PATIENCE) in served - {None}:
        return Finding(Kind.SESSION, "a second connection had to wait until the first had gone", None)
    return Finding(Kind.UNKNOWN, "it has no server process left for a second connection", None)


def _locks(first: psycopg.Connection[Any], second: psycopg.Connection[Any]) -> bool | None:
    """Tell whether a lock taken in a transaction keeps the other connection from taking it."""
    take = f"SELECT pg_try_advisory_xact_lock({secrets.randbits(62)})"
    if ask(first, f"BEGIN; {take}") != "t":
        return None
    other = ask(second, take)
    ask(first, "ROLLBACK")
    if other is None:
        # Who leaves in the middle of a statement takes the pool's process along.
        received(second, PATIENCE)
        return None
    return other == "f"


def ask(connection: psycopg.Connection[Any], statement: str) -> str | None:
    """Run a statement as it is, and return its one value; None where no server process took it in time.

    Whoever waits for a pooler's process waits in the driver for as long as the pooler likes.
    """
    connection.pgconn.send_query(statement.encode())
    return received(connection, PATIENCE)


def received(connection: psycopg.Connection[Any], seconds: float) -> str | None:
    """Return the last value of what was sent, None where nothing came in time; raises psycopg.OperationalError."""
    raw, deadline, value = connection.pgconn, time.monotonic() + seconds, None
    raw.flush()
    while True:
        while raw.is_busy():
            left = max(0.0, deadline - time.monotonic())
            if not select.select([raw.socket], [], [], left)[0]:
                return None
            raw.consume_input()
        result = raw.get_result()
        if result is None:
            return value
        if result.error_message:
            raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
        if result.ntuples:
            value = (result.get_value(0, 0) or b"").decode()
