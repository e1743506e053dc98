"""Trainings: the sessions in which users prepare an avatar's data, and the fine-tuning jobs at OpenAI."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import AVATAR, USER, period, plain
from avatarlab_cli.queries.platform import Expression, Platform, share, within
from avatarlab_cli.queries.spend import note, prices
from avatarlab_cli.queries.statuses import demand_status
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.rates import RateCard
from avatarlab_cli.schema.training import avatar_fine_tune_jobs, avatar_training_data
from avatarlab_cli.timeframe import Span

SESSION, FINE_TUNE = "session", "fine-tune"
SUCCEEDED = {SESSION: "completed", FINE_TUNE: "succeeded"}
FAILED = "failed"
STATUSES = (
    "pending",
    "processing",
    "completed",
    "validating_files",
    "queued",
    "running",
    "succeeded",
    FAILED,
    "cancelled",
)
"""What the platform calls how far a session is, or OpenAI how far a job."""
POLLED = "a fine-tuning job's status is OpenAI's when a user last looked: it may be older than the truth"
NOT_RECORDED = "what a session costs is not recorded: only the tokens of fine-tuning have a price"
DIMENSIONS = {
    "status": plain("status", "what the platform calls it"),
    "type": plain("type", "what a session works on; that of a job is fine-tune"),
    "model": plain("model", "what is fine-tuned"),
    "user": USER,
    "avatar": AVATAR,
}


@dataclass(frozen=True)
class Wanted:
    """Which trainings are meant: those begun in the time, all of them or a user's, an avatar's, of a status."""

    span: Span
    user: UUID | None = None
    avatar: UUID | None = None
    status: str | None = None

    def conditions(self, own: Any) -> list[Expression]:  # noqa: ANN401 (the columns of either table)
        """Return what its rows fulfil."""
        given = {own.user_id: self.user, own.avatar_id: self.avatar, own.status: self.status}
        named = [column == value for column, value in given.items() if value is not None]
        return [within(own.created_at, self.span), *named]


def _kinds(platform: Platform, card: RateCard, wanted: Wanted) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return a row a session, and a row a job; success and failure are 1 or 0, NULL where the status is not known.

    Raises UsageError for a status there is not.
    """
    columns = (platform[table].c.status for table in (avatar_training_data, avatar_fine_tune_jobs))
    demand_status(platform.connection, wanted.status, STATUSES, *columns)
    return _sessions(platform, wanted), _jobs(platform, card, wanted)


def _sessions(platform: Platform, wanted: Wanted) -> sa.Select[Any]:
    own = platform[avatar_training_data].c
    number = sa.cast(sa.null(), sa.BigInteger)
    return sa.select(
        own.id,
        sa.literal(SESSION).label("kind"),
        own.training_type.label("type"),
        own.avatar_id,
        own.user_id,
        own.status,
        sa.cast(sa.null(), sa.Text).label("model"),
        _took(own.created_at, own.completed_at).label("duration_seconds"),
        number.label("tokens"),
        sa.cast(sa.null(), sa.Numeric).label("cost"),
        number.label("unpriced"),
        own.created_at,
        _is(platform, own.status, SUCCEEDED[SESSION]).label("succeeded"),
        _is(platform, own.status, FAILED).label("failed"),
    ).where(*wanted.conditions(own))


def _jobs(platform: Platform, card: RateCard, wanted: Wanted) -> sa.Select[Any]:
    job = platform[avatar_fine_tune_jobs]
    own = job.c
    tokens = own.trained_tokens
    priced = prices(platform, "fine_tuning", card, *wanted.conditions(own))
    day = period(own.finished_at, "day")
    is_in_force = sa.and_(priced.c.valid_from <= day, priced.c.valid_until > day)
    # What has not ended has no day, and so no price; it is not lacking one.
    cost = sa.case((tokens > 0, tokens * priced.c.price), (tokens == 0, 0))
    is_unpriced = sa.and_(tokens > 0, day.is_not(None), priced.c.price.is_(None))
    unpriced = sa.case((is_unpriced, tokens), (tokens.is_not(None), 0))
    reads = (own.finished_at, own.base_model)
    return (
        sa.select(
            own.id,
            sa.literal(FINE_TUNE).label("kind"),
            sa.literal(FINE_TUNE).label("type"),
            own.avatar_id,
            own.user_id,
            own.status,
            own.base_model.label("model"),
            _took(own.started_at, own.finished_at).label("duration_seconds"),
            tokens.label("tokens"),
            platform.known(cost, *reads).label("cost"),
            platform.known(unpriced, *reads).label("unpriced"),
            own.created_at,
            _is(platform, own.status, SUCCEEDED[FINE_TUNE]).label("succeeded"),
            _is(platform, own.status, FAILED).label("failed"),
        )
        .select_from(job.outerjoin(priced, sa.and_(priced.c.name == own.base_model, is_in_force)))
        .where(*wanted.conditions(own))
    )


def _took(begin: Expression, end: Expression) -> Expression:
    return sa.extract("epoch", end - begin)


