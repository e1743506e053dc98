"""What went wrong in trainings: messages that differ by numbers and ids alone are one."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.naming import Naming
from avatarlab_cli.queries.platform import Expression, Platform, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.training import avatar_fine_tune_jobs, avatar_training_data, avatar_training_logs
from avatarlab_cli.timeframe import Span

RUN = Naming(
    "training run",
    "public.avatar_training_data",
    "public.avatar_training_data r",
    "r.id::text",
    prefixes=("r.id::text",),
    hint="`avatarlab training jobs --fields id,kind,created_at` shows the sessions, each with its UUID",
)
LONGEST = 300
SEEN_TWICE = "one failure may stand under several sources: in a session's log, on the session, and on its job at OpenAI"
# No word such as file-settings: an id has a digit, and nothing of a word before it.
_ID = r"\m(ftjob|file|org|req|run)[-_](?=[a-z]*[0-9])[0-9a-z]{6,}"
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def errors(connection: sa.Connection, span: Span) -> Report:
    """Report the messages of the time, each with how often it came and whom it met."""
    platform = Platform(connection)
    rows = sa.union_all(_logged(platform), _of_jobs(platform), _of_sessions(platform)).subquery("errors")
    message = alike(rows.c.text)
    return platform.report(
        sa.select(
            rows.c.source,
            message.label("message"),
            sa.func.count().label("occurrences"),
            sa.func.count(rows.c.user_id.distinct()).label("users"),
            sa.func.min(rows.c.at).label("first_seen"),
            sa.func.max(rows.c.at).label("last_seen"),
        )
        .where(within(rows.c.at, span))
        .group_by(rows.c.source, message),
        (
            Column(
                "source",
                Kind.TEXT,
                "log, fine-tune (OpenAI's word on a job), or session (on its fine-tuning)",
            ),
            Column("message", Kind.TEXT, "its first line; <n> is a number, <id> names something"),
            Column("occurrences", Kind.INTEGER, "how often", total=True),
            Column("users", Kind.INTEGER, "how many users it met"),
            Column("first_seen", Kind.TIME, "in that time"),
            Column("last_seen", Kind.TIME, "in that time"),
        ),
        sort="-occurrences,source,message",
        notes=(SEEN_TWICE,),
        empty="Nothing went wrong in that time.",
    )


def alike(text: Expression) -> Expression:
    """Return the beginning of a message's first line, with what differs from case to case taken out."""
    line = sa.func.left(sa.func.split_part(sa.func.btrim(text, " \n\r\t"), "\n", 1), LONGEST)
    for pattern, stands, flags in ((_UUID, "<id>", "gi"), (_ID, "<id>", "gi"), ("[0-9]+", "<n>", "g")):
        line = sa.func.regexp_replace(line, pattern, stands, flags)
    return line


def _logged(platform: Platform) -> sa.Select[Any]:
    own = platform[avatar_training_logs].c
    told = sa.func.nullif(own.details["error"].astext, "")
    return sa.select(
        sa.literal("log").label("source"),
        sa.func.coalesce(told, own.message).label("text"),
        own.user_id,
        own.created_at.label("at"),
    ).where(own.log_type == "error")


def _of_jobs(platform: Platform) -> sa.Select[Any]:
    own = platform[avatar_fine_tune_jobs].c
    at = sa.func.coalesce(own.finished_at, own.created_at)
    return sa.select(sa.literal("fine-tune"), own.error_message, own.user_id, at).where(
        own.error_message != ""
    )


def _of_sessions(platform: Platform) -> sa.Select[Any]:
    own = platform[avatar_training_data].c
    # When it was updated tells nothing: every change of the row moves that.
    at = sa.func.coalesce(own.completed_at, own.created_at)
    return sa.select(sa.literal("session"), own.fine_tune_error, own.user_id, at).where(
        own.fine_tune_error != ""
    )


def logs(connection: sa.Connection, run: UUID) -> Report:
    """Report what a session wrote into its log."""
    platform = Platform(connection)
    own = platform[avatar_training_logs].c
    return platform.report(
        sa.select(
            own.id,
            own.created_at,
            own.log_type.label("type"),
            own.processing_step.label("step"),
            own.progress_percentage.label("progress"),
            own.message,
            own.details["error"].astext.label("error"),
        ).where(own.training_data_id == run),
        (
            Column("id", Kind.ID, "the entry", wide=True),
            Column("created_at", Kind.TIME, "when"),
            Column("type", Kind.TEXT, "training_start, processing_step, completion or error"),
            Column("step", Kind.TEXT, "which step", null="-"),
            Column("progress", Kind.INTEGER, "how far, of 100", null="-"),
            Column("message", Kind.TEXT, "what was written"),
            Column("error", Kind.TEXT, "what its details say went wrong", null="-"),
        ),
        sort="created_at,progress,id",
        empty="That session has written no log.",
    )
