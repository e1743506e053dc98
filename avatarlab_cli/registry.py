"""Every noun of the command line: the module that serves it and its line in `avatarlab --help`.

A module is imported when its noun is used, so that `--help` stays fast.
"""

NOUNS: dict[str, tuple[str, str]] = {
    "overview": ("commands.overview", "Show yesterday beside the week before, and what needs a look."),
    "user": ("commands.user", "Accounts: who they are, what they use, what admins do to them."),
    "tier": ("commands.tier", "Plans and subscriptions: limits, prices, who has which."),
    "key": ("commands.key", "API keys: the platform's own, and those users hold at providers."),
    "admin": ("commands.admin", "Who may act as an admin, and what each may do."),
    "audit": (
        "commands.audit",
        "What admins did, whether the record is whole, and undo.",
    ),
    "apply": ("commands.apply", "Carry out a plan, except for what has changed since it was made."),
    "usage": ("commands.usage", "What users did, by user and month."),
    "period": ("commands.period", "Which months are closed; closing and reopening them."),
    "storage": ("commands.storage", "Where the bytes are: kinds, users, buckets, tables, orphans."),
    "voice": ("commands.voice", "Voices: clones, recordings, speech and what it costs."),
    "training": (
        "commands.training",
        "Training: sessions, fine-tuning, errors, files, prompts.",
    ),
    "cost": ("commands.cost", "What usage costs, what that is made of, what it will come to."),
    "conversation": (
        "commands.conversation",
        "What is said to avatars: volume, ratings, patterns, search.",
    ),
    "rag": ("commands.rag", "Retrieval: searches in knowledge files, the files, their chunks."),
    "api": ("commands.api", "The public API: keys, endpoints, users, and what is unusual."),
    "avatar": ("commands.avatar", "Avatars: whose, in which state, due to be deleted, flagged."),
    "image": ("commands.image", "Images and videos: where they are, what hangs, what is flagged."),
    "memory": ("commands.memory", "Photo memories: with which images, left behind by whom."),
    "marketplace": ("commands.marketplace", "Avatars for sale or public, and who bought which."),
    "stats": ("commands.stats", "The platform's figures, day by day."),
    "system": (
        "commands.system",
        "Whether jobs and database are well, logs, and what is pruned.",
    ),
    "job": ("commands.job", "Run the aggregation jobs and look at their runs."),
    "db": ("commands.db", "The database: tables, migrations, the local PostgreSQL."),
    "demo": ("commands.demo", "A believable AvatarLab database to try things on."),
    "config": ("commands.config", "Settings, and where each one comes from."),
}
