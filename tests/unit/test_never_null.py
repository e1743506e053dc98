"""The order of a list: unknown values last, and no word of them where there can be none, which an index then serves."""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from avatarlab_cli.output.options import OutputOptions
from avatarlab_cli.output.projection import machine_select
from avatarlab_cli.queries.never_null import never_null
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.base import qualified
from avatarlab_cli.schema.live import LiveSchema, Relation
from avatarlab_cli.schema.media import generated_images as images
from avatarlab_cli.schema.media import generated_videos as videos


def relation(table: sa.Table, *required: str) -> Relation:
    """Return a table as the catalogue would tell of it, with those columns NOT NULL."""
    types = {column.name: str(column.type) for column in table.c}
    known = frozenset(required)
    return Relation("public", table.name, "table", types, known, frozenset(), None, None, True, False)


LIVE = LiveSchema(
    {
        qualified(images): relation(images, "id", "created_at"),
        qualified(videos): relation(videos, "id", "status"),
    }
)
WITHIN = sa.select(images.c.created_at, images.c.model).subquery("within")
FLAGGED = images.alias("flagged")
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
BOTH = videos.c.id == images.c.id


@pytest.mark.parametrize(
    ("select", "certain"),
    [
        (sa.select(images.c.created_at, images.c.model), {"created_at"}),
        (sa.select(images.c.created_at.label("at")), {"at"}),
        (sa.select(FLAGGED.c.created_at), {"created_at"}),
        (sa.select(WITHIN.c.created_at, WITHIN.c.model), {"created_at"}),
        (sa.select(videos.c.created_at), set()),
        (sa.select(sa.func.max(images.c.created_at).label("created_at")), set()),
        (
            sa.select(images.c.created_at, videos.c.status).select_from(images.join(videos, BOTH)),
            {"created_at", "status"},
        ),
        (
            sa.select(images.c.created_at, videos.c.status).select_from(images.outerjoin(videos, BOTH)),
            {"created_at"},
        ),
        (
            sa.select(images.c.created_at, videos.c.status).select_from(videos.outerjoin(images, BOTH)),
            {"status"},
        ),
        (sa.select(images.c.created_at).select_from(images.join(videos, BOTH, full=True)), set()),
        (sa.select(sa.union_all(sa.select(images.c.id), sa.select(sa.null())).subquery("both")), set()),
    ],
)
def test_what_is_known_is_told_from_what_may_be_missing(
    select: sa.Select[tuple[object]], certain: set[str]
) -> None:
    """A NOT NULL column is known wherever its row must be there; an outer join's other side, or a figure, need not be."""
    assert never_null(select, LIVE) == certain


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("-created_at,id", "report.created_at DESC, report.id ASC"),
        ("created_at", "report.created_at ASC, report.id ASC"),
        ("-model", "report.model DESC NULLS LAST, report.id ASC"),
        ("-created_at,-model", "report.created_at DESC, report.model DESC NULLS LAST, report.id ASC"),
    ],
)
def test_only_what_may_be_missing_is_put_last(sort: str, order: str) -> None:
    """DESC alone reads an index from its end; with NULLS LAST no plain index has that order."""
    select = sa.select(images.c.id, images.c.created_at, images.c.model)
    columns = (Column("id", Kind.ID), Column("created_at", Kind.TIME), Column("model"))
    report = Report(select, columns, never_null=never_null(select, LIVE))
    statement = machine_select(report, columns, OutputOptions(sort=sort), 50).compile(dialect=_DIALECT)
    _, _, ordered = " ".join(str(statement).split()).partition("ORDER BY ")

    assert ordered.partition(" LIMIT")[0] == order
