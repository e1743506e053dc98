"""TLS as a hosted platform demands it: what verify-full lets through, and what each refusal says."""

from collections.abc import Iterator

import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import Outcome, invoke
from tests.database.logins import PASSWORD
from tests.services.tls import HOST, Cluster, cluster

pytestmark = pytest.mark.services

# An empty database is to be migrated: the command got through, and found something.
THROUGH = ExitCode.FOUND


@pytest.fixture(scope="module")
def secure() -> Iterator[Cluster]:
    """A server's data and a CA."""
    with cluster() as made:
        yield made


@pytest.fixture
def good(secure: Cluster) -> Iterator[str]:
    """The URL of a server whose certificate is in order."""
    with secure.serving(secure.good()) as url:
        yield url


def full(secure: Cluster, *more: str) -> str:
    return "?" + "&".join(["sslmode=verify-full", f"sslrootcert={secure.root}", *more])


def status(url: str) -> Outcome:
    return invoke(url, "db", "status")


def assert_refused(outcome: Outcome, code: ExitCode, sentence: str, advice: str) -> None:
    """Check for one sentence and one piece of advice, without a secret."""
    assert (outcome.code, outcome.out) == (code, "")
    said, hint = outcome.err.strip().split("\n")
    assert said == f"avatarlab: {sentence}"
    assert advice in hint
    assert PASSWORD not in outcome.err


def test_a_certificate_in_order(secure: Cluster, good: str) -> None:
    """verify-full lets it through, bound to the login or not."""
    assert status(good + full(secure)).code == THROUGH
    assert status(good + full(secure, "channel_binding=require")).code == THROUGH


def test_the_certificate_named_by_the_environment(
    secure: Cluster, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What psql reads from the environment sets the same as the URL."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(secure.root))
    assert status(good).code == THROUGH
    monkeypatch.setenv("PGSSLROOTCERT", "/nowhere/root.crt")
    assert status(good).code == ExitCode.CONFIGURATION


@pytest.mark.parametrize("root", ["/nowhere/root.crt", "/etc/hostname", "system"])
def test_another_root(good: str, root: str) -> None:
    """A root certificate that is missing, is none, or has not signed this server's is told from one another."""
    sentence = {
        "/nowhere/root.crt": "there is no root certificate in /nowhere/root.crt, so the server cannot be verified",
        "/etc/hostname": "/etc/hostname holds no root certificate, or cannot be read",
        "system": "the server's certificate is not from a CA that this system trusts",
    }[root]
    refused = status(f"{good}?sslmode=verify-full&sslrootcert={root}")
    assert_refused(refused, ExitCode.CONFIGURATION, sentence, "Supabase: dashboard")


def test_another_name(secure: Cluster) -> None:
    """A certificate of another host is refused by verify-full; verify-ca lets it through."""
    with secure.serving(secure.misnamed()) as url:
        refused = status(url + full(secure))
        assert status(url + full(secure).replace("verify-full", "verify-ca")).code == THROUGH
    sentence = f"the server's certificate is for db.example.com, not for {HOST}"
    assert_refused(refused, ExitCode.CONFIGURATION, sentence, "connect by a name")


@pytest.mark.parametrize(
    ("kind", "sentence", "advice"),
    [
        ("foreign", "the server's certificate is not from the CA in {root}", "somebody else answers there"),
        ("expired", "the server's certificate has expired", "renews it"),
        ("future", "the server's certificate is not valid yet", "this host's clock"),
    ],
)
def test_a_certificate_not_to_be_believed(secure: Cluster, kind: str, sentence: str, advice: str) -> None:
    """One of another CA and one of another time are told apart; require without a root looks at neither."""
    with secure.serving(getattr(secure, kind)()) as url:
        refused = status(url + full(secure))
        assert status(f"{url}?sslmode=require").code == THROUGH
    assert_refused(refused, ExitCode.CONFIGURATION, sentence.format(root=secure.root), advice)


def test_a_certificate_that_cannot_be_asked_for_again(
    secure: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody answers a second time, the sentence names both that may be wrong."""
    monkeypatch.setattr("socket.create_connection", _nobody)
    with secure.serving(secure.foreign()) as url:
        refused = status(url + full(secure))
    sentence = "the server's certificate is not from the CA in sslrootcert, or has expired"
    assert_refused(refused, ExitCode.CONFIGURATION, sentence, "somebody else answers there")


def _nobody(*_: object) -> None:
    raise ConnectionRefusedError


def test_no_tls_there(secure: Cluster) -> None:
    """A server without TLS gets neither password nor statement from who demands it."""
    with secure.serving(None) as url:
        refused = status(url + full(secure))
        assert status(url).code == THROUGH
    assert_refused(
        refused, ExitCode.CONFIGURATION, "the server offers no TLS, which sslmode demands", "turn TLS on"
    )


def test_through_a_pooler(secure: Cluster) -> None:
    """A pooler with TLS on both sides is verified as a server is; it refuses who comes without, and any binding."""
    with secure.pooled(secure.good()) as url:
        assert status(url + full(secure)).code == THROUGH
        plain = status(f"{url}?sslmode=disable")
        bound = status(url + full(secure, "channel_binding=require"))
        named = status(url.replace(HOST, "127.0.0.1") + full(secure))
    assert_refused(
        plain, ExitCode.CONFIGURATION, "the pooler refuses connections without TLS", "sslmode=verify-full"
    )
    assert_refused(
        bound,
        ExitCode.CONFIGURATION,
        "the server does not bind the login to the TLS connection, which channel_binding demands",
        "leave channel_binding out",
    )
    assert_refused(
        named,
        ExitCode.CONFIGURATION,
        f"the server's certificate is for {HOST}, not for 127.0.0.1",
        "by a name",
    )
