"""The digest of a closed month, as docs/metrics.md defines it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal


def digest(lines: Iterable[str]) -> str:
    """Return the digest of a month's lines, which are in their order."""
    return _sha256("\n".join(map(_sha256, lines)))


def as_jsonb(value: object) -> str:
    """Return a value as PostgreSQL writes jsonb: shorter names first, those of one length by their bytes."""
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return (
            "{"
            + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {as_jsonb(value[name])}" for name in names)
            + "}"
        )
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
