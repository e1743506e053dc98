"""The parts of a statement, each once."""

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from avatarlab_cli.queries.parts import parts_of, tables_of

ONE = sa.table("one", sa.column("id"), sa.column("name"))
TWO = sa.Table("two", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("one_id", sa.Integer))


def statement() -> sa.Select[tuple[object, ...]]:
    """Return one in which a subquery is read three times."""
    each = sa.select(TWO.c.one_id, sa.func.count().label("number")).group_by(TWO.c.one_id).cte("each")
    most = sa.select(sa.func.max(each.c.number)).scalar_subquery()
    joined = ONE.outerjoin(each, each.c.one_id == ONE.c.id)
    return sa.select(ONE.c.name, each.c.number / most).select_from(joined).where(each.c.number > 1)


def test_each_part_comes_once_and_none_is_left_out() -> None:
    """They are the parts SQLAlchemy itself finds, in the order in which it finds them first."""
    select = statement()
    found = list(parts_of(select))
    expected = list(visitors.iterate(select))
    assert len({id(part) for part in found}) == len(found) < len(expected)
    assert [id(part) for part in found] == list(dict.fromkeys(id(part) for part in expected))


def test_tables_are_those_of_a_schema() -> None:
    """What has no description is none of the platform's tables."""
    assert tables_of(statement()) == {TWO}
