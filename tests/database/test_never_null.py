"""A list in descending order says where NULLs stand only where there may be any."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.output.options import OutputOptions
from avatarlab_cli.output.projection import machine_select
from avatarlab_cli.queries import audit, avatar_list, images, memories, system_logs, voice_clones
from avatarlab_cli.report import Report
from avatarlab_cli.schema.live import probe
from avatarlab_cli.timeframe import Span
from tests.conftest import created_database

NOW = datetime(2026, 6, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def demo(server_conninfo: str, demo_template: str) -> Iterator[Database]:
    """The demo platform, which no test may change for good."""
    with created_database(server_conninfo, demo_template) as conninfo:
        yield Database(conninfo)


def reports(connection: sa.Connection) -> dict[str, Report]:
    """The lists of which the latest comes first, by a time or number that no row lacks."""
    span = Span(NOW - timedelta(days=30), NOW)
    return {
        "avatar": avatar_list.listing(connection, avatar_list.Wanted()),
        "image": images.listing(connection, images.Wanted()),
        "memory": memories.listing(connection, memories.Wanted()),
        "system": system_logs.logs(connection, span),
        # Its clones are read from a subquery.
        "voice": voice_clones.clones(connection, NOW, NOW, voice_clones.Wanted()),
        "audit": audit.listed(audit.EntryFilter(), probe(connection)),
    }


def order_of(report: Report, sort: str | None = None) -> str:
    """The ORDER BY of the statement that shows the report."""
    select = machine_select(report, report.columns, OutputOptions(sort=sort), 50)
    return str(select.compile()).rpartition("ORDER BY ")[2].partition("\n")[0].strip()


@pytest.mark.parametrize("name", ["avatar", "image", "memory", "system", "voice"])
def test_a_time_that_every_row_has_is_sorted_plainly(demo: Database, name: str) -> None:
    """PostgreSQL reads such an order from the index of the time."""
    with demo.engine.connect() as connection:
        assert order_of(reports(connection)[name]) == "report.created_at DESC, report.id ASC"


def test_the_number_of_an_act_is_sorted_plainly(demo: Database) -> None:
    """The audit log is read from the end of its index."""
    with demo.engine.connect() as connection:
        assert order_of(reports(connection)["audit"]) == "report.seq DESC, report.id ASC"


@pytest.mark.parametrize("column", ["email", "provider", "url_bytes"])
def test_what_may_be_unknown_stands_last(demo: Database, column: str) -> None:
    """A nullable column, one of a table joined from outside, and an expression keep NULLS LAST."""
    with demo.engine.connect() as connection:
        found = order_of(reports(connection)["image"], f"-{column}")
        assert found == f"report.{column} DESC NULLS LAST, report.id ASC"


def test_the_other_side_of_an_outer_join_may_be_unknown(demo: Database) -> None:
    """That a table lets in no NULL says nothing where its row is missing: an avatar's name beside a memory."""
    with demo.engine.connect() as connection:
        assert "avatar" not in reports(connection)["memory"].never_null
        assert "name" in reports(connection)["avatar"].never_null


def test_the_database_decides_and_not_the_definition(demo: Database) -> None:
    """A column that lets NULLs in here stands with NULLS LAST, and such a row last."""
    with demo.engine.connect() as connection:
        connection.execute(sa.text("ALTER TABLE generated_images ALTER created_at DROP NOT NULL"))
        undated = connection.scalar(
            sa.text(
                "UPDATE generated_images SET created_at = NULL"
                " WHERE id = (SELECT id FROM generated_images ORDER BY created_at DESC LIMIT 1) RETURNING id"
            )
        )
        report = reports(connection)["image"]
        assert order_of(report) == "report.created_at DESC NULLS LAST, report.id ASC"
        rows = connection.execute(machine_select(report, report.columns, OutputOptions(), None)).all()
        assert rows[-1].id == undated
        connection.rollback()


def test_the_latest_images_are_read_from_the_index(demo: Database) -> None:
    """A page of the latest neither sorts all images nor names all of their users."""
    with demo.engine.connect() as connection:
        report = reports(connection)["image"]
        select = machine_select(report, report.columns, OutputOptions(), 50)
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        text = str(select.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {text}".replace("%", "%%")).scalars())
        assert "Index Scan Backward using generated_images_created_at_idx" in plan
