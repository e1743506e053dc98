"""`tier enforce`: who is over a limit by figures of now is suspended, and nobody else."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.acting import ROOT, act, entries, user_id
from tests.cli.invoking import Outcome, process
from tests.database.contents import contents

ANN, BEN = "ann@example.com", "ben@example.com"
THIS_MONTH = "date_trunc('month', now())::date"


def execute(conninfo: str, statement: str, *values: object) -> list[Any]:
    with psycopg.connect(conninfo) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def limit(conninfo: str, **limits: int) -> None:
    """Let the tier everybody here has limit these metrics."""
    execute(conninfo, "UPDATE subscription_tiers SET limits = %s WHERE name = 'free'", json.dumps(limits))


def label(conninfo: str, email: str) -> str:
    ((found,),) = execute(conninfo, "SELECT account_status FROM profiles WHERE id = %s", user_id(email))
    return str(found)


def stored(conninfo: str, email: str) -> Any:  # noqa: ANN401 (whatever is stored)
    """Return the stored images of this month, None without a row."""
    statement = (
        f"SELECT images_generated FROM monthly_usage WHERE usage_month = {THIS_MONTH} AND user_id = %s"
    )
    return next((count for (count,) in execute(conninfo, statement, user_id(email))), None)


def store(conninfo: str, email: str, images: int) -> None:
    """Put an old figure in the place of this month's."""
    execute(
        conninfo,
        "INSERT INTO monthly_usage (user_id, usage_month, images_generated, is_over_limit, computed_at)"
        f" VALUES (%s, {THIS_MONTH}, %s, true, now() - interval '1 hour')"
        " ON CONFLICT (user_id, usage_month) DO UPDATE SET images_generated = excluded.images_generated",
        user_id(email),
        images,
    )


def enforce(conninfo: str, *arguments: str) -> Outcome:
    return act(conninfo, "tier", "enforce", *arguments)


def results(done: Outcome) -> dict[str, tuple[str, str]]:
    assert done.code == 0, done.err
    return {row["user"]: (row["result"], row["detail"]) for row in json.loads(done.out)}


def test_old_figures_restrict_nobody(conninfo: str) -> None:
    """Stored figures say over, the rows say within: nobody is suspended, and the figures are set right."""
    limit(conninfo, images_generated=1)
    store(conninfo, ANN, 50)
    last = len(entries(conninfo))
    assert results(enforce(conninfo, ANN, "--json")) == {ANN: ("unchanged", "is within the limits")}
    assert (label(conninfo, ANN), stored(conninfo, ANN), len(entries(conninfo))) == ("active", 1, last)


def test_who_is_over_is_suspended(conninfo: str) -> None:
    """Stored figures say nothing, the rows say over: the label is set, and the entry holds what was seen."""
    limit(conninfo, images_generated=0, tts_characters=7)
    store(conninfo, ANN, 0)
    done = enforce(conninfo, ANN, "--json", "--reason", "fair use")
    (row,) = json.loads(done.out)
    seen = {"value": 1, "limit": 0}
    assert (row["result"], row["exceeded"]) == ("changed", {"images_generated": seen})
    assert (label(conninfo, ANN), stored(conninfo, ANN)) == ("suspended", 1)
    entry = entries(conninfo)[-1]
    assert (entry["action"], entry["justification"]) == ("tier.enforce", "fair use")
    assert entry["changes"]["figures"]["tts_characters"] == {"value": 0, "limit": 7}
    assert entry["changes"]["exceeded"] == {"images_generated": seen}
    assert results(enforce(conninfo, ANN, "--json")) == {ANN: ("unchanged", "is suspended already")}
    assert act(conninfo, "audit", "undo", str(entry["seq"]), "--yes").code == 0
    assert (label(conninfo, ANN), stored(conninfo, ANN)) == ("active", 1)


def test_a_plan_is_of_what_is_over_then(conninfo: str, tmp_path: Any) -> None:  # noqa: ANN401 (a path)
    """Who is no longer over when a plan is carried out is left alone."""
    limit(conninfo, images_generated=0)
    plan = str(tmp_path / "over.plan")
    assert enforce(conninfo, ANN, BEN, "--plan", plan).code == 0
    execute(conninfo, "DELETE FROM generated_images WHERE user_id = %s", user_id(ANN))
    done = act(conninfo, "apply", plan, "--yes", "--json")
    assert done.code == ExitCode.REFUSED
    assert (label(conninfo, ANN), label(conninfo, BEN)) == ("active", "suspended")


