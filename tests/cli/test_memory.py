"""The reports of the noun `memory`: exact rows of known memories, and what of a private one is shown."""

import json

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import copied
from tests.cli.invoking import invoke
from tests.cli.known_shelf import ATTIC, BEACH, LAKE, NOVA


def test_list(shelf: str) -> None:
    """The latest stands first, with what is wrong with its images; one whose account is gone has no address."""
    assert invoke(shelf, "memory", "list").out == (
        "avatar      email            memory_date  images  problem           is_private  created_at\n"
        "Nova 100%_  ada@example.com  2024-07-01        2  -                 false       2025-06-14T00:00:00Z\n"
        "Nova 100%_  ada@example.com  2024-07-02        1  no primary image  true        2025-06-13T00:00:00Z\n"
        "Nova 100%_  -                2024-07-03        0  no image          false       2025-06-12T00:00:00Z\n"
    )


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), [BEACH, LAKE, ATTIC]),
        (("--problems",), [LAKE, ATTIC]),
        (("--user", "ada@example.com"), [BEACH, LAKE]),
        (("--avatar", str(NOVA)[:5], "--user", "ada", "--problems"), [LAKE]),
        (("--user", "Eve@example.org"), []),
    ],
)
def test_filters(shelf: str, arguments: tuple[str, ...], found: list[object]) -> None:
    """All filters that are given must hold."""
    assert invoke(shelf, "memory", "list", "-o", "ids", *arguments).out.split() == list(map(str, found))


def test_a_private_memory_has_no_title(shelf: str) -> None:
    """Not for anybody, and not where nothing tells whether it is private."""
    everything = invoke(shelf, "memory", "list", "--json")
    assert "nobody may know" not in everything.out
    assert [row["title"] for row in json.loads(everything.out)] == [
        "A day at the beach",
        None,
        "In the attic",
    ]
    with copied(shelf) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("ALTER TABLE avatar_memories DROP COLUMN is_private CASCADE")
        unknown = json.loads(invoke(conninfo, "memory", "list", "--json").out)
    assert [row["title"] for row in unknown] == [None, None, None]


def test_images_that_are_missing(shelf: str) -> None:
    """Where nothing tells whether a memory has its images, it is not shown as one in order."""
    with copied(shelf) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("DROP TABLE memory_images CASCADE")
        shown = invoke(conninfo, "memory", "list", "--fields", "problem", "--no-headers")
    assert shown.out.split() == ["n/a"] * 3


def test_summary(shelf: str) -> None:
    """Each figure as the rows have it."""
    assert json.loads(invoke(shelf, "memory", "summary", "--json").out) == {
        "memories": 3,
        "memories_30d": 3,
        "users": 2,
        "avatars": 1,
        "private": 1,
        "favorites": 0,
        "user_gone": 1,
        "without_image": 1,
        "without_primary": 1,
        "several_primary": 0,
        "images": 3,
        "captioned": 0,
    }


@pytest.mark.parametrize("arguments", [("--user", "nobody"), ("--avatar", "ffff")])
def test_what_does_not_exist(shelf: str, arguments: tuple[str, ...]) -> None:
    """Nobody's memories are no empty list."""
    refused = invoke(shelf, "memory", "list", *arguments)
    assert (refused.code, refused.out) == (ExitCode.NOT_FOUND, "")
    assert f"there is no {arguments[0].removeprefix('--')} '{arguments[1]}'" in refused.err
