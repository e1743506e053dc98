"""Who may run which command: every command against every role, and against nobody."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from avatarlab_cli.actions.subscription import Set
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.permissions import ROLES, column_of
from tests.cli.acting import ROOT, act, arranged, carry_out, entries, image_id, key_id, user_id, write_admin
from tests.cli.tree import commands
from tests.database.logins import as_role, login

SUPER, ADMIN, MODERATOR, SUPPORT, ANALYST = "super_admin", "admin", "moderator", "support", "analyst"
EVERYBODY = frozenset({SUPER, ADMIN, MODERATOR, SUPPORT, ANALYST})
CARERS = EVERYBODY - {ANALYST}
COUNTERS = frozenset({SUPER, ADMIN, ANALYST})
MODERATORS = frozenset({SUPER, ADMIN, MODERATOR})
MANAGERS = frozenset({SUPER, ADMIN})
CHIEF = frozenset({SUPER})

ANN, KEY, REQUEST = "ann@example.com", str(key_id("ann@example.com")), str(user_id("asking1@example.com"))
AVATAR, IMAGE = str(user_id(ANN)), str(image_id(ANN))
REASON, DRY = ("--reason", "it must be"), "--dry-run"


@dataclass(frozen=True)
class Rule:
    """Who may run a command that is given so, whether also whoever names no admin, and how it ends for those."""

    arguments: tuple[str, ...]
    roles: frozenset[str]
    anonymous: bool = False
    code: int = 0


def _report(roles: frozenset[str], *arguments: str, code: int = 0) -> Rule:
    """Return the rule for a report: without an admin's name, the database login's own rights decide."""
    return Rule(arguments, roles, anonymous=True, code=code)


def _act(roles: frozenset[str], *arguments: str) -> Rule:
    return Rule((*arguments, DRY), roles)


def _free(*arguments: str, code: int = 0) -> Rule:
    """Return the rule for what the database login's own rights alone decide."""
    return Rule(arguments, EVERYBODY, anonymous=True, code=code)


