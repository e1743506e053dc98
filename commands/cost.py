"""avatarlab cost: what usage costs, and by which prices."""

from avatarlab_cli.cli import App
from commands import cost_rates

app = App()
app.add_typer(cost_rates.app, name="rates")


@app.callback()
def cost() -> None:
    """What usage costs: provider spend, platform cost, and the rates."""
