"""An avatar's prompt, version by version, and how two versions differ."""

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError
from avatarlab_cli.queries.naming import Found
from avatarlab_cli.queries.platform import Platform
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.schema.avatars import avatar_prompt_versions

TEXTS = (
    "version_name",
    "description",
    "system_prompt",
    "personality_traits",
    "behavior_rules",
    "response_style",
)
"""What makes a version what it is."""
CONTEXT = 3
UNCHANGED, REMOVED, ADDED = "", "-", "+"
DIFFERENCES = (
    Column("field", Kind.TEXT, "which part of the prompt"),
    Column("change", Kind.TEXT, f"{REMOVED} only in the first, {ADDED} only in the second, empty: in both"),
    Column("from_line", Kind.INTEGER, "its number in the first", null=""),
    Column("to_line", Kind.INTEGER, "its number in the second", null=""),
    Column("text", Kind.TEXT, "the line"),
)


def versions(connection: sa.Connection, avatar: UUID) -> Report:
    """Report the versions of an avatar's prompt."""
    platform = Platform(connection)
    table = platform[avatar_prompt_versions]
    own, parent = table.c, table.alias("parent")
    return platform.report(
        sa.select(
            own.id,
            own.version_number.label("version"),
            own.version_name.label("name"),
            own.is_active,
            own.is_published,
            sa.func.length(own.system_prompt).label("characters"),
            sa.func.cardinality(own.behavior_rules).label("rules"),
            parent.c.version_number.label("parent"),
            own.training_data_id.label("run"),
            own.created_at,
            own.activated_at,
        )
        .select_from(table.outerjoin(parent, parent.c.id == own.parent_version_id))
        .where(own.avatar_id == avatar),
        (
            Column("id", Kind.ID, "the version", wide=True),
            Column("version", Kind.TEXT, "its number, which is a text"),
            Column("name", Kind.TEXT, "what it is called", null="-"),
            Column("is_active", Kind.BOOLEAN, "whether the avatar uses it"),
            Column("is_published", Kind.BOOLEAN, "whether others may see it", wide=True),
            Column("characters", Kind.INTEGER, "the length of the system prompt"),
            Column("rules", Kind.INTEGER, "rules of behaviour", wide=True, null="-"),
            Column("parent", Kind.TEXT, "the version it was made from", null="-"),
            Column("run", Kind.TEXT, "the session that made it", wide=True, null="-"),
            Column("created_at", Kind.TIME, "when it was made"),
            Column("activated_at", Kind.TIME, "when it came into use", wide=True, null="-"),
        ),
        sort="created_at,version",
        notes=_activity(connection, own, avatar),
        empty="That avatar has no prompt version.",
    )


def _activity(connection: sa.Connection, own: Any, avatar: UUID) -> tuple[str, ...]:  # noqa: ANN401 (the table's columns)
    """Say where not exactly one version is active, which the platform does not enforce."""
    active = sa.func.count().filter(own.is_active)
    row = connection.execute(
        sa.select(sa.func.count(), active, sa.func.count(own.is_active)).where(own.avatar_id == avatar)
    ).one()
    total, count, told = row
    if not total or not told or count == 1:
        return ()
    return (f"{count or 'none'} of its versions {'are' if count else 'is'} active; there should be one",)


def differences(connection: sa.Connection, avatar: Found, before: str, after: str) -> list[dict[str, object]]:
    """Return the lines in which two versions of an avatar's prompt differ, each with some lines around it.

    Raises NotFoundError, naming the versions there are, for one there is not.
    """
    old, new = _texts(connection, avatar, before), _texts(connection, avatar, after)
    return [
        {"field": field, **line}
        for field in TEXTS
        for line in compared(lines_of(old[field]), lines_of(new[field]))
    ]


def _texts(connection: sa.Connection, avatar: Found, version: str) -> sa.RowMapping:
    own = Platform(connection)[avatar_prompt_versions].c
    mine = sa.select(*(own[name] for name in TEXTS)).where(own.avatar_id == avatar.id)
    row = connection.execute(mine.where(own.version_number == version)).mappings().first()
    if row is not None:
        return row
    order = (
        sa.select(own.version_number)
        .where(own.avatar_id == avatar.id)
        .order_by(own.created_at, own.version_number)
    )
    known = ", ".join(map(str, connection.scalars(order)))
    raise NotFoundError(
        f"{avatar.label} has no prompt version {version!r}",
        hint=f"versions: {known}" if known else "it has no prompt version at all",
    )


def lines_of(value: object) -> list[str]:
    """Return a part of a prompt line by line: a list has an item on each, a document a name."""
    if value is None:
        return []
    if isinstance(value, str):
        return value.splitlines()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [line for item in value for line in str(item).splitlines() or [""]]
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def compared(before: Sequence[str], after: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield the lines that only one text has, and up to CONTEXT lines around them: change, line numbers and text."""
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(CONTEXT):
        for tag, start, end, other_start, other_end in group:
            if tag == "equal":
                for offset in range(end - start):
                    yield _line(UNCHANGED, start + offset, other_start + offset, before[start + offset])
                continue
            yield from (_line(REMOVED, number, None, before[number]) for number in range(start, end))
            yield from (_line(ADDED, None, number, after[number]) for number in range(other_start, other_end))


def _line(change: str, before: int | None, after: int | None, text: str) -> dict[str, object]:
    numbers = {"from_line": before, "to_line": after}
    return {
        "change": change,
        **{name: None if number is None else number + 1 for name, number in numbers.items()},
        "text": text,
    }