RULES = {
    "user list": _report(EVERYBODY),
    "user show": _report(EVERYBODY, ANN),
    "user activity": _report(EVERYBODY, ANN),
    "user sessions": _report(EVERYBODY, ANN),
    "user duplicates": _report(EVERYBODY),
    "user inactive": _report(EVERYBODY),
    "user suspend": _act(CARERS, ANN),
    "user activate": _act(CARERS, "suspended1@example.com"),
    "user ban": _act(CARERS, ANN, *REASON),
    "user unban": _act(CARERS, "banned1@example.com"),
    "user delete": _act(MANAGERS, ANN, *REASON),
    "user export": Rule((ANN, "--out", "{directory}/{actor}.tar.gz", *REASON), MANAGERS),
    "tier list": _report(EVERYBODY),
    "tier show": _report(EVERYBODY, "pro"),
    "tier distribution": _report(COUNTERS),
    "tier diff": _report(EVERYBODY, "-f", "{directory}/tiers.yaml", code=ExitCode.FOUND),
    "tier what-if": _report(COUNTERS, "-f", "{directory}/tiers.yaml"),
    "tier create": _act(MANAGERS, "team"),
    "tier update": _act(MANAGERS, "pro", "--trial-days", "21"),
    "tier archive": _act(CHIEF, "enterprise"),
    "tier apply": _act(MANAGERS, "-f", "{directory}/tiers.yaml"),
    "tier limits": _report(EVERYBODY, ANN),
    "tier check": _report(EVERYBODY, code=ExitCode.FOUND),
    "tier findings": _report(EVERYBODY, code=ExitCode.FOUND),
    "tier set": _act(MANAGERS, ANN, "pro"),
    "tier cancel": _act(MANAGERS, "paying1@example.com"),
    "tier override": _act(MANAGERS, "paying1@example.com", "max_avatars", "9", "--until", "never", *REASON),
    "tier repair": _act(MANAGERS, ANN),
    "tier enforce": _act(CARERS, ANN),
    "tier trial start": _act(MANAGERS, ANN, "pro"),
    "tier trial extend": _act(MANAGERS, "trying1@example.com", "--days", "3"),
    "tier requests list": _report(EVERYBODY),
    "tier requests approve": _act(MANAGERS, REQUEST),
    "tier requests reject": _act(MANAGERS, REQUEST),
    "key list": _report(EVERYBODY),
    "key show": _report(EVERYBODY, KEY),
    "key usage": _report(EVERYBODY, KEY),
    "key audit": _report(EVERYBODY, code=ExitCode.FOUND),
    "key find": _report(EVERYBODY, "--stdin", code=ExitCode.NOT_FOUND),
    "key create": _act(MANAGERS, ANN, "--name", "n8n"),
    "key revoke": _act(CARERS, KEY, *REASON),
    "key rotate": _act(MANAGERS, KEY),
    "key expire": _act(CARERS, KEY),
    "key provider list": _report(EVERYBODY),
    "key provider audit": _report(EVERYBODY),
    "admin list": _report(COUNTERS),
    "admin whoami": Rule((), EVERYBODY),
    "admin permissions": Rule((), COUNTERS),
    "admin bootstrap": _free(ANN, DRY, code=ExitCode.REFUSED),
    "admin add": _act(CHIEF, ANN),
    "admin role": _act(CHIEF, "support@example.com", "--role", "analyst"),
    "admin grant": _act(CHIEF, "bare1@example.com", "--permission", "users.read"),
    "admin withdraw": _act(CHIEF, "admin@example.com", "--permission", "users.read"),
    "admin map": _act(CHIEF, "support@example.com", "--login", "pg_monitor"),
    "admin deactivate": _act(CHIEF, "support@example.com"),
    "audit list": _report(COUNTERS),
    "audit show": _report(COUNTERS, "1"),
    "audit export": _report(COUNTERS),
    "audit verify": _report(COUNTERS),
    "audit undo": _act(CARERS, "1"),
    "apply": _act(CARERS, "{directory}/suspend.plan"),
    "usage show": _report(EVERYBODY, ANN),
    "usage top": _report(EVERYBODY),
    "usage month": _report(EVERYBODY),
    "usage explain": _report(EVERYBODY, ANN, "--metric", "images_generated"),
    "usage adjustments": _report(EVERYBODY),
    "usage as-known-at": _report(EVERYBODY, "2025-04-01"),
    "period list": _report(EVERYBODY),
    "period check": _report(EVERYBODY),
    "period close": Rule(("2025-03", "--recompute", DRY), MANAGERS, code=ExitCode.NOT_FOUND),
    "period reopen": Rule(("2025-02", *REASON, DRY), MANAGERS, code=ExitCode.NOT_FOUND),
    "storage summary": _report(EVERYBODY),
    "storage users": _report(EVERYBODY),
    "storage user": _report(EVERYBODY, ANN),
    "storage buckets": _report(EVERYBODY),
    "storage tables": _report(COUNTERS),
    "storage top": _report(EVERYBODY),
    "storage orphans": _report(EVERYBODY),
    "storage missing": _report(EVERYBODY),
    "storage growth": _report(EVERYBODY),
    "storage quota": _report(EVERYBODY),
    "storage duplicates": _report(EVERYBODY),
    "voice summary": _report(EVERYBODY),
    "voice clones": _report(EVERYBODY),
    "voice tts": _report(EVERYBODY),
    "voice samples": _report(EVERYBODY),
    "voice storage": _report(EVERYBODY),
    "training summary": _report(EVERYBODY),
    "training jobs": _report(EVERYBODY),
    "training errors": _report(EVERYBODY),
    "training logs": _report(EVERYBODY, str(user_id("no run")), code=ExitCode.NOT_FOUND),
    "training files": _report(EVERYBODY),
    "training stale": _report(EVERYBODY),
    "training examples": _report(EVERYBODY),
    "training prompts": _report(EVERYBODY, str(user_id("no avatar")), code=ExitCode.NOT_FOUND),
    "conversation summary": _report(EVERYBODY),
    "conversation volume": _report(EVERYBODY),
    "conversation feedback": _report(EVERYBODY),
    "conversation quality": _report(EVERYBODY),
    "conversation patterns": _report(EVERYBODY),
    "conversation search": Rule(("hello",), frozenset({SUPER, ADMIN, MODERATOR})),
    "rag summary": _report(EVERYBODY),
    "rag searches": _report(EVERYBODY),
    "rag chunks": _report(EVERYBODY),
    "rag files": _report(EVERYBODY),
    "rag slow": _report(EVERYBODY),
    "api endpoints": _report(EVERYBODY),
    "avatar summary": _report(EVERYBODY),
    "avatar list": _report(EVERYBODY),
    "avatar due": _report(EVERYBODY),
    "avatar queue": _report(EVERYBODY),
    "avatar flag": _act(MODERATORS, AVATAR, *REASON),
    "avatar unflag": _act(MODERATORS, AVATAR),
    "image summary": _report(EVERYBODY),
    "image volume": _report(EVERYBODY),
    "image videos": _report(EVERYBODY),
    "image stuck": _report(EVERYBODY),
    "image list": _report(EVERYBODY),
    "image queue": _report(EVERYBODY),
    "image flag": _act(MODERATORS, IMAGE, *REASON),
    "image unflag": _act(MODERATORS, IMAGE),
    "memory summary": _report(EVERYBODY),
    "memory list": _report(EVERYBODY),
    "marketplace summary": _report(COUNTERS),
    "marketplace list": _report(EVERYBODY),
    "marketplace purchases": _report(COUNTERS),
    "api summary": _report(EVERYBODY),
    "api keys": _report(EVERYBODY),
    "api users": _report(EVERYBODY),
    "api unusual": _report(EVERYBODY),
    "api gaps": _report(EVERYBODY),
    "overview": _report(COUNTERS),
    "system health": _report(COUNTERS, code=ExitCode.FOUND),
    "system logs": _report(COUNTERS),
    "stats show": _report(COUNTERS),
    "stats mrr": _report(COUNTERS),
    "stats churn": _report(COUNTERS),
    "stats cohorts": _report(COUNTERS),
    "stats trend": _report(COUNTERS, "--metric", "mrr"),
    "cost report": _report(COUNTERS),
    "cost explain": _report(COUNTERS, ANN),
    "cost user": _report(COUNTERS, ANN),
    "cost top": _report(COUNTERS),
    "cost unpriced": _report(COUNTERS),
    "cost forecast": _report(COUNTERS),
    "cost anomalies": _report(COUNTERS),
    "cost margin": _report(COUNTERS),
    "cost budget check": _report(COUNTERS),
    # Of an open month it is the job that is run, as whoever may write.
    "cost rates show": _report(COUNTERS, "--version", "abc", code=ExitCode.NOT_FOUND),
    "cost rates validate": _free(),
    "cost rates diff": _report(COUNTERS, code=ExitCode.NOT_FOUND),
    "cost reprice": Rule(("--month", "2025-03", DRY), CHIEF, code=ExitCode.NOT_FOUND),
    "system prune": _report(CHIEF, "api_request_logs", "--older-than", "180d", DRY),
    "job list": _free(),
    "job run": _report(CHIEF, "monthly-usage", DRY),
    "job verify": _report(CHIEF, "--month", "2025-06"),
    "job backfill": _report(CHIEF, "--from", "2025-06-01", "--to", "2025-06-15", DRY),
    "job gaps": _report(COUNTERS),
    "job history": _report(COUNTERS),
    "job status": _report(COUNTERS),
    "job metrics": _report(COUNTERS),
    "job failed": _free("avatarlab-verify.service"),
    "job show": _report(COUNTERS, str(user_id("no run")), code=ExitCode.NOT_FOUND),
    "job timers install": _free("--systemd", DRY),
    "job timers check": _free("--user", code=ExitCode.FOUND),
    "job timers remove": _free("--user", DRY),
    "db tables": _free(),
    "db status": _free(),
    "db doctor": _free(),
    "db migrate": _free(DRY),
    "db capture install": _free(DRY),
    "db capture status": _free(),
    "db capture remove": _free(DRY),
    "db start": _free(code=ExitCode.USAGE),
    "db stop": _free(code=ExitCode.USAGE),
    "db reset": _free(code=ExitCode.USAGE),
    "demo load": _free("--replace", code=ExitCode.DECLINED),
    "demo snapshots": _free(code=ExitCode.USAGE),
    "config show": _free(),
}


