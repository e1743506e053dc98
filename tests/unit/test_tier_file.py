"""A tiers.yaml: what is read, what is refused and where, and how it differs from the tiers there are."""

from contextlib import suppress
from decimal import Decimal
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.errors import UsageError
from avatarlab_cli.tier_file import FIELDS, Change, Tier, compare, parse, reached, read, unnamed

PRESENT: dict[str, dict[str, Any]] = {
    "free": {"price_monthly": Decimal("0.00"), "limits": {}, "is_active": True, "is_archived": False},
    "pro": {"price_monthly": Decimal("29.99"), "limits": {}, "is_active": True, "is_archived": False},
    "old": {"price_monthly": Decimal("5.00"), "limits": {}, "is_active": False, "is_archived": True},
}


def test_the_file_that_is_shipped() -> None:
    """The default tiers are read as their columns have them."""
    free, starter, *_ = parse(files("config").joinpath("tiers.yaml").read_text(), "tiers.yaml")
    assert (free.name, free.values["limits"]) == ("free", {})
    assert starter == Tier(
        "starter",
        {
            "display_name": "Starter",
            "description": "Two avatars",
            "price_monthly": Decimal("9.99"),
            "price_yearly": Decimal("99.99"),
            "trial_days": 7,
            "max_avatars": 2,
            "limits": {},
            "sort_order": 2,
        },
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t:1: a list of tiers is expected: - name: pro"),
        ("name: pro", "t:1: a list of tiers is expected: - name: pro"),
        ("- name: a\n- pro", "t:2: a tier is expected, as a mapping: - name: pro"),
        ("- name: a\n- display_name: B", "t:2: the tier has no name"),
        ("- name: a\n\n- name: A", "t:3: a second tier is called A"),
        ("- name: a\n  name: b", "t:2: name stands here twice"),
        (
            "- name: a\n  price: 5",
            "t:2: 'price' is no key of a tier; keys: name, display_name, description, ",
        ),
        ("- name: a\n  [x]: 5", "t:2: a key must be a word"),
        ("- name: 5", "t:1: name must be a text of 1 to 50 characters, not 5"),
        (
            "- name: ' a'",
            "t:1: name must neither begin nor end with a space, nor hold control characters, not ' a'",
        ),
        (
            '- name: "a\\e[31m"',
            "t:1: name must neither begin nor end with a space, nor hold control characters",
        ),
        (
            "- name: a\n  price_monthly: '9'",
            "t:2: price_monthly must be an amount in USD such as 9.99, not '9'",
        ),
        ("- name: a\n  price_monthly: true", "t:2: price_monthly must be an amount in USD"),
        (
            "- name: a\n  price_yearly: -1",
            "t:2: price_yearly must be from 0 to 99999999.99, in whole cents, not -1",
        ),
        (
            "- name: a\n  price_yearly: 9.999",
            "t:2: price_yearly must be from 0 to 99999999.99, in whole cents",
        ),
        (
            "- name: a\n  price_yearly: .nan",
            "t:2: price_yearly must be from 0 to 99999999.99, in whole cents",
        ),
        ("- name: a\n  price_yearly: 100000000", "t:2: price_yearly must be from 0 to 99999999.99"),
        (
            "- name: a\n  trial_days: -1",
            "t:2: trial_days must be a whole number from 0 to 2147483647, not -1",
        ),
        (
            "- name: a\n  trial_days: 1.5",
            "t:2: trial_days must be a whole number from 0 to 2147483647, not 1.5",
        ),
        (
            "- name: a\n  max_avatars: -2",
            "t:2: max_avatars must be a whole number from -1 to 2147483647, not -2",
        ),
        ("- name: a\n  max_avatars: true", "t:2: max_avatars must be a whole number from -1"),
        ("- name: a\n  is_active: 1", "t:2: is_active must be true or false, not 1"),
        ("- name: a\n  limits: 5", "t:2: limits must map metrics to limits: {images_generated: 500}, not 5"),
        ("- name: a\n  limits:\n    images: 5", "t:3: 'images' cannot be limited; one of: avatars_created, "),
        (
            "- name: a\n  limits:\n    max_avatars: 5",
            "t:3: max_avatars is not one of the limits; it stands by itself",
        ),
        (
            "- name: a\n  limits:\n    storage_bytes: 5\n    images_generated: -2",
            "t:4: images_generated must be a whole number from 0, or -1 for unlimited, not -2",
        ),
        (
            "- name: a\n  limits: {images_generated: null}",
            "t:2: images_generated must be a whole number from 0",
        ),
        (
            "- name: a\n  limits: {images_generated: 1, images_generated: 2}",
            "t:2: images_generated stands here twice",
        ),
        ("- name: a\n  description: 2025-13-45", "t:2: month must be in 1..12"),
        ("- name: a\n  limits: {", "t:2: this is not YAML: "),
        ("- name: !!python/name:os.system a", "t:1: this is not YAML: could not determine a constructor"),
        ("\x00", "t: this is not YAML: special characters are not allowed"),
    ],
)
def test_a_fault_has_its_line(text: str, message: str) -> None:
    """What no tier can have is refused with file and line, and what would do."""
    with pytest.raises(UsageError) as raised:
        parse(text, "t")
    assert raised.value.message.startswith(message)


