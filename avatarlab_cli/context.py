"""What one invocation works with; tests put their own in its place."""

import functools
import itertools
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from avatarlab_cli.errors import ConfigurationError, DeclinedError, UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.database import Database
    from avatarlab_cli.embedded import EmbeddedServer
    from avatarlab_cli.output.environment import Environment
    from avatarlab_cli.output.options import OutputOptions
    from avatarlab_cli.settings import Settings, Value

# PostgreSQL counts rows in 64 bits.
_MOST_DIGITS = 18
EMBEDDED = "embedded://"
HOW_TO_CONFIGURE = """set AVATARLAB_DATABASE_URL, choose a profile of the configuration file with --profile NAME, or set PGHOST, PGSERVICE, ...
to look around first, on a database of its own: avatarlab demo load"""
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


class Context:
    """Flags, settings, streams, clock and database of one invocation, each made on first use.

    `flags` holds what the command line set, by option name; options count the same before and after the verb.
    `command` is the words that named the verb: "user list".
    """

    def __init__(
        self,
        variables: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.variables: Mapping[str, str] = os.environ if variables is None else variables
        self.clock = clock
        self.flags: dict[str, object] = {}
        self.arguments: tuple[str, ...] = ()
        self.command = ""
        # What to say should it fail: what it has done all the same.
        self.kept: str | None = None
        # The last lines of its log, those that are not shown included.
        self.log: deque[str] = deque(maxlen=200)

    @functools.cached_property
    def settings(self) -> "Settings":
        """The resolved settings."""
        from avatarlab_cli.settings import Settings

        return Settings(self.flags, self.variables, Path.cwd())

    @functools.cached_property
    def environment(self) -> "Environment":
        """The streams and what they are connected to."""
        from avatarlab_cli.output.environment import Environment

        return Environment.create(self.variables, color=str(self.settings.get("color")), quiet=self.is_quiet)

    @functools.cached_property
    def database(self) -> "Database":
        """The configured database, started when it is an embedded one; raises ConfigurationError without one."""
        from avatarlab_cli.database import Database

        return Database(self.conninfo, self._limits())

    @contextmanager
    def reading(self) -> "Iterator[sa.Connection]":
        """Open a read-only transaction for the command, if the acting admin may run it.

        Where no admin is named, the rights of the database login alone decide. Raises NotPermittedError.
        """
        from avatarlab_cli.actions.actor import find_actor
        from avatarlab_cli.permissions import COMMANDS

        with self.database.read() as connection:
            permission = COMMANDS.get(self.command)
            actor = find_actor(connection, self.settings.get("admin")) if permission else None
            if actor is not None and permission is not None:
                actor.demand(permission, self.command)
            yield connection

    def demand_permission(self) -> None:
        """Raise NotPermittedError where the acting admin may not run the command; for what is no report and no act."""
        with self.reading():
            pass

    @functools.cached_property
    def job_database(self) -> "Database":
        """The same database with a job's time and memory."""
        from avatarlab_cli.database import Database

        limits = self._limits()
        limits["statement_timeout"] = self.settings.require("job_statement_timeout")
        limits["work_mem"] = self.settings.require("job_work_mem")
        return Database(self.conninfo, limits)

    @functools.cached_property
    def conninfo(self) -> str:
        """The libpq connection string of the configured database, started where it is an embedded one."""
        if self.url is None:
            raise ConfigurationError("no database is configured", hint=HOW_TO_CONFIGURE)
        if self.local_server is None:
            return self.url.text
        self.local_server.start()
        return self.local_server.conninfo()

    @functools.cached_property
    def url(self) -> "Value | None":
        """The configured database's URL, None where nothing names one; raises ConfigurationError."""
        # Kept, because stdin gives it but once.
        return self.settings.database_url()

    def _limits(self) -> dict[str, str]:
        return {name: self.settings.require(name) for name in LIMITS}

    @functools.cached_property
    def demo_server(self) -> "EmbeddedServer":
        """The embedded server the settings name, or the one called demo; never another database."""
        return self.local_server or self._embedded("demo")

    def demand_local_server(self) -> "EmbeddedServer":
        """Return `demo_server`.

        Raises UsageError where another database is configured: the command must not be thought to reach that.
        """
        if self.local_server is None and self.url is not None:
            raise UsageError("this command is for the local PostgreSQL alone", hint="name it: --profile demo")
        return self.demo_server

    @functools.cached_property
    def local_server(self) -> "EmbeddedServer | None":
        """The embedded server the settings name, None where they name another database or none."""
        url = self.url.text if self.url else ""
        if not url.startswith(EMBEDDED):
            return None
        name = url.removeprefix(EMBEDDED)
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", name):
            raise ConfigurationError(
                f"{url!r} does not name an embedded database", hint="write embedded://demo"
            )
        return self._embedded(name)

    def _embedded(self, name: str) -> "EmbeddedServer":
        from avatarlab_cli import embedded

        return embedded.server(name, self.variables)

    def progress(self, unit: str) -> Callable[[str, int], None] | None:
        """Return what shows progress on one line of the terminal, None where nobody would see it."""
        if self.is_quiet or not self.environment.stderr_is_tty:
            return None

        def show(name: str, count: int) -> None:
            self.environment.stderr.write(f"\r\033[K{name}: {count:,} {unit}\r")

        return show

    @functools.cached_property
    def output(self) -> "OutputOptions":
        """The output options given; raises UsageError where one cannot be understood."""
        from avatarlab_cli.output.options import Format, OutputOptions

        flags = self.flags
        name = self.format_name or str(self.settings.get("output"))
        if name not in set(Format):
            kind = UsageError if "output" in flags else ConfigurationError
            raise kind(f"{name!r} is not an output format", hint=f"formats: {', '.join(Format)}")
        fields = [field.strip() for text in _texts(flags.get("fields")) for field in text.split(",")]
        return OutputOptions(
            format=Format(name),
            out=self._text("out"),
            fields=tuple(field for field in fields if field),
            headers=not flags.get("no_headers"),
            sort=self._text("sort"),
            limit=self.number("limit"),
            offset=self.number("offset") or 0,
            all=bool(flags.get("all")),
            null=self._text("null") or "",
            bom=bool(flags.get("bom")),
            csv_safe=bool(flags.get("csv_safe")),
            show_sql=bool(flags.get("show_sql")) or self.is_debugging,
        )

    @property
    def format_name(self) -> str | None:
        """The output format a flag or a variable names; known even where the settings cannot be read."""
        known = self.__dict__.get("settings")
        named = known.get("output") if known else self.variables.get("AVATARLAB_OUTPUT")
        return self._text("output") or self._named_before_parsing() or named

    def _named_before_parsing(self) -> str | None:
        """Return the format among the bare arguments: an error in them comes before their options are read."""
        pairs = itertools.pairwise((*self.arguments, ""))
        chosen = (
            after if word in {"-o", "--output"} else "json" if word == "--json" else None
            for word, after in pairs
        )
        return next(filter(None, chosen), None)

    def _text(self, name: str) -> str | None:
        value = self.flags.get(name)
        return None if value is None else str(value)

    def number(self, name: str) -> int | None:
        """Return an option that takes a whole number, None where it is not given; raises UsageError."""
        text = self._text(name)
        if text is None:
            return None
        if not (text.removeprefix("-").isdecimal() and len(text) <= _MOST_DIGITS):
            raise UsageError(
                f"--{name.replace('_', '-')} takes a whole number of at most {_MOST_DIGITS} digits, not {text!r}"
            )
        return int(text)

    @property
    def max_rows(self) -> int | None:
        """How many may be changed at most, None for any number; raises UsageError for less than none."""
        most = self.number("max_rows")
        if most is not None and most < 0:
            raise UsageError(f"--max-rows {most} is negative", hint="write 0 or more")
        return most

    @property
    def is_quiet(self) -> bool:
        """Whether notices are left out."""
        return bool(self.flags.get("quiet"))

    @property
    def is_debugging(self) -> bool:
        """Whether tracebacks and statements are wanted; known even where the settings cannot be read."""
        from avatarlab_cli.settings import TRUE

        if self.flags.get("debug") or self.variables.get("AVATARLAB_DEBUG", "").lower() in TRUE:
            return True
        return "settings" in vars(self) and self.settings.flag("debug")

    def confirm(self, question: str) -> None:
        """Ask on stderr before an act that cannot be undone; raises DeclinedError unless the answer is yes."""
        from avatarlab_cli.output.text import visible_line

        if self.settings.flag("no_input") or sys.stdin is None or not sys.stdin.isatty():
            raise DeclinedError(f"not confirmed: {question}", hint="--yes confirms without asking")
        sys.stderr.write(f"{visible_line(question)} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise DeclinedError("declined")


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []
