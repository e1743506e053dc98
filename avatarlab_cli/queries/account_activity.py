"""What one user did, day by day."""

from datetime import datetime

import sqlalchemy as sa

from avatarlab_cli.queries.users import UserName
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.metrics import METRICS
from avatarlab_cli.schema.private import usage_daily


def activity(user: UserName, since: datetime, until: datetime | None) -> Report:
    """Report each metric of which the user has something, by day, from the day of `since` to before that of `until`."""
    own = usage_daily
    metric, value, position = (
        sa.column("metric", sa.Text),
        sa.column("value", sa.BigInteger),
        sa.column("position", sa.Integer),
    )
    cells = [(sa.literal(name), own.c[name], sa.literal(number)) for number, name in enumerate(METRICS)]
    measures = sa.values(metric, value, position, name="measures").data(cells).lateral()
    select = (
        sa.select(own.c.day, measures.c.metric, measures.c.value, measures.c.position)
        .select_from(own.join(measures, sa.true()))
        .where(own.c.user_id == user.id, own.c.day >= since.date(), measures.c.value > 0)
    )
    return Report(
        select if until is None else select.where(own.c.day < until.date()),
        (
            Column("day", Kind.DATE, "the day, UTC"),
            Column("metric", Kind.TEXT, "what was done"),
            Column("value", Kind.INTEGER, "how much of it"),
            Column("position", Kind.INTEGER, "the order of the metrics", wide=True),
        ),
        sort="-day,position",
        empty=f"{user.email or user.id} did nothing in these days, or `avatarlab job run monthly-usage` never counted them.",
    )
