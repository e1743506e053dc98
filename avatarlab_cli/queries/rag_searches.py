"""Searches in knowledge files, as web chats log them; what was searched for is nobody's business here."""

from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.dimensions import demand, period
from avatarlab_cli.queries.dividing import CALENDAR, Counted, divided, labels
from avatarlab_cli.queries.platform import Expression, Platform, average, share, within
from avatarlab_cli.queries.rag_files import STATUSES
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.api import api_request_logs
from avatarlab_cli.schema.knowledge import avatar_knowledge_files, document_chunks, rag_search_logs
from avatarlab_cli.timeframe import Span

DIMENSIONS = ("day", "avatar", "user")
NOTES = (
    "searches that failed, and those of requests over the API, are not logged",
    "a similarity of 0 means that nothing was similar enough (0.7), and is in no average; nor is what is no number",
)
NO_DURATION = "no search's duration is recorded; these are the API's requests, where theirs is"
_SUMMARY = (
    Column("searches", Kind.INTEGER, "searches logged"),
    Column("searches_30d", Kind.INTEGER, "of the last 30 days"),
    Column("without_result_30d", Kind.INTEGER, "of these, found nothing"),
    Column("empty_rate_30d", Kind.PERCENT, "without result, of those whose results are recorded"),
    Column("average_results_30d", Kind.DECIMAL, "chunks found by one"),
    Column("average_similarity_30d", Kind.DECIMAL, "of the best chunk, where one was found"),
    Column("last_search", Kind.TIME, "the latest"),
    Column("files", Kind.INTEGER, "knowledge files"),
    Column("files_30d", Kind.INTEGER, "uploaded in the last 30 days"),
    Column("processed", Kind.INTEGER, "files that can be searched"),
    Column("pending", Kind.INTEGER, "files not processed yet"),
    Column("errors", Kind.INTEGER, "files whose processing failed"),
    Column("bytes", Kind.BYTES, "their size, as their rows say"),
    Column("chunks", Kind.INTEGER, "pieces that are searched"),
    Column("without_embedding", Kind.INTEGER, "of which no search can find"),
)


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report searches, files and chunks, in all and in the time."""
    platform = Platform(connection)
    searched, stored, cut = _search_totals(platform, span), _file_totals(platform, span), _chunks(platform)
    parts = (searched, stored, cut)
    figures: dict[str, Expression] = {column.name: column for part in parts for column in part.c}
    figures["empty_rate_30d"] = share(searched.c.without_result_30d, searched.c.counted_30d)
    return platform.report(
        sa.select(*(figures[column.name].label(column.name) for column in _SUMMARY)).select_from(
            searched.join(stored, sa.true()).join(cut, sa.true())
        ),
        _SUMMARY,
        single=True,
        notes=NOTES,
    )


def _is_similar(score: Expression) -> Expression:
    """Tell whether a similarity is one: NaN, to the database the greatest of numbers, and infinity are not."""
    return sa.and_(score > 0, score < sa.literal_column("'Infinity'", sa.Double))


def _search_totals(platform: Platform, span: Span) -> sa.Subquery:
    own = platform[rag_search_logs]
    recent, found, score = within(own.c.created_at, span), own.c.chunks_found, own.c.top_similarity_score
    return sa.select(
        platform.count(own.c.id).label("searches"),
        platform.count(own.c.id, recent).label("searches_30d"),
        platform.count(own.c.id, recent, found == 0).label("without_result_30d"),
        platform.count(found, recent).label("counted_30d"),
        platform.known(average(found, recent)).label("average_results_30d"),
        platform.known(average(score, recent, _is_similar(score))).label("average_similarity_30d"),
        platform.known(sa.func.max(own.c.created_at)).label("last_search"),
    ).subquery("searched")


def _file_totals(platform: Platform, span: Span) -> sa.Subquery:
    own = platform[avatar_knowledge_files]
    return sa.select(
        platform.count(own.c.id).label("files"),
        platform.count(own.c.id, within(own.c.uploaded_at, span)).label("files_30d"),
        *(
            platform.count(own.c.id, own.c.processing_status == status).label(name)
            for name, status in STATUSES
        ),
        platform.known(sa.func.coalesce(sa.func.sum(own.c.file_size), 0)).label("bytes"),
    ).subquery("stored")


def _chunks(platform: Platform) -> sa.Subquery:
    own = platform[document_chunks]
    return sa.select(
        platform.count(own.c.id).label("chunks"),
        platform.count(own.c.id, own.c.embedding.is_(None)).label("without_embedding"),
    ).subquery("cut")


def searches(connection: sa.Connection, span: Span, by: str, avatar_id: UUID | None = None) -> Report:
    """Report the searches of the time and what they found; raises UsageError for an unknown dimension."""
    demand(by, DIMENSIONS, "searches")
    platform = Platform(connection)
    own = platform[rag_search_logs]
    found, score = own.c.chunks_found, own.c.top_similarity_score
    keys = {"day": period(own.c.created_at, "day"), "avatar": own.c.avatar_id, "user": own.c.user_id}
    counted = Counted(
        own,
        keys[by],
        (
            within(own.c.created_at, span),
            *(() if avatar_id is None else (own.c.avatar_id == avatar_id,)),
        ),
        {
            "searches": sa.func.count(),
            "counted": sa.func.count(found),
            "results": sa.func.coalesce(sa.func.sum(found), 0),
            "without_result": sa.func.count().filter(found == 0),
            "similar": sa.func.count(score).filter(_is_similar(score)),
        },
        {
            "average_results": average(found),
            "similarity": average(score, _is_similar(score)),
        },
    )
    figures = divided(platform, counted, periods=(span, by) if by in CALENDAR else None)
    named = labels(platform, by, figures)
    return platform.report(
        sa.select(
            *named.select,
            figures.c.searches,
            figures.c.counted,
            figures.c.results,
            figures.c.average_results,
            figures.c.without_result,
            share(figures.c.without_result, figures.c.counted).label("empty_rate"),
            figures.c.similar,
            figures.c.similarity,
        ).select_from(named.rows),
        (
            *named.columns,
            Column("searches", Kind.INTEGER, "searches logged", total=True),
            Column("counted", Kind.INTEGER, "of which the results are recorded", wide=True, total=True),
            Column("results", Kind.INTEGER, "chunks they found", total=True),
            Column("average_results", Kind.DECIMAL, "chunks found by one", wide=True),
            Column("without_result", Kind.INTEGER, "searches that found nothing", total=True),
            Column("empty_rate", Kind.PERCENT, "without result, of those counted"),
            Column("similar", Kind.INTEGER, "searches with a similarity above 0", wide=True, total=True),
            Column("similarity", Kind.DECIMAL, "of the best chunk, on average of those counted in similar"),
        ),
        sort=by if by in CALENDAR else f"-searches,{by}_id",
        notes=NOTES,
        empty="Nothing was searched in that time.",
    )


def slow(connection: sa.Connection, span: Span) -> Report:
    """Report how long the API's requests of the time took, where that is recorded; a search's time never is."""
    platform = Platform(connection)
    own = platform[api_request_logs]
    took = own.c.request_duration_ms
    within_group = (sa.func.percentile_cont(part).within_group(took) for part in (0.5, 0.95))
    median, high = (platform.known(sa.cast(each, sa.Numeric)) for each in within_group)
    return platform.report(
        sa.select(
            own.c.endpoint,
            own.c.method,
            platform.count(own.c.id).label("requests"),
            platform.count(took).label("timed"),
            sa.func.trim_scale(sa.func.round(median, 3)).label("median_ms"),
            sa.func.trim_scale(sa.func.round(high, 3)).label("p95_ms"),
            platform.known(sa.func.max(took)).label("longest_ms"),
        )
        .where(within(own.c.created_at, span))
        .group_by(own.c.endpoint, own.c.method),
        (
            Column("endpoint", Kind.TEXT, "what was called"),
            Column("method", Kind.TEXT, "how"),
            Column("requests", Kind.INTEGER, "how often", total=True),
            Column("timed", Kind.INTEGER, "of which a duration is recorded", total=True),
            Column("median_ms", Kind.DECIMAL, "half of those took no longer"),
            Column("p95_ms", Kind.DECIMAL, "19 of 20 took no longer"),
            Column("longest_ms", Kind.INTEGER, "the longest"),
        ),
        sort="-p95_ms,endpoint,method",
        notes=(NO_DURATION,),
        empty="Nothing was called in that time.",
    )
