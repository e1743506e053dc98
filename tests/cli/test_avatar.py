"""The reports of the noun `avatar`: exact rows of known avatars, filters, and when being due is a finding."""

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import copied
from tests.cli.invoking import invoke
from tests.cli.known_shelf import CLEO, MILO, NOVA, ORION


def test_list_as_a_table(shelf: str) -> None:
    """The latest stands first; one without an owner is nobody's."""
    assert invoke(shelf, "avatar", "list", "--limit", "4").out == (
        "id                                    name        email            status   moderation  created_at\n"
        f"{NOVA}  Nova 100%_  ada@example.com  active   flagged     2025-06-10T00:00:00Z\n"
        f"{ORION}  Orion       ada@example.com  deleted  approved    2025-05-01T00:00:00Z\n"
        f"{MILO}  Milo        Eve@example.org  deleted  approved    2025-04-01T00:00:00Z\n"
        f"{CLEO}  Cleo        (unattributed)   active   pending     2025-01-01T00:00:00Z\n"
    )


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--user", "ada@example.com"), [NOVA, ORION]),
        (("--status", "deleted"), [ORION, MILO]),
        (("--flagged",), [NOVA]),
        (("--public",), [NOVA, CLEO]),
        (("--search", "0%_"), [NOVA]),
        (("--search", "IO", "--user", "ada"), [ORION]),
    ],
)
def test_filters(shelf: str, arguments: tuple[str, ...], found: list[object]) -> None:
    """All filters that are given must hold; a search is for the text as it stands."""
    assert invoke(shelf, "avatar", "list", "-o", "ids", *arguments).out.split() == list(map(str, found))


def test_due(shelf: str) -> None:
    """Who is due soon is listed too, but only what is overdue is a finding."""
    found = invoke(shelf, "avatar", "due", "--csv", "--fields", "id,due_at,is_overdue,purchases")
    overdue = f"{ORION},2025-06-09T00:00:00Z,true,1\n"
    assert found.out == f"id,due_at,is_overdue,purchases\n{overdue}{MILO},2025-07-01T00:00:00Z,false,0\n"
    assert found.code == ExitCode.FOUND
    assert "nothing on the platform ever deletes" in found.err
    assert invoke(shelf, "avatar", "due", "--within", "24h", "-o", "ids").out == f"{ORION}\n"
    # Also where the page that is shown has none of it.
    assert invoke(shelf, "avatar", "due", "--offset", "1").code == ExitCode.FOUND


def test_due_soon_is_no_finding(shelf: str) -> None:
    """As long as nothing is overdue all is well; where that cannot be told, it is not."""
    with copied(shelf) as conninfo:
        _change(conninfo, "UPDATE avatars SET status = 'active' WHERE name = 'Orion'")
        found = invoke(conninfo, "avatar", "due", "-o", "ids")
        assert (found.code, found.out) == (0, f"{MILO}\n")
        _change(conninfo, "DROP TABLE purchases")
        found = invoke(conninfo, "avatar", "due", "--csv", "--no-headers", "--fields", "id,purchases")
        assert (found.code, found.out) == (0, f"{MILO},\n")
        assert "public.purchases is missing" in found.err
        _change(conninfo, "ALTER TABLE avatars DROP COLUMN scheduled_hard_delete_at")
        found = invoke(conninfo, "avatar", "due", "-o", "ids")
        assert (found.code, found.out) == (ExitCode.FOUND, "")
        assert "public.avatars.scheduled_hard_delete_at is missing" in found.err


def test_queue(shelf: str) -> None:
    """The one that waits longest stands first: since it was flagged, or else made."""
    shown = invoke(
        shelf, "avatar", "queue", "--csv", "--fields", "name,email,moderation,reason,waiting_since"
    )
    assert shown.out.splitlines()[1:] == [
        "Cleo,(unattributed),pending,,2025-01-01T00:00:00Z",
        "Nova 100%_,ada@example.com,flagged,looks real,2025-06-12T00:00:00Z",
    ]


def test_summary_without_the_columns_for_moderation(shelf: str) -> None:
    """What is not recorded is n/a, with a note, and never 0."""
    with copied(shelf) as conninfo:
        _change(conninfo, "ALTER TABLE avatars DROP COLUMN is_flagged")
        shown = invoke(conninfo, "avatar", "summary", "--fields", "avatars,flagged,waiting,overdue")
    assert shown.out.split() == ["avatars", "4", "flagged", "n/a", "waiting", "n/a", "overdue", "1"]
    assert shown.err == "note: public.avatars.is_flagged is missing here: what it would tell is not known\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("list", "--status", "gone"), ExitCode.USAGE, "active, archived, deleted"),
        (("list", "--user", "nobody"), ExitCode.NOT_FOUND, "there is no user 'nobody'"),
        (("due", "--within", "soon"), ExitCode.USAGE, "ISO 8601"),
    ],
)
def test_what_is_not_understood(shelf: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    """It is told with what there is instead."""
    refused = invoke(shelf, "avatar", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err


def _change(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement.encode())
