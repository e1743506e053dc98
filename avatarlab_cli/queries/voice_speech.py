"""What was spoken: generations and characters, and what they are estimated to have cost."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import DAY, USER, VOICE, plain
from avatarlab_cli.queries.platform import Platform
from avatarlab_cli.queries.spend import note, spend
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.metrics import UNATTRIBUTED
from avatarlab_cli.rollup.rates import FIXED_KEYS, RateCard
from avatarlab_cli.schema.voice import tts_generations
from avatarlab_cli.timeframe import Span

ONLY_SUCCESSES = "speech that failed leaves no row: there is no success rate to tell"
DIMENSIONS = {
    "user": USER,
    "voice": VOICE,
    "provider": plain("provider", "who is paid; no row says so, and there is but one"),
    "day": DAY,
    "model": plain("model", "the model the row names"),
}


def speech(
    connection: sa.Connection, span: Span, card: RateCard, by: str, user: UUID | None = None
) -> Report:
    """Report what was spoken in the time, of one user or of all, divided by one of DIMENSIONS."""
    platform = Platform(connection)
    own = platform[tts_generations].c
    columns = {"voice": own.voice_clone_id, "model": own.model}
    labels = {by: columns[by]} if by in columns else {}
    names = {"user": ("user_id",), "provider": ()}.get(by, (by,))
    found = spend(platform, "voice", card, names=names, by=labels, span=span, user=user)
    key: sa.ColumnElement[Any] = found.c[names[0]] if names else sa.literal(FIXED_KEYS["voice"], sa.Text)
    if by == "user":
        key = sa.func.nullif(key, UNATTRIBUTED)
    each = sa.select(found, key.label("key")).where(found.c.tts_generations > 0).subquery("each")
    groups, source = DIMENSIONS[by].shown(platform, each)
    return platform.report(
        sa.select(
            *groups,
            each.c.tts_generations.label("generations"),
            each.c.tts_characters.label("characters"),
            each.c.cost,
            each.c.unpriced,
        ).select_from(source),
        (
            *DIMENSIONS[by].columns,
            Column("generations", Kind.INTEGER, "texts spoken", total=True),
            Column("characters", Kind.INTEGER, "their length", total=True),
            Column("cost", Kind.COST, "estimated spend", total=True),
            Column("unpriced", Kind.INTEGER, "characters without a rate", total=True),
        ),
        sort="day" if by == "day" else f"-characters,{DIMENSIONS[by].columns[0].name}",
        notes=(note(card), ONLY_SUCCESSES),
        empty="Nothing was spoken in that time.",
    )
