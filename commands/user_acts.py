"""avatarlab user: what admins do to accounts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import DeclinedError, UsageError
from avatarlab_cli.timeframe import parse_coming
from commands import options

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()


@app.act()
def suspend(context: typer.Context, users: options.Users = None) -> None:
    """Label accounts as suspended.

    It is a label alone, which the web panel shows: nothing in the app looks at it. `user ban` shuts a user out.

    \b
    Examples:
      avatarlab user suspend ada@example.com --reason "asked to pause"
      avatarlab user list --tier free --csv | avatarlab user suspend --from-csv - --dry-run
    """
    from avatarlab_cli.actions.user import Suspend
    from avatarlab_cli.perform import perform

    perform(context, Suspend(), users)


@app.act()
def activate(context: typer.Context, users: options.Users = None) -> None:
    """Take the label suspended away.

    \b
    Examples:
      avatarlab user activate ada@example.com
    """
    from avatarlab_cli.actions.user import Activate
    from avatarlab_cli.perform import perform

    perform(context, Activate(), users)


@app.act()
def ban(
    context: typer.Context,
    users: options.Users = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="ISO 8601, or so far ahead: 30d, 48h; for good without."
        ),
    ] = None,
) -> None:
    """Shut users out: no login, no API key of theirs works, and the account carries label and reason.

    A session that is open lasts until its token ends, an hour at most. Of a user who is banned already, end and
    reason change, and keys made since are neutralised as well. A reason is required.

    \b
    Examples:
      avatarlab user ban ada@example.com --reason "spam, ticket 4711"
      avatarlab user ban 3fa8 --until 30d --reason "cooling off" --yes
    """
    from avatarlab_cli.actions.user import Ban
    from avatarlab_cli.perform import perform

    end = None if until is None else parse_coming(until, current(context).clock())
    perform(context, Ban(until=end), users)


@app.act()
def unban(context: typer.Context, users: options.Users = None) -> None:
    """Restore what the bans since the last unban changed: end, label, reason, and each key.

    What somebody else has changed since is left as it is and named. Of a ban made in the web panel, label and end
    are lifted.

    \b
    Examples:
      avatarlab user unban ada@example.com
    """
    from avatarlab_cli.actions.unban import Unban
    from avatarlab_cli.perform import perform

    perform(context, Unban(), users)


@app.act()
def delete(
    context: typer.Context,
    users: options.Users = None,
    hard: Annotated[
        bool, typer.Option("--hard", help="Delete the rows as well; this cannot be taken back.")
    ] = False,
    confirm: Annotated[
        str, typer.Option("--confirm", metavar="EMAIL", help="With --hard: the account's e-mail address.")
    ] = "",
) -> None:
    """Delete accounts: shut their users out and mark them as deleted; their data stays, and it can be taken back.

    With --hard, one account goes for good, with every row that hangs on it, once this month's usage is aggregated.
    Without --confirm, or with --dry-run, it only shows which rows go, which forbid it, and what stays: objects in the
    buckets are listed, for the Storage API to delete. A reason is required.

    \b
    Examples:
      avatarlab user delete ada@example.com --reason "asked to leave"
      avatarlab user delete ada@example.com --hard --dry-run
      avatarlab user delete ada@example.com --hard --confirm ada@example.com --reason "ticket 12" --json --out gone.json
    """
    from avatarlab_cli.actions.deletion import Delete, Erase
    from avatarlab_cli.perform import perform

    invocation = current(context)
    if not hard:
        if confirm:
            raise UsageError("--confirm goes with --hard", hint="--yes confirms without asking")
        perform(context, Delete(), users)
        return
    name = _one(users, invocation.flags, "an account is deleted for good alone, by its name")
    if invocation.flags.get("dry_run"):
        _foretell(context, name, confirm)
        return
    if not confirm:
        _foretell(context, name, confirm)
        raise DeclinedError("not confirmed: this cannot be taken back", hint="--confirm EMAIL confirms it")
    perform(context, Erase(confirm=confirm, rates_file=invocation.settings.get("rates_file")), [name])
    if not invocation.is_quiet:
        invocation.environment.say(_KEPT)


_KEPT = """the account's monthly figures are in the audit entry; the days of closed months stay in usage_daily; the next run of monthly-usage drops those of open months
what the column `objects` lists is still in the buckets: delete it through the Storage API"""


@app.command()
def export(
    context: typer.Context,
    user: options.User,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="NAME.tar.gz, or a directory that is not there yet.")
    ],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; it goes to the audit log.")
    ] = None,
) -> None:
    """Write all that is stored about a user into one archive: JSON lines by table, and a manifest with their SHA-256.

    Secrets, embeddings and images written out as text are left out. Only you can read the files, and that they were
    made goes to the audit log. Objects in the buckets are listed, not fetched.

    \b
    Examples:
      avatarlab user export ada@example.com --out ada.tar.gz --reason "GDPR request 12"
    """
    from avatarlab_cli.actions.export import Export
    from avatarlab_cli.archive.writing import written
    from avatarlab_cli.perform import perform
    from avatarlab_cli.queries.users import find_user

    invocation = current(context)
    invocation.flags["reason"] = reason
    with invocation.database.read() as connection:
        Export().authorized(connection, invocation.settings.get("admin"))
        found = find_user(connection, user)
        # The archive is there once the audit log says so, and only then.
        with written(connection, found.id, Path(out), invocation.progress("rows")) as archive:
            perform(context, Export(rows=archive.rows, manifest_sha256=archive.digest), [str(found.id)])
    invocation.environment.say(f"the archive is {out}")


def _foretell(context: typer.Context, name: str, confirm: str) -> None:
    from avatarlab_cli.queries import deletion
    from avatarlab_cli.queries.users import find_user
    from avatarlab_cli.show import show

    def build(connection: "sa.Connection") -> "Report":
        user = find_user(connection, name)
        label = user.email or str(user.id)
        if confirm and confirm.lower() != label.lower():
            raise DeclinedError(f"{label} has another e-mail address than --confirm says")
        return deletion.plan(connection, [user.id])

    show(context, build)


def _one(names: list[str] | None, flags: dict[str, object], message: str) -> str:
    if len(names or ()) != 1 or any(flags.get(name) for name in ("ids_from", "from_csv", "plan")):
        raise UsageError(message, hint="--ids-from, --from-csv and --plan do not go with --hard")
    return (names or [""])[0]