@pytest.fixture(scope="module")
def platform(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Admins of every role; entry 1 of the audit log is a ban."""
    with arranged(server_conninfo, migrated_panel_template) as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def directory(platform: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that commands here read."""
    found = tmp_path_factory.mktemp("roles")
    (found / "tiers.yaml").write_text("- name: pro\n  price_monthly: 34.99\n", encoding="utf-8")
    for name, command in (("suspend", ("user", "suspend", ANN)), ("set", ("tier", "set", ANN, "pro"))):
        assert act(platform, *command, "--plan", str(found / f"{name}.plan")).code == 0
    return found


def test_the_table_holds_every_command() -> None:
    """No command is left out here, and none stands here that is gone."""
    assert set(RULES) == {" ".join(words) for words, _ in commands()}


@pytest.mark.parametrize("words", RULES)
def test_every_role(platform: str, directory: Path, words: str) -> None:
    """A command ends as it should for the roles that may run it, and with exit code 4 for the others."""
    rule = RULES[words]
    found = {}
    for role in ROLES:
        found[role] = _run(platform, directory, words, rule, f"{role}@example.com")
    assert found == {role: rule.code if role in rule.roles else ExitCode.NOT_PERMITTED for role in ROLES}


@pytest.mark.parametrize("words", RULES)
def test_nobody(platform: str, directory: Path, words: str) -> None:
    """Who names no admin may look, as far as the database lets them, and change nothing."""
    rule = RULES[words]
    expected = rule.code if rule.anonymous else ExitCode.NOT_PERMITTED
    assert _run(platform, directory, words, rule, None) == expected


@pytest.mark.parametrize("stranger", ["ann@example.com", "nobody@example.com", str(user_id("nobody"))])
def test_who_is_no_admin(platform: str, stranger: str) -> None:
    """A name that is no admin's is worse than none: not even a report is shown."""
    assert act(platform, "user", "list", admin=stranger).code == ExitCode.NOT_PERMITTED
    assert act(platform, "user", "suspend", ANN, DRY, admin=stranger).code == ExitCode.NOT_PERMITTED


ASKED = {
    "users.read": "user list",
    "users.write": "user suspend",
    "users.delete": "user delete",
    "tiers.read": "tier list",
    "tiers.write": "tier set",
    "tiers.delete": "tier archive",
    "financial.read": "tier distribution",
    "avatars.read": "avatar list",
    "moderation.read": "avatar queue",
    "moderation.write": "avatar flag",
    "settings.read": "audit list",
    "settings.write": "admin add",
    "settings.delete": "admin deactivate",
}
"""A command for each permission that one asks for alone."""


@pytest.mark.parametrize("permission", ASKED)
def test_the_column_grants_what_it_names(platform: str, directory: Path, permission: str) -> None:
    """An admin who holds one permission may do what asks for it, and nothing else."""
    with psycopg.connect(platform) as connection:
        _hold(connection, "bare1@example.com", permission)
    may = {
        other
        for other, words in ASKED.items()
        if _run(platform, directory, words, RULES[words], "bare1@example.com") == 0
    }
    assert may == {permission}


@pytest.mark.parametrize(
    "permission",
    sorted(set(ASKED) - {"users.read", "users.write", "tiers.read", "avatars.read", "moderation.read"}),
)
def test_the_column_grants_nothing_beyond_the_role(platform: str, directory: Path, permission: str) -> None:
    """Whatever stands in the column, a role's limits hold."""
    with psycopg.connect(platform) as connection:
        _hold(connection, "bare2@example.com", permission, role=SUPPORT)
    words = ASKED[permission]
    found = _run(platform, directory, words, RULES[words], "bare2@example.com")
    assert found == ExitCode.NOT_PERMITTED


@pytest.mark.parametrize(
    "column", ["{}", "[]", '{"users": true}', '{"users": {"write": "true"}}', '{"users": {"write": 1}}']
)
def test_a_column_of_another_shape_grants_nothing(platform: str, column: str) -> None:
    """Only a plain true grants; a super_admin needs no column."""
    with psycopg.connect(platform) as connection:
        statement = "UPDATE admin_users SET role = 'admin', permissions = %s WHERE user_id = %s"
        connection.execute(statement, [column, user_id("bare1@example.com")])
    assert (
        act(platform, "user", "suspend", ANN, DRY, admin="bare1@example.com").code == ExitCode.NOT_PERMITTED
    )
    with psycopg.connect(platform) as connection:
        connection.execute(
            "UPDATE admin_users SET role = %s WHERE user_id = %s", [SUPER, user_id("bare1@example.com")]
        )
    assert act(platform, "user", "suspend", ANN, DRY, admin="bare1@example.com").code == 0


def test_undo_and_apply_ask_for_what_they_do(platform: str, directory: Path) -> None:
    """Taking back or carrying out another's act takes the permission for that act."""
    carry_out(platform, Set(tier="pro"), "idle1@example.com")
    number = str(entries(platform)[-1]["seq"])
    plan = str(directory / "set.plan")
    for command in (("audit", "undo", number), ("apply", plan)):
        codes = {role: act(platform, *command, DRY, admin=f"{role}@example.com").code for role in ROLES}
        assert codes == {role: 0 if role in MANAGERS else ExitCode.NOT_PERMITTED for role in ROLES}


def test_pruning_asks_for_what_archiving_does(platform: str, tmp_path: Path) -> None:
    """A file that archives a tier takes the permission for that, at once and in a plan; naming it takes less."""
    file, plan = tmp_path / "tiers.yaml", str(tmp_path / "prune.plan")
    file.write_text("- {name: pro, trial_days: 21}\n- name: free\n- name: starter\n", encoding="utf-8")
    prune = ("tier", "apply", "-f", str(file), "--prune")
    assert act(platform, *prune, "--plan", plan).code == 0
    for command, roles in ((prune, CHIEF), (("apply", plan), CHIEF), (prune[:-1], MANAGERS)):
        codes = {role: act(platform, *command, DRY, admin=f"{role}@example.com").code for role in ROLES}
        assert codes == {role: 0 if role in roles else ExitCode.NOT_PERMITTED for role in ROLES}


@pytest.mark.parametrize(
    "change",
    [
        "is_active = false",
        "locked_until = now() + interval '1 hour'",
    ],
)
def test_an_admin_who_is_out(platform: str, change: str) -> None:
    """An admin who is deactivated or locked may not even look."""
    name = "gone@example.com"
    with psycopg.connect(platform) as connection:
        connection.execute("DELETE FROM auth.users WHERE email = %s", [name])
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [user_id(name), name])
        write_admin(connection, name, SUPER)
        connection.execute(f"UPDATE admin_users SET {change} WHERE user_id = %s".encode(), [user_id(name)])
    for command in (("user", "list"), ("user", "suspend", ANN, DRY)):
        assert act(platform, *command, admin=name).code == ExitCode.NOT_PERMITTED


