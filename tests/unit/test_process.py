"""How a process is told to end: the first signal waits for what is under way, the second does not."""

import signal
import threading
from collections.abc import Callable

import pytest

from avatarlab_cli.__main__ import run
from avatarlab_cli.errors import ExitCode, Terminated, exit_code_of
from avatarlab_cli.process import Ending, signals_deferred

pytestmark = pytest.mark.usefixtures("signals_of_the_command_line")


def deferred(work: Callable[[Ending], object]) -> None:
    with signals_deferred() as ending:
        work(ending)


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [(signal.SIGINT, KeyboardInterrupt, 130), (signal.SIGTERM, Terminated, 143)],
)
def test_the_first_signal_waits(number: signal.Signals, error: type[BaseException], code: int) -> None:
    """Nothing is interrupted, the block can ask, and the signal takes effect at its end."""
    seen: list[bool] = []

    def work(ending: Ending) -> None:
        seen.append(ending.is_told())
        signal.raise_signal(number)
        seen.append(ending.is_told())

    with pytest.raises(error) as raised:
        deferred(work)
    assert seen == [False, True]
    assert exit_code_of(raised.value) is ExitCode(code)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_signal_does_not_wait() -> None:
    """Told again, the block ends where it is."""

    def work(_: Ending) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")

    with pytest.raises(Terminated):
        deferred(work)


def test_a_block_within_another_is_part_of_it() -> None:
    """The signal that came in the inner one takes effect at the outer one's end, and the second one at once."""
    seen: list[bool] = []

    def work(outer: Ending) -> None:
        deferred(lambda _: signal.raise_signal(signal.SIGINT))
        seen.append(outer.is_told())
        deferred(lambda inner: seen.append(inner is outer))
        with pytest.raises(KeyboardInterrupt):
            deferred(lambda _: signal.raise_signal(signal.SIGINT))
        seen.append(True)

    with pytest.raises(KeyboardInterrupt):
        deferred(work)
    assert seen == [True, True, True]


def test_a_rest_ends_with_the_signal() -> None:
    """Who rests is not waited for, and who was told before does not rest."""
    main = threading.get_ident()

    def interrupted(ending: Ending) -> None:
        threading.Timer(0.05, lambda: signal.pthread_kill(main, signal.SIGTERM)).start()
        ending.rest(60)

    def told(ending: Ending) -> None:
        signal.raise_signal(signal.SIGINT)
        ending.rest(60)

    with pytest.raises(Terminated):
        deferred(interrupted)
    with pytest.raises(KeyboardInterrupt):
        deferred(told)


def test_what_is_ignored_stays_ignored() -> None:
    """A job in a shell's background does not end because somebody presses Ctrl-C elsewhere."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals_deferred() as ending:
            signal.raise_signal(signal.SIGINT)
            assert not ending.is_told()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_threads_are_never_told() -> None:
    """Signals belong to the main thread; a run in another one goes without."""
    found: list[Ending] = []

    def work() -> None:
        with signals_deferred() as ending:
            found.append(ending)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not found[0].is_told()


def test_told_while_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes while an error is put into words ends the process as that signal does."""

    def told(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("avatarlab_cli.main._fail", told)
    monkeypatch.setattr("os.environ", {"HOME": "/nonexistent"})
    with pytest.raises(SystemExit) as ended:
        run(["usage", "top"])
    assert ended.value.code == ExitCode.TERMINATED
