"""Finding the row an argument names: by UUID, by a name of its own, or by the unambiguous beginning of either."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import AvatarLabError, NotFoundError, NotPermittedError, UsageError
from avatarlab_cli.schema.live import demand_all_rows

SHORTEST_PREFIX = 3


@dataclass(frozen=True)
class Naming:
    """How the rows `r` of a table are named.

    `rows` is what stands in FROM, `label` what a row is called in messages. `names` are SQL texts in lower case
    that name a row whole, `prefixes` those of which the beginning will do; the UUID is always among the former.
    A beginning has at least `shortest` characters; where rows are numbered, a number is never one. `read` turns what was typed into a name, or raises UsageError for what must not be typed.
    """

    noun: str
    table: str
    rows: str
    label: str
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    hint: str = ""
    plural: str = ""
    is_numbered: bool = False
    shortest: int = SHORTEST_PREFIX
    read: Callable[[str], str] = str.strip

    @property
    def one(self) -> str:
        """What one of them is called, with its article."""
        return f"{'an' if self.noun[0] in 'aeioAEIO' else 'a'} {self.noun}"

    @property
    def many(self) -> str:
        """What several of them are called."""
        return self.plural or f"{self.noun}s"


class Found(NamedTuple):
    """One row that was named."""

    id: UUID
    label: str | None


USER = Naming(
    "user",
    "auth.users",
    "auth.users r",
    "coalesce(r.email, r.id::text)",
    names=("lower(r.email)",),
    prefixes=("lower(r.email)", "r.id::text"),
    hint="name a user by e-mail address, UUID, or the first three or more characters of one",
)
ADMIN = Naming(
    "admin",
    "public.admin_users",
    "public.admin_users r JOIN auth.users u ON u.id = r.user_id",
    "coalesce(u.email, r.id::text)",
    names=("lower(u.email)", "r.user_id::text"),
    prefixes=("lower(u.email)", "r.id::text"),
    hint="`avatarlab admin list` shows the admins",
)
AVATAR = Naming(
    "avatar",
    "public.avatars",
    "public.avatars r",
    "coalesce(r.name, r.id::text)",
    prefixes=("r.id::text",),
    hint="`avatarlab avatar list` shows the avatars, each with its UUID",
)
IMAGE = Naming(
    "image",
    "public.generated_images",
    "public.generated_images r",
    "r.id::text",
    prefixes=("r.id::text",),
    hint="`avatarlab image list` shows the images, each with its UUID",
)
ENTRY = Naming(
    "act",
    "public.admin_audit_logs",
    "public.admin_audit_logs r",
    "concat('#', r.seq, ' ', r.action)",
    names=("r.seq::text",),
    prefixes=("r.id::text",),
    is_numbered=True,
    shortest=8,
    hint="`avatarlab audit list` shows the acts, each with its number",
)


def resolving(naming: Naming) -> str:
    """Return the SELECT that finds the rows of :items (numbers), :names and :typed, one row an item.

    Only what was typed may be the beginning of a name: in a file it is a name that fits nobody any more. Its columns are item, name, id and label (NULL unless exactly one row fits), matches, and candidates.
    """
    exact = " UNION ".join(
        f"SELECT n.item, r.id, {naming.label} AS label FROM named n, {naming.rows} WHERE {condition}"
        for condition in ("r.id = n.id", *(f"{name} = lower(n.name)" for name in naming.names))
    )
    no_number = " AND n.name !~ '^[0-9]+$'" if naming.is_numbered else ""
    begins = " OR ".join(f"starts_with({prefix}, lower(n.name))" for prefix in naming.prefixes) or "false"
    return f"""
        WITH named AS (
            SELECT item, name, is_typed,
                   CASE WHEN name ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN name::uuid END AS id
            FROM unnest(CAST(:items AS bigint[]), CAST(:names AS text[]), CAST(:typed AS boolean[]))
                 AS given (item, name, is_typed)
        ), exact AS (
            {exact}
        ), begun AS (
            SELECT n.item, r.id, {naming.label} AS label FROM named n, {naming.rows}
            WHERE n.is_typed AND length(n.name) >= {naming.shortest}{no_number} AND NOT EXISTS (SELECT FROM exact e WHERE e.item = n.item)
              AND ({begins})
        ), found AS (
            SELECT item, count(*) AS matches, (array_agg(id))[1] AS id, (array_agg(label ORDER BY label))[1:5] AS labels
            FROM (TABLE exact UNION ALL TABLE begun) AS both_ways GROUP BY item
        )
        SELECT n.item, n.name, CASE f.matches WHEN 1 THEN f.id END AS id, CASE f.matches WHEN 1 THEN f.labels[1] END AS label,
               coalesce(f.matches, 0) AS matches, array_to_string(f.labels, ', ') || CASE WHEN f.matches > 5 THEN format(' and %s more', f.matches - 5) ELSE '' END AS candidates
        FROM named n LEFT JOIN found f USING (item)
    """


def find(connection: sa.Connection, naming: Naming, name: str) -> Found:
    """Return the row called `name`; raises NotFoundError where none fits, UsageError where several do."""
    name = naming.read(name)
    row = rows_named(connection, naming, [name])[0]
    if row.matches == 1:
        return Found(row.id, row.label)
    raise error_of(connection, naming, name, row.candidates)


def chosen(connection: sa.Connection, naming: Naming, name: str | None) -> UUID | None:
    """Return the id of the row an option names, None where it was not given; raises as `find` does."""
    return None if name is None else find(connection, naming, name).id


def rows_named(
    connection: sa.Connection, naming: Naming, names: Sequence[str], *, is_typed: bool = True
) -> Sequence[sa.Row[Any]]:
    """Return what `resolving` finds for each name, in their order."""
    bound = {"items": list(range(len(names))), "names": list(names), "typed": [is_typed] * len(names)}
    return connection.execute(sa.text(f"{resolving(naming)} ORDER BY item"), bound).all()


def error_of(connection: sa.Connection, naming: Naming, name: str, candidates: str | None) -> AvatarLabError:
    """Return the error for a name that does not name exactly one row."""
    if candidates:
        return UsageError(
            f"{name!r} fits several {naming.many}: {candidates}", hint="write more of it, or the UUID"
        )
    try:
        demand_all_rows(connection, [naming.table])
    except NotPermittedError as error:
        return error
    return NotFoundError(f"there is no {naming.noun} {name!r}", hint=naming.hint or None)
