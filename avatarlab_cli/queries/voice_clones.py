"""Cloned voices: how far they are, how old, and what they were made from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import USER
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.statuses import demand_status
from avatarlab_cli.queries.voice_samples import TWICE, files
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.voice import voice_clones, voice_samples

TRAINING = "training"
STATUSES = (TRAINING, "active")
POLLED = "a clone becomes active only when its user looks at the list: one in training may be finished"
NO_CLONE = "(no clone)"


def is_stuck(platform: Platform, before: datetime) -> Expression:
    """Return the condition that a clone has been in training since before then."""
    own = platform[voice_clones].c
    return sa.and_(own.status == TRAINING, own.created_at < before)


def made_from(platform: Platform) -> sa.Subquery:
    """Return of each clone that has any: voice_clone_id, samples, unsized, bytes and seconds of its recordings."""
    own = platform[voice_samples].c
    file = files(platform, own.voice_clone_id)
    return (
        sa.select(
            file.c.voice_clone_id,
            sa.func.count().label("samples"),
            sa.cast(sa.func.sum(file.c.bytes), sa.BigInteger).label("bytes"),
            sa.func.sum(file.c.seconds).label("seconds"),
        )
        .where(file.c.voice_clone_id.is_not(None))
        .group_by(file.c.voice_clone_id)
        .subquery("made_from")
    )


def by_status(connection: sa.Connection, before: datetime) -> Report:
    """Report the clones by status, and in a row of their own the recordings without a clone."""
    platform = Platform(connection)
    clone, made = platform[voice_clones], made_from(platform)
    sample = platform[voice_samples].c
    reads = clone.c.id, sample.voice_clone_id, sample.file_url
    known = (
        sa.select(
            clone.c.status,
            platform.count(clone.c.id).label("clones"),
            platform.count(clone.c.user_id.distinct()).label("users"),
            platform.count(clone.c.id, is_stuck(platform, before)).label("stuck"),
            platform.known(
                sa.cast(sa.func.coalesce(sa.func.sum(made.c.samples), 0), sa.BigInteger), *reads
            ).label("samples"),
            platform.average(sa.func.coalesce(made.c.samples, 0), *reads).label("samples_per_clone"),
            platform.known(sa.func.count().filter(made.c.samples.is_(None)), *reads).label("without_samples"),
            platform.known(sa.func.min(clone.c.created_at)).label("oldest"),
            platform.known(sa.func.max(clone.c.created_at)).label("newest"),
        )
        .select_from(clone.outerjoin(made, made.c.voice_clone_id == clone.c.id))
        .group_by(clone.c.status)
    )
    rows = sa.union_all(known, _without_clone(platform)).subquery("rows")
    return platform.report(
        sa.select(rows),
        (
            Column(
                "status", Kind.TEXT, f"training, active; {NO_CLONE} for recordings no clone was made from"
            ),
            Column("clones", Kind.INTEGER, "how many clones", total=True),
            Column("users", Kind.INTEGER, "of how many users"),
            Column("stuck", Kind.INTEGER, "in training for too long", total=True),
            Column("samples", Kind.INTEGER, "their recordings", total=True),
            Column("samples_per_clone", Kind.DECIMAL, "recordings of one on average", null="-"),
            Column("without_samples", Kind.INTEGER, "clones without any", wide=True, total=True),
            Column("oldest", Kind.TIME, "the first"),
            Column("newest", Kind.TIME, "the latest"),
        ),
        sort="-clones,status",
        notes=(POLLED, TWICE),
        empty="There are no clones.",
    )


def _without_clone(platform: Platform) -> sa.Select[Any]:
    """Select the row of the recordings that no clone was made from; none where all have one."""
    sample, file = platform[voice_samples].c, files(platform)
    zero = sa.literal(0, sa.BigInteger)
    return (
        sa.select(
            sa.literal(NO_CLONE, sa.Text),
            zero,
            platform.known(sa.func.count(file.c.user_id.distinct()), sample.user_id),
            zero,
            platform.known(sa.func.count(), sample.file_url),
            sa.cast(sa.null(), sa.Numeric),
            zero,
            sa.func.min(file.c.uploaded_at),
            sa.func.max(file.c.uploaded_at),
        )
        # Where no row could say so, nobody knows which recordings have none.
        .where(platform.known(sa.not_(file.c.is_used), sample.voice_clone_id))
        .having(sa.func.count() > 0)
    )


@dataclass(frozen=True)
class Wanted:
    """Which clones are meant: all, those of a status or a user, those that are stuck."""

    status: str | None = None
    user: UUID | None = None
    stuck: bool = False


def clones(connection: sa.Connection, now: datetime, before: datetime, wanted: Wanted) -> Report:
    """Report each clone with its age and its recordings; raises UsageError for a status there is not."""
    platform = Platform(connection)
    clone, made, sample = platform[voice_clones], made_from(platform), platform[voice_samples].c
    demand_status(connection, wanted.status, STATUSES, clone.c.status)
    reads = clone.c.id, sample.voice_clone_id, sample.file_url
    conditions = [clone.c.status == wanted.status] if wanted.status is not None else []
    conditions += [is_stuck(platform, before)] if wanted.stuck else []
    conditions += [clone.c.user_id == wanted.user] if wanted.user is not None else []
    joined = clone.outerjoin(made, made.c.voice_clone_id == clone.c.id)
    samples = platform.known(sa.func.coalesce(made.c.samples, 0), *reads)
    rows = (
        sa.select(
            clone.c.id,
            clone.c.name,
            clone.c.user_id,
            clone.c.status,
            sa.extract("epoch", now - clone.c.created_at).label("age_seconds"),
            platform.known(sa.func.coalesce(is_stuck(platform, before), sa.false())).label("is_stuck"),
            clone.c.sample_count.label("declared_samples"),
            samples.label("samples"),
            made.c.seconds.label("audio_seconds"),
            made.c.bytes,
            clone.c.created_at,
        )
        .select_from(joined)
        .where(*conditions)
        .subquery("clones")
    )
    whose, source = USER.shown(platform, rows, "user_id")
    others = [column for column in rows.c if column.name != "user_id"]
    return platform.report(
        sa.select(*others, *whose).select_from(source),
        _CLONE,
        sort="-created_at,id",
        notes=(POLLED, TWICE),
        empty="There are no such clones.",
    )


_CLONE = (
    Column("id", Kind.ID, "the clone", wide=True),
    Column("name", Kind.TEXT, "what its user calls it"),
    *USER.columns,
    Column("status", Kind.TEXT, " or ".join(STATUSES)),
    Column("is_stuck", Kind.BOOLEAN, "in training for too long"),
    Column("age_seconds", Kind.DECIMAL, "since it was made", wide=True),
    Column("declared_samples", Kind.INTEGER, "recordings it says it was made from", wide=True),
    Column("samples", Kind.INTEGER, "recordings there are of it", total=True),
    Column("audio_seconds", Kind.DECIMAL, "how long those of known length are"),
    Column("bytes", Kind.BYTES, "those of known size together", total=True),
    Column("created_at", Kind.TIME, "when it was made"),
)
