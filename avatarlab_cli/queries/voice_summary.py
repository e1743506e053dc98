"""The voices at a glance: clones, recordings and speech, in all and of a time."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.platform import Platform, within
from avatarlab_cli.queries.spend import note, spend
from avatarlab_cli.queries.voice_clones import TRAINING, is_stuck
from avatarlab_cli.queries.voice_samples import files
from avatarlab_cli.queries.voice_speech import ONLY_SUCCESSES
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.voice import tts_generations, voice_clones, voice_samples
from avatarlab_cli.timeframe import Span


def summary(connection: sa.Connection, span: Span, before: datetime, card: RateCard) -> Report:
    """Report the figures of the voices now, and of the time; what trained since before `before` is stuck."""
    platform = Platform(connection)
    parts = [_clones(platform, span, before), _samples(platform, span), _speech(platform, span, card)]
    return platform.page(parts, _COLUMNS, notes=(note(card), ONLY_SUCCESSES))


def _clones(platform: Platform, span: Span, before: datetime) -> sa.Select[Any]:
    clone, sample = platform[voice_clones], platform[voice_samples].c
    made = sa.select(sample.voice_clone_id.label("id")).distinct().subquery("made")
    joined = clone.outerjoin(made, made.c.id == clone.c.id)
    own = clone.c
    lone = sa.func.count(own.id).filter(made.c.id.is_(None))
    return sa.select(
        platform.count(own.id).label("clones"),
        platform.count(own.id, own.status == "active").label("active_clones"),
        platform.count(own.id, own.status == TRAINING).label("clones_in_training"),
        platform.count(own.id, is_stuck(platform, before)).label("clones_stuck"),
        platform.known(lone, sample.voice_clone_id, sample.file_url).label("clones_without_samples"),
        platform.count(own.id, within(own.created_at, span)).label("clones_30d"),
    ).select_from(joined)


def _samples(platform: Platform, span: Span) -> sa.Select[Any]:
    file, own = files(platform), platform[voice_samples].c
    is_new = within(file.c.uploaded_at, span)
    size = sa.case((sa.func.count() == 0, 0), else_=sa.func.sum(file.c.bytes))
    count = sa.func.count
    return sa.select(
        platform.known(count(), own.file_url).label("samples"),
        platform.known(sa.cast(size, sa.BigInteger), own.file_url, own.file_size_bytes).label("sample_bytes"),
        platform.known(count() - count(file.c.bytes), own.file_url, own.file_size_bytes).label(
            "unsized_samples"
        ),
        platform.known(count().filter(sa.not_(file.c.is_used)), own.file_url, own.voice_clone_id).label(
            "samples_without_clone"
        ),
        platform.known(count().filter(is_new), own.file_url, own.created_at).label("samples_30d"),
    )


def _speech(platform: Platform, span: Span, card: RateCard) -> sa.Select[Any]:
    """Return the speech of always and of the time from one pass over its rows."""
    own = platform[tts_generations].c
    is_recent = within(own.created_at, span)
    told = spend(platform, "voice", card, names=("is_recent",), by={"is_recent": is_recent})
    total = sa.func.sum

    def summed(name: str, *reads: sa.ColumnElement[Any], recent: bool = True) -> sa.ColumnElement[Any]:
        value = total(told.c[name]).filter(told.c.is_recent) if recent else total(told.c[name])
        return platform.known(sa.func.coalesce(value, 0), own.id, *reads)

    cost = sa.case(
        (
            total(told.c.cost).filter(told.c.is_recent).is_not(None),
            total(told.c.cost).filter(told.c.is_recent),
        ),
        (sa.func.coalesce(total(told.c.tts_characters).filter(told.c.is_recent), 0) == 0, 0),
    )
    return sa.select(
        summed("tts_generations", recent=False).label("generations"),
        summed("tts_characters", own.text, recent=False).label("characters"),
        summed("tts_generations", own.created_at).label("generations_30d"),
        summed("tts_characters", own.created_at, own.text).label("characters_30d"),
        platform.known(cost, own.created_at, own.text).label("cost_30d"),
        summed("unpriced", own.created_at, own.text).label("unpriced_30d"),
    )


_COLUMNS = (
    Column("clones", Kind.INTEGER, "voices cloned, of those there are"),
    Column("active_clones", Kind.INTEGER, "that are ready"),
    Column("clones_in_training", Kind.INTEGER, "that are in training"),
    Column("clones_stuck", Kind.INTEGER, "that have been for too long"),
    Column("clones_without_samples", Kind.INTEGER, "without a recording"),
    Column("clones_30d", Kind.INTEGER, "made in the last 30 days"),
    Column("samples", Kind.INTEGER, "recordings, each file once"),
    Column("sample_bytes", Kind.BYTES, "those of known size together"),
    Column("unsized_samples", Kind.INTEGER, "recordings of unknown size"),
    Column("samples_without_clone", Kind.INTEGER, "no clone was made from"),
    Column("samples_30d", Kind.INTEGER, "uploaded in the last 30 days"),
    Column("generations", Kind.INTEGER, "texts spoken, of those there are"),
    Column("characters", Kind.INTEGER, "their length"),
    Column("generations_30d", Kind.INTEGER, "texts spoken in the last 30 days"),
    Column("characters_30d", Kind.INTEGER, "their length"),
    Column("cost_30d", Kind.COST, "their estimated spend"),
    Column("unpriced_30d", Kind.INTEGER, "characters of them without a rate"),
)
