"""The first page of `user list`, against the same page written by hand and run by psql.

Run as `python -m benchmarks.user_list [--users N] [--rounds N]`. By hand, the page is found first and only its rows
are completed: what somebody writes who knows PostgreSQL. Both give the same rows, which is checked. Compared are the
statements, and the whole commands, the tool's in a process that has imported it, without what each costs on an empty
platform: connecting, and asking what is there.
"""

import argparse
import functools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from typer.testing import CliRunner, Result

from avatarlab_cli.context import Context
from avatarlab_cli.embedded import EmbeddedServer
from avatarlab_cli.main import app
from benchmarks import measure

TOOL, HAND = "avatarlab", "by hand"
_START = " on an empty platform"
FIELDS = "email,name,status,tier,created_at,last_active,avatars,storage_bytes"
ROWS = 50
MONTH = measure.TODAY.replace(day=1)
MOST_TIMES_BY_HAND = 2.0

_STATUS = """CASE WHEN u.deleted_at IS NOT NULL OR p.account_status = 'deleted' THEN 'deleted'
                  WHEN u.banned_until > now() OR p.account_status = 'banned' THEN 'banned'
                  WHEN p.account_status = 'suspended' THEN 'suspended' ELSE 'active' END"""
_LIVE = """s.started_at < now() AND (s.expires_at IS NULL OR s.expires_at >= now())
           AND (s.status = 'active' OR s.status = 'cancelled' AND s.expires_at IS NOT NULL
                OR s.status = 'trial' AND (s.trial_ends_at IS NULL OR s.trial_ends_at >= now()))"""
_TIER = "coalesce(live.name, own.name, 'free')"
_TIERS = f"""
    LEFT JOIN (SELECT DISTINCT ON (user_id) user_id, t.name FROM user_subscriptions s
               JOIN subscription_tiers t ON t.id = s.tier_id WHERE {_LIVE}
               ORDER BY user_id, s.started_at DESC, s.created_at DESC, s.id DESC) AS live ON live.user_id = u.id
    LEFT JOIN profiles p ON p.id = u.id
    LEFT JOIN subscription_tiers own ON own.id = p.subscription_tier_id"""
_USAGE = f"LEFT JOIN monthly_usage m ON m.user_id = u.id AND m.usage_month = '{MONTH}'"
_PAGE = f"""
WITH page AS (
    SELECT u.*, row_number() OVER (ORDER BY {{order}}, u.id) AS place
    FROM auth.users u {{joins}}
    WHERE {{where}}
    ORDER BY {{order}}, u.id LIMIT {ROWS}
)
SELECT u.email, p.name, {_STATUS}, {_TIER}, u.created_at, last.day, made.avatars,
       m.storage_bytes
FROM page u
LEFT JOIN profiles p ON p.id = u.id
LEFT JOIN subscription_tiers own ON own.id = p.subscription_tier_id
LEFT JOIN LATERAL (
    SELECT t.name FROM user_subscriptions s JOIN subscription_tiers t ON t.id = s.tier_id
    WHERE s.user_id = u.id AND {_LIVE} ORDER BY s.started_at DESC, s.created_at DESC, s.id DESC LIMIT 1
) AS live ON true
LEFT JOIN LATERAL (
    SELECT max(day) AS day FROM avatarlab_admin.usage_daily d WHERE d.user_id = u.id AND d.is_active
) AS last ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS avatars FROM avatars a WHERE a.user_id = u.id AND a.status IS DISTINCT FROM 'deleted'
) AS made ON true
{_USAGE}
ORDER BY place"""


@dataclass(frozen=True)
class Case:
    """One question: the command's options, and the page by hand."""

    options: tuple[str, ...]
    order: str
    where: str = "true"
    joins: str = ""

    @property
    def name(self) -> str:
        """The options, as they are given."""
        return " ".join(self.options)

    @property
    def by_hand(self) -> str:
        """The statement an admin would write."""
        return _PAGE.format(order=self.order, where=self.where, joins=self.joins)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The tool's command line; one row less than by hand, as it reads one more to know whether there is one."""
        shown = ("--month", f"{MONTH:%Y-%m}", "--limit", str(ROWS - 1), "--csv", "--fields", FIELDS)
        return ("-q", "user", "list", *self.options, *shown)


