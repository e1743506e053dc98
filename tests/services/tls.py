"""A PostgreSQL 15 and a PgBouncer that speak TLS, with certificates of a CA made for one test run."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import trustme

from tests.conftest import TEST_SETTINGS
from tests.database.logins import PASSWORD
from tests.services.conftest import (
    POSTGRES,
    START_SECONDS,
    demand,
    directory,
    pgbouncer,
    run_as_service,
    running,
    service_user,
)

HOST = "localhost"


@dataclass(frozen=True)
class Cluster:
    """Data of a server that asks for a password over TCP, and the CA its clients trust."""

    home: Path
    ca: trustme.CA

    @property
    def root(self) -> Path:
        """The file that clients name in sslrootcert."""
        return self.home / "root.crt"

    @contextmanager
    def serving(self, certificate: trustme.LeafCert | None, *options: str) -> Iterator[str]:
        """Run the server with this certificate, or without TLS; yields a URL that leaves TLS to the caller."""
        port = free_port()
        command: list[str | Path] = [
            POSTGRES / "postgres",
            "-D",
            self.home / "data",
            "-p",
            str(port),
            *options,
        ]
        if certificate is not None:
            chain, key = written(self.home, "server", certificate)
            command += ["-c", "ssl=on", "-c", f"ssl_cert_file={chain}", "-c", f"ssl_key_file={key}"]
        with running(command, self.home / f".s.PGSQL.{port}"):
            wait_until_open(f"host={self.home} port={port} user=postgres dbname=postgres")
            yield f"postgresql://postgres:{PASSWORD}@{HOST}:{port}/postgres"

    @contextmanager
    def pooled(
        self, certificate: trustme.LeafCert, address: str = "127.0.0.1", port: int | None = None
    ) -> Iterator[str]:
        """Run server and pooler, which speak TLS with each other too; yields the pooler's URL."""
        with self.serving(certificate) as url:
            server = f"host={HOST} port={url.rpartition(':')[2].partition('/')[0]} user=postgres password={PASSWORD}"
            chain, key = written(self.home, "pooler", certificate)
            port = port or free_port()
            settings = {
                "listen_addr": address,
                "listen_port": port,
                "client_tls_sslmode": "require",
                "client_tls_cert_file": chain,
                "client_tls_key_file": key,
                "server_tls_sslmode": "verify-full",
                "server_tls_ca_file": self.root,
            }
            with pgbouncer(server, 2, **settings):
                yield f"postgresql://postgres@{HOST}:{port}/postgres"

    def good(self) -> trustme.LeafCert:
        """Return a certificate that every demand accepts."""
        return self.ca.issue_cert(HOST)

    def foreign(self) -> trustme.LeafCert:
        """Return one of a CA that clients do not trust."""
        return trustme.CA().issue_cert(HOST)

    def misnamed(self) -> trustme.LeafCert:
        """Return one of another host."""
        return self.ca.issue_cert("db.example.com")

    def expired(self) -> trustme.LeafCert:
        """Return one that ended yesterday."""
        now = datetime.now(UTC)
        return self.ca.issue_cert(HOST, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))

    def future(self) -> trustme.LeafCert:
        """Return one that begins tomorrow."""
        return self.ca.issue_cert(HOST, not_before=datetime.now(UTC) + timedelta(days=1))


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Create the data and the CA, and remove both."""
    demand(POSTGRES / "initdb", "postgresql-15")
    with directory() as home:
        data, secret = home / "data", home / "secret"
        secret.write_text(PASSWORD)
        owned(secret)
        methods: list[str | Path] = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        run_as_service([POSTGRES / "initdb", "-D", data, "-U", "postgres", "--no-sync", *methods])
        lines = {**TEST_SETTINGS, "listen_addresses": "127.0.0.1", "unix_socket_directories": str(home)}
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
        made = Cluster(home, trustme.CA())
        made.ca.cert_pem.write_to_path(made.root)
        yield made


def wait_until_open(conninfo: str) -> None:
    """Wait until the server lets somebody in: its socket is there while it still starts."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(conninfo).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def written(home: Path, name: str, certificate: trustme.LeafCert) -> tuple[Path, Path]:
    """Write the chain and the key as the servers want them: readable by nobody else."""
    chain, key = home / f"{name}.crt", home / f"{name}.key"
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    owned(chain)
    owned(key)
    return chain, key


def owned(path: Path) -> None:
    """Leave a file to the services' user alone."""
    path.chmod(0o600)
    if (user := service_user()) is not None:
        shutil.chown(path, user)


def free_port() -> int:
    """Return a port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
