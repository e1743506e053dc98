"""Hiding who somebody is: phone numbers and e-mail addresses, alone and in what was said."""

import re

HIDDEN = "[hidden]"
# An address, or six and more digits, whatever stands between them: hiding a date as well costs little.
_PERSONAL = re.compile(r"[\w.+%'-]+@[\w.-]+|[+(]{0,2}\d(?:[\W_]{0,3}\d){5,}")
_SHORTEST = 8


def masked_phone(number: str) -> str:
    """Return the beginning and the end of a phone number, +49…78; of a short one nothing."""
    return f"{number[:3]}…{number[-2:]}" if len(number) >= _SHORTEST else "…"


def passage(text: str, begin: int, end: int, *, reveal: bool = False) -> str:
    """Return the characters from `begin` to `end` on one line, numbers and addresses hidden, also where they are cut."""
    parts, at = [], begin
    for match in () if reveal else _PERSONAL.finditer(text):
        if match.end() > at and match.start() < end:
            parts += [text[at : match.start()], HIDDEN]
            at = match.end()
    line = re.sub(r"\s+", " ", "".join([*parts, text[at:end]]))
    return f"{'…' if begin > 0 else ''}{line}{'…' if end < len(text) else ''}"
