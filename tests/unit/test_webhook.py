"""What is news for the webhook, how it reads there, and what is remembered of it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.errors import AvatarLabError
from avatarlab_cli.telling import webhook as module
from avatarlab_cli.telling.memory import Told, directory, remembered
from avatarlab_cli.telling.post import Patience
from avatarlab_cli.telling.unit import has_told, matter
from avatarlab_cli.telling.webhook import Matter, Webhook
from tests.listening import listening, slowly, status

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def webhook(url: str, now: datetime = NOW, invocation: str | None = None) -> Webhook:
    return Webhook(url, "avatarlab on db1", now, DAY, invocation)


def test_a_message_as_slack_takes_it() -> None:
    """A text says who speaks; nothing in it is a link, a mention or too long."""
    with listening() as listener:
        url = f"{listener.url}/services/x"
        assert webhook(url).post("a <!channel> & <http://evil|b>\n`x`") is None
        assert webhook(url).post("ä" * 9_000) is None
    first, long = (json.loads(request.body) for request in listener.requests)
    assert listener.requests[0].headers["Content-Type"] == "application/json"
    assert first == {
        "text": "avatarlab on db1: a &lt;!channel&gt; &amp; &lt;http://evil|b&gt;\n`x`",
    }
    assert len(long["text"]) == 3_000
    assert long["text"].endswith("ä…")


@dataclass(frozen=True)
class Step:
    """What is found at a moment, None for nothing, and whether the webhook takes it."""

    hours: int
    mark: str | None
    is_taken: bool


STEPS = st.lists(
    st.builds(Step, st.integers(-30, 30), st.none() | st.sampled_from("ab"), st.booleans()), max_size=12
)


def expected(steps: Sequence[Step]) -> list[str]:
    """Return what a reader of the channel has read in the end: kept by hand, from what was read last."""
    read: list[str] = []
    last, at, now = None, NOW, NOW
    for step in steps:
        now += timedelta(hours=step.hours)
        hours = (now - at).total_seconds() / 3600
        is_news = (
            step.mark != last
            if step.mark is None or last is None
            else step.mark != last or not 0 <= hours < 24
        )
        if is_news and step.is_taken:
            read.append(step.mark or "over")
            last, at = step.mark, now
    return read


@given(STEPS)
def test_news(steps: list[Step]) -> None:
    """A finding is told once, again when it changed or stayed for a day, and once when it is over; what was not taken is told later."""
    read: list[str] = []
    told: dict[str, Told] = {}
    now = NOW

    def post(_: str, body: bytes, *__: object) -> str | None:
        if not step.is_taken:
            return "no"
        read.append(json.loads(body)["text"].rpartition(" ")[2])
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "post", post)
        for step in steps:
            now += timedelta(hours=step.hours)
            found = Matter(
                "x", None if step.mark is None else f"it is {step.mark}", step.mark or "", "it is over"
            )
            assert webhook("", now).tell([found], told) in ([], ["no"])
    assert read == expected(steps)


def test_matters_do_not_meet() -> None:
    """Each matter is news by itself, and one that cannot be told keeps none of the others."""
    told: dict[str, Told] = {}
    with listening() as listener:
        listener.answers = [status(404)]
        matters = [Matter("a", "a is bad", "1"), Matter("b", "b is bad", "1"), Matter("c")]
        assert webhook(listener.url).tell(matters, told) == ["the answer was HTTP 404"]
        assert webhook(listener.url).tell(matters, told) == []
    assert [json.loads(request.body)["text"][18:] for request in listener.requests] == [
        "a is bad",
        "b is bad",
        "a is bad",
    ]
    assert told.keys() == {"a", "b"}


def test_no_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a message has used up all patience the others are news next time, not tried one after the other."""
    monkeypatch.setattr(module, "_PATIENCE", Patience(tries=1, each=0.2, total=0.2))
    told: dict[str, Told] = {}
    matters = [Matter(name, "bad", "1") for name in "abc"]
    with listening() as listener:
        listener.answers = [slowly(5)]
        assert webhook(listener.url).tell(matters, told) == ["no answer came in time"]
        assert len(listener.requests) == 1
    assert told == {}


