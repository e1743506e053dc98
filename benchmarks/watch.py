"""The reports that watch the platform, on five million log rows and a million of what is no log, against SQL by hand.

Run as `python -m benchmarks.watch [--rows N] [--rounds N] [--only WORDS]`. What is asked stands in watch_by_hand.sql. Both
sides connect, ask, and fetch every row as CSV: the tool by its whole command in a process that has imported it, the hand
by psycopg. What each costs on an empty platform is taken off: connecting, and the tool's look at what is there. Both must
show the same figures.
"""

import argparse
import csv
import functools
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import psycopg
from typer.testing import CliRunner

from avatarlab_cli.context import Context
from avatarlab_cli.embedded import EmbeddedServer
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.main import app
from benchmarks import measure

USERS = 20_000
TOOL, HAND = "avatarlab", "by hand"
# To search what was said takes an admin.
ADMIN = "admin@example.com"
_START = " on an empty platform"
NOW = datetime.combine(measure.TODAY + timedelta(days=1), time(), UTC)
MOST_TIMES_BY_HAND = 1.3
# Below this a ratio tells of the machine alone.
LEAST_SECONDS = 0.05
BY_HAND = Path(__file__).with_name("watch_by_hand.sql")
_QUESTION = re.compile(r"^-- avatarlab (.+)\n((?:(?!--).*\n?)+)", re.MULTILINE)
_NOT_COMPARED, _NULL = "~", "NULL"


@dataclass(frozen=True)
class Question:
    """What is asked: the tool's words, and the statement by hand."""

    words: tuple[str, ...]
    statement: str

    def __str__(self) -> str:
        return " ".join(self.words)


def questions() -> Iterator[Question]:
    """Yield the questions of the file, in its order."""
    for words, statement in _QUESTION.findall(BY_HAND.read_text(encoding="utf-8")):
        yield Question(tuple(words.split()), statement.strip())


def main() -> None:
    """Measure, print, and exit with 1 where the promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="questions that begin so")
    given = parser.parse_args()
    with measure.server() as server:
        full, empty = fill(server, "large", given.rows), fill(server, "bare", 0)
        ratios = {
            question: compare(question, full, empty, given.rounds)
            for question in questions()
            if str(question).startswith(given.only)
        }
    print()
    measure.conclude(
        *(measure.Promise(str(asked), ratio, MOST_TIMES_BY_HAND) for asked, ratio in ratios.items())
    )


def fill(server: EmbeddedServer, name: str, rows: int) -> str:
    """Create a platform with so many log rows, with nothing at all where it is 0, and return its connection string."""
    conninfo = measure.create_platform(server, name)
    if rows:
        script = str(Path(__file__).with_suffix(".sql"))
        measure.run(measure.psql(conninfo, "-f", script, users=USERS, rows=rows, today=measure.TODAY))
    with psycopg.connect(conninfo) as connection:
        connection.execute("INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), %s)", [ADMIN])
        connection.execute(
            "INSERT INTO admin_users (user_id, role) SELECT id, 'super_admin' FROM auth.users WHERE email = %s",
            [ADMIN],
        )
    return conninfo


def compare(question: Question, full: str, empty: str, rounds: int) -> float:
    """Print the times of both, and return the ratio of what is left without their starts; exits where they disagree."""
    print(f"\n{question}")
    check(question, full)
    contenders: dict[str, functools.partial[Any]] = {}
    for suffix, conninfo in (("", full), (_START, empty)):
        contenders[TOOL + suffix] = functools.partial(by_tool, conninfo, question, "--out", os.devnull)
        contenders[HAND + suffix] = functools.partial(by_hand, conninfo, question.statement)
    times = measure.take_turns(contenders, rounds)
    measure.show(times, HAND)
    left = {name: times[name].best - times[name + _START].best for name in (TOOL, HAND)}
    ratio = max(left[TOOL], LEAST_SECONDS) / max(left[HAND], LEAST_SECONDS)
    told = "too quick to tell" if max(left.values()) < LEAST_SECONDS else f"ratio {ratio:.2f}"
    print(f"without the start: {left[TOOL]:.3f}s and {left[HAND]:.3f}s, {told}")
    return ratio


def check(question: Question, conninfo: str) -> None:
    """Exit unless both give the same rows, in whatever order, in the columns they share."""
    expected = list(csv.DictReader(io.StringIO(by_hand(conninfo, question.statement), newline="")))
    shared = [name for name in (expected or [{}])[0] if not name.startswith(_NOT_COMPARED)]
    if not shared:
        return
    text = by_tool(conninfo, question, "--fields", ",".join(shared), "--null", _NULL)
    rows = csv.DictReader(io.StringIO(text, newline=""))
    by = [_counted(side, shared) for side in (rows, expected)]
    if by[0] != by[1]:
        sys.exit(f"{question}: the answers differ: {[*(by[0] - by[1])][:3]} and {[*(by[1] - by[0])][:3]}")


def _counted(rows: Iterable[Mapping[str, str]], names: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(_plain(row[name]) for name in names) for row in rows)


def _plain(text: str) -> str:
    """Return a cell as a text that is equal when its value is, whichever side it came from."""
    try:
        return f"{Decimal(text):.3f}"
    except InvalidOperation:
        pass
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat() if ":" in text else text
    except ValueError:
        return text


def by_tool(conninfo: str, question: Question, *output: str) -> str:
    """Run the tool's command in this process and return what it says; exits where it fails."""
    context = Context({"AVATARLAB_DATABASE_URL": conninfo, "AVATARLAB_ADMIN": ADMIN}, clock=lambda: NOW)
    command = ["-q", *question.words, "--csv", *output]
    done = CliRunner().invoke(app, command, obj=context, prog_name="avatarlab")
    # A check that finds something says so; and an empty platform has no training to tell of.
    if done.exit_code not in (0, ExitCode.FOUND, ExitCode.NOT_FOUND):
        sys.exit(f"avatarlab {question}: {done.stderr}")
    return done.stdout


def by_hand(conninfo: str, statement: str) -> str:
    """Run the statement and return its rows as CSV."""
    copied = f"COPY ({statement.rstrip(';')}) TO STDOUT (FORMAT csv, HEADER, NULL '{_NULL}')"
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'")
        with cursor.copy(copied.encode()) as blocks:
            return b"".join(bytes(block) for block in blocks).decode()


if __name__ == "__main__":
    main()
