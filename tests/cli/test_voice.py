"""The noun `voice` as its users meet it: a few known voices, and the demo against what its costs are."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import copied
from tests.cli.conftest import ADA, EMAILS, EVE
from tests.cli.invoking import Outcome, invoke
from tests.conftest import DEMO_END, created_database

URL = "https://x.supabase.co/storage/v1/object/public/voice-samples"
MADE, WAITING = UUID(int=0xC1 << 120), UUID(int=0xC2 << 120)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def known(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Two clones, one of which has been in training for two days; three recordings, one of them unused; four texts."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            _write(connection)
        yield conninfo


def _write(connection: psycopg.Connection[Any]) -> None:
    clone: UUID | None
    for user in (ADA, EVE):
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user, EMAILS[user]])
    for clone, name, status, days in ((MADE, "Ada's voice", "active", 5), (WAITING, "Low", "training", 2)):
        connection.execute(
            "INSERT INTO voice_clones (id, user_id, name, elevenlabs_voice_id, status, sample_count, created_at)"
            " VALUES (%s, %s, %s, 'x', %s, 2, %s)",
            [clone, ADA, name, status, DEMO_END - timedelta(days=days)],
        )
    samples = (
        ("one", None, 1000, 6),
        ("one", MADE, 1000, 5),
        ("two", None, None, 6),
        ("two", MADE, None, 5),
        ("three", None, 500, 4),
    )
    for name, clone, size, days in samples:
        connection.execute(
            "INSERT INTO voice_samples (user_id, voice_clone_id, filename, file_url, file_size_bytes,"
            " duration_seconds, created_at) VALUES (%s, %s, %s, %s, %s, 1.5, %s)",
            [ADA, clone, f"{name}.mp3", f"{URL}/{name}.mp3", size, DEMO_END - timedelta(days=days)],
        )
    for user, clone, text, days in (
        (ADA, MADE, "x" * 10, 1),
        (ADA, None, "y" * 5, 2),
        (EVE, None, "z" * 100, 3),
        (EVE, None, "!", 40),
    ):
        connection.execute(
            "INSERT INTO tts_generations (user_id, voice_clone_id, text, audio_url, created_at) VALUES (%s, %s, %s, %s, %s)",
            [user, clone, text, f"{URL}/{days}.mp3", DEMO_END - timedelta(days=days)],
        )


def voice(conninfo: str, *arguments: str, **more: Any) -> Outcome:  # noqa: ANN401 (invoke's own)
    return invoke(conninfo, "voice", *arguments, **more)


def rows_of(outcome: Outcome) -> list[Row]:
    """Return a report's rows."""
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    return found if isinstance(found, list) else [found]


def test_clones(known: str) -> None:
    """By status with what is stuck; recordings that no clone was made from are a line of their own, and in the total."""
    shown = voice(known, "clones")
    assert shown.out == (
        "status      clones  users  stuck  samples  samples_per_clone  oldest                newest\n"
        "active           1      1      0        2              2.000  2025-06-10T12:00:00Z  2025-06-10T12:00:00Z\n"
        "training         1      1      1        0              0.000  2025-06-13T12:00:00Z  2025-06-13T12:00:00Z\n"
        "(no clone)       0      1      0        1                  -  2025-06-11T12:00:00Z  2025-06-11T12:00:00Z\n"
        "total            2             1        3\n"
    )
    assert "one in training may be finished" in shown.err


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--list",), ["Ada's voice", "Low"]),
        (("--stuck",), ["Low"]),
        (("--stuck", "--older-than", "3d"), []),
        (("--status", "active"), ["Ada's voice"]),
        (("--user", "Eve@"), []),
    ],
)
def test_each_clone(known: str, options: tuple[str, ...], names: list[str]) -> None:
    """Listed are those of a status or user, or those in training for too long; what is found is no failure."""
    rows = rows_of(voice(known, "clones", *options, "--sort", "name", "--json"))
    assert [row["name"] for row in rows] == names


def test_a_clone(known: str) -> None:
    """A clone tells what it says it was made from beside the recordings there are."""
    (row,) = rows_of(voice(known, "clones", "--status", "active", "--json"))
    told = ("declared_samples", "samples", "audio_seconds", "bytes", "age_seconds", "is_stuck")
    assert [row[name] for name in told] == [2, 2, "3.0", 1000, "432000.000000", False]


def test_tts(known: str, tmp_path: Path) -> None:
    """Generations, characters and spend of the last 30 days by user; the note names the card; another one reprices."""
    shown = voice(known, "tts")
    assert shown.out == (
        "email            generations  characters     cost  unpriced\n"
        "Eve@example.org            1         100  0.02200         0\n"
        "ada@example.com            2          15  0.00330         0\n"
        "total                      3         115  0.02530         0\n"
    )
    assert "spend is an estimate by rate card " in shown.err
    card = tmp_path / "rates.yaml"
    card.write_text("currency: EUR\nrates: []\n", encoding="utf-8")
    (row,) = rows_of(
        voice(known, "tts", "--by", "provider", "--json", env={"AVATARLAB_RATES_FILE": str(card)})
    )
    assert (row["provider"], row["cost"], row["unpriced"]) == ("elevenlabs", None, 115)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--by", "voice"), {"Ada's voice": 10, "(no clone)": 105}),
        (("--by", "voice", "--user", "ada@example.com"), {"Ada's voice": 10, "(no clone)": 5}),
        (("--by", "day", "--since", "3d"), {"2025-06-12": 100, "2025-06-13": 5, "2025-06-14": 10}),
        (("--by", "model", "--since", "50d"), {None: 116}),
    ],
)
def test_tts_divided(known: str, options: tuple[str, ...], expected: Row) -> None:
    """Characters by voice, day and model, of a user and a time."""
    rows = rows_of(voice(known, "tts", *options, "--json"))
    assert {row[options[1]]: row["characters"] for row in rows} == expected


