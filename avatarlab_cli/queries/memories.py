"""Photo memories: how many, and whether each has its images. What a private one says is never read."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.queries.platform import Expression, Platform, beside, one_row, within
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatars
from avatarlab_cli.schema.memories import avatar_memories, memory_images
from avatarlab_cli.schema.supabase import users
from avatarlab_cli.timeframe import Span

PROBLEMS = ("no image", "no primary image", "several primary images")
SHOWN_TITLE = 80


@dataclass(frozen=True)
class Wanted:
    """What the memories must be; all that is given must hold."""

    user: UUID | None = None
    avatar: UUID | None = None
    has_problem: bool = False


@dataclass(frozen=True)
class _Memories:
    """Each memory beside the number of its images."""

    own: sa.FromClause
    owners: sa.FromClause
    source: sa.FromClause
    images: Expression
    primaries: Expression

    @classmethod
    def of(cls, platform: Platform) -> "_Memories":
        own, owners, photos = platform[avatar_memories], platform[users], platform[memory_images]
        count = sa.func.count(photos.c.id)
        counted, figures = platform.per(
            photos.c.memory_id, own.c.id, images=count, primaries=count.filter(photos.c.is_primary)
        )
        source = own.outerjoin(counted, counted.c.by == own.c.id).outerjoin(
            owners, owners.c.id == own.c.user_id
        )
        return cls(own, owners, source, figures["images"], figures["primaries"])

    @property
    def problem(self) -> Expression:
        """What is wrong with the images, NULL where nothing is."""
        return sa.case(
            (self.images == 0, PROBLEMS[0]),
            (self.primaries == 0, PROBLEMS[1]),
            (self.primaries > 1, PROBLEMS[2]),
        )

    @property
    def is_user_gone(self) -> Expression:
        """Whether there is no such account any more: nothing keeps a memory's user in existence."""
        return sa.and_(self.own.c.user_id.is_not(None), self.owners.c.id.is_(None))


def summary(connection: sa.Connection, span: Span) -> Report:
    """Report the memories as they are, and those added in the time."""
    platform = Platform(connection)
    found, photos = _Memories.of(platform), platform[memory_images]
    own, count = found.own, sa.func.count(found.own.c.id)
    figures = {
        "memories": count,
        "memories_30d": count.filter(within(own.c.created_at, span)),
        "users": sa.func.count(own.c.user_id.distinct()),
        "avatars": sa.func.count(own.c.avatar_id.distinct()),
        "private": count.filter(own.c.is_private),
        "favorites": count.filter(own.c.is_favorite),
        "user_gone": count.filter(found.is_user_gone),
    }
    for name, text in zip(("without_image", "without_primary", "several_primary"), PROBLEMS, strict=True):
        figures[name] = count.filter(found.problem == text)
    each = (platform.known(figure).label(name) for name, figure in figures.items())
    remembered = one_row(sa.select(*each).select_from(found.source))
    photographed = platform.row(
        images=sa.func.count(photos.c.id), captioned=sa.func.count(photos.c.id).filter(photos.c.caption != "")
    )
    return platform.report(
        beside(remembered, photographed),
        (
            Column("memories", Kind.INTEGER, "memories there are"),
            Column("memories_30d", Kind.INTEGER, "added in the last 30 days"),
            Column("users", Kind.INTEGER, "users who have any"),
            Column("avatars", Kind.INTEGER, "avatars that have any"),
            Column("private", Kind.INTEGER, "private"),
            Column("favorites", Kind.INTEGER, "favourites"),
            Column("user_gone", Kind.INTEGER, "whose account is gone: nothing deletes them with it"),
            Column("without_image", Kind.INTEGER, "without an image"),
            Column("without_primary", Kind.INTEGER, "with images, but none of them primary"),
            Column("several_primary", Kind.INTEGER, "with several primary images"),
            Column("images", Kind.INTEGER, "their images"),
            Column("captioned", Kind.INTEGER, "of them, those with a caption"),
        ),
        single=True,
    )


def listing(connection: sa.Connection, wanted: Wanted) -> Report:
    """Report the memories that are `wanted`, of private ones not even the title."""
    platform = Platform(connection)
    found, named = _Memories.of(platform), platform[avatars]
    own, problem = found.own, platform.known(found.problem)
    title = sa.case((own.c.is_private.is_(False), sa.func.left(own.c.title, SHOWN_TITLE)))
    select = (
        sa.select(
            own.c.id,
            named.c.name.label("avatar"),
            found.owners.c.email,
            own.c.memory_date,
            found.images.label("images"),
            problem.label("problem"),
            own.c.is_private,
            own.c.created_at,
            own.c.is_favorite,
            found.is_user_gone.label("is_user_gone"),
            title.label("title"),
            own.c.avatar_id,
            own.c.user_id,
        )
        .select_from(found.source.outerjoin(named, named.c.id == own.c.avatar_id))
        .where(*_conditions(found, problem, wanted))
    )
    columns = (*_LISTED, platform.nothing(found.problem, _PROBLEM), *_MORE)
    return platform.report(select, columns, sort="-created_at,id", empty="No memory fits.")


_LISTED = (
    Column("id", Kind.ID, "the memory", wide=True),
    Column("avatar", help="whose memory it is"),
    Column("email", help="whose avatar that is; nothing where the account is gone", null="-"),
    Column("memory_date", Kind.DATE, "when it happened"),
    Column("images", Kind.INTEGER, "how many images it has"),
)
_PROBLEM = Column("problem", help=", ".join(PROBLEMS), null="-")
_MORE = (
    Column("is_private", Kind.BOOLEAN, "whether it is private"),
    Column("created_at", Kind.TIME, "when it was added"),
    Column("is_favorite", Kind.BOOLEAN, "whether it is a favourite", wide=True),
    Column("is_user_gone", Kind.BOOLEAN, "whether its user's account is gone", wide=True),
    Column("title", help="its title, or its beginning; of a private one nothing", wide=True, null="-"),
    Column("avatar_id", Kind.ID, "the avatar", wide=True),
    Column("user_id", Kind.ID, "the user", wide=True),
)


def _conditions(found: _Memories, problem: Expression, wanted: Wanted) -> Iterator[Expression]:
    if wanted.user is not None:
        yield found.own.c.user_id == wanted.user
    if wanted.avatar is not None:
        yield found.own.c.avatar_id == wanted.avatar
    if wanted.has_problem:
        yield problem.is_not(None)
