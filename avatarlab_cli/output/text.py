"""Data from strangers made safe for a terminal."""

# C0, DEL, C1, and the marks that reorder what is read: a name must not move the cursor or disguise itself.
_UNSAFE = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_IN_LINE = {code: ascii(chr(code))[1:-1] for code in _UNSAFE}
_IN_TEXT = {code: escape for code, escape in _IN_LINE.items() if code not in map(ord, "\n\t")}


def visible(text: str) -> str:
    """Show control characters as escapes; line ends and tabs stay."""
    return text.translate(_IN_TEXT)


def visible_line(text: str) -> str:
    """Show control characters as escapes, line ends and tabs too."""
    return text.translate(_IN_LINE)
