"""avatarlab config: settings, and where each one comes from."""

from typing import Annotated

import typer

from avatarlab_cli.cli import App, current

app = App()


@app.callback()
def config() -> None:
    """Settings, and where each one comes from."""


@app.report()
def show(
    context: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
) -> None:
    """Show every setting's value; secrets are masked.

    A flag wins over the environment, that over ./avatarlab.yaml, that over ~/.config/avatarlab/config.yaml,
    that over /etc/avatarlab/config.yaml, and that over the default.

    \b
    Examples:
      avatarlab config show --origin
      avatarlab --profile demo config show --fields setting,value
    """
    from avatarlab_cli.report import Column
    from avatarlab_cli.settings import SECRETS
    from avatarlab_cli.show import show_rows

    settings = current(context).settings
    # Each is read but once: stdin gives it no second time.
    effective = {
        secret.name: settings.database_url()
        if secret.name == "database_url"
        else settings.secret(secret.name)
        for secret in SECRETS
    }
    rows = []
    for setting, found in settings.items():
        value = effective.get(setting.name, found)
        rows.append(
            {
                "setting": setting.name,
                "value": None if value is None else setting.shown(value.text),
                "origin": None if value is None else value.origin,
                "variable": setting.variable,
                "help": setting.help,
            }
        )
    columns = (
        Column("setting", help="its name in a file"),
        Column("value", help="what applies here", null="-"),
        Column("origin", help="where that was set", wide=not origin, null="-"),
        Column("variable", help="the environment variable that sets it", wide=True),
        Column("help", help="what it is for", wide=True),
    )
    show_rows(context, columns, rows)