def test_a_login_is_its_admin(platform: str) -> None:
    """Who connects as an admin's login is that admin, whoever AVATARLAB_ADMIN names, or nobody."""
    with login(platform, options="SUPERUSER") as role:
        as_analyst = as_role(platform, role)
        _map(platform, "analyst@example.com", role)
        for named in (ROOT, "analyst@example.com", "nobody@example.com", None):
            refused = act(as_analyst, "user", "suspend", ANN, DRY, admin=named)
            assert refused.code == ExitCode.NOT_PERMITTED
            assert "analyst@example.com (analyst) may not" in refused.err
        _map(platform, "analyst@example.com", None)
        assert act(as_analyst, "user", "suspend", ANN, DRY, admin=ROOT).code == 0
        assert act(as_analyst, "user", "suspend", ANN, DRY, admin=None).code == ExitCode.NOT_PERMITTED


def test_entries_carry_the_login_not_the_name_given(platform: str) -> None:
    """The admin an entry names is the one whose login did it."""
    with login(platform, options="SUPERUSER") as role:
        _map(platform, "support@example.com", role)
        done = act(as_role(platform, role), "user", "suspend", "leaving1@example.com", admin=ROOT)
        _map(platform, "support@example.com", None)
    assert done.code == 0, done.err
    assert entries(platform)[-1]["admin_user_id"] == user_id("admin support@example.com")


def _run(conninfo: str, directory: Path, words: str, rule: Rule, admin: str | None) -> int:
    """Run a command as this admin; returns its exit code."""
    actor = (admin or "nobody").partition("@")[0]
    arguments = [text.format(directory=directory, actor=actor) for text in rule.arguments]
    return act(conninfo, *words.split(), *arguments, "-q", admin=admin).code


def _hold(
    connection: psycopg.Connection[tuple[object, ...]], email: str, permission: str, role: str = ADMIN
) -> None:
    column = json.dumps(column_of(frozenset({permission})))
    statement = "UPDATE admin_users SET role = %s, permissions = %s WHERE user_id = %s"
    connection.execute(statement, [role, column, user_id(email)])


def _map(conninfo: str, email: str, role: str | None) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE admin_users SET db_role = %s WHERE user_id = %s", [role, user_id(email)])