def _is(platform: Platform, status: Expression, value: str) -> Expression:
    return platform.known(sa.case((status == value, 1), else_=0), status)


def jobs(connection: sa.Connection, card: RateCard, wanted: Wanted) -> Report:
    """Report each training."""
    platform = Platform(connection)
    rows = sa.union_all(*_kinds(platform, card, wanted)).subquery("trainings")
    avatar, named = AVATAR.shown(platform, rows, "avatar_id")
    user, source = USER.shown(platform, rows, "user_id", named)
    hidden = {"avatar_id", "user_id", "succeeded", "failed"}
    return platform.report(
        sa.select(*(column for column in rows.c if column.name not in hidden), *avatar, *user).select_from(
            source
        ),
        (
            Column("id", Kind.ID, "the session, or the job", wide=True),
            Column("kind", Kind.TEXT, f"{SESSION} or {FINE_TUNE}"),
            Column("type", Kind.TEXT, "what a session works on", wide=True, null="-"),
            *AVATAR.columns,
            *USER.columns,
            Column("status", Kind.TEXT, "what the platform calls it"),
            Column("model", Kind.TEXT, "what is fine-tuned", wide=True, null="-"),
            Column("duration_seconds", Kind.DECIMAL, "how long it took", null="-"),
            Column("tokens", Kind.INTEGER, "trained, all epochs included", null="-", total=True),
            Column("cost", Kind.COST, "estimated spend", total=True),
            Column("unpriced", Kind.INTEGER, "tokens without a rate", wide=True, null="-", total=True),
            Column("created_at", Kind.TIME, "when it began"),
        ),
        sort="-created_at,id",
        notes=(note(card), NOT_RECORDED, POLLED),
        empty="Nothing was trained in that time.",
    )


def jobs_by(connection: sa.Connection, card: RateCard, wanted: Wanted, by: str) -> Report:
    """Report how many trainings there were and how they ended, sessions and jobs apart, by one of DIMENSIONS."""
    platform = Platform(connection)
    sessions, tunings = (rows.subquery("trainings") for rows in _kinds(platform, card, wanted))
    nothing = (sa.cast(sa.null(), each) for each in (sa.BigInteger, sa.Numeric, sa.BigInteger))
    spent = (sa.func.sum(tunings.c[name]) for name in ("tokens", "cost", "unpriced"))
    # Each kind by itself: sessions are not summed up for what only jobs have.
    grouped = sa.union_all(
        _grouped(platform, sessions, by, *nothing), _grouped(platform, tunings, by, *spent)
    ).subquery("grouped")
    groups, source = DIMENSIONS[by].shown(platform, grouped)
    return platform.report(
        sa.select(*groups, *(column for column in grouped.c if column.name != "key")).select_from(source),
        (
            Column("kind", Kind.TEXT, f"{SESSION} or {FINE_TUNE}", wide=by in {"type", "model"}),
            *DIMENSIONS[by].columns,
            Column("jobs", Kind.INTEGER, "begun in the time", total=True),
            Column("succeeded", Kind.INTEGER, "of these", total=True),
            Column("failed", Kind.INTEGER, "of these", total=True),
            Column("success_rate", Kind.PERCENT, "succeeded, of those that succeeded or failed", null="-"),
            Column("average_seconds", Kind.DECIMAL, "how long one took", wide=True, null="-"),
            Column("tokens", Kind.INTEGER, "trained, all epochs included", null="-", total=True),
            Column("cost", Kind.COST, "estimated spend", total=True),
            Column("unpriced", Kind.INTEGER, "tokens without a rate", null="-", total=True),
        ),
        sort=f"kind,-jobs,{DIMENSIONS[by].columns[0].name}",
        notes=(note(card), NOT_RECORDED, POLLED),
        empty="Nothing was trained in that time.",
    )


def _grouped(platform: Platform, rows: sa.Subquery, by: str, *spent: Expression) -> sa.Select[Any]:
    """Select what the trainings of one kind came to; `spent` are its tokens, their cost, and tokens without a rate."""
    key = rows.c[f"{by}_id" if DIMENSIONS[by].name is not None else by]
    succeeded, failed = (_whole(sa.func.sum(rows.c[name])) for name in ("succeeded", "failed"))
    tokens, cost, unpriced = spent
    return sa.select(
        rows.c.kind,
        key.label("key"),
        sa.func.count().label("jobs"),
        succeeded.label("succeeded"),
        failed.label("failed"),
        rate(succeeded, failed).label("success_rate"),
        platform.average(rows.c.duration_seconds).label("average_seconds"),
        _whole(tokens).label("tokens"),
        cost.label("cost"),
        _whole(unpriced).label("unpriced"),
    ).group_by(rows.c.kind, key)


def rate(succeeded: Expression, failed: Expression) -> Expression:
    """Return the share that succeeded of what has ended either way; NULL where nothing has."""
    return share(succeeded, succeeded + failed)


def _whole(number: Expression) -> Expression:
    return sa.cast(number, sa.BigInteger)
