"""Every noun of the command line: the module that serves it and its line in `avatarlab --help`.

A module is imported when its noun is used, so that `--help` stays fast.
"""

NOUNS: dict[str, tuple[str, str]] = {
    "usage": ("commands.usage", "What users did, by user and month."),
    "stats": ("commands.stats", "The platform's figures, day by day."),
    "job": ("commands.job", "Run the aggregation jobs and look at their runs."),
    "db": ("commands.db", "The database: tables, migrations, the local PostgreSQL."),
    "demo": ("commands.demo", "A believable AvatarLab database to try things on."),
    "config": ("commands.config", "Settings, and where each one comes from."),
}
