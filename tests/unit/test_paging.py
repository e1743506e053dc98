"""The first rows of a list: found before anything is joined with them, where that comes to the same."""

import pytest
import sqlalchemy as sa

from avatarlab_cli.output.options import OutputOptions
from avatarlab_cli.output.projection import machine_select
from avatarlab_cli.report import Column, Kind, Report

METADATA = sa.MetaData()
NOTES = sa.Table(
    "notes",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("owner", sa.Integer),
    sa.Column("at", sa.Integer),
)
OWNERS = sa.Table(
    "owners", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text)
)
PHOTOS = sa.Table("photos", METADATA, sa.Column("note", sa.Integer))
COUNTED = (
    sa.select(PHOTOS.c.note.label("by"), sa.func.count().label("photos"))
    .group_by(PHOTOS.c.note)
    .subquery("counted")
)
COLUMNS = (Column("id", Kind.ID), Column("at", Kind.INTEGER), Column("name"))
JOINED = NOTES.outerjoin(OWNERS, OWNERS.c.id == NOTES.c.owner)
LIST = sa.select(NOTES.c.id, NOTES.c.at, OWNERS.c.name).select_from(JOINED)
INNER = NOTES.join(OWNERS, OWNERS.c.id == NOTES.c.owner)
WITH_PHOTOS = JOINED.outerjoin(COUNTED, COUNTED.c.by == NOTES.c.id)


def statement(
    select: sa.Select[tuple[object]], sort: str = "-at", limit: int | None = 50, offset: int = 0
) -> str:
    """Return what is asked for the first rows."""
    report = Report(select, COLUMNS)
    built = machine_select(report, COLUMNS, OutputOptions(sort=sort, offset=offset), limit)
    return " ".join(str(built.compile(compile_kwargs={"literal_binds": True})).split())


@pytest.mark.parametrize("select", [LIST, LIST.where(NOTES.c.at > 7), LIST.select_from(WITH_PHOTOS)])
def test_the_first_rows_are_found_first(select: sa.Select[tuple[object]]) -> None:
    """What one table alone chooses and orders is cut there, by as many rows as are left out and shown."""
    text = statement(select, offset=5)

    page = text.partition("WITH page AS (SELECT notes.id AS key FROM notes")[2].partition(")")[0]
    assert page.endswith("ORDER BY notes.at DESC NULLS LAST, notes.id ASC LIMIT 55")
    assert "notes.id IN (SELECT page.key FROM page)" in text
    assert text.endswith("LIMIT 50 OFFSET 5")


def test_what_counts_other_rows_counts_those_of_the_page() -> None:
    """Rows counted for each of a list are counted for those that are shown."""
    text = statement(LIST.select_from(WITH_PHOTOS))

    assert "FROM photos WHERE photos.note IN (SELECT page.key FROM page) GROUP BY photos.note" in text


@pytest.mark.parametrize(
    ("select", "sort", "limit"),
    [
        (LIST, "-at", None),
        (LIST, "-at", 1001),
        (LIST, "", 50),
        (LIST, "name", 50),
        (LIST.where(OWNERS.c.name == "ada"), "-at", 50),
        (LIST.where(NOTES.c.id.in_(sa.select(PHOTOS.c.note))), "-at", 50),
        (sa.select(NOTES.c.id, NOTES.c.at, OWNERS.c.name).select_from(INNER), "-at", 50),
        (sa.select(NOTES.c.id, NOTES.c.at, sa.literal("x").label("name")), "-at", 50),
        (
            sa.select(NOTES.c.id, NOTES.c.at, sa.func.count().over().label("name")).select_from(JOINED),
            "-at",
            50,
        ),
        (
            sa.select(NOTES.c.id, NOTES.c.at, sa.func.max(OWNERS.c.name).label("name"))
            .select_from(JOINED)
            .group_by(NOTES.c.id),
            "-at",
            50,
        ),
        (LIST.distinct(), "-at", 50),
    ],
    ids=(
        "all",
        "many",
        "unsorted",
        "sorted by another",
        "chosen by another",
        "chosen by rows",
        "inner",
        "alone",
        "window",
        "groups",
        "distinct",
    ),
)
def test_where_more_has_a_part_in_it_all_rows_are_joined(
    select: sa.Select[tuple[object]], sort: str, limit: int | None
) -> None:
    """What is joined may decide which rows come first, or a row may be made of several: then nothing is cut."""
    assert "WITH page" not in statement(select, sort, limit)
