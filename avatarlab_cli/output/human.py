"""Values as a person at a terminal reads them, made from their machine form."""

from decimal import ROUND_HALF_UP, Decimal

from avatarlab_cli.report import Kind

NUMBER_KINDS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.MONEY, Kind.COST, Kind.BYTES, Kind.PERCENT})
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_CENT = Decimal("0.01")


def human(text: str, kind: Kind) -> str:
    """Shorten a machine text for reading: units, separators, minutes instead of microseconds."""
    if kind is Kind.TIME:
        return text[:16].replace("T", " ") if "T" in text else text
    if kind is Kind.BOOLEAN:
        return "yes" if text == "true" else "no"
    if kind in NUMBER_KINDS:
        number = Decimal(text)
        return _number(number, kind) if number.is_finite() else text
    return text


def _number(number: Decimal, kind: Kind) -> str:
    if kind is Kind.MONEY:
        return _money(number)
    if kind is Kind.BYTES:
        return _bytes(number)
    return f"{number * 100:,.1f} %" if kind is Kind.PERCENT else f"{number:,f}"


def _money(amount: Decimal) -> str:
    """Round to cents; an amount below one cent keeps its digits, as it is not nothing."""
    if 0 < abs(amount) < _CENT:
        return f"{amount.normalize():f}"
    return f"{amount.quantize(_CENT, ROUND_HALF_UP):,f}"


def _bytes(size: Decimal) -> str:
    if abs(size) < 1000:  # noqa: PLR2004 (the step between decimal units)
        return f"{size:f} B"
    for unit in _UNITS:
        size /= 1000
        # 999,950 bytes would otherwise read 1000.0 kB.
        if abs(size) < Decimal("999.95") or unit == _UNITS[-1]:
            break
    return f"{size:,.1f} {unit}"
