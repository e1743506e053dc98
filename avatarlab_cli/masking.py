"""Hiding who somebody is: phone numbers and e-mail addresses, alone and in what was said."""

import re
from collections.abc import Iterator
from unicodedata import category, normalize

HIDDEN = "[hidden]"
_LOCAL = r"""(?:[\w.!#$%&'*+/=?^`{|}~-]+|"(?:[^"\\\r\n]|\\.){1,64}")"""
_AT = r"(?:\s*@\s*|\s+at\s+|\s*[(\[]\s*(?:at|@)\s*[)\]]\s*)"
_DOT = r"(?:\.|\s+dot\s+|\s*[(\[]\s*dot\s*[)\]]\s*)"
_SPELLED = rf"{_LOCAL}{_AT}(?:[\w-]+{_DOT})+[^\W\d_][\w-]+"
_ADDRESS = rf"{_LOCAL}@(?:[\w.-]+|\[[\w.:]+\])"
# An address, or six and more digits, whatever stands between them: hiding a date as well costs little.
_PERSONAL = re.compile(rf"{_SPELLED}|{_ADDRESS}|[+(]{{0,2}}\d(?:[\W_]{{0,3}}\d){{5,}}", re.IGNORECASE)
_SHORTEST = 8
# Letters to Unicode, and nothing to the eye.
_FILLERS = "\u115f\u1160\u3164\uffa0"


def masked_phone(number: str) -> str:
    """Return the beginning and the end of a phone number, +49…78; of a short one nothing."""
    return f"{number[:3]}…{number[-2:]}" if len(number) >= _SHORTEST else "…"


def passage(text: str, begin: int, end: int, *, reveal: bool = False) -> str:
    """Return the characters from `begin` to `end` on one line, numbers and addresses hidden, also where they are cut."""
    parts, at = [], begin
    for first, last in () if reveal else _personal(text):
        if last > at and first < end:
            parts += [text[at:first], HIDDEN]
            at = last
    line = re.sub(r"\s+", " ", "".join([*parts, text[at:end]]))
    return f"{'…' if begin > 0 else ''}{line}{'…' if end < len(text) else ''}"


def _personal(text: str) -> Iterator[tuple[int, int]]:
    """Yield from where to where something is to be hidden, however its characters are written."""
    plain, places = _plain(text)
    for match in _PERSONAL.finditer(plain):
        begin, end = match.span()
        # One character may be written as several, and what has no width goes with the one before.
        yield places[begin], max(places[end], places[end - 1] + 1)


def _plain(text: str) -> tuple[str, list[int]]:
    """Return the text in its usual characters, without what has no width of its own, and where each stood."""
    letters, places = [], []
    for place, letter in enumerate(text):
        usual = "" if _has_no_width(letter) else normalize("NFKC", letter)
        letters.append(usual)
        places += [place] * len(usual)
    return "".join(letters), [*places, len(text)]


def _has_no_width(letter: str) -> bool:
    return letter in _FILLERS or (category(letter)[0] in "MC" and not letter.isspace())
