"""Who stores more than the tier allows, or nearly so."""

from dataclasses import replace

import sqlalchemy as sa

from avatarlab_cli.queries.limits import NEAR_PERCENT, check
from avatarlab_cli.report import Kind, Report

METRIC = "storage_bytes"
_SIZES = frozenset({"value", "limit"})


def quota(connection: sa.Connection, near_percent: int = NEAR_PERCENT) -> Report:
    """Report who is over, at or near the limit of stored bytes, as `limits.check` finds them."""
    found = check(connection, near_percent=near_percent, metric=METRIC)
    columns = (
        replace(c, kind=Kind.BYTES if c.name in _SIZES else c.kind, wide=c.wide or c.name == "metric")
        for c in found.columns
    )
    return replace(found, columns=tuple(columns))
