"""The reports of the noun `image`: exact rows of known images, filters, and what is not understood."""

import json

import pytest

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import invoke, terminal
from tests.cli.known_shelf import FOX, HARE, LOST, OWL

UNKNOWN_DIMENSION = "by: provider, model, type, user, day"


def test_volume(shelf: str) -> None:
    """A provider's images are counted together however it is spelt, and add up to the total."""
    shown = invoke(shelf, "image", "volume")
    assert shown.code == 0
    assert shown.out == (
        "provider  images  users  favorites  flagged  last_image\n"
        "kie-qwen       2      1          0        0  2025-06-14T00:00:00Z\n"
        "openai         1      1          0        1  2025-06-12T00:00:00Z\n"
        "total          3                 0        1\n"
    )
    assert "only images that were made leave a row" in shown.err
    assert "No image was made" in invoke(shelf, "image", "volume", "--until", "2025-06-12").err


def test_videos(shelf: str) -> None:
    """Of two videos one is made, the other hangs; only what is finished counts for the rate."""
    (row,) = json.loads(invoke(shelf, "image", "videos", "--json").out)
    assert row == {
        "provider": "sora-2-pro",
        "videos": 2,
        "completed": 1,
        "failed": 0,
        "processing": 1,
        "other": 0,
        "finished": 1,
        "success_rate": "1.000000",
        "average_seconds": "90.000",
    }


def test_stuck(shelf: str) -> None:
    """A video that hangs for longer than asked is a finding."""
    found = invoke(shelf, "image", "stuck", "--csv", "--fields", "id,began_at,waiting_seconds")
    assert found.code == ExitCode.FOUND
    assert found.out == f"id,began_at,waiting_seconds\n{LOST},2025-06-13T00:00:00Z,216000\n"
    assert invoke(shelf, "image", "stuck", "--older-than", "61h").code == 0


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), [FOX, OWL, HARE]),
        (("--user", "ada"), [FOX, OWL]),
        (("--provider", "KIE-QWEN"), [FOX, OWL]),
        (("--flagged",), [HARE]),
        (("--moderation", "approved", "--since", "36h"), [FOX]),
        (("--moderation", "rejected"), []),
    ],
)
def test_list(shelf: str, arguments: tuple[str, ...], found: list[object]) -> None:
    """The latest stands first, and all filters that are given must hold."""
    assert invoke(shelf, "image", "list", "-o", "ids", *arguments).out.split() == list(map(str, found))


def test_an_image_is_never_shown(shelf: str) -> None:
    """Of an image in the row itself only its place and size are told, and a prompt is cut."""
    shown = invoke(shelf, "image", "list", "--csv")
    assert "base64" not in shown.out
    shown = invoke(shelf, "image", "list", "--json", "--fields", "place,url_bytes,prompt", "--flagged")
    assert json.loads(shown.out) == [{"place": "inline", "url_bytes": 1022, "prompt": ("hare " * 60)[:200]}]


def test_queue(shelf: str) -> None:
    """What is flagged waits, and what is not recorded of it is said."""
    shown = invoke(shelf, "image", "queue")
    assert shown.out.splitlines()[1:] == [
        f"{HARE}  Eve@example.org  flagged     cruel   2025-06-12T00:00:00Z"
    ]
    assert "when they were flagged" in shown.err


@pytest.mark.parametrize("verb", ["list", "queue", "stuck", "volume"])
def test_a_terminal_is_wide_enough(shelf: str, verb: str) -> None:
    """No line of a table needs more than 100 columns."""
    shown = terminal(shelf, "image", verb, columns=100, env={"NO_COLOR": "1"}).out
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("volume", "--by", "size"), ExitCode.USAGE, UNKNOWN_DIMENSION),
        (("videos", "--by", "size"), ExitCode.USAGE, UNKNOWN_DIMENSION),
        (("stuck", "--older-than", "2030-01-01"), ExitCode.USAGE, "lies ahead"),
        (("list", "--moderation", "gone"), ExitCode.USAGE, "pending, approved, rejected, flagged"),
        (("list", "--since", "yesterday"), ExitCode.USAGE, "ISO 8601"),
        (("list", "--user", "nobody"), ExitCode.NOT_FOUND, "there is no user 'nobody'"),
    ],
)
def test_what_is_not_understood(shelf: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    """It is told with what there is instead."""
    refused = invoke(shelf, "image", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err
