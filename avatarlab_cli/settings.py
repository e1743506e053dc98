"""Settings: each has one definition, one environment variable, and an origin that can be shown."""

import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatarlab_cli.errors import ConfigurationError, UsageError
from avatarlab_cli.timeframe import parse_duration

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})
_DURATION = re.compile(r"\d+(ms|s|min|h|d)?")
_DAYS = re.compile(r"\d{1,3}")
_MEMORY = re.compile(r"\d+(kB|MB|GB)")
PROJECT_FILE = "avatarlab.yaml"
SYSTEM_FILE = Path("/etc/avatarlab/config.yaml")


@dataclass(frozen=True)
class Setting:
    """One setting: `form` is what its value must look like, None for any text; `mask` leaves out what is secret."""

    name: str
    help: str
    form: re.Pattern[str] | frozenset[str] | None = None
    mask: Callable[[str], str] | None = None

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"AVATARLAB_{self.name.upper()}"

    def is_told_by(self, value: object) -> bool:
        """Tell whether something secret stands in a value."""
        return bool(value and self.mask) and self.shown(str(value)) != value

    def shown(self, text: str) -> str:
        """Return a value as anybody may see it."""
        return self.mask(text) if self.mask else text

    def check(self, value: object, origin: str) -> str:
        """Return the value as text; raises ConfigurationError where it does not have the form."""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if isinstance(self.form, frozenset) and text.lower() not in self.form:
            choices = ", ".join(sorted(self.form - {""}))
            kind = UsageError if origin == "flag" else ConfigurationError
            raise kind(f"{self.name} is {text!r} ({origin}); it takes one of: {choices}")
        if isinstance(self.form, re.Pattern) and not self.form.fullmatch(text):
            raise ConfigurationError(
                f"{self.name} is {text!r} ({origin}); it takes a value such as 30s, 64MB or 3"
            )
        return text


def masked(url: str) -> str:
    """Return a text without the passwords of its database URLs, and without whole API keys."""
    # A URL whose scheme is mistyped or missing holds a password all the same.
    url = re.sub(r"((?://|^)[^:/@\s]*):(?!//)\S*@", r"\1:***@", url)
    url = re.sub(r"(pk_live_)[0-9a-f]{8,}", r"\1***", url)
    return re.sub(r"(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", r"\1***", url)


def host_alone(url: str) -> str:
    """Return a URL's scheme and host, where there are any: who knows the rest can post there."""
    found = re.match(r"(https?://)(?:[^/@?#]*@)?([^/@?#]+)", url)
    return f"{found[1]}{found[2]}/***" if found else "***"


BOOLEAN = TRUE | FALSE
SETTINGS = (
    Setting("profile", "which section of `profiles` applies"),
    Setting(
        "database_url", "libpq URL of the database; embedded://NAME is the local PostgreSQL", mask=masked
    ),
    Setting("database_url_file", "a file that holds the URL and only its owner can read; - is stdin"),
    Setting("admin", "e-mail address or UUID of the acting admin, where the database login is not one's own"),
    Setting("output", "format of reports"),
    Setting("color", "colour on a terminal", frozenset({"auto", "always", "never"})),
    Setting("log_format", "format of logs on stderr", frozenset({"auto", "console", "json"})),
    Setting("no_input", "never ask", BOOLEAN),
    Setting("debug", "show tracebacks and statements", BOOLEAN),
    Setting("rates_file", "rate card to price usage with, instead of the one shipped"),
    Setting("budgets_file", "budgets that a month's costs are checked against; the file shipped has none"),
    Setting("statement_timeout", "longest a statement may take", _DURATION),
    Setting("lock_timeout", "longest to wait for a lock", _DURATION),
    Setting("idle_in_transaction_session_timeout", "longest a transaction may idle", _DURATION),
    Setting("job_statement_timeout", "longest a job's statement may take", _DURATION),
    Setting("job_retry_within", "longest a job tries again after a lost race or connection", _DURATION),
    Setting("close_after_days", "days after its end that close-month closes a month", _DAYS),
    Setting("verify_within_days", "days in which the job verify has looked at every month once", _DAYS),
    Setting("job_work_mem", "memory for each sort or hash of a job", _MEMORY),
    Setting("heartbeat_url", "where each run of a job says that it began and how it ended", mask=host_alone),
    Setting("heartbeat_url_file", "a file that holds that URL and only its owner can read"),
    Setting("webhook_url", "where failures and findings are posted, as Slack takes them", mask=host_alone),
    Setting("webhook_url_file", "a file that holds that URL and only its owner can read"),
    Setting("remind_after", "how long a finding stays before it is posted again", _DURATION),
    Setting("metrics_file", "a file that each run of a job writes metrics for Prometheus to"),
)
SECRETS = tuple(setting for setting in SETTINGS if setting.mask is not None)
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Value:
    """A setting's value and where it came from."""

    text: str
    origin: str


