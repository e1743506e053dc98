"""Every report that watches the platform: its figures, what it says where something is missing, what it never reads."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.sql import elements, functions

from avatarlab_cli.database import Database
from avatarlab_cli.output.options import OutputOptions
from avatarlab_cli.output.projection import machine_select
from avatarlab_cli.output.selection import identifying, sort_keys
from avatarlab_cli.queries import pruned_notes
from avatarlab_cli.report import Kind, Report
from avatarlab_cli.schema.base import Vector, qualified
from avatarlab_cli.schema.logs import PRUNABLE
from tests.conftest import created_database, plain_engine
from tests.database.watching import (
    TODAY,
    Case,
    Tables,
    cases,
    columns_read,
    comparable,
    parents_of,
    read_tables,
    shown,
)
from tests.examples import TIMES
from tests.reference.invent import invent

CASES = cases()
SETS = ("demo", "invented-panel-1", "invented-panel-2", "invented-seed-3", "empty")
SECRETS = {
    ("user_api_keys", "api_key_encrypted"),
    ("platform_api_keys", "api_key_hash"),
    ("user_sessions", "token_hash"),
    ("n8n_integrations", "n8n_api_key"),
}
# What may be megabytes: a report may ask how long it is, how it begins, or whether it is there.
LARGE = {
    "image_url",
    "original_image_url",
    "thumbnail_url",
    "avatar_images",
    "gallery_images",
    "extracted_text",
}
# Of a beginning: an address names its bucket by then.
LONGEST = 300
NUMBERS = {Kind.INTEGER, Kind.DECIMAL, Kind.MONEY, Kind.COST, Kind.BYTES, Kind.PERCENT}
MEASURES = {"length", "octet_length", "char_length", "left", "cardinality", "count"}


@pytest.fixture(scope="module", params=SETS)
def platform_set(
    request: pytest.FixtureRequest, server_conninfo: str
) -> Iterator[tuple[sa.Connection, Tables]]:
    """The demo platform, invented ones, and one without a row, each with all of its rows, in one transaction that reads."""
    kind, _, number = request.param.rpartition("-")
    base = "demo" if request.param == "demo" else "migrated_seed" if "seed" in kind else "migrated_panel"
    with created_database(server_conninfo, request.getfixturevalue(f"{base}_template")) as conninfo:
        if number.isdigit():
            with plain_engine(conninfo).begin() as connection:
                invent(connection, int(number), TODAY)
        with Database(conninfo).read() as connection:
            yield connection, read_tables(connection)


@pytest.fixture(scope="module")
def invented(server_conninfo: str, migrated_panel_template: str) -> Iterator[sa.Engine]:
    """An invented platform to take tables from, in transactions that are rolled back, all in one session."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo))
        with engine.begin() as connection:
            invent(connection, 1, TODAY)
        yield engine
        engine.dispose()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_figures_equal_a_recount(platform_set: tuple[sa.Connection, Tables], case: Case) -> None:
    """Each row and figure is what counting every row of every table gives."""
    connection, tables = platform_set
    expected = list(case.recount(tables))
    # What fails here is no other test's trouble.
    with connection.begin_nested():
        report = case.build(connection)
        names = [column.name for column in report.columns if column.name not in case.leaves_out]
        assert all(set(row) == set(names) for row in expected)
        assert comparable(shown(connection, report), names) == comparable(expected, names)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_page_is_cut_from_the_whole(invented: sa.Engine, case: Case) -> None:
    """The first rows that are asked for are those of the whole list, whichever way they were found."""
    with invented.connect() as connection:
        report = case.build(connection)
        keys = [key.column for key in sort_keys(report.columns, report.sort)]
        shown = [*keys, identifying(report.columns)]
        whole, page = (
            connection.execute(machine_select(report, report.columns, options, limit)).mappings().all()
            for options, limit in ((OutputOptions(), None), (OutputOptions(offset=2), 3))
        )
    names = {column.name for column in shown if keys}
    told = [[{name: row[name] for name in names} for row in rows] for rows in (whole[2:5], page)]
    assert told[0] == told[1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_missing_is_said(invented: sa.Engine, case: Case) -> None:
    """Without a table, or a column, the report names it and shows no figure that only seems to be known."""
    with invented.connect() as connection:
        whole = case.build(connection)
        figures = shown(connection, whole)
        for table, columns in columns_read(whole).items():
            name = qualified(table)
            if name == "auth.users":
                continue
            for lost in (None, *_some(sorted(columns), str(case))):
                with connection.begin_nested() as step:
                    what = (
                        f"drop table {name}" if lost is None else f'alter table {name} drop column "{lost}"'
                    )
                    connection.execute(sa.text(f"{what} cascade"))
                    report = case.build(connection)
                    found = shown(connection, report)
                    said = " ".join((*report.notes, *report.unjudged))
                    assert (name if lost is None else f"{name}.{lost}") in said
                    if whole.single:
                        assert [k for k, v in found[0].items() if v is not None and v != figures[0][k]] == []
                    # Each line of the morning's page is a figure of its own.
                    if case.command != "overview":
                        assert _only_seem_known(whole, figures, found) == []
                    step.rollback()


def _some(columns: list[str], case: str) -> list[str]:
    """Return a few of a table's columns, other ones for each report, or more where more is asked of each test."""
    return Random(case).sample(columns, min(len(columns), 4 * TIMES))  # noqa: S311 (a choice, not a secret)


def _only_seem_known(report: Report, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    """Return the figures that show a number, and sum up to another than before; a row less is no excuse."""
    sums = {
        column.name: [sum(row[column.name] or 0 for row in rows) for rows in (before, after)]
        for column in report.columns
        if column.kind in NUMBERS
    }
    shown = {name for row in after for name, value in row.items() if value is not None}
    return [name for name, (was, now) in sums.items() if name in shown and was != now]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_secret_or_large_is_read(invented: sa.Engine, case: Case) -> None:
    """No report reads a key's secret; of embeddings and images it reads at most whether they are there, and how long."""
    with invented.connect() as connection:
        report = case.build(connection)
    assert (
        not {(table.name, column) for table, columns in columns_read(report).items() for column in columns}
        & SECRETS
    )
    for column, around in parents_of(report.select):
        if column.name in LARGE or isinstance(column.type, Vector):
            is_tested = isinstance(around, elements.BinaryExpression) and isinstance(
                around.right, elements.Null
            )
            assert is_measure(around) or is_tested or isinstance(around, sa.Table), (str(column), str(around))


def is_measure(element: object) -> bool:
    """Tell whether an expression makes something small of what it is given."""
    if not isinstance(element, functions.Function) or element.name not in MEASURES:
        return False
    return element.name != "left" or [*element.clauses][1].value <= LONGEST


def test_what_is_small() -> None:
    """A length and a short beginning are; a long one, or what another function makes of a column, is not."""
    url: sa.ColumnClause[str] = sa.column("image_url", sa.Text)
    left = sa.func.left
    assert all(map(is_measure, (sa.func.length(url), left(url, LONGEST))))
    assert not any(map(is_measure, (left(url, LONGEST + 1), sa.func.lower(url), url)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_was_pruned_is_said(invented: sa.Engine, case: Case) -> None:
    """Of a log whose rows of the time were pruned, each report that reads it says so."""
    logs = {table.name for table in PRUNABLE}
    with invented.connect() as connection:
        read = {table.name for table in columns_read(case.build(connection))} & logs
        day = TODAY + timedelta(days=1)
        connection.execute(sa.text("update avatarlab_admin.pruned set before = :day"), {"day": day})
        report = case.build(connection)
        said = " ".join((*report.notes, *pruned_notes.notes(connection, report.select)))
        assert {name for name in logs if f"{name} was pruned" in said} == read
