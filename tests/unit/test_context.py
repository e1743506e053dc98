"""What one invocation is made of: output options, database, confirmation."""

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from avatarlab_cli.context import Context
from avatarlab_cli.errors import ConfigurationError, DeclinedError, UsageError
from avatarlab_cli.output.options import Format

NOWHERE = {"HOME": "/nonexistent", "XDG_CONFIG_DIRS": "/nonexistent"}


def context(flags: Mapping[str, object] | None = None, variables: Mapping[str, str] | None = None) -> Context:
    made = Context({**NOWHERE, **(variables or {})})
    made.flags.update(flags or {})
    return made


class Terminal(io.StringIO):
    """A terminal at which somebody has typed an answer."""

    def isatty(self) -> bool:
        """Say that somebody is there."""
        return True


@pytest.mark.parametrize(
    ("flags", "variables", "expected"),
    [
        ({}, {}, Format.TABLE),
        ({"output": "csv"}, {}, Format.CSV),
        ({"output": "json"}, {}, Format.JSON),
        ({"output": "csv"}, {"AVATARLAB_OUTPUT": "json"}, Format.CSV),
        ({}, {"AVATARLAB_OUTPUT": "yaml"}, Format.YAML),
        ({"output": "ids"}, {"AVATARLAB_OUTPUT": "yaml"}, Format.IDS),
    ],
)
def test_output_format(flags: dict[str, object], variables: dict[str, str], expected: Format) -> None:
    """A flag wins over the environment, that over the default."""
    assert context(flags, variables).output.format is expected


def test_output_options() -> None:
    """Lists may be given in one text or several, numbers as digits."""
    options = context(
        {"fields": ("a, b", "c,"), "limit": "3", "offset": "2", "null": "-", "sort": "-a"}
    ).output
    assert (options.fields, options.limit, options.offset) == (("a", "b", "c"), 3, 2)
    assert (options.null, options.sort) == ("-", "-a")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"output": "xml"}, "'xml' is not an output format"),
        ({"limit": "many"}, "--limit takes a whole number"),
        ({"limit": "-1"}, "--limit -1 is negative"),
        ({"limit": "1", "all": True}, "contradict each other"),
    ],
)
def test_wrong_output_options(flags: dict[str, object], message: str) -> None:
    """What cannot be understood is a usage error."""
    with pytest.raises(UsageError, match=message):
        _ = context(flags).output


def test_no_database_names_every_way_to_have_one() -> None:
    """Without a database the message names the three ways to configure one, and the demo."""
    with pytest.raises(ConfigurationError, match="no database is configured") as refused:
        _ = context().database
    for way in ("AVATARLAB_DATABASE_URL", "--profile", "PGSERVICE", "demo load"):
        assert way in str(refused.value.hint)


def test_databases_carry_the_limits_of_the_settings() -> None:
    """A report and a job have limits of their own, each from its setting."""
    variables = {
        "AVATARLAB_DATABASE_URL": "host=x",
        "AVATARLAB_JOB_STATEMENT_TIMEOUT": "2h",
        "AVATARLAB_LOCK_TIMEOUT": "9s",
    }
    made = context(variables=variables)
    assert made.database.limits == {
        "statement_timeout": "60s",
        "lock_timeout": "9s",
        "idle_in_transaction_session_timeout": "60s",
    }
    assert made.job_database.limits == {
        **made.database.limits,
        "statement_timeout": "2h",
        "work_mem": "128MB",
    }


@pytest.mark.parametrize(
    "url", ["embedded://", "embedded://../etc", "embedded://Demo", "embedded://a/b", "embedded://-x"]
)
def test_embedded_names_are_plain_words(url: str) -> None:
    """A name becomes a directory, so nothing that could lead elsewhere is one."""
    with pytest.raises(ConfigurationError, match="does not name an embedded database"):
        _ = context(variables={"AVATARLAB_DATABASE_URL": url}).conninfo


def test_the_local_server_is_the_one_a_url_names() -> None:
    """An embedded URL names a directory of the user's own data; any other URL is libpq's."""
    local = context(
        variables={"AVATARLAB_DATABASE_URL": "embedded://trial", "XDG_DATA_HOME": "/data"}
    ).local_server
    assert local is not None
    assert local.directory == Path("/data/avatarlab/postgres/trial")
    assert context(variables={"AVATARLAB_DATABASE_URL": "postgresql://db/app"}).local_server is None
    assert context().local_server is None


def test_a_url_from_stdin_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stdin gave stays known for the whole invocation."""
    monkeypatch.setattr("sys.stdin", io.StringIO("postgresql://stdin/db\n"))
    made = context(variables={"AVATARLAB_DATABASE_URL_FILE": "-"})
    assert made.local_server is None
    assert made.conninfo == "postgresql://stdin/db"


def test_the_demo_never_goes_to_another_database() -> None:
    """With a real database configured the demo still has its own; an embedded one that is named is used."""
    real = context(variables={"AVATARLAB_DATABASE_URL": "postgresql://prod/app"})
    named = context(variables={"AVATARLAB_DATABASE_URL": "embedded://trial"})
    assert (real.demo_server.directory.name, named.demo_server.directory.name) == ("demo", "trial")


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_confirmed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str) -> None:
    """The question goes to stderr, and only a yes lets the act go on."""
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    context().confirm("Delete it?")
    assert capsys.readouterr() == ("", "Delete it? [y/N] ")


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yes please\n"])
def test_declined(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Anything but a yes declines, the end of input too."""
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with pytest.raises(DeclinedError, match="declined"):
        context().confirm("Delete it?")


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off a terminal, or under --no-input, nothing is asked and nothing confirmed."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(DeclinedError, match="not confirmed"):
        context().confirm("Delete it?")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    for made in (context({"no_input": True}), context(variables={"AVATARLAB_NO_INPUT": "1"})):
        with pytest.raises(DeclinedError, match="not confirmed"):
            made.confirm("Delete it?")


def test_debugging_is_known_without_settings() -> None:
    """A traceback can be asked for even where the settings themselves are wrong."""
    assert context({"debug": True}, {"AVATARLAB_COLOR": "pink"}).is_debugging
    assert context(variables={"AVATARLAB_DEBUG": "1", "AVATARLAB_COLOR": "pink"}).is_debugging
    assert not context(variables={"AVATARLAB_DEBUG": "0"}).is_debugging


def test_debugging_may_be_set_in_a_file(tmp_path: Path) -> None:
    """A file's word counts as soon as the file has been read."""
    file = tmp_path / "config.yaml"
    file.write_text("debug: true\n")
    made = context({"config": str(file)})
    assert made.settings.flag("debug")
    assert made.is_debugging


def test_progress_is_for_terminals() -> None:
    """Nobody sees progress in a pipe, and --quiet asks for none."""
    assert context().progress("rows") is None
    assert context({"quiet": True}).progress("rows") is None