def test_memory(tmp_path: Path) -> None:
    """What was told is there for the next process, and for its owner alone; a broken file is as good as none."""
    place = tmp_path / "state" / "avatarlab"
    entry = Told("mark", NOW, "invocation")
    with remembered(place) as told:
        told["x"] = entry
    with remembered(place) as told:
        assert told == {"x": entry}
    file = place / "told.json"
    assert [path.stat().st_mode & 0o777 for path in (place, file, place / "told.lock")] == [
        0o700,
        0o600,
        0o600,
    ]
    for broken in (
        "",
        "[]",
        '{"x": 1}',
        '{"x": {"mark": "a"}}',
        '{"x": {"mark": "a", "at": "b", "invocation": null}}',
    ):
        file.write_text(broken)
        with remembered(place) as told:
            assert told == {}


def test_memory_is_kept_when_what_follows_fails(tmp_path: Path) -> None:
    """What was told before an error is not told again."""
    with suppress(KeyboardInterrupt), remembered(tmp_path) as told:
        told["x"] = Told("mark", NOW)
        raise KeyboardInterrupt
    with remembered(tmp_path) as told:
        assert told == {"x": Told("mark", NOW)}


def test_no_memory(tmp_path: Path) -> None:
    """Where nothing can be kept that is said."""
    (tmp_path / "file").touch()
    with pytest.raises(AvatarLabError, match="cannot write in"), remembered(tmp_path / "file" / "x"):
        pass


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"STATE_DIRECTORY": "/var/lib/avatarlab:/var/lib/b", "HOME": "/home/a"}, "/var/lib/avatarlab"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/a"}, "/state/avatarlab"),
        ({"HOME": "/home/a"}, "/home/a/.local/state/avatarlab"),
    ],
)
def test_where_it_is_kept(variables: dict[str, str], place: str) -> None:
    """The directory that systemd made for the service, else the user's own."""
    assert directory(variables) == Path(place)


@pytest.mark.parametrize(
    ("result", "status", "said"),
    [
        ("oom-kill", "KILL", "verify was killed, as memory ran out"),
        ("timeout", "TERM", "verify took longer than it may"),
        ("signal", "KILL", "verify was ended by SIGKILL"),
        ("exit-code", "203", "verify ended with exit code 203"),
        ("something-new", "1", "verify failed"),
    ],
)
def test_what_systemd_says(result: str, status: str, said: str) -> None:
    """Each way a service can fail is said in words, with where its log is."""
    variables = {
        "MONITOR_SERVICE_RESULT": result,
        "MONITOR_EXIT_STATUS": status,
        "MONITOR_INVOCATION_ID": "abc",
    }
    found = matter("avatarlab-verify.service", variables)
    assert found.key == "verify"
    assert str(found.finding).splitlines()[0] == said
    assert "`journalctl _SYSTEMD_INVOCATION_ID=abc`" in str(found.finding)
    assert "`journalctl -u avatarlab-verify.service`" in str(matter("avatarlab-verify.service", {}).finding)


def test_what_the_command_has_told_itself() -> None:
    """A failure is known by its invocation; where systemd gave up later, by the exit code it was told with."""
    told = {"verify": Told("69 abc", NOW, "one"), "verify 2026-03": Told("x", NOW, "two")}
    by_systemd = {"verify": Told(matter("verify", {"MONITOR_EXIT_STATUS": "69"}).mark, NOW, "one")}
    known = [{"MONITOR_INVOCATION_ID": name} for name in ("one", "two")]
    known.append({"MONITOR_INVOCATION_ID": "three", "MONITOR_EXIT_STATUS": "69"})
    new = [{"MONITOR_INVOCATION_ID": "three", "MONITOR_EXIT_STATUS": "9"}, {}]
    assert [has_told(told, "verify", variables) for variables in [*known, *new]] == [True] * 3 + [False] * 2
    # What systemd said before is said again when it has stayed for long.
    assert not has_told(by_systemd, "verify", known[2])
