"""avatarlab system: whether the database and the jobs are well, what the app logged, and how long logs are kept."""

from avatarlab_cli.cli import App

app = App()


@app.callback()
def system() -> None:
    """The database and the jobs: whether they are well, what the app logged, how long logs are kept."""
