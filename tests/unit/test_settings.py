"""Which value applies, where it came from, and what is refused."""

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.settings import SETTINGS, Settings, Value, host_alone, masked

SECRET = "s3cr3t-value"  # noqa: S105 (an invented one, to be looked for where it must not be)


class Place:
    """A user's directories and variables, in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "project" / "avatarlab.yaml"
        self.user = root / "config" / "avatarlab" / "config.yaml"
        self.system = root / "system" / "avatarlab" / "config.yaml"
        self.variables = {
            "HOME": str(root),
            "XDG_CONFIG_HOME": str(root / "config"),
            "XDG_CONFIG_DIRS": str(root / "system"),
        }
        for file in (self.project, self.user, self.system):
            file.parent.mkdir(parents=True)

    def settings(
        self, flags: Mapping[str, object] | None = None, variables: Mapping[str, str] | None = None
    ) -> Settings:
        """Resolve the settings as a command in the project's directory would."""
        return Settings(flags or {}, {**self.variables, **(variables or {})}, self.project.parent)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place without any file."""
    return Place(tmp_path)


def found(settings: Settings, name: str) -> Value | None:
    return {setting.name: value for setting, value in settings.items()}[name]


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_each_place_yields_to_the_one_before(place: Place) -> None:
    """A flag wins over the environment, that over project, user and system file, that over the default."""
    variables = {"AVATARLAB_COLOR": "always"}
    for file, color in ((place.system, "never"), (place.user, "auto"), (place.project, "never")):
        write(file, f"color: {color}\n")
    seen = [found(place.settings({"color": "never"}, variables), "color")]
    seen.append(found(place.settings(variables=variables), "color"))
    for file in (place.project, place.user, place.system):
        seen.append(found(place.settings(), "color"))
        file.unlink()
    seen.append(found(place.settings(), "color"))
    assert seen == [
        Value("never", "flag"),
        Value("always", "environment AVATARLAB_COLOR"),
        Value("never", str(place.project)),
        Value("auto", str(place.user)),
        Value("never", str(place.system)),
        Value("auto", "default"),
    ]


def test_a_named_file_stands_alone(place: Place) -> None:
    """With --config or AVATARLAB_CONFIG no other file is read; the defaults stay."""
    write(place.project, "color: always\n")
    other = place.root / "other.yaml"
    write(other, "output: csv\n")
    for settings in (
        place.settings({"config": str(other)}),
        place.settings(variables={"AVATARLAB_CONFIG": str(other)}),
    ):
        assert (settings.get("output"), settings.get("color")) == ("csv", "auto")


def test_a_profile_wins_over_its_file(place: Place) -> None:
    """A profile's section goes before the plain values of the same file, not before a nearer file's."""
    write(place.user, "output: csv\ncolor: always\nprofiles: {eu: {output: json, color: never}}\n")
    write(place.project, "color: auto\n")
    settings = place.settings(variables={"AVATARLAB_PROFILE": "eu"})
    assert found(settings, "output") == Value("json", f"profile eu ({place.user})")
    assert found(settings, "color") == Value("auto", str(place.project))


def test_a_profile_named_by_flag_wins_over_the_environment(place: Place) -> None:
    """Who names a profile means it: a database left in the environment does not take its place."""
    write(place.user, "profiles: {eu: {database_url: postgresql://eu/db}}\n")
    variables = {"AVATARLAB_DATABASE_URL": "postgresql://other/db", "AVATARLAB_PROFILE": "eu"}
    assert place.settings(variables=variables).database_url() == Value(
        "postgresql://other/db", "environment AVATARLAB_DATABASE_URL"
    )
    assert place.settings({"profile": "eu"}, variables).database_url() == Value(
        "postgresql://eu/db", f"profile eu ({place.user})"
    )


def test_the_demo_profile_needs_no_file(place: Place) -> None:
    """The demo's database is known from the start."""
    url = place.settings({"profile": "demo"}).database_url()
    assert url == Value("embedded://demo", "profile demo (default)")


def test_no_database(place: Place) -> None:
    """Without any configuration there is none: never a fallback."""
    assert place.settings().database_url() is None


def test_libpq_variables_count_as_a_database(place: Place) -> None:
    """PGHOST and PGSERVICE alone are enough: libpq finds the rest."""
    url = place.settings(variables={"PGSERVICE": "prod", "PGUSER": "ada"}).database_url()
    assert url == Value("", "environment PGSERVICE")


