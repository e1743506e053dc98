"""The examples an avatar can be fine-tuned with: where they come from and how good they are."""

from decimal import Decimal

import sqlalchemy as sa

from avatarlab_cli.queries import grouping
from avatarlab_cli.queries.dimensions import AVATAR, USER, plain
from avatarlab_cli.queries.platform import Platform, share
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.training import avatar_training_examples

DIMENSIONS = {
    "source": plain("source", "uploaded_file, chat_history or manual_entry"),
    "pattern": plain("pattern", "the kind of answer it is an example of"),
    "avatar": AVATAR,
    "user": USER,
}
REBUILT = (
    "each analysis wipes an avatar's examples and makes new ones: these are the examples of now, no history"
)


def examples(connection: sa.Connection, by: str, below: Decimal) -> Report:
    """Report how many examples there are, used and of which quality, divided by one of DIMENSIONS."""
    platform = Platform(connection)
    own = platform[avatar_training_examples].c
    score, known = own.quality_score, platform.known
    keys = {
        "source": own.source_type,
        "pattern": own.pattern_type,
        "avatar": own.avatar_id,
        "user": own.user_id,
    }
    total = sa.func.count()
    used = known(total.filter(own.used_in_training), own.used_in_training)
    grouped = (
        sa.select(
            keys[by].label("key"),
            total.label("examples"),
            platform.known(grouping.distinct(own.avatar_id, keys[by])).label("avatars"),
            used.label("used"),
            known(share(used, total), own.used_in_training).label("used_share"),
            platform.average(score).label("average_quality"),
            known(sa.func.min(score)).label("lowest_quality"),
            known(total.filter(score < below), score).label("below"),
            known(total.filter(score.is_(None)), score).label("unscored"),
            known(sa.func.max(own.created_at)).label("newest"),
        )
        .group_by(keys[by])
        .subquery("grouped")
    )
    groups, source = DIMENSIONS[by].shown(platform, grouped)
    return platform.report(
        sa.select(*groups, *(column for column in grouped.c if column.name != "key")).select_from(source),
        (
            *DIMENSIONS[by].columns,
            Column("examples", Kind.INTEGER, "how many", total=True),
            Column("avatars", Kind.INTEGER, "of how many avatars", wide=by == "avatar"),
            Column("used", Kind.INTEGER, "of them used in a training", total=True),
            Column("used_share", Kind.PERCENT, "those, of all", wide=True),
            Column("average_quality", Kind.DECIMAL, "of those with a score, 0 to 1", null="-"),
            Column("lowest_quality", Kind.DECIMAL, "the least of them", wide=True, null="-"),
            Column("below", Kind.INTEGER, f"with a score below {below}", total=True),
            Column("unscored", Kind.INTEGER, "without a score", total=True),
            Column("newest", Kind.TIME, "when the latest was made", wide=True),
        ),
        sort=f"-examples,{DIMENSIONS[by].columns[0].name}",
        notes=(REBUILT,),
        empty="There are no examples.",
    )
