"""What is installed to watch the jobs and the platform by: its queries answer, and name what there is."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from avatarlab_cli.telling import textfile
from jobs.registry import BY_NAME
from tests.cli.grafana import DASHBOARD, MONITORING, POSTGRES, PROMETHEUS, panels, written_out
from tests.cli.tree import commands
from tests.conftest import DEMO_END, created_database
from tests.database.logins import as_role, login

ALERTS = yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
# What `avatarlab job metrics` tells, with the labels of each.
EXPORTED: Mapping[str, frozenset[str]] = {
    "avatarlab_job_last_success_timestamp_seconds": frozenset({"job"}),
    "avatarlab_job_last_run_timestamp_seconds": frozenset({"job"}),
    "avatarlab_job_last_run_succeeded": frozenset({"job"}),
    "avatarlab_job_last_run_duration_seconds": frozenset({"job"}),
    "avatarlab_job_last_run_rows_read": frozenset({"job"}),
    "avatarlab_job_last_run_rows_written": frozenset({"job"}),
    "avatarlab_job_runs_failed": frozenset({"job"}),
    "avatarlab_open_months": frozenset(),
    "avatarlab_dirty_keys": frozenset(),
    "avatarlab_dirty_oldest_timestamp_seconds": frozenset(),
    "avatarlab_verify_mismatches": frozenset(),
    "avatarlab_info": frozenset({"version", "schema"}),
}
# Later in its day than the end is in its own: the last day must not get lost.
BEGIN = DEMO_END - timedelta(days=75) + timedelta(hours=6, milliseconds=250)
Day = Mapping[str, Any]
Rows = list[tuple[object, ...]]


def at(day: Day) -> datetime:
    return datetime.combine(day["stat_date"], datetime.min.time(), UTC)


def columns(*names: str) -> Callable[[list[Day]], Rows]:
    """Return what a panel of these columns shows; one with a minus is shown below 0."""

    def rows(days: list[Day]) -> Rows:
        return [(at(day), *(_signed(day, name) for name in names)) for day in days]

    return rows


def _signed(day: Day, name: str) -> object:
    value = day[name.removeprefix("-")]
    return -value if name.startswith("-") and value is not None else value


def parts(column: str) -> Callable[[list[Day]], Rows]:
    """Return what a panel shows that divides a column of objects: a row for each of its keys."""

    def rows(days: list[Day]) -> Rows:
        return [
            (at(day), key, None if value is None else Decimal(str(value)))
            for day in days
            for key, value in sorted((day[column] or {}).items())
        ]

    return rows


def to_look_at(days: list[Day]) -> Rows:
    """Return the days of the range without statistics, or whose figures are no observations; the latest first."""
    known = {day["stat_date"]: day for day in days}
    found: Rows = []
    for number in range((DEMO_END.date() - BEGIN.date()).days + 1):
        when = DEMO_END.date() - timedelta(days=number)
        day = known.get(when)
        if day is None:
            found.append((when, "missing"))
        elif day["is_reconstructed"]:
            found.append((when, "subscriptions reconstructed"))
        elif day["is_storage_interpolated"]:
            found.append((when, "storage interpolated"))
    return found


# Counted a second time, from whole rows.
SHOWN: Mapping[str, Callable[[list[Day]], Rows]] = {
    "Users": columns("total_users"),
    "Active in 30 days": columns("active_users"),
    "Paying users": columns("paying_users"),
    "MRR": columns("mrr"),
    "Spend of a day": columns("estimated_cost_today"),
    "Stored": columns("storage_bytes"),
    "Active users": columns("daily_active_users", "weekly_active_users", "active_users"),
    "Users by tier": parts("users_by_tier"),
    "New and deleted users": columns("new_users", "-deleted_users", "logins_today"),
    "What was done": columns(
        *("conversations_today", "chat_messages_today", "images_generated_today", "videos_generated_today"),
        *("tts_generations_today", "api_requests_today", "rag_searches_today", "memories_added_today"),
    ),
    "Recurring revenue": columns("mrr"),
    "What moved it": columns(
        "mrr_new", "mrr_reactivation", "mrr_expansion", "-mrr_contraction", "-mrr_churn"
    ),
    "Subscribers": columns("paying_users", "trialing_users", "paused_users"),
    "Spend by kind": parts("cost_by_kind"),
    "Sales of a day": columns("revenue_today"),
    "Churn of subscribers": columns("subscriber_churn_30d"),
    "Stored by kind": parts("storage_by_kind"),
    "Days to look at": to_look_at,
}
QUERIES = {title: (panel, statement) for title, panel, statement in panels(POSTGRES)}


@pytest.fixture(scope="module")
def watched(server_conninfo: str, demo: str) -> Iterator[str]:
    """The demo's statistics, with two days lost, and a day on which something is not known."""
    with created_database(server_conninfo, demo.rpartition("dbname=")[2]) as conninfo:
        with psycopg.connect(conninfo) as connection:
            lost = [DEMO_END.date() - timedelta(days=days) for days in (20, 33)]
            connection.execute("DELETE FROM platform_statistics WHERE stat_date = ANY (%s)", [lost])
            connection.execute(
                "UPDATE platform_statistics SET estimated_cost_today = NULL, cost_by_kind = NULL,"
                " storage_by_kind = '{\"media\": null}' WHERE stat_date = %s",
                [DEMO_END.date() - timedelta(days=9)],
            )
        yield conninfo


