"""The doctor before real poolers: it proves which it meets, at whatever address, and leaves no trace in a session."""

import json
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.doctor import kind
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.schema.reference import create_reference
from tests.cli.invoking import Outcome, invoke
from tests.conftest import plain_engine
from tests.services.conftest import pgbouncer
from tests.services.test_pgbouncer import session
from tests.services.tls import Cluster, cluster

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def secure() -> Iterator[Cluster]:
    """A server's data and a CA."""
    with cluster() as made:
        yield made


def doctor(conninfo: str, now: datetime | None = None) -> Outcome:
    return invoke(conninfo, "db", "doctor", "--json", now=now or datetime.now(UTC))


def page(conninfo: str, now: datetime | None = None) -> dict[str, dict[str, Any]]:
    outcome = doctor(conninfo, now)
    assert outcome.code == 0, outcome.err
    return {row["check"]: row for row in json.loads(outcome.out)}


@pytest.mark.parametrize(
    ("pool", "value"),
    [
        (("session", 1, 0), "session pooler: a second connection had to wait"),
        (("session", 3, 0), "session pooler: in 5 turns each of two connections kept a process"),
        (("transaction", 1, 0), "transaction pooler: two connections at once were both served by process"),
        (("transaction", 3, 0), "transaction pooler: two connections at once were both served by process"),
        (("transaction", 2, 1), "transaction pooler: "),
    ],
)
def test_the_kind_of_connection(
    debian_server: str, monkeypatch: pytest.MonkeyPatch, pool: tuple[str, int, int], value: str
) -> None:
    """Session and transaction mode are told apart, with one process in the pool or several, however they are dealt."""
    monkeypatch.setattr(kind, "PATIENCE", 0.5)
    mode, size, robin = pool
    with pgbouncer(debian_server, size, pool_mode=mode, server_round_robin=robin) as pooled:
        found = page(f"{pooled} dbname=postgres")
    assert found["connection"]["value"].startswith(value)
    assert ("the toolkit uses none of these" in found["connection"]["more"]) is (mode == "transaction")
    expected = (
        ("unknown", "could not be tried") if size == 1 else ("ok", "one transaction's keeps another out")
    )
    assert (found["locks"]["state"], found["locks"]["value"]) == expected
    assert found["temporary tables"]["state"] == "ok"


def test_without_a_pooler(debian_server: str) -> None:
    """A connection whose process is its own is direct."""
    assert page(f"{debian_server} dbname=postgres")["connection"]["value"].startswith("direct: ")


def test_in_a_pool_that_others_use(debian_server: str) -> None:
    """Among clients who take the pool's processes from one another the kind is the same each time."""
    stop = threading.Event()

    def work(conninfo: str) -> None:
        with psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) as client:
            while not stop.is_set():
                client.execute("SELECT pg_sleep(random() * 0.004)")

    with pgbouncer(debian_server, 5) as pooled, ThreadPoolExecutor(8) as clients:
        conninfo = f"{pooled} dbname=postgres"
        working = [clients.submit(work, conninfo) for _ in range(8)]
        found = [kind.find(Database(conninfo)).kind for _ in range(20)]
        stop.set()
        for each in working:
            each.result()
    assert found == [kind.Kind.TRANSACTION] * 20


def test_statement_mode(debian_server: str) -> None:
    """A pooler without transactions is a wrong setting, named with the right one."""
    with pgbouncer(debian_server, 2, pool_mode="statement") as pooled:
        outcome = doctor(f"{pooled} dbname=postgres")
    assert (outcome.code, outcome.out) == (ExitCode.CONFIGURATION, "")
    assert "pool_mode = transaction" in outcome.err


