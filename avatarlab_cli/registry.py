"""Every noun of the command line: the module that serves it and its line in `avatarlab --help`.

A module is imported when its noun is used, so that `--help` stays fast.
"""

NOUNS: dict[str, tuple[str, str]] = {
    "user": ("commands.user", "Accounts: who they are, what they use, and what admins do to them."),
    "tier": ("commands.tier", "Plans and subscriptions: limits, prices, who has which."),
    "key": ("commands.key", "API keys: the platform's own, and those users hold at providers."),
    "admin": ("commands.admin", "Who may act as an admin, and what each may do."),
    "audit": (
        "commands.audit",
        "What admins did, whether the record is whole, and undo.",
    ),
    "apply": ("commands.apply", "Carry out a plan, except for what has changed since it was made."),
    "usage": ("commands.usage", "What users did, by user and month."),
    "storage": ("commands.storage", "Where the bytes are: kinds, users, buckets, tables, orphans."),
    "cost": ("commands.cost", "What usage costs, what that is made of, and what it will come to."),
    "voice": ("commands.voice", "Voices: clones, recordings, speech and what it costs."),
    "training": (
        "commands.training",
        "Training: sessions, fine-tuning, errors, files, examples, prompts.",
    ),
    "api": ("commands.api", "The public API: keys, endpoints, users, and what is unusual."),
    "stats": ("commands.stats", "The platform's figures, day by day."),
    "job": ("commands.job", "Run the aggregation jobs and look at their runs."),
    "db": ("commands.db", "The database: tables, migrations, the local PostgreSQL."),
    "demo": ("commands.demo", "A believable AvatarLab database to try things on."),
    "config": ("commands.config", "Settings, and where each one comes from."),
}
