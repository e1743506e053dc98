"""Reports on rate cards: what they say, what is wrong with one, how two differ; and those the jobs have stored."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

import sqlalchemy as sa

from avatarlab_cli.errors import NotFoundError, UsageError
from avatarlab_cli.rate_file import Fault
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.rollup.rates import CARD_KINDS, Rate, RateCard
from avatarlab_cli.schema.private import job_runs, rate_card

_HINT = "`avatarlab job history --fields started_at,job,rate_card_version` shows which versions were used"
_VERSION = re.compile(r"[0-9a-f]{3,12}")

RATES = (
    Column("kind", help="what is priced"),
    Column("key", help="the provider or model, as names are reduced to it"),
    Column("unit", help="what the price is for"),
    Column("price", Kind.COST, "what one unit costs"),
    Column("currency", help="of the price"),
    Column("from", Kind.DATE, "the first day it holds"),
    Column(
        "until",
        Kind.DATE,
        "the first day it no longer holds: its own end, or where the next begins",
        null="-",
    ),
    Column("in_force", Kind.BOOLEAN, "whether it holds on the day asked for"),
)
FAULTS = (
    Column("line", Kind.INTEGER, "where in the file"),
    Column("entry", Kind.INTEGER, "which rate of the list", null="-"),
    Column("fault", help="what is wrong"),
)
DIFFERENCES = (
    Column("change", help="added, removed or changed"),
    Column("kind", help="what is priced"),
    Column("key", help="the provider or model"),
    Column("unit", help="what the price is for"),
    Column("from", Kind.DATE, "the first day the price holds"),
    Column("before", Kind.COST, "the price in the first card", null="-"),
    Column("after", Kind.COST, "the price in the second card", null="-"),
    Column("until_before", Kind.DATE, "its end in the first card, where it has one of its own", null="-"),
    Column("until_after", Kind.DATE, "its end in the second card", null="-"),
    Column("currency_before", help="of the first card", wide=True),
    Column("currency_after", help="of the second card", wide=True),
)


class Named(NamedTuple):
    """A card, and the file it stands in or the fact that it is stored."""

    origin: str
    card: RateCard

    def __str__(self) -> str:
        return f"{self.card.version} ({self.origin}, {self.card.currency})"


def rates(card: RateCard, day: date, kind: str | None) -> Iterator[dict[str, object]]:
    """Yield one row for each rate, of one kind or of all, saying whether it holds on the day."""
    for rate, end in sorted(card.periods(), key=lambda period: CARD_KINDS.index(period[0].kind)):
        if kind in (None, rate.kind):
            yield {
                **_columns(rate),
                "price": rate.price,
                "currency": card.currency,
                "until": end,
                "in_force": rate.valid_from <= day and (end is None or day < end),
            }


def faults(found: Iterable[Fault]) -> Iterator[dict[str, object]]:
    """Yield one row for each thing that is wrong with a card."""
    return ({"line": fault.line, "entry": fault.entry, "fault": fault.sentence} for fault in found)


def differences(before: RateCard, after: RateCard) -> list[dict[str, object]]:
    """Return one row for each rate that only one of the cards has, or that says something else in the other.

    Prices in different currencies are never the same.
    """
    old, new = ({(*rate.subject, rate.valid_from): rate for rate in card.rates} for card in (before, after))
    rows = []
    for key in sorted(old.keys() | new.keys()):
        one, other = old.get(key), new.get(key)
        change = "added" if one is None else "removed" if other is None else "changed"
        if one == other and before.currency == after.currency:
            continue
        rows.append(
            {
                "change": change,
                **_columns(next(rate for rate in (one, other) if rate)),
                "before": one and one.price,
                "after": other and other.price,
                "until_before": one and one.valid_until,
                "until_after": other and other.valid_until,
                "currency_before": before.currency,
                "currency_after": after.currency,
            }
        )
    return rows


def _columns(rate: Rate) -> dict[str, object]:
    return {"kind": rate.kind, "key": rate.key, "unit": rate.unit, "from": rate.valid_from}


def is_version(text: str) -> bool:
    """Tell whether a text can be a stored version or the beginning of one."""
    return bool(_VERSION.fullmatch(text))


def find(connection: sa.Connection, version: str) -> Named:
    """Return the stored card whose version begins so; raises NotFoundError, or UsageError where several do."""
    fitting = sa.select(rate_card.c.version, rate_card.c.card).where(
        sa.func.starts_with(rate_card.c.version, version)
    )
    rows = (
        connection.execute(fitting.order_by(rate_card.c.version).limit(3)).all()
        if is_version(version)
        else ()
    )
    if not rows:
        raise NotFoundError(f"there is no stored rate card {version!r}", hint=_HINT)
    if len(rows) > 1:
        raise UsageError(
            f"{version!r} fits several rate cards: {', '.join(row.version for row in rows)}",
            hint="write more of it",
        )
    return Named("stored", RateCard.from_dict(rows[0].card))


def latest(connection: sa.Connection) -> Named:
    """Return the card that the latest run of monthly-usage priced with; raises NotFoundError where none has run."""
    runs = sa.select(job_runs.c.rate_card_version).where(
        job_runs.c.job == "monthly-usage", job_runs.c.status == "succeeded", ~job_runs.c.is_dry_run
    )
    version = connection.scalar(runs.order_by(job_runs.c.started_at.desc()).limit(1))
    if version is None:
        raise NotFoundError(
            "the job monthly-usage has not run yet, so there is no card to compare with",
            hint="name two cards: avatarlab cost rates diff old.yaml new.yaml",
        )
    return find(connection, version)
