"""Refusals in words alone, as libpq and poolers write them."""

import psycopg
import pytest

from avatarlab_cli.database import translate
from avatarlab_cli.errors import (
    AvatarLabError,
    BusyError,
    ConfigurationError,
    NotPermittedError,
    UnavailableError,
)
from jobs.patience import is_lost, is_passing

AT = 'connection failed: connection to server at "192.0.2.1", port 6543 failed: '


@pytest.mark.parametrize(
    ("text", "kind", "sentence", "hint"),
    [
        (
            f"{AT}FATAL:  Tenant or user not found",
            NotPermittedError,
            "does not know this project",
            "USER.PROJECT",
        ),
        (
            f"{AT}FATAL:  MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited",
            BusyError,
            "no connection left",
            "6543",
        ),
        (f"{AT}FATAL:  Max client connections reached", BusyError, "no connection left", "later"),
        (
            f"{AT}FATAL:  no more connections allowed (max_client_conn)",
            BusyError,
            "no connection left",
            "later",
        ),
        ("FATAL:  query_wait_timeout", BusyError, "for too long", "its pool"),
        (f"{AT}FATAL:  SSL connection is required", ConfigurationError, "without TLS", "verify-full"),
        (
            f'{AT}FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "ada", database "x", no encryption',
            ConfigurationError,
            "without TLS",
            "verify-full",
        ),
        (
            f'{AT}FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "ada", database "x", SSL encryption',
            NotPermittedError,
            "no pg_hba.conf entry",
            "user and password",
        ),
        (
            "FATAL:  transaction blocks not allowed in statement pooling mode",
            ConfigurationError,
            "statement mode",
            "pool_mode = transaction",
        ),
        (
            "failed to resolve host 'db.abcdefgh.supabase.co': [Errno -2] Name or service not known",
            UnavailableError,
            "IPv6",
            "pooler's address",
        ),
        (
            f"{AT.replace('192.0.2.1', '2a05:d014::1')}Network is unreachable",
            UnavailableError,
            "Network is unreachable",
            "network",
        ),
        (
            f'{AT}server certificate for "a.example" (and 2 other names) does not match host name "b.example"',
            ConfigurationError,
            "is for a.example, not for b.example",
            "name",
        ),
    ],
)
def test_what_a_refusal_means(text: str, kind: type[AvatarLabError], sentence: str, hint: str) -> None:
    """Each is one sentence of its kind, with what to do; a run that asks again asks who may answer otherwise then."""
    found = translate(psycopg.OperationalError(text))
    found.__cause__ = psycopg.OperationalError(text)
    assert type(found) is kind
    assert sentence in found.message
    assert hint in str(found.hint)
    assert is_lost(found) == is_passing(found, 1) == (kind in (UnavailableError, BusyError))