def test_everyone_is_whom_the_check_lists(conninfo: str) -> None:
    """All who are over by what is stored are looked at; who only was is left alone, and where nobody is, that is said."""
    nobody = enforce(conninfo, "--everyone", "--json")
    assert (nobody.code, nobody.out) == (0, "[]\n")
    assert "nobody is over a limit" in nobody.err
    limit(conninfo, images_generated=0)
    assert act(conninfo, "job", "run", "monthly-usage").code == 0
    store(conninfo, "idle1@example.com", 3)
    done = enforce(conninfo, "--everyone", "--yes", "--json")
    assert results(done) == {
        ANN: ("changed", "suspended for being over a limit"),
        BEN: ("changed", "suspended for being over a limit"),
        "idle1@example.com": ("unchanged", "is within the limits"),
    }


def test_what_is_not_known_restricts_nobody(conninfo: str) -> None:
    """A limit on what cannot be counted here is named; without any limit that is said."""
    limit(conninfo, images_generated=0, storage_bytes=5)
    execute(conninfo, "DROP TABLE generated_images CASCADE")
    within = "is within the limits that can be judged; not known: images_generated"
    assert results(enforce(conninfo, ANN, "--json")) == {ANN: ("unchanged", within)}
    execute(conninfo, "UPDATE subscription_tiers SET limits = '{}', max_avatars = -1 WHERE name = 'free'")
    assert results(enforce(conninfo, ANN, "--json")) == {ANN: ("unchanged", "has no limit")}


@pytest.mark.parametrize("arguments", [(), (ANN, "--everyone")], ids=["nobody", "both"])
def test_users_are_named_in_one_way(conninfo: str, arguments: tuple[str, ...]) -> None:
    """Neither nobody nor everybody and somebody: exit code 2, and nothing is done."""
    before = contents(conninfo)
    done = enforce(conninfo, *arguments)
    assert (done.code, contents(conninfo)) == (ExitCode.USAGE, before)


def test_while_a_job_computes_nothing_is_done(conninfo: str) -> None:
    """Who has the jobs' lock comes first; the command says so with exit code 75."""
    limit(conninfo, images_generated=0)
    before = contents(conninfo)
    with psycopg.connect(conninfo) as job:
        job.execute("SELECT pg_advisory_xact_lock(hashtextextended('avatarlab:rollup', 0))")
        done = enforce(conninfo, ANN)
    assert (done.code, contents(conninfo)) == (ExitCode.BUSY, before)
    assert "a job is computing usage" in done.err


def test_among_running_jobs(conninfo: str) -> None:
    """Jobs and enforcing at once: each ends well or gives way, none in a deadlock, and the figures are the job's."""
    limit(conninfo, images_generated=0)
    commands = [
        ("job", "run", "monthly-usage"),
        ("tier", "enforce", ANN, BEN, "--yes"),
        ("job", "run", "check-limits"),
        ("tier", "enforce", BEN, ANN, "--yes"),
    ]

    def repeat(arguments: tuple[str, ...]) -> set[int]:
        return {process(conninfo, *arguments, env={"AVATARLAB_ADMIN": ROOT}).code for _ in range(2)}

    with ThreadPoolExecutor(len(commands)) as pool:
        codes = set().union(*pool.map(repeat, commands))
    assert codes <= {0, int(ExitCode.BUSY)}
    assert results(enforce(conninfo, ANN, BEN, "--yes", "--json")).keys() == {ANN, BEN}
    assert (label(conninfo, ANN), label(conninfo, BEN)) == ("suspended", "suspended")
    before = figures(conninfo)
    assert act(conninfo, "job", "run", "monthly-usage").code == 0
    assert figures(conninfo) == before


def figures(conninfo: str) -> list[Any]:
    """Return the two users' rows of days and months, and which transaction wrote each."""
    parts = (
        f"SELECT to_jsonb(t), t.xmin::text FROM {table} t WHERE user_id = ANY (%s)"
        for table in ("monthly_usage", "avatarlab_admin.usage_daily")
    )
    users = [user_id(ANN), user_id(BEN)]
    found = execute(conninfo, " UNION ALL ".join(parts), users, users)
    assert len(found) == 4
    return sorted(found, key=str)
