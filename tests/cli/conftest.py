"""Databases for commands that only look: a few rows of known values, and the demo platform computed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.demo.snapshots import write
from avatarlab_cli.rollup import rates
from avatarlab_cli.schema.admin import monthly_usage, platform_statistics
from avatarlab_cli.schema.private import job_runs
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.telling import post
from jobs.registry import COMPUTING
from jobs.runner import Order, execute
from tests.conftest import DEMO_END, created_database
from tests.database.costing import books
from tests.listening import Listener, listening
from tests.reference import costs

ADA, ADELE, EVE = (UUID(int=number << 120) for number in (0x1A, 0x1B, 0x2C))
EMAILS = {ADA: "ada@example.com", ADELE: "adele@example.com", EVE: "Eve@example.org"}
JUNE, MAY = date(2025, 6, 1), date(2025, 5, 1)
WRITTEN = datetime(2025, 6, 15, 9, 0, tzinfo=UTC)
RUNS = (UUID(int=0xA1 << 120), UUID(int=0xA2 << 120))


@pytest.fixture(scope="session")
def computed(server_conninfo: str, demo_template: str) -> Iterator[str]:
    """The demo platform as the jobs left it on its last day."""
    with created_database(server_conninfo, demo_template) as conninfo:
        for job in COMPUTING:
            execute(Database(conninfo), job, Order(rates.load(), today=DEMO_END.date()))
        yield conninfo


@pytest.fixture(scope="session")
def demo(server_conninfo: str, demo_template: str) -> Iterator[str]:
    """The demo with snapshots of 60 days, computed on its last day."""
    with created_database(server_conninfo, demo_template) as conninfo:
        database = Database(conninfo)
        with database.write() as connection:
            write(connection, 60, DEMO_END.date())
        for job in COMPUTING:
            execute(database, job, Order(rates.load(), today=DEMO_END.date()))
        yield conninfo


@pytest.fixture(scope="session")
def told(demo: str) -> costs.Books:
    """The books of the demo."""
    with Database(demo).read() as connection:
        return books(connection, DEMO_END.date())


@pytest.fixture(scope="session")
def stored(told: costs.Books) -> list[costs.Part]:
    """What every user, nobody and the platform cost."""
    return costs.stored_parts(told)


@pytest.fixture(scope="session")
def emails(demo: str) -> dict[Any, str]:
    """Every user's e-mail address."""
    with psycopg.connect(demo) as connection:
        return dict(connection.execute("select id, email from auth.users").fetchall())


@pytest.fixture(scope="session")
def known(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Three users with figures of June 2025, one also of May, four days of statistics, two runs."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with Database(conninfo).write() as connection:
            _write_usage(connection)
            _write_statistics(connection)
            _write_runs(connection)
        yield conninfo


@pytest.fixture(scope="session")
def shelf(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """The known avatars, images, videos, memories and purchases, for commands that only look."""
    from tests.cli.known_shelf import write_shelf

    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            write_shelf(connection)
        yield conninfo


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Who is told, through no proxy of the machine's; what is not taken is tried again at once."""
    monkeypatch.setattr(post, "_FIRST_WAIT_SECONDS", 0.005)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with listening() as listener:
        yield listener


def _write_usage(connection: sa.Connection) -> None:
    connection.execute(sa.insert(users), [{"id": user, "email": email} for user, email in EMAILS.items()])
    rows: tuple[tuple[UUID, date, int, int, str | None, dict[str, object]], ...] = (
        (ADA, JUNE, 1200, 60, "7.156209", {"images_generated": {"value": 60, "limit": 50}}),
        (ADELE, JUNE, 300, 0, "0.004000", {}),
        (EVE, JUNE, 0, 4, None, {}),
        (ADA, MAY, 1000, 9, "5.000000", {}),
    )
    for user, month, chats, images, cost, exceeded in rows:
        values = {
            "user_id": user,
            "usage_month": month,
            "chat_messages_count": chats,
            "images_generated": images,
            "storage_bytes": 5_163_401,
            "total_cost": None if cost is None else Decimal(cost),
            "is_over_limit": bool(exceeded),
            "exceeded_limits": exceeded,
            "unpriced": {},
            "computed_at": WRITTEN,
        }
        connection.execute(sa.insert(monthly_usage).values(values))


def _write_statistics(connection: sa.Connection) -> None:
    for number in range(4):
        values = {
            "stat_date": DEMO_END.date() - timedelta(days=3 - number),
            "total_users": 1000 + number * number,
            "mrr": Decimal("64.98") + 10 * number,
            "users_by_tier": {"free": 1000, "pro": number},
            "storage_bytes": 713_683_128,
            "computed_at": WRITTEN,
        }
        connection.execute(sa.insert(platform_statistics).values(values))


def _write_runs(connection: sa.Connection) -> None:
    common = {"job": "monthly-usage", "window_from": JUNE, "window_to": date(2025, 7, 1), "pid": 4242}
    ends: tuple[dict[str, object], ...] = (
        {"status": "succeeded", "rows_written": 1234, "rows_read": 5000},
        {"status": "failed", "error_class": "UnavailableError", "error_message": "the database went away"},
    )
    for number, (run, end) in enumerate(zip(RUNS, ends, strict=True)):
        begun = WRITTEN + timedelta(hours=number)
        times = {"started_at": begun, "finished_at": begun + timedelta(seconds=2.5)}
        connection.execute(sa.insert(job_runs).values({"id": run, **common, **times, **end}))
