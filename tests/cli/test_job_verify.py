"""`job verify`, `job gaps` and `job backfill` as their users meet them."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from avatarlab_cli.queries import verification
from tests.cli.invoking import invoke
from tests.conftest import created_database


@pytest.fixture
def own(computed: str) -> Iterator[str]:
    """A copy of the computed demo to make something wrong of."""
    server, _, name = computed.rpartition(" dbname=")
    with created_database(server, name) as conninfo:
        yield conninfo


def test_a_difference_is_listed_and_repaired(own: str) -> None:
    """Exit code 3 and the figure with both values; 0 after the repair, which says so, and after that."""
    with psycopg.connect(own) as connection:
        connection.execute(
            "UPDATE avatarlab_admin.usage_daily SET conversations_count = conversations_count + 1"
            " WHERE (day, user_id) = (SELECT day, user_id FROM avatarlab_admin.usage_daily"
            " WHERE day >= '2025-05-01' AND day < '2025-06-01' AND conversations_count > 0 LIMIT 1)"
        )
    found = invoke(own, "job", "verify", "--month", "2025-05", "--json")
    assert found.code == ExitCode.FOUND, found.err
    (row,) = json.loads(found.out)
    assert (row["stored_in"], row["metric"]) == ("usage_daily", "conversations_count")
    assert invoke(own, "-q", "job", "run", "verify", "--month", "2025-05").code == ExitCode.FOUND
    assert "avatarlab_verify_mismatches 1.0" in invoke(own, "job", "metrics").out
    assert float(row["stored"]) == float(row["actual"]) + 1
    repaired = invoke(own, "job", "verify", "--month", "2025-05", "--repair")
    assert repaired.code == 0, repaired.err
    assert "repaired" in repaired.err
    # Monitoring need not wait for the month's next turn to know.
    assert "avatarlab_verify_mismatches 0.0" in invoke(own, "job", "metrics").out
    clean = invoke(own, "job", "verify", "--month", "2025-05", "--json")
    assert (clean.code, json.loads(clean.out)) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "--metric", "nope"), "'nope' is not a figure"),
        (("verify", "--month", "2999-01"), "lies in the future"),
        (
            ("verify", "--month", "2025-05", "--from", "2025-05-01"),
            "--month and --from/--to exclude each other",
        ),
        (("backfill", "--from", "2025-05-02", "--to", "2025-05-01"), "lies before"),
        (("backfill", "--from", "2025-05-01"), "--to"),
        (("backfill", "--from", "2025-05-01", "--to", "2025-06-01", "--pause", "nan"), "no time to rest"),
        (("backfill", "--from", "2025-05-01", "--to", "2025-06-01", "--pause", "inf"), "no time to rest"),
        (("backfill", "--from", "2025-05-01", "--to", "2999-01-31"), "2999-01-01 lies in the future"),
    ],
)
def test_what_cannot_be_meant(computed: str, arguments: tuple[str, ...], message: str) -> None:
    """A wrong figure, a month to come, days named twice or the wrong way round: exit code 2, and nothing is done."""
    found = invoke(computed, "job", *arguments)
    assert (found.code, found.out) == (ExitCode.USAGE, "")
    assert message in found.err


def test_backfill_shows_each_month(own: str) -> None:
    """Months come one by one, each with what it wrote."""
    done = invoke(
        own, "job", "backfill", "--from", "2025-04-20", "--to", "2025-05-02", "--pause", "0", "--json"
    )
    assert done.code == 0, done.err
    assert [row["month"] for row in json.loads(done.out)] == ["2025-04", "2025-05"]


def test_gaps_name_what_fills_them(own: str) -> None:
    """A day that was never computed is a finding with its command."""
    with psycopg.connect(own) as connection:
        connection.execute("DELETE FROM platform_statistics WHERE stat_date = '2025-05-03'")
    found = invoke(own, "job", "gaps", "--json")
    assert found.code == ExitCode.FOUND, found.err
    more = {row["first"]: row["more"] for row in json.loads(found.out) if row["what"] == "statistics"}
    assert more["2025-05-03"] == "avatarlab job backfill --from 2025-05-03 --to 2025-05-03"


def test_an_interrupted_backfill_names_what_goes_on(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command it names begins with the month after the last one done, and does the rest."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jobs.backfill.time.sleep", interrupted)
        stopped = invoke(own, "job", "backfill", "--from", "2025-03-20", "--to", "2025-05-02", "--pause", "0")
    assert stopped.code == ExitCode.INTERRUPTED
    (command,) = re.findall("avatarlab (job backfill .*)", stopped.err)
    assert command == "job backfill --from 2025-04-01 --to 2025-05-02 --pause 0"
    done = invoke(own, *command.split(), "--json")
    assert done.code == 0, done.err
    assert [row["month"] for row in json.loads(done.out)] == ["2025-04", "2025-05"]


def test_the_running_month_is_the_databases(computed: str) -> None:
    """A clock that is wrong here does not choose what is verified: a run is on the database's day."""
    found = invoke(computed, "job", "verify", now=datetime(2999, 1, 1, tzinfo=UTC))
    assert found.code in (ExitCode.OK, ExitCode.FOUND), found.err


def test_a_repair_that_did_not_help_says_so(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at again after the repair: what still differs is counted, and the exit code stays 3."""
    with psycopg.connect(own) as connection:
        connection.execute(
            "UPDATE monthly_usage SET conversations_count = 77 WHERE usage_month = '2025-05-01'"
        )
    monkeypatch.setattr(verification, "repairs", lambda *_: [])
    found = invoke(own, "job", "verify", "--month", "2025-05", "--repair")
    assert found.code == ExitCode.FOUND
    assert re.search(r"\d+ figures differ after the repair", found.err)