def test_secrets_come_in_their_order(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemd credential wins over a file, a file over stdin and environment."""
    credential = place.root / "credentials" / "database_url"
    credential.parent.mkdir()
    write(credential, "postgresql://credential/db\n")
    file = place.root / "url"
    write(file, "postgresql://file/db\n")
    variables = {
        "CREDENTIALS_DIRECTORY": str(credential.parent),
        "AVATARLAB_DATABASE_URL_FILE": str(file),
        "AVATARLAB_DATABASE_URL": "postgresql://variable/db",
    }
    urls = [place.settings(variables=variables).database_url()]
    del variables["CREDENTIALS_DIRECTORY"]
    urls.append(place.settings(variables=variables).database_url())
    variables["AVATARLAB_DATABASE_URL_FILE"] = "-"
    monkeypatch.setattr("sys.stdin", io.StringIO("postgresql://stdin/db\n"))
    urls.append(place.settings(variables=variables).database_url())
    del variables["AVATARLAB_DATABASE_URL_FILE"]
    urls.append(place.settings(variables=variables).database_url())
    assert [url.text.split("/")[2] for url in urls if url] == ["credential", "file", "stdin", "variable"]


@pytest.mark.parametrize("name", ["heartbeat_url", "webhook_url"])
def test_who_is_told_is_a_secret_too(place: Place, name: str) -> None:
    """A credential wins over a file, that over the environment; an empty credential is none."""
    credential, file = place.root / "credentials" / name, place.root / "url"
    credential.parent.mkdir()
    write(credential, "https://credential/a\n")
    write(file, "https://file/a\n")
    variables = {
        "CREDENTIALS_DIRECTORY": str(credential.parent),
        f"AVATARLAB_{name.upper()}_FILE": str(file),
        f"AVATARLAB_{name.upper()}": "https://variable/a",
    }
    urls = [place.settings(variables=variables).secret(name)]
    write(credential, "")
    urls.append(place.settings(variables=variables).secret(name))
    del variables[f"AVATARLAB_{name.upper()}_FILE"]
    urls.append(place.settings(variables=variables).secret(name))
    assert [url.text for url in urls if url] == [
        "https://credential/a",
        "https://file/a",
        "https://variable/a",
    ]
    assert place.settings().secret(name) is None


@pytest.mark.parametrize("name", ["heartbeat_url", "webhook_url"])
def test_who_is_told_stands_in_no_file_for_all(place: Place, name: str) -> None:
    """Neither a file of its own nor a configuration that holds such a URL may be read by others."""
    file = place.root / "url"
    write(file, f"https://example.com/{SECRET}", mode=0o644)
    with pytest.raises(ConfigurationError, match="others can read it"):
        place.settings(variables={f"AVATARLAB_{name.upper()}_FILE": str(file)}).secret(name)
    write(place.user, f"{name}: https://example.com/{SECRET}\n", mode=0o644)
    with pytest.raises(ConfigurationError, match=f"holds the secret {name}") as refused:
        place.settings()
    assert SECRET not in f"{refused.value.message}{refused.value.hint}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://hooks.slack.com/services/{SECRET}", "https://hooks.slack.com/***"),
        (f"https://ada:{SECRET}@example.com:8443/a?key={SECRET}", "https://example.com:8443/***"),
        (f"http://example.com?{SECRET}", "http://example.com/***"),
        (f"hooks.slack.com/services/{SECRET}", "***"),
    ],
)
def test_of_who_is_told_the_host_is_shown(url: str, shown: str) -> None:
    """Of a URL whose path is the secret nothing but scheme and host is shown."""
    assert host_alone(url) == shown


def test_a_secret_file_others_can_read_is_refused(place: Place) -> None:
    """A file that holds a URL must be its owner's alone."""
    file = place.root / "url"
    write(file, f"postgresql://ada:{SECRET}@db/app", mode=0o640)
    with pytest.raises(ConfigurationError, match="others can read it") as refused:
        place.settings(variables={"AVATARLAB_DATABASE_URL_FILE": str(file)}).database_url()
    assert refused.value.hint == f"chmod 600 {file}"


def test_a_configuration_with_a_password_others_can_read_is_refused(place: Place) -> None:
    """A configuration file may be public only as long as it holds no password."""
    write(place.user, "database_url: postgresql://ada@db/app\n", mode=0o644)
    assert place.settings().database_url() == Value("postgresql://ada@db/app", str(place.user))
    write(place.user, f"profiles: {{eu: {{database_url: 'postgresql://ada:{SECRET}@db/app'}}}}\n", mode=0o644)
    with pytest.raises(ConfigurationError, match="holds a password") as refused:
        place.settings()
    assert SECRET not in f"{refused.value.message}{refused.value.hint}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("colour: never\n", "unknown setting 'colour'"),
        ("profiles: {eu: {databse_url: x}}\n", "unknown setting 'databse_url'"),
        ("color: pink\n", "color is 'pink'"),
        ("statement_timeout: soon\n", "statement_timeout is 'soon'"),
        ("job_work_mem: 64 megabytes\n", "job_work_mem is '64 megabytes'"),
        ("no_input: perhaps\n", "no_input is 'perhaps'"),
        ("profiles: [eu]\n", "`profiles` must map names to settings"),
        ("- color\n", "a mapping of settings is expected"),
        ("color: 'never\n", "line 2: this is not YAML"),
    ],
)
def test_a_wrong_file_is_refused(place: Place, content: str, message: str) -> None:
    """A mistake is named together with the file it stands in."""
    write(place.project, content)
    with pytest.raises(ConfigurationError) as refused:
        place.settings()
    assert message in refused.value.message
    assert str(place.project) in refused.value.message


