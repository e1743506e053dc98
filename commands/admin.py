"""avatarlab admin: who may act as an admin, and what each may do."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, OneActCommand, current
from commands import options

app = App()
Admins = Annotated[
    list[str] | None, typer.Argument(metavar="[ADMIN]...", help="E-mail addresses or UUIDs of admins.")
]
Permissions = Annotated[
    list[str],
    typer.Option("--permission", metavar="AREA.RIGHT", help="Such as tiers.write; may be repeated."),
]
Login = Annotated[
    str | None, typer.Option("--login", metavar="ROLE", help="The database login that is this admin.")
]


@app.callback()
def admin() -> None:
    """Who may act as an admin, and what each may do."""


@app.report("list")
def list_admins(context: typer.Context) -> None:
    """List the admins with role, permissions and last act; --all shows those that were deactivated too.

    \b
    Examples:
      avatarlab admin list
      avatarlab admin list --all --sort -last_act_at
    """
    from avatarlab_cli.queries import admins
    from avatarlab_cli.show import show

    inactive = current(context).output.all
    show(context, lambda _: admins.listed(inactive=inactive))


@app.report()
def whoami(context: typer.Context) -> None:
    """Show which admin acts, how that is known, and what this admin may do; exit code 4 where nobody acts.

    \b
    Examples:
      avatarlab admin whoami
      avatarlab admin whoami --field email -o tsv --no-headers
    """
    from avatarlab_cli.actions.actor import demand_actor
    from avatarlab_cli.queries import admins
    from avatarlab_cli.show import show

    name = current(context).settings.get("admin")
    show(context, lambda connection: admins.whoami(demand_actor(connection, name)))


@app.report("permissions")
def show_permissions(
    context: typer.Context,
    admin: Annotated[
        str | None,
        typer.Argument(metavar="[ADMIN]", help="E-mail address or UUID; the acting admin if none."),
    ] = None,
) -> None:
    """Show each permission: whether an admin holds it, whether the role can, and what it is for.

    \b
    Examples:
      avatarlab admin permissions
      avatarlab admin permissions eve@example.com --json
    """
    from avatarlab_cli.actions.actor import demand_actor
    from avatarlab_cli.queries import admins
    from avatarlab_cli.queries.naming import ADMIN, find
    from avatarlab_cli.show import demand_options, show_rows

    demand_options(context, admins.PERMISSION)
    invocation = current(context)
    with invocation.reading() as connection:
        name = admin or str(demand_actor(connection, invocation.settings.get("admin")).id)
        rows = [*admins.permissions(connection, find(connection, ADMIN, name))]
    show_rows(context, admins.PERMISSION, rows)


@app.act(of=OneActCommand)
def bootstrap(context: typer.Context, user: options.User) -> None:
    """Make a user the first super_admin; possible only while there is none.

    \b
    Examples:
      avatarlab admin bootstrap ada@example.com
    """
    from avatarlab_cli.actions.admin import Bootstrap
    from avatarlab_cli.perform import perform

    perform(context, Bootstrap(), [user])


@app.act()
def add(
    context: typer.Context,
    users: options.Users = None,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="super_admin, admin, moderator, support or analyst.")
    ] = "support",
    login: Login = None,
    service: Annotated[
        bool, typer.Option("--service", help="This admin is a timer or script, not a person.")
    ] = False,
) -> None:
    """Make users admins, with their role's standard permissions.

    Nobody gives a role above their own, or permissions they do not hold.

    \b
    Examples:
      avatarlab admin add eve@example.com --role support
      avatarlab admin add timers@example.com --role admin --service --login avatarlab_jobs
    """
    from avatarlab_cli.actions.admin import Add
    from avatarlab_cli.perform import perform

    perform(context, Add(role=role, login=login, is_service=service), users)


@app.act()
def role(
    context: typer.Context,
    admins: Admins = None,
    to: Annotated[str, typer.Option("--role", metavar="ROLE", help="The new role.")] = ...,  # type: ignore[assignment]  # Typer's mark of a required option
) -> None:
    """Give admins another role, with that role's standard permissions.

    Nobody raises their own role, and the last super_admin stays one.

    \b
    Examples:
      avatarlab admin role eve@example.com --role moderator
    """
    from avatarlab_cli.actions.admin import Role
    from avatarlab_cli.perform import perform

    perform(context, Role(role=to), admins)


@app.act()
def grant(context: typer.Context, permissions: Permissions, admins: Admins = None) -> None:
    """Let admins do more, as far as their role allows.

    \b
    Examples:
      avatarlab admin grant eve@example.com --permission tiers.write --permission financial.read
    """
    from avatarlab_cli.actions.admin import Grant
    from avatarlab_cli.perform import perform

    perform(context, Grant(permissions=tuple(permissions)), admins)


@app.act()
def withdraw(context: typer.Context, permissions: Permissions, admins: Admins = None) -> None:
    """Let admins do less.

    \b
    Examples:
      avatarlab admin withdraw eve@example.com --permission users.write
    """
    from avatarlab_cli.actions.admin import Withdraw
    from avatarlab_cli.perform import perform

    perform(context, Withdraw(permissions=tuple(permissions)), admins)


@app.act("map", of=OneActCommand)
def map_login(
    context: typer.Context,
    admin: Annotated[str, typer.Argument(metavar="ADMIN", help="E-mail address or UUID of an admin.")],
    login: Login = None,
) -> None:
    """Say which database login is an admin; without --login none is.

    Who connects by such a login acts as this admin, whatever AVATARLAB_ADMIN says.

    \b
    Examples:
      avatarlab admin map eve@example.com --login eve
      avatarlab admin map eve@example.com
    """
    from avatarlab_cli.actions.admin import Map
    from avatarlab_cli.perform import perform

    perform(context, Map(login=login), [admin])


@app.act()
def deactivate(context: typer.Context, admins: Admins = None) -> None:
    """Take admins' rights away; their entries in the audit log stay.

    \b
    Examples:
      avatarlab admin deactivate eve@example.com --reason "Left the company"
    """
    from avatarlab_cli.actions.admin import Deactivate
    from avatarlab_cli.perform import perform

    perform(context, Deactivate(), admins)