def test_a_pool_that_is_taken(debian_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others have every process of the pool, the kind is unknown rather than guessed."""
    monkeypatch.setattr(kind, "PATIENCE", 0.2)
    with pgbouncer(debian_server, 1) as pooled:
        conninfo = f"{pooled} dbname=postgres"
        with psycopg.connect(conninfo, prepare_threshold=None) as holder:
            holder.execute("SELECT 1")
            assert kind.find(Database(conninfo)).kind is kind.Kind.UNKNOWN


def test_no_trace_in_the_session(debian_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger finds the pool's process as it was, and no lock in it."""
    monkeypatch.setattr(kind, "PATIENCE", 0.5)
    with pgbouncer(debian_server, 1) as pooled:
        conninfo = f"{pooled} dbname=postgres"
        before = session(conninfo)
        page(conninfo)
        assert session(conninfo) == before


def test_tls_of_a_server(secure: Cluster) -> None:
    """On a direct connection the server tells its TLS; a root certificate that ends soon is said in time."""
    with secure.serving(secure.good()) as url:
        verified = f"{url}?sslmode=verify-full&sslrootcert={secure.root}"
        found = page(verified)
        ending = page(verified, datetime(2999, 12, 1, tzinfo=UTC))["root certificate"]
        careless = page(f"{url}?sslmode=require&sslrootcert=/nowhere")
    assert found["tls"]["value"] == "TLSv1.3"
    assert found["server's identity"]["value"].startswith("verify-full")
    assert found["root certificate"]["value"] == f"{secure.root}, until 3000-01-01"
    assert (found["root certificate"]["state"], ending["state"]) == ("ok", "warn")
    assert careless["server's identity"]["value"] == "require: nothing is verified"


@pytest.mark.parametrize(
    ("host", "port", "state", "words"),
    [
        (
            "aws-0-eu-central-1.pooler.supabase.com",
            6543,
            "ok",
            "Supabase's shared pooler, in transaction mode",
        ),
        (
            "aws-0-eu-central-1.pooler.supabase.com",
            5432,
            "warn",
            "in session mode, but this is a transaction pooler",
        ),
        ("db.abcdefghijklmnop.supabase.co", 6543, "ok", "dedicated pooler"),
    ],
)
def test_at_an_address_of_supabase(secure: Cluster, host: str, port: int, state: str, words: str) -> None:
    """At Supabase's addresses, played by PgBouncer, TLS is verified by that name, and the address told as what it is."""
    # An address of this machine that nobody else listens on.
    here = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    with secure.pooled(secure.ca.issue_cert(host, "localhost"), here, port) as url:
        assert url == f"postgresql://postgres@localhost:{port}/postgres"
        named = url.replace("localhost", host)
        found = page(f"{named}?hostaddr={here}&sslmode=verify-full&sslrootcert={secure.root}")
    assert (found["address"]["state"], found["address"]["value"]) == (state, f"{host}:{port}")
    assert words in found["address"]["more"]
    assert found["tls"]["value"] == "TLSv1.2 or newer"
    assert found["tls, pooler to server"]["value"] == "TLSv1.3"
    assert found["server's identity"]["value"].startswith("verify-full")


@pytest.fixture
def migrated_standby() -> Iterator[str]:
    """A platform on a server that only replays what another wrote."""
    with cluster() as made:
        options = ("-c", "wal_level=replica")
        with made.serving(None, *options) as url:
            with plain_engine(url).begin() as connection:
                create_reference(connection, "panel")
            assert invoke(url, "db", "migrate").code == 0
        (made.home / "data" / "standby.signal").touch()
        with made.serving(None, *options) as url:
            yield url


def test_a_replica(migrated_standby: str) -> None:
    """On a server that takes no changes the doctor says so, reports work, and a job ends as where nobody answers."""
    outcome = doctor(migrated_standby)
    found = {row["check"]: row for row in json.loads(outcome.out)}
    assert outcome.code == ExitCode.FOUND
    assert (found["changes"]["state"], found["changes"]["value"]) == ("bad", "a replica, or in recovery")
    assert {check for check, row in found.items() if row["state"] == "bad"} == {"changes"}
    assert invoke(migrated_standby, "usage", "month").code == 0
    refused = invoke(migrated_standby, "job", "run", "monthly-usage")
    assert (refused.code, refused.out) == (ExitCode.UNAVAILABLE, "")
    assert "replica" in refused.err
