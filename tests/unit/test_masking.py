"""Numbers and addresses do not show through, however they are written and wherever a passage is cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.masking import HIDDEN, masked_phone, passage


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+4915112345678", "+49…78"),
        ("4915112345678", "491…78"),
        ("12345678", "123…78"),
        ("77", "…"),
        ("", "…"),
    ],
)
def test_a_phone_number(number: str, shown: str) -> None:
    """Beginning and end are shown where more is hidden than they tell."""
    assert masked_phone(number) == shown


@pytest.mark.parametrize(
    "secret",
    [
        *("+4915112345678", "+49 (0)151 1234-5678", "0151/123 45 67", "(555) 010-2345", "555.010.2345"),
        *("0151\u20111234567", "0151\u200b1234567", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666"),
        *("ann@example.com", "Ann.O'Neil+shop@mail.example.co.uk", "grüße@müller.example"),
        *(
            "ann at example.com",
            "ann (at) example [dot] com",
            "Ann AT mail dot example dot com",
            "ann @ example.com",
        ),
        *('"ann lee"@example.com', r'"ann \"x\" lee"@example.com', "ann!x@example.com", "ann@[192.0.2.1]"),
        *("ann\uff20example.com", "\uff41\uff4e\uff4e\ufe6bexample\uff0ecom", "gru\u0308ße@example.com"),
        *(
            "a\u200bnn\u2060@exam\u00adple.com\u200b",
            "0151\u200b\u200b\u200b\u200b123",
            "\u2460\u2461\u2462\u2463\u2464\u2465",
        ),
    ],
)
def test_what_is_hidden(secret: str) -> None:
    """Usual and unusual ways to write a number or an address leave no character."""
    text = f"call me: {secret}, please"
    assert passage(text, 0, len(text)) == f"call me: {HIDDEN}, please"
    assert passage(text, 0, len(text), reveal=True) == text


def test_what_is_shown() -> None:
    """A year, a price and a quantity stay, blanks are one, and dots tell where more was said."""
    text = "In 2025 it was 19.99 for 12,  \n not more: truly"
    assert passage(text, 3, 37) == "…2025 it was 19.99 for 12, not m…"
    for text in (
        "look at it. Then come at 5.30",
        "hello @ann, a cafe\u0301 at noon",
        "\uff28i \u201cyou\u201d",
    ):
        assert passage(text, 0, len(text)) == text


@given(
    before=st.text("ab 12-\n", max_size=30),
    number=st.lists(st.sampled_from("0123456789"), min_size=6, max_size=20),
    after=st.text("ab 12-\n", max_size=30),
    cut=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_no_cut_shows_a_number(before: str, number: list[str], after: str, cut: tuple[int, int]) -> None:
    """Wherever the passage begins and ends, no digit of the number's is in it."""
    text = f"{before}x{'-'.join(number)}x{after}"
    begin, end = len(before) + 1, len(before) + 2 * len(number)
    shown = passage(text, min(cut), max(cut) + 1)
    kept = passage(text[:begin] + "ö" * (end - begin) + text[end:], min(cut), max(cut) + 1)
    assert re.sub(r"ö+", HIDDEN, kept) == shown


_WIDE = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}


@given(
    before=st.text("ab \uff41\u200bé\n", max_size=20),
    secret=st.sampled_from(("ann.lee@mail.example.com", "+49 151 2345678", '"ann lee"@example.com')),
    data=st.data(),
    after=st.text("ab \uff41\u200bé\n", max_size=20),
)
def test_no_disguise_shows_anything(before: str, secret: str, data: st.DataObject, after: str) -> None:
    """However an address or number is disguised, it is gone, and the text around it as it was."""
    changes = data.draw(st.lists(st.integers(0, 4), min_size=len(secret), max_size=len(secret)))
    written = "".join(
        (
            letter,
            _WIDE.get(letter, letter),
            f"{letter}\u200b",
            f"{letter}\ufe0f\u2060\u200d\u00ad",
            f"{letter}\u0301",
        )[how]
        for letter, how in zip(secret, changes, strict=True)
    )
    text = f"{before}: {written}; {after}"
    whole = f"{before}: {HIDDEN}; {after}"
    assert passage(text, 0, len(text)) == re.sub(r"\s+", " ", whole)
