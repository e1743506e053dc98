"""The effective status of an account, as SQL: the auth server's own word and the web panel's label in one."""

from avatarlab_cli.schema.live import LiveSchema

STATUSES = ("active", "suspended", "banned", "deleted")


def status(live: LiveSchema, user: str = "r", profile: str | None = None) -> str:
    """Return the status of the row `user` of auth.users; `profile` is its profile's row where that is joined.

    Before the web panel there are no labels, and nobody is suspended.
    """
    label = "NULL"
    if live.has("profiles", "id", "account_status"):
        own = f"(SELECT p.account_status FROM public.profiles p WHERE p.id = {user}.id)"
        label = own if profile is None else f"{profile}.account_status"
    return f"""
        CASE WHEN {user}.deleted_at IS NOT NULL OR {label} = 'deleted' THEN 'deleted'
             WHEN {user}.banned_until > now() OR {label} = 'banned' THEN 'banned'
             WHEN {label} = 'suspended' THEN 'suspended'
             ELSE 'active' END
    """


def status_of(live: LiveSchema, user: str) -> str:
    """Return the status of the account with this id, SQL as well; NULL where there is none."""
    return f"(SELECT {status(live, 'account')} FROM auth.users account WHERE account.id = {user})"
