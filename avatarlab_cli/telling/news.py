"""What is news for the webhook that the settings name."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta

from avatarlab_cli.context import Context
from avatarlab_cli.errors import AvatarLabError
from avatarlab_cli.logs import Log
from avatarlab_cli.process import host
from avatarlab_cli.telling.memory import Told, directory, remembered
from avatarlab_cli.telling.webhook import Matter, Webhook


def webhook_of(invocation: Context) -> Webhook | None:
    """Return the webhook to tell, None where no setting names one; raises ConfigurationError."""
    url = invocation.settings.secret("webhook_url")
    if url is None:
        return None
    which = invocation.settings.get("profile") or _database_of(invocation)
    return Webhook(
        url.text,
        ", ".join(filter(None, (f"avatarlab on {host()}", which))),
        invocation.clock(),
        timedelta(seconds=invocation.settings.seconds("remind_after")),
        invocation.variables.get("INVOCATION_ID"),
    )


def tell(invocation: Context, log: Log, *matters: Matter) -> str | None:
    """Tell the webhook, if there is one, what of the matters is news; returns why it could not be told."""
    webhook = webhook_of(invocation)
    if webhook is None:
        return None
    with memory_of(invocation, log) as told:
        named = [replace(matter, key=key_of(invocation, matter.key)) for matter in matters]
        return next(iter(webhook.tell(named, told)), None)


@contextmanager
def memory_of(invocation: Context, log: Log) -> Iterator[dict[str, Told]]:
    """Yield what was told. Where nothing can be kept it is empty: better told twice than never."""
    with ExitStack() as stack:
        told: dict[str, Told] = {}
        try:
            told = stack.enter_context(remembered(directory(invocation.variables)))
        except AvatarLabError as error:
            log.warning("what is told is not remembered", why=error.message)
        yield told


def key_of(invocation: Context, name: str) -> str:
    """Return under which key a matter is remembered: a host may run the same jobs for several databases."""
    profile = invocation.settings.get("profile")
    return "/".join(filter(None, (profile, _database_of(invocation), name)))


def _database_of(invocation: Context) -> str:
    """Return which database it is, without a user or password; nothing where that cannot be said."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        url = invocation.url
        parts = conninfo_to_dict(url.text) if url else {}
    except (AvatarLabError, ProgrammingError):
        return ""
    name, server = str(parts.get("dbname") or ""), str(parts.get("host") or "")
    # What a password with a sign of its own made of them is not to be shown.
    return "" if "@" in name + server else " at ".join(filter(None, (name, server)))


def mark_of(*facts: object) -> str:
    """Return what two findings of the same facts have in common, without the facts."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def users(count: int) -> str:
    """Return how many users that are, in words."""
    return "1 user" if count == 1 else f"{count} users"