@given(st.text(alphabet="-{}[]:&*!|>'\"# \nanmeli_ts0123.~<?", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever stands in the file, it is tiers or a fault that is told."""
    with suppress(UsageError):
        assert all(tier.values.keys() <= FIELDS.keys() for tier in parse(text, "t"))


def test_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is read by its path and stdin by a dash; what cannot be read is named."""
    file = tmp_path / "tiers.yaml"
    file.write_text("- name: a")
    assert read(str(file)) == (Tier("a", {}),)
    monkeypatch.setattr("sys.stdin", StringIO("- name: 5"))
    with pytest.raises(UsageError, match=r"^stdin:1: name must be"):
        read("-")
    file.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=f"^cannot read {file}: it is not UTF-8$"):
        read(str(file))
    with pytest.raises(UsageError, match=f"^cannot read {tmp_path}: Is a directory$"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("tier", "change"),
    [
        (Tier("pro", {}), None),
        (Tier("pro", {"price_monthly": Decimal("29.99")}), None),
        (
            Tier("PRO", {"price_monthly": Decimal("31.00"), "limits": {}}),
            Change("pro", "update", {"price_monthly": Decimal("29.99")}, {"price_monthly": Decimal("31.00")}),
        ),
        (Tier("team", {"max_avatars": 3}), Change("team", "create", {}, {"name": "team", "max_avatars": 3})),
        (
            Tier("old", {}),
            Change(
                "old",
                "update",
                {"is_archived": True, "is_active": False},
                {"is_archived": False, "is_active": True},
            ),
        ),
        (
            Tier("old", {"is_active": False}),
            Change("old", "update", {"is_archived": True}, {"is_archived": False}),
        ),
    ],
)
def test_compare(tier: Tier, change: Change | None) -> None:
    """Only what differs changes; a new tier is made, and an archived one that is named comes back."""
    assert compare([tier], PRESENT) == ([change] if change else [])


def test_what_the_file_leaves_out() -> None:
    """A tier that is not named is left alone, or with prune archived once."""
    wanted = [Tier("free", {})]
    assert compare(wanted, PRESENT) == []
    assert unnamed(wanted, PRESENT) == ["pro"]
    assert compare(wanted, PRESENT, prune=True) == [
        Change(
            "pro",
            "archive",
            {"is_archived": False, "is_active": True},
            {"is_archived": True, "is_active": False},
        )
    ]


def test_reached() -> None:
    """Every tier is as the file wants it, and otherwise as it is."""
    wanted = [Tier("Pro", {"limits": {"images_generated": 5}}), Tier("team", {"max_avatars": 3})]
    assert dict(reached(wanted, PRESENT)) == {
        **PRESENT,
        "pro": {**PRESENT["pro"], "limits": {"images_generated": 5}},
        "team": {"max_avatars": 3},
    }
