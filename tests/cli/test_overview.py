"""The page of the morning: stored figures as they are stored, and commands that exist."""

import json
import shlex
from collections.abc import Iterator
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
    return _page(computed)


def _page(conninfo: str) -> dict[str, dict[str, Any]]:
    found = invoke(conninfo, "overview", "--json")
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


YESTERDAY = ("--since", "2025-06-14", "--until", "2025-06-15")
COUNTED: dict[str, tuple[str, ...]] = {
    "stale trainings unfinished": ("training", "stale"),
    "stale voice clones stuck": ("voice", "clones", "--stuck"),
    "stale videos stuck": ("image", "stuck"),
    "stale deleted avatars overdue": ("avatar", "due", "--within", "0h"),
    "failing trainings failed": ("training", "jobs", "--status", "failed", *YESTERDAY),
    "waiting images to moderate": ("image", "queue"),
    "waiting avatars to moderate": ("avatar", "queue"),
    "waiting upgrade requests": ("tier", "requests", "list"),
    "unusual API keys": ("api", "unusual", "--day", "2025-06-14"),
    "unusual costs": ("cost", "anomalies", "--day", "2025-06-14"),
}
SUMMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "stale knowledge files stuck": ("stuck", ("rag", "files")),
    "failing training files failed": ("failed", ("training", "files", "--by", "day")),
    "failing videos failed": ("failed", ("image", "videos", *YESTERDAY)),
}
# Something for every line: what is flagged though approved, tuned without a job, ordered again, or without a time.
TROUBLES = """
    UPDATE avatar_training_data SET fine_tune_status = 'running', created_at = '2025-06-01Z'
    WHERE id = (SELECT min(id::text)::uuid FROM avatar_training_data WHERE status = 'completed');
    UPDATE avatar_fine_tune_jobs SET status = 'failed', created_at = '2025-06-14 09:00Z'
    WHERE id = (SELECT min(id::text)::uuid FROM avatar_fine_tune_jobs);
    UPDATE avatar_training_files SET processing_status = 'failed', uploaded_at = '2025-06-14 09:00Z'
    WHERE id = (SELECT min(id::text)::uuid FROM avatar_training_files);
    UPDATE avatar_knowledge_files SET processing_status = 'pending', uploaded_at = '2025-06-01Z'
    WHERE id = (SELECT min(id::text)::uuid FROM avatar_knowledge_files);
    UPDATE voice_clones SET status = 'training', created_at = '2025-06-01Z'
    WHERE id = (SELECT min(id::text)::uuid FROM voice_clones);
    UPDATE generated_videos SET status = 'failed', created_at = '2025-06-14 09:00Z'
    WHERE id = (SELECT min(id::text)::uuid FROM generated_videos);
    UPDATE generated_videos SET status = 'processing', created_at = '2025-06-01Z'
    WHERE id = (SELECT max(id::text)::uuid FROM generated_videos);
    UPDATE generated_images SET is_flagged = true, moderation_status = 'approved'
    WHERE id = (SELECT min(id::text)::uuid FROM generated_images WHERE moderation_status = 'approved');
    UPDATE avatars SET is_flagged = true, moderation_status = 'rejected'
    WHERE id = (SELECT min(id::text)::uuid FROM avatars WHERE moderation_status = 'approved');
    INSERT INTO api_request_logs (api_key_id, endpoint, method, created_at)
    SELECT id, '/chat', 'POST', moment FROM (SELECT id FROM platform_api_keys WHERE created_at < '2025-06-01Z' LIMIT 1) AS key,
           (SELECT timestamptz '2025-06-14 12:00Z' FROM generate_series(1, 3000)
            UNION ALL SELECT timestamptz '2025-05-25Z') AS moments (moment);
"""