@dataclass(frozen=True)
class _Layer:
    origin: str
    values: Mapping[str, object]


class Settings:
    """All settings, resolved: flag > environment > project file > user file > system file > default.

    A profile's values win over the plain ones of the same file; the profile named by a flag wins over the
    environment too.
    """

    def __init__(self, flags: Mapping[str, object], environment: Mapping[str, str], directory: Path) -> None:
        self._environment = environment
        given, variables = _flags(flags), _variables(environment)
        files = list(_files(flags, environment, directory))
        profile = next(
            (str(f.values["profile"]) for f in [given, variables, *files] if "profile" in f.values), None
        )
        sections = {file.origin: section for file in files if (section := _section(file, profile))}
        if profile and not sections:
            known = ", ".join(sorted({name for file in files for name in _profiles(file)}))
            raise ConfigurationError(f"there is no profile {profile!r}", hint=f"known profiles: {known}")
        self._profile_is_named = "profile" in given.values
        if self._profile_is_named:
            layers = [given, *sections.values(), variables, *files]
        else:
            layers = [given, variables]
            for file in files:
                layers += [sections[file.origin], file] if file.origin in sections else [file]
        self._values = _resolve(layers) | _resolve([_personal(variables)])

    def get(self, name: str) -> str | None:
        """Return a setting's value, None where nothing sets it."""
        value = self._values.get(name)
        return None if value is None else value.text

    def require(self, name: str) -> str:
        """Return the value of a setting that has a default."""
        return self._values[name].text

    def seconds(self, name: str) -> float:
        """Return a duration that has a default, in seconds."""
        return parse_duration(self.require(name)).total_seconds()

    def flag(self, name: str) -> bool:
        """Return a yes/no setting; False where nothing sets it."""
        return (self.get(name) or "").lower() in TRUE

    def items(self) -> Iterator[tuple[Setting, Value | None]]:
        """Yield each setting with its value and origin."""
        for setting in SETTINGS:
            yield setting, self._values.get(setting.name)

    def database_url(self) -> Value | None:
        """Return the database to use, by the order for secrets: credential, file, stdin, environment, profile.

        A profile named by a flag goes before all of these. None means that nothing names a database; an empty
        text stands for libpq's own environment (PGHOST, PGSERVICE, ...).
        """
        if (value := self.secret("database_url")) is not None:
            return value
        libpq = sorted({"PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"} & self._environment.keys())
        return Value("", f"environment {libpq[0]}") if libpq else None

    def secret(self, name: str) -> Value | None:
        """Return a setting that is a secret, by the order of `database_url`; raises ConfigurationError."""
        value = self._values.get(name)
        if self._profile_is_named and value is not None and value.origin.startswith("profile "):
            return value
        credentials = self._environment.get("CREDENTIALS_DIRECTORY")
        credential = Path(credentials) / name if credentials else None
        # An empty one is how a unit says that it has none to give; without a database it could do nothing.
        if credential and credential.exists() and (name == "database_url" or credential.stat().st_size):
            return Value(_secret(credential, is_guarded=True), f"credential {credential}")
        if (file := self._values.get(f"{name}_file")) is not None:
            read = _secret_file if name == "database_url" else _guarded
            return Value(read(file.text), f"{file.text} ({file.origin})")
        return value


