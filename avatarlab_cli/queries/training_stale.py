"""Trainings, jobs and files that wait or run for too long."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import AVATAR, USER
from avatarlab_cli.queries.platform import Expression, Platform
from avatarlab_cli.queries.training_jobs import FINE_TUNE, POLLED, SESSION
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.training import avatar_fine_tune_jobs, avatar_training_data, avatar_training_files

WAITING = ("pending", "processing")
OF_JOBS = ("validating_files", "queued", "running")
OF_SESSIONS = ("preparing", "uploading", "validating", "queued", "running")


def rows(platform: Platform, before: datetime) -> sa.Subquery:
    """Return what has been unfinished since before then: kind, id, user_id, avatar_id, status and since.

    What has no time is among them: nobody can say that it is young.
    """
    session, job = platform[avatar_training_data].c, platform[avatar_fine_tune_jobs].c
    parts = [
        _part(SESSION, session, session.status, session.created_at).where(session.status.in_(WAITING)),
        _part("fine-tune of session", session, session.fine_tune_status, session.created_at).where(
            session.fine_tune_status.in_(OF_SESSIONS)
        ),
        _part(FINE_TUNE, job, job.status, sa.func.coalesce(job.started_at, job.created_at)).where(
            job.status.in_(OF_JOBS)
        ),
        _files(platform),
    ]
    each = sa.union_all(*parts).subquery("unfinished")
    return sa.select(each).where(sa.or_(each.c.since < before, each.c.since.is_(None))).subquery("stale")


def _part(kind: str, own: Any, status: Expression, since: Expression) -> sa.Select[Any]:  # noqa: ANN401 (the columns of any of the tables)
    columns = sa.literal(kind).label("kind"), own.id, own.user_id, own.avatar_id
    return sa.select(*columns, status.label("status"), since.label("since"))


def _files(platform: Platform) -> sa.Select[Any]:
    file, session = platform[avatar_training_files], platform[avatar_training_data]
    return (
        sa.select(
            sa.literal("file"),
            file.c.id,
            file.c.user_id,
            session.c.avatar_id,
            file.c.processing_status,
            file.c.uploaded_at,
        )
        .select_from(file.outerjoin(session, session.c.id == file.c.training_data_id))
        .where(file.c.processing_status.in_(WAITING))
    )


def stale(connection: sa.Connection, now: datetime, before: datetime) -> Report:
    """Report what has been unfinished since before then; what could not be looked at is `unjudged`."""
    platform = Platform(connection)
    found = rows(platform, before)
    avatar, named = AVATAR.shown(platform, found, "avatar_id")
    user, source = USER.shown(platform, found, "user_id", named)
    report = platform.report(
        sa.select(
            found.c.kind,
            found.c.id,
            *user,
            *avatar,
            found.c.status,
            found.c.since,
            sa.extract("epoch", now - found.c.since).label("age_seconds"),
        ).select_from(source),
        (
            Column("kind", Kind.TEXT, f"{SESSION}, fine-tune of session, {FINE_TUNE} (the job), or file"),
            Column("id", Kind.ID, "which", wide=True),
            *USER.columns,
            *AVATAR.columns,
            Column("status", Kind.TEXT, "what the platform calls it"),
            Column("since", Kind.TIME, "when it began"),
            Column("age_seconds", Kind.DECIMAL, "how long ago", wide=True),
        ),
        sort="since,kind,id",
    )
    lacking = report.notes
    is_whole = "" if not lacking else " that could be looked at"
    return replace(
        report,
        notes=(*lacking, POLLED),
        unjudged=lacking,
        empty=f"Nothing{is_whole} waits or runs for too long.",
    )