@pytest.fixture(scope="module")
def troubled(computed: str) -> Iterator[str]:
    """The demo with something to look at in every line."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute(TROUBLES)
        yield conninfo


def test_lines_agree_with_the_commands_they_name(troubled: str) -> None:
    """Each count is that of the command the line names, and none of them is 0."""
    page = _page(troubled)
    counts = {line: invoke(troubled, *words, "-o", "count").out.strip() for line, words in COUNTED.items()}
    for line, (column, words) in SUMMED.items():
        rows = json.loads(invoke(troubled, *words, "--json").out)
        counts[line] = str(sum(row[column] for row in rows if row.get("day", "2025-06-14") == "2025-06-14"))
    assert {line: page[line]["value"] for line in counts} == counts
    assert "0" not in counts.values()


@pytest.mark.parametrize(
    ("changed", "costs", "over"),
    [
        ("started_at = '2025-06-14 23:59Z'", "unknown", "unknown"),
        ("window_from = '2025-06-15'", "unknown", "ok"),
        ("window_from = NULL, started_at = '2025-06-15Z'", "ok", "ok"),
    ],
)
def test_only_a_run_since_midnight_has_computed_yesterday(
    computed: str, changed: str, costs: str, over: str
) -> None:
    """A run before the day was over, or of other days, has computed neither the day's costs nor who is over a limit."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("DELETE FROM avatarlab_admin.usage_daily")
            connection.execute("UPDATE monthly_usage SET is_over_limit = false")
            connection.execute(f"UPDATE avatarlab_admin.job_runs SET {changed} WHERE job = 'monthly-usage'")
        page = _page(conninfo)
    assert (page["unusual costs"]["state"], page["over users over a limit"]["state"]) == (costs, over)


LATE = ("monthly-usage", "platform-statistics", "storage-snapshot")


@pytest.mark.parametrize(
    ("since", "late"),
    [
        ([], {*LATE}),
        # A month of long ago, computed anew by hand, is none of a timer's work; what is not known of a run counts.
        ([("monthly-usage", False)], {*LATE}),
        ([("monthly-usage", True)], {"platform-statistics"}),
        ([("platform-statistics", None)], {"monthly-usage"}),
        ([("storage-snapshot", True)], {"monthly-usage", "platform-statistics"}),
    ],
)
def test_late_jobs_are_bad(computed: str, since: list[tuple[str, bool | None]], late: set[str]) -> None:
    """On the third day without a run all three jobs are late, on every page that tells so; or those that nothing did since."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        with psycopg.connect(conninfo) as connection:
            before = DEMO_END - timedelta(days=3)
            connection.execute(
                "UPDATE avatarlab_admin.job_runs SET started_at = %s, finished_at = %s", [before, before]
            )
            for job, covers in since:
                connection.execute(
                    "INSERT INTO avatarlab_admin.job_runs (job, status, started_at, finished_at, covers_outstanding)"
                    " VALUES (%s, 'succeeded', %s, %s, %s)",
                    [job, DEMO_END - timedelta(hours=27), DEMO_END - timedelta(hours=25), covers],
                )
        found = invoke(conninfo, "overview", "--json")
        health = json.loads(invoke(conninfo, "system", "health", "--json").out)
        status = json.loads(invoke(conninfo, "job", "status", "--json", *LATE).out)
    line = next(row for row in json.loads(found.out) if row["what"] == "jobs that are late")
    assert (line["value"], line["state"]) == (str(len(late)), "bad")
    assert {
        row["check"][4:] for row in health if row["check"].startswith("job ") and row["state"] == "bad"
    } == late
    assert {row["job"] for row in status if row["state"] == "late"} == late
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
        words = shlex.split(row["more"])
        path = " ".join(word for word in words if not word.startswith("-"))
        path = next(known for known in VERBS if path == known or path.startswith(f"{known} "))
        options = {name for parameter in VERBS[path].params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


def test_a_page_fits_a_terminal(computed: str) -> None:
    """At 90 columns nothing of the page is cut."""
    shown = terminal(computed, "overview", columns=90)
    assert shown.code == 0
    assert "yesterday  active users" in shown.out
    assert "voice clones --stuck" in shown.out
    assert "…" not in shown.out


def test_ids_are_the_lines(computed: str, page: dict[str, dict[str, Any]]) -> None:
    """A list of ids names each line once."""
    named = invoke(computed, "overview", "-o", "ids").out.splitlines()
    assert named == [row["what"] for row in page.values()]
    assert len(set(named)) == len(named)


def test_it_takes_no_argument(computed: str) -> None:
    """It is a command of its own, without verbs."""
    assert invoke(computed, "overview", "today").code == ExitCode.USAGE
