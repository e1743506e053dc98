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