@pytest.fixture(scope="module")
def reader(watched: str) -> Iterator[str]:
    """What docs/monitoring.md gives Grafana: a login that reads this one table."""
    page = (MONITORING.parents[1] / "docs" / "monitoring.md").read_text("utf-8")
    (block,) = re.findall(r"```sql\n(CREATE ROLE grafana.*?)```", page, re.DOTALL)
    grants = [line.replace("grafana;", "{role};") for line in block.strip().splitlines()[1:]]
    with login(watched, *grants, options="BYPASSRLS") as role:
        yield as_role(watched, role)


@pytest.fixture(scope="module")
def days(watched: str) -> list[Day]:
    """Every stored row of the range, whole."""
    with psycopg.connect(watched, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM platform_statistics ORDER BY stat_date").fetchall()
    return [row for row in rows if BEGIN.date() <= row["stat_date"] <= DEMO_END.date()]


def asked(conninfo: str, statement: str, zone: str = "UTC") -> tuple[list[str], Rows]:
    with psycopg.connect(conninfo, options=f"-c timezone={zone}") as connection:
        cursor = connection.execute(written_out(statement, BEGIN, DEMO_END).encode())
        assert cursor.description is not None
        return [column.name for column in cursor.description], [tuple(row) for row in cursor]


def test_every_query_is_counted_a_second_time() -> None:
    """No panel is left out here."""
    assert SHOWN.keys() == QUERIES.keys()


@pytest.mark.parametrize("title", SHOWN)
def test_a_panel_shows_what_is_stored(reader: str, days: list[Day], title: str) -> None:
    """Each query, as Grafana's login sends it, gives the stored figures, in any time zone, and unknown ones as NULL."""
    panel, statement = QUERIES[title]
    names, rows = asked(reader, statement)
    assert rows == SHOWN[title](days)
    assert len(rows) > 2
    assert asked(reader, statement, "Pacific/Auckland")[1] == rows
    if panel["type"] == "table":
        assert names == ["day", "state"]
    else:
        assert names[0] == "time"
        assert len(set(names)) == len(names) == len(rows[0])
        # A column of texts names the series of a value.
        assert ("metric" in names) is (names[1:] == ["metric", "value"])


def test_the_states_all_occur(days: list[Day]) -> None:
    """What these tests compare has days of every kind, and values that are not known."""
    assert {state for _, state in to_look_at(days)} >= {"missing", "subscriptions reconstructed"}
    assert any(day["estimated_cost_today"] is None for day in days)
    assert len({key for day in days for key in day["users_by_tier"]}) > 1


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bavatarlab[_:]\w+", expression))


def test_only_what_is_exported_is_asked_for() -> None:
    """Alerts and panels name metrics there are, or what a rule before them records; and all metrics are used."""
    recorded: set[str] = set()
    used: set[str] = set()
    for rule in RULES:
        used |= names_in(rule["expr"])
        assert names_in(rule["expr"]) <= EXPORTED.keys() | recorded, rule
        recorded |= {rule["record"]} if "record" in rule else set()
    for _, _, expression in panels(PROMETHEUS):
        used |= names_in(expression)
        # The dashboard works without the rules.
        assert names_in(expression) <= EXPORTED.keys()
    assert used - recorded == EXPORTED.keys()
    assert set(textfile.NAMES) == EXPORTED.keys()


def test_a_job_is_late_by_its_own_schedule() -> None:
    """Those that one rule expects every hour, and another leaves out, are those that run every hour."""
    hourly = {name for name, job in BY_NAME.items() if job.schedule.hour is None}
    late = [rule["expr"] for rule in RULES if rule.get("alert", "").endswith("lyJobLate")]
    named = [re.findall(r'job(.)~"([^"]*)"', expression) for expression in late]
    assert [(how, set(names.split("|"))) for ((how, names),) in named] == [("=", hourly), ("!", hourly)]


def test_the_page_lists_the_metrics() -> None:
    """docs/monitoring.md has each metric with its labels."""
    page = (MONITORING.parents[1] / "docs" / "monitoring.md").read_text("utf-8")
    listed = re.findall(r"^\| `(avatarlab_\w+)(?:\{(.*?)\})?` \|", page, re.MULTILINE)
    found = {name: frozenset(filter(None, labels.split(","))) for name, labels in listed}
    assert found == EXPORTED


@pytest.mark.parametrize("rule", [rule for rule in RULES if "alert" in rule], ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: Mapping[str, Any]) -> None:
    """Each has a summary, a description, a severity, and a command there is, with options it has."""
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    words = rule["annotations"]["runbook"].split()
    verbs = {("avatarlab", *verb): command for verb, command in commands()}
    verb = next(found for length in (4, 3, 2) if (found := tuple(words[:length])) in verbs)
    known = {name for parameter in verbs[verb].params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_panels_have_their_places() -> None:
    """No two panels overlap, each has an id of its own, a description, and a datasource that the reader chooses."""
    variables = {f"${{{each['name']}}}": each["query"] for each in DASHBOARD["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert variables[panel["datasource"]["uid"]] == panel["datasource"]["type"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