def test_a_wrong_variable_is_refused(place: Place) -> None:
    """A mistake in the environment is named with its variable."""
    with pytest.raises(
        ConfigurationError, match=r"lock_timeout is 'x' \(environment AVATARLAB_LOCK_TIMEOUT\)"
    ):
        place.settings(variables={"AVATARLAB_LOCK_TIMEOUT": "x"})


def test_an_unknown_profile_lists_the_known_ones(place: Place) -> None:
    """A mistyped profile ends the command instead of reaching another database."""
    write(place.user, "profiles: {eu: {output: csv}}\n")
    with pytest.raises(ConfigurationError, match="there is no profile 'ue'") as refused:
        place.settings({"profile": "ue"})
    assert refused.value.hint == "known profiles: demo, eu"


def test_a_missing_named_file_is_refused(place: Place) -> None:
    """A file somebody named must be there."""
    with pytest.raises(ConfigurationError, match="there is no configuration file"):
        place.settings({"config": str(place.root / "nowhere.yaml")})


def test_an_empty_file_sets_nothing(place: Place) -> None:
    """An empty file is as good as none."""
    write(place.project, "")
    assert found(place.settings(), "output") == Value("table", "default")


def test_yes_and_no_are_read_as_yaml_writes_them(place: Place) -> None:
    """A YAML boolean and the words of the environment mean the same."""
    write(place.project, "no_input: yes\n")
    assert place.settings().flag("no_input")
    assert not place.settings(variables={"AVATARLAB_NO_INPUT": "0"}).flag("no_input")
    assert not place.settings().flag("debug")


def test_every_setting_has_a_variable(place: Place) -> None:
    """Each setting can be set by a variable of its own."""
    values = {"color": "never", "log_format": "json", "no_input": "1", "debug": "1", "job_work_mem": "1MB"}
    values |= {s.name: "5s" for s in SETTINGS if s.name.endswith("timeout")}
    values |= {"job_retry_within": "5s", "remind_after": "2d"}
    values |= {"profile": "demo", "close_after_days": "5", "verify_within_days": "9"}
    variables = {setting.variable: values.get(setting.name, "x") for setting in SETTINGS}
    settings = place.settings(variables=variables)
    assert {value.origin for _, value in settings.items() if value} == {
        f"environment {setting.variable}" for setting in SETTINGS
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"postgresql://ada:{SECRET}@db:5432/app", "postgresql://ada:***@db:5432/app"),
        (f"postgresql://ada:{SECRET}@{SECRET}@db/app", "postgresql://ada:***@db/app"),
        (f"postgresql://:{SECRET}@db/app", "postgresql://:***@db/app"),
        (f"postgres//ada:{SECRET}@db/app", "postgres//ada:***@db/app"),
        (f"ada:{SECRET}@db/app", "ada:***@db/app"),
        (
            f"postgresql://db/app?user=ada&password={SECRET}&sslmode=require",
            "postgresql://db/app?user=ada&password=***&sslmode=require",
        ),
        (f"host=db password={SECRET} user=ada", "host=db password=*** user=ada"),
        (f"host=db PASSWORD = '{SECRET} and \\' more' user=ada", "host=db PASSWORD = *** user=ada"),
        ("postgresql://ada@db/app", "postgresql://ada@db/app"),
        ("embedded://demo", "embedded://demo"),
        (
            "'u' fits several users: ada@example.com, eve@example.com",
            "'u' fits several users: ada@example.com, eve@example.com",
        ),
    ],
)
def test_passwords_are_masked(text: str, expected: str) -> None:
    """Every way to write a password is masked, and nothing else."""
    assert masked(text) == expected