def test_samples(known: str) -> None:
    """A recording counts once, whatever its rows; its bytes too."""
    shown = voice(known, "samples", "--fields", "use,files,rows,bytes,unsized_files,audio_seconds")
    assert shown.out == (
        "use            files  rows  bytes  unsized_files  audio_seconds\n"
        "in a clone         2     4   1000              1            3.0\n"
        "without clone      1     1    500              0            1.5\n"
        "total              3     5   1500              1            4.5\n"
    )
    unused = rows_of(voice(known, "samples", "--without-clone", "--json"))
    assert [(row["filename"], row["email"], row["is_used"]) for row in unused] == [
        ("three.mp3", "ada@example.com", False)
    ]


@pytest.mark.parametrize(("user", "files"), [("ada@", 3), ("Eve@", 0)])
def test_samples_of_a_user(known: str, user: str, files: int) -> None:
    """Only that user's recordings are counted, and listed."""
    counted = rows_of(voice(known, "samples", "--user", user, "--json"))
    assert sum(row["files"] for row in counted) == files
    assert voice(known, "samples", "--list", "--user", user, "-o", "count").out == f"{files}\n"


def test_storage(known: str) -> None:
    """What the rows say of the files stands beside the bucket, which is empty here."""
    assert voice(known, "storage").out == (
        "use      objects  bytes  coverage  files  table_bytes  table_coverage\n"
        "speech         0      0         -      4            -               -\n"
        "samples        0      0         -      3         1500        0.666667\n"
        "other          0      0         -      -            -               -\n"
        "total          0      0\n"
    )


def test_summary(known: str) -> None:
    """The page has the figures of the reports."""
    (page,) = rows_of(voice(known, "summary", "--json"))
    names = ("clones", "clones_stuck", "clones_without_samples", "samples", "samples_without_clone")
    assert [page[name] for name in names] == [2, 1, 1, 3, 1]
    assert [page[name] for name in ("generations", "generations_30d", "characters")] == [4, 3, 116]
    assert (page["cost_30d"], page["unpriced_30d"]) == ("0.02530", 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tts", "--by", "avatar"), "by: user, voice, provider, day, model"),
        (("samples", "--by", "clone"), "by: use, user, day"),
        (("samples", "--by", "day", "--list"), "a list is not divided"),
        (("clones", "--status", "nope"), "statuses: training, active"),
        (("clones", "--older-than", "soon"), "'soon' is not a time"),
        (("clones", "--older-than", "2030-01-01"), "lies ahead"),
        (("tts", "--since", "2025-06-01", "--until", "2025-05-01"), "nothing lies between"),
    ],
)
def test_what_cannot_be_understood(known: str, arguments: tuple[str, ...], said: str) -> None:
    """It is said in a sentence, with what would do."""
    shown = voice(known, *arguments)
    assert (shown.code, shown.out) == (ExitCode.USAGE, "")
    assert said in shown.err


def test_a_status_the_platform_does_not_write(known: str) -> None:
    """What stands in a row can be asked for, and is named to who asks for what stands in none."""
    with copied(known) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE voice_clones SET status = 'lost' WHERE status = 'training'")
        lost, wrong = (
            voice(conninfo, "clones", "--status", name, "-o", "count") for name in ("lost", "nope")
        )
        none = voice(conninfo, "clones", "--status", "training", "-o", "count")
    assert (lost.out, none.out) == ("1\n", "0\n")
    assert wrong.code == ExitCode.USAGE
    assert "statuses: training, active, lost" in wrong.err


def test_an_unknown_user(known: str) -> None:
    """Nobody is found."""
    assert voice(known, "tts", "--user", "nobody@example.com").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize("month", ["2025-04", "2025-05", "2025-06"])
def test_a_month_costs_what_the_stored_one_does(demo: str, month: str) -> None:
    """Where the same card applies, a month's speech costs what `cost report` says, however it is divided."""
    reported = invoke(demo, "cost", "report", "--month", month, "--json")
    stored = {row["kind"]: row["cost"] for row in rows_of(reported)}["voice"]
    until = {"2025-04": "2025-05-01", "2025-05": "2025-06-01", "2025-06": "2025-07-01"}[month]
    for by in ("user", "voice", "provider", "day", "model"):
        rows = rows_of(voice(demo, "tts", "--by", by, "--since", f"{month}-01", "--until", until, "--json"))
        assert sum(Decimal(row["cost"]) for row in rows) == Decimal(stored)
