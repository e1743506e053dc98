"""The page of the morning: stored figures as they are stored, and commands that exist."""

import json
import shlex
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries.overview import COMPUTE, FIGURES
from tests.cli.invoking import invoke, terminal
from tests.cli.tree import commands
from tests.conftest import DEMO_END, created_database

VERBS = {" ".join(words): command for words, command in commands()}


@pytest.fixture(scope="module")
def page(computed: str) -> dict[str, dict[str, Any]]:
    """The page of the demo's last day, by section and what."""
    found = invoke(computed, "overview", "--json")
    assert found.code == 0, found.err
    return {f"{row['section']} {row['what']}": row for row in json.loads(found.out)}


def test_yesterday_is_what_is_stored(computed: str, page: dict[str, dict[str, Any]]) -> None:
    """Each figure is the stored one of yesterday, beside the average of the seven days before."""
    yesterday = DEMO_END.date() - timedelta(days=1)
    with psycopg.connect(computed, row_factory=psycopg.rows.dict_row) as connection:
        stored = {
            row["stat_date"]: row
            for row in connection.execute("SELECT * FROM platform_statistics").fetchall()
        }
    for column, (what, _) in FIGURES.items():
        line, value = page[f"yesterday {what}"], stored[yesterday][column]
        week = [stored[yesterday - timedelta(days=n)][column] for n in range(1, 8)]
        known = [figure for figure in week if figure is not None]
        if value is None:
            assert (line["value"], line["state"], line["more"]) == (None, "unknown", COMPUTE)
            continue
        assert Decimal(line["value"]) == value
        average = sum(map(Decimal, known)) / len(known)
        assert Decimal(line["before"]) == round(average, 2)
        assert (
            line["change"] is None
            if not average
            else Decimal(line["change"]) == round(value / average - 1, 6)
        )


def test_what_the_jobs_found_is_counted(computed: str, page: dict[str, dict[str, Any]]) -> None:
    """Users over a limit, late jobs and odd costs are those that the other commands tell."""
    with psycopg.connect(computed) as connection:
        over = connection.execute(
            "SELECT count(*) FROM monthly_usage WHERE usage_month = '2025-06-01' AND is_over_limit"
        ).fetchone()
    assert over is not None
    assert page["over users over a limit"]["value"] == str(over[0])
    assert page["stale jobs that are late"]["value"] == "0"
    costs = invoke(computed, "cost", "anomalies", "-o", "count").out.strip()
    assert page["unusual costs"]["value"] == costs


def test_late_jobs_are_bad(computed: str) -> None:
    """On the third day without a run all three jobs are late."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute(
                "UPDATE avatarlab_admin.job_runs SET started_at = %s", [DEMO_END - timedelta(days=3)]
            )
        found = invoke(conninfo, "overview", "--json")
    line = next(row for row in json.loads(found.out) if row["what"] == "jobs that are late")
    assert (line["value"], line["state"]) == ("3", "bad")
    assert "before yesterday was over" in found.err


def test_before_migrating_it_is_an_honest_page(panel_conninfo: str, empty_conninfo: str) -> None:
    """Without the toolkit's tables, or any, what is not known is n/a; nothing is a traceback."""
    for conninfo in (panel_conninfo, empty_conninfo):
        found = invoke(conninfo, "overview", "--json")
        assert found.code == 0, found.err
        lines = {row["what"]: row for row in json.loads(found.out)}
        for what in ("active users", "users over a limit", "jobs that are late", "costs"):
            assert (lines[what]["value"], lines[what]["state"]) == (None, "unknown")
        assert "avatarlab_admin.job_runs is missing here" in found.err
        assert "never computed" in found.err
    assert all(row["value"] is None for row in lines.values())


def test_each_command_exists(page: dict[str, dict[str, Any]]) -> None:
    """What stands under `more` is a command of the toolkit, with options it has."""
    for row in page.values():
        program, *words = shlex.split(row["more"])
        assert program == "avatarlab"
        path = " ".join(word for word in words if not word.startswith("-"))
        path = next(known for known in VERBS if path == known or path.startswith(f"{known} "))
        options = {name for parameter in VERBS[path].params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


def test_a_page_fits_a_terminal(computed: str) -> None:
    """At 100 columns nothing of the page is cut."""
    shown = terminal(computed, "overview", columns=100)
    assert shown.code == 0
    assert "yesterday  active users" in shown.out
    assert "avatarlab voice clones --stuck" in shown.out
    assert "…" not in shown.out


def test_it_takes_no_argument(computed: str) -> None:
    """It is a command of its own, without verbs."""
    assert invoke(computed, "overview", "today").code == ExitCode.USAGE
