"""Training at a glance: sessions, fine-tuning, files, examples and prompts, in all and of a time."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries import training_stale
from avatarlab_cli.queries.platform import Platform, within
from avatarlab_cli.queries.spend import note, spend
from avatarlab_cli.queries.training_files import bytes_once, known_bytes
from avatarlab_cli.queries.training_jobs import (
    FAILED,
    FINE_TUNE,
    NOT_RECORDED,
    POLLED,
    SESSION,
    SUCCEEDED,
    rate,
)
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.avatars import avatar_prompt_versions
from avatarlab_cli.schema.training import (
    avatar_fine_tune_jobs,
    avatar_training_data,
    avatar_training_examples,
    avatar_training_files,
    avatar_training_logs,
)
from avatarlab_cli.timeframe import Span


def summary(connection: sa.Connection, span: Span, before: datetime, card: RateCard) -> Report:
    """Report the figures of training now, and of the time; what is unfinished since before `before` is stale."""
    platform = Platform(connection)
    parts = [
        _ended(platform, avatar_training_data, SESSION, span),
        _ended(platform, avatar_fine_tune_jobs, FINE_TUNE, span),
        _tuning(platform, card, span),
        _answering(platform, card, span),
        _stale(platform, before),
        _errors(platform, span),
        _files(platform),
        _examples(platform),
        _prompts(platform),
    ]
    return platform.page(parts, _COLUMNS, notes=(note(card), NOT_RECORDED, POLLED))


def _ended(platform: Platform, table: sa.Table, kind: str, span: Span) -> sa.Select[Any]:
    """Select how many trainings of a kind there are and were begun in the time, and how those ended."""
    own, name = platform[table].c, kind.replace("-", "_")
    is_new = within(own.created_at, span)
    good = own.status == SUCCEEDED[kind]
    counts = [platform.count(own.id, is_new, status) for status in (good, own.status == FAILED)]
    return sa.select(
        platform.count(own.id).label(f"{name}s"),
        platform.count(own.id, is_new).label(f"{name}s_30d"),
        *(
            count.label(f"{name}s_{end}_30d")
            for count, end in zip(counts, ("succeeded", "failed"), strict=True)
        ),
        platform.known(rate(*counts), own.id, own.created_at, own.status).label(f"{name}_success_rate_30d"),
    )


def _tuning(platform: Platform, card: RateCard, span: Span) -> sa.Select[Any]:
    told = spend(platform, "fine_tuning", card, span=span)
    return _of_one(
        trained_tokens_30d=told.c.trained_tokens,
        fine_tuning_cost_30d=told.c.cost,
        fine_tuning_unpriced_30d=told.c.unpriced,
    )


def _answering(platform: Platform, card: RateCard, span: Span) -> sa.Select[Any]:
    told = spend(platform, "inference", card, span=span)
    return _of_one(
        input_tokens_30d=told.c.inference_input_tokens,
        output_tokens_30d=told.c.inference_output_tokens,
        inference_cost_30d=told.c.cost,
        inference_unpriced_30d=told.c.unpriced,
    )


def _of_one(**figures: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Select the figures of what has one row."""
    return sa.select(*(sa.func.max(figure).label(name) for name, figure in figures.items()))


def _stale(platform: Platform, before: datetime) -> sa.Select[Any]:
    found = training_stale.rows(platform, before)
    return sa.select(platform.known(sa.func.count(), found).label("stale")).select_from(found)


def _errors(platform: Platform, span: Span) -> sa.Select[Any]:
    own = platform[avatar_training_logs].c
    wanted = own.log_type == "error", within(own.created_at, span)
    return sa.select(platform.known(sa.func.count(own.id), *wanted).label("errors_30d")).where(*wanted)


def _files(platform: Platform) -> sa.Select[Any]:
    own = platform[avatar_training_files].c
    each = sa.select(
        own.id, own.processing_status.label("status"), bytes_once(platform).label("bytes")
    ).subquery("each_file")
    failed = sa.func.count(each.c.id).filter(each.c.status == FAILED)
    return sa.select(
        platform.known(sa.func.count(each.c.id), own.id).label("files"),
        known_bytes(platform, each).label("file_bytes"),
        platform.known(failed, own.id, own.processing_status).label("files_failed"),
    )


def _prompts(platform: Platform) -> sa.Select[Any]:
    versions = platform[avatar_prompt_versions]
    # Rows, and not ids: prompts are long, and an index knows how many there are.
    count = platform.known(sa.func.count(), versions.c.id)
    return sa.select(count.label("prompt_versions")).select_from(versions)


def _examples(platform: Platform) -> sa.Select[Any]:
    own = platform[avatar_training_examples].c
    return sa.select(
        platform.count(own.id).label("examples"),
        platform.count(own.id, own.used_in_training).label("examples_used"),
        platform.average(own.quality_score).label("average_quality"),
    )


def _of_kind(name: str, what: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}s", Kind.INTEGER, f"{what} there are"),
        Column(f"{name}s_30d", Kind.INTEGER, "of them begun in the last 30 days"),
        Column(f"{name}s_succeeded_30d", Kind.INTEGER, "of these"),
        Column(f"{name}s_failed_30d", Kind.INTEGER, "of these"),
        Column(f"{name}_success_rate_30d", Kind.PERCENT, "succeeded, of those that succeeded or failed"),
    )


_COLUMNS = (
    *_of_kind("session", "training sessions"),
    *_of_kind("fine_tune", "fine-tuning jobs"),
    Column("trained_tokens_30d", Kind.INTEGER, "of jobs that finished in the last 30 days"),
    Column("fine_tuning_cost_30d", Kind.COST, "their estimated spend"),
    Column("fine_tuning_unpriced_30d", Kind.INTEGER, "tokens of them without a rate"),
    Column("input_tokens_30d", Kind.INTEGER, "sent to fine-tuned models in the last 30 days"),
    Column("output_tokens_30d", Kind.INTEGER, "fine-tuned models answered in the last 30 days"),
    Column("inference_cost_30d", Kind.COST, "their estimated spend"),
    Column("inference_unpriced_30d", Kind.INTEGER, "tokens of them without a rate"),
    Column("stale", Kind.INTEGER, "what waits or runs for too long: `avatarlab training stale`"),
    Column("errors_30d", Kind.INTEGER, "errors logged in the last 30 days"),
    Column("files", Kind.INTEGER, "uploads there are"),
    Column("file_bytes", Kind.BYTES, "what they take, each file once"),
    Column("files_failed", Kind.INTEGER, "whose processing failed"),
    Column("examples", Kind.INTEGER, "to fine-tune with, there are"),
    Column("examples_used", Kind.INTEGER, "of them used in a training"),
    Column("average_quality", Kind.DECIMAL, "of those with a score, 0 to 1"),
    Column("prompt_versions", Kind.INTEGER, "there are"),
)