def _flags(flags: Mapping[str, object]) -> _Layer:
    return _Layer("flag", {name: value for name, value in flags.items() if name in BY_NAME})


def _variables(environment: Mapping[str, str]) -> _Layer:
    named = {s.name: environment[s.variable] for s in SETTINGS if environment.get(s.variable)}
    return _Layer("environment", named)


def _personal(variables: _Layer) -> _Layer:
    """Return what the environment says of the person: a profile says which database, not who sits there."""
    return _Layer(variables.origin, {k: v for k, v in variables.values.items() if k == "admin"})


def _files(flags: Mapping[str, object], environment: Mapping[str, str], directory: Path) -> Iterator[_Layer]:
    explicit = flags.get("config") or environment.get("AVATARLAB_CONFIG")
    if explicit:
        path = Path(str(explicit))
        if not path.is_file():
            raise ConfigurationError(f"there is no configuration file {path}")
        yield _read(path)
    else:
        home = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "/")) / ".config")
        system = [
            Path(part) / "avatarlab/config.yaml"
            for part in environment.get("XDG_CONFIG_DIRS", "").split(":")
            if part
        ]
        for path in [directory / PROJECT_FILE, home / "avatarlab/config.yaml", *system, SYSTEM_FILE]:
            if path.is_file():
                yield _read(path)
    from importlib import resources

    yield _Layer("default", _parsed((resources.files("config") / "settings.yaml").read_text()))


def _parsed(text: str) -> Any:  # noqa: ANN401 (whatever is written there)
    import yaml

    # The parser in C, where this PyYAML has it: each command waits for it.
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (both are safe)


def _read(path: Path) -> _Layer:
    import yaml

    try:
        content = _parsed(path.read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: this is not YAML") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: a mapping of settings is expected")
    layer = _Layer(str(path), content)
    _check(path, layer)
    return layer


def _check(path: Path, layer: _Layer) -> None:
    scopes: list[Mapping[str, Any]] = [layer.values, *_profiles(layer).values()]
    known = set(BY_NAME) | {"profiles"}
    for scope in scopes:
        if unknown := sorted(str(name) for name in set(scope) - known):
            raise ConfigurationError(
                f"{path}: unknown setting {unknown[0]!r}", hint=f"known settings: {', '.join(sorted(known))}"
            )
        held = [secret.name for secret in SECRETS if secret.is_told_by(scope.get(secret.name))]
        if held and _others_can_read(path):
            what = "a password" if held[0] == "database_url" else f"the secret {held[0]}"
            raise ConfigurationError(f"{path} holds {what} and others can read it", hint=f"chmod 600 {path}")


def _profiles(layer: _Layer) -> Mapping[str, Mapping[str, Any]]:
    profiles = layer.values.get("profiles") or {}
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise ConfigurationError(f"{layer.origin}: `profiles` must map names to settings")
    return profiles


def _section(file: _Layer, profile: str | None) -> _Layer | None:
    values = _profiles(file).get(profile) if profile else None
    return None if values is None else _Layer(f"profile {profile} ({file.origin})", values)


def _resolve(layers: list[_Layer]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for layer in layers:
        for name, value in layer.values.items():
            if name in BY_NAME and name not in values and value is not None:
                origin = (
                    f"environment {BY_NAME[name].variable}" if layer.origin == "environment" else layer.origin
                )
                values[name] = Value(BY_NAME[name].check(value, origin), origin)
    return values


def _others_can_read(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _secret_file(name: str) -> str:
    if name == "-":
        import sys

        line = sys.stdin.readline().strip()
        if not line:
            raise ConfigurationError("there is no database URL on stdin")
        return line
    return _guarded(name)


def _guarded(name: str) -> str:
    return _secret(Path(name), is_guarded=False)


def _secret(path: Path, *, is_guarded: bool) -> str:
    """Read a file that holds a secret; systemd guards a credential's directory, so its mode says nothing."""
    try:
        if not is_guarded and _others_can_read(path):
            raise ConfigurationError(
                f"{path} holds a secret and others can read it", hint=f"chmod 600 {path}"
            )
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    if not text:
        raise ConfigurationError(f"{path} is empty", hint="it has to hold the URL")
    return text