_IS_ACTIVE = "EXISTS (SELECT FROM avatarlab_admin.usage_daily d WHERE d.user_id = u.id AND d.is_active AND d.day >= '{}')"
CASES = (
    Case(("--sort", "-created_at"), "u.created_at DESC"),
    Case(("--sort", "-storage_bytes"), "m.storage_bytes DESC NULLS LAST", joins=_USAGE),
    Case(
        ("--sort", "-conversations_count", "--over-limit", "--storage-above", "5GB"),
        "m.conversations_count DESC NULLS LAST",
        "m.is_over_limit AND m.storage_bytes > 5000000000",
        _USAGE,
    ),
    Case(
        ("--sort", "-last_active"),
        "last_day.day DESC NULLS LAST",
        joins="""LEFT JOIN (SELECT user_id, max(day) AS day FROM avatarlab_admin.usage_daily WHERE is_active
                            GROUP BY user_id) AS last_day ON last_day.user_id = u.id""",
    ),
    Case(("--sort", "-created_at", "--tier", "pro"), "u.created_at DESC", f"{_TIER} = 'pro'", _TIERS),
    Case(("--sort", "tier,email"), f"{_TIER}, u.email", joins=_TIERS),
    Case(
        ("--sort", "name", "--status", "banned", "--search", "SON 1"),
        "p.name",
        f"{_STATUS} = 'banned' AND (u.email ILIKE '%son 1%' OR p.name ILIKE '%son 1%')",
        "LEFT JOIN profiles p ON p.id = u.id",
    ),
    Case(
        ("--sort", "-avatars", "--no-subscription", "--active-since", "2026-06-24"),
        "coalesce(n.avatars, 0) DESC",
        f"NOT EXISTS (SELECT FROM user_subscriptions s WHERE s.user_id = u.id AND {_LIVE})"
        f" AND {_IS_ACTIVE.format('2026-06-24')}",
        """LEFT JOIN (SELECT user_id, count(*) AS avatars FROM avatars WHERE status IS DISTINCT FROM 'deleted'
                      GROUP BY user_id) AS n ON n.user_id = u.id""",
    ),
)


def main() -> None:
    """Measure, print, and exit with 1 where the promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    ratios = []
    with measure.server() as server:
        full, empty = fill(server, "many", given.users), fill(server, "none", 0)
        for case in CASES:
            print(f"\nuser list {case.name}")
            ratios.append(
                (
                    compare_statements(case, full, given.rounds),
                    compare_commands(case, full, empty, given.rounds),
                )
            )
    statements, commands = zip(*ratios, strict=True)
    measure.conclude(
        measure.Promise("worst statement / by hand", max(statements), MOST_TIMES_BY_HAND),
        measure.Promise(
            "worst command without its start / psql without its", max(commands), MOST_TIMES_BY_HAND
        ),
    )


def fill(server: EmbeddedServer, name: str, users: int) -> str:
    """Create a platform with so many users and return its connection string."""
    conninfo = measure.create_platform(server, name)
    script = str(Path(__file__).with_suffix(".sql"))
    measure.run(measure.psql(conninfo, "-f", script, users=users, today=measure.TODAY))
    return conninfo


def compare_statements(case: Case, conninfo: str, rounds: int) -> float:
    """Print the times of both statements on one connection, and return their ratio; exits where they disagree."""
    by_tool = run_tool(conninfo, *case.arguments, "--show-sql").stderr.strip().removesuffix(";")
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET timezone = 'UTC'")
        rows = [connection.execute(text.encode()).fetchall() for text in (by_tool, case.by_hand)]
        emails = [[row[0] for row in found] for found in rows]
        if emails[0] != emails[1] or not emails[0]:
            sys.exit(f"{case.name}: the two pages differ, so their times cannot be compared")
        times = measure.take_turns(
            {
                f"statement {TOOL}": lambda: connection.execute(by_tool.encode()).fetchall(),
                f"statement {HAND}": lambda: connection.execute(case.by_hand.encode()).fetchall(),
            },
            rounds,
        )
    measure.show(times, f"statement {HAND}")
    return times[f"statement {TOOL}"].best / times[f"statement {HAND}"].best


def compare_commands(case: Case, full: str, empty: str, rounds: int) -> float:
    """Print the times of both commands and of their starts, and return the ratio of what is left without these."""
    contenders: dict[str, functools.partial[Any]] = {}
    for suffix, conninfo in (("", full), (_START, empty)):
        psql = measure.psql(conninfo, "-c", case.by_hand)
        contenders[TOOL + suffix] = functools.partial(run_tool, conninfo, *case.arguments)
        contenders["psql" + suffix] = functools.partial(measure.run, psql)
    times = measure.take_turns(contenders, rounds)
    measure.show(times, "psql")
    left = {name: times[name].best - times[name + _START].best for name in (TOOL, "psql")}
    print(
        f"without the start: {left[TOOL]:.3f}s and {left['psql']:.3f}s, ratio {left[TOOL] / left['psql']:.2f}"
    )
    return left[TOOL] / left["psql"]


def run_tool(conninfo: str, *arguments: str) -> Result:
    """Run a command of the tool in this process; exits where it fails."""
    context = Context({"AVATARLAB_DATABASE_URL": conninfo})
    done = CliRunner().invoke(app, list(arguments), obj=context, prog_name="avatarlab")
    if done.exit_code:
        sys.exit(f"avatarlab {' '.join(arguments)}: {done.stderr}")
    return done


if __name__ == "__main__":
    main()
