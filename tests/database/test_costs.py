"""The reports on costs against the independent recount, over random data and both starting states."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.database import Database
from avatarlab_cli.queries import cost_explain, cost_margin, cost_report, cost_user
from avatarlab_cli.queries.users import UserName
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.rates import PLATFORM_KINDS, RateCard
from avatarlab_cli.timeframe import Window, month_window
from jobs import monthly_usage
from jobs.result import Task
from tests.database.comparing import TODAY, record_month, record_snapshot, rolled_back, storage_known
from tests.database.costing import Rows, arrange, books, compute, record_sizes, shown
from tests.examples import examples
from tests.reference import costs, usage
from tests.reference.costs import MILLIONTH, Books, Part
from tests.reference.generate import Dataset, dataset, datasets
from tests.reference.rates import UNIT_SIZE
from tests.reference.rows import MAKERS
from tests.reference.source import UNATTRIBUTED, days_between, month_of

EXAMPLES = examples(3)
SINCE = date(2024, 12, 1)
MONTHS = (date(2024, 12, 1), date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1))
EVERY_MONTH = Window(SINCE, date(2025, 4, 1))
MARCH = days_between(date(2025, 3, 1), TODAY)
DIVISIONS = (
    *cost_report.DIMENSIONS,
    "month,kind",
    "user,kind",
    "month,tier,kind",
    "month,kind,user,tier",
    "kind,provider",
    "kind,provider,model",
    "user,model",
    "tier,provider",
    "month,user,kind,model",
)
known_days = st.one_of(st.just(set(range(1, TODAY.day))), st.sets(st.integers(1, TODAY.day - 1)))
sizes = st.one_of(
    st.dictionaries(st.sampled_from(MARCH), st.integers(0, 10**12)),
    st.builds(lambda size: dict.fromkeys(MARCH, size), st.integers(0, 10**12)),
)

divisions = st.lists(st.sampled_from(DIVISIONS), min_size=5, max_size=5, unique=True)

Key = tuple[Any, ...]


def value_of(part: Part, name: str, told: Books) -> object:
    match name:
        case "user":
            return part.owner if isinstance(part.owner, UUID) and part.owner != UNATTRIBUTED else None
        case "tier":
            return costs.tier_of(told, part.owner, part.month)
        case _:
            return getattr(part, name)


def divided(parts: Iterable[Part], by: Sequence[str], told: Books) -> dict[Key, list[Part]]:
    found: dict[Key, list[Part]] = {}
    for part in parts:
        found.setdefault(tuple(value_of(part, name, told) for name in by), []).append(part)
    return found


def rows_by(rows: Rows, by: Sequence[str]) -> dict[Key, dict[str, Any]]:
    """Return a report's rows by what it divides by; nobody and the platform both have no id, so those rows meet."""
    found: dict[Key, dict[str, Any]] = {}
    for row in rows:
        key = tuple(row["user_id" if name == "user" else name] for name in by)
        if key in found:
            assert row["user_id"] is None
            row["cost"] = costs.summed(
                [None if r["cost"] is None else Fraction(r["cost"]) for r in (row, found[key])]
            )
            row["is_incomplete"] |= found[key]["is_incomplete"]
        found[key] = row
    return found


def total(rows: Iterable[Any]) -> Fraction:
    return sum((Fraction(row["cost"]) for row in rows if row["cost"] is not None), Fraction(0))


@EXAMPLES
@given(data=datasets(TODAY), days=known_days, database=sizes, some=divisions)
def test_every_division_equals_the_recount(
    migrated: Database, data: Dataset, days: set[int], database: dict[date, int], some: list[str]
) -> None:
    """Every row of every division has the recount's cost, and each division of the months the same total."""
    with rolled_back(migrated) as connection:
        arrange(connection, data, days, database)
        told = books(connection)
        stored, by_row = costs.stored_parts(told), costs.row_parts(told)
        whole = sum((part.cost for part in stored if part.cost is not None), Fraction(0))
        assert whole == stored_total(connection) + others(stored)
        for text in some:
            by = cost_report.demand_dimensions(text)
            rows = shown(connection, cost_report.report(connection, EVERY_MONTH, by))
            assert total(rows) == whole, text
            check_shares(rows)
            if {"provider", "model", "unit"} & set(by):
                check_rows(rows, by_row, by, told)
            else:
                check_stored(rows, stored, by, told)


def stored_total(connection: sa.Connection) -> Fraction:
    return Fraction(connection.scalar(sa.text("select coalesce(sum(total_cost), 0) from monthly_usage")) or 0)


def others(stored: Iterable[Part]) -> Fraction:
    """Return what is nobody's and the platform's."""
    mine = (UNATTRIBUTED, costs.PLATFORM)
    return sum((part.cost for part in stored if part.owner in mine and part.cost is not None), Fraction(0))


def check_shares(rows: Rows) -> None:
    whole = total(rows)
    for row in rows:
        if row["cost"] is None or not whole:
            assert row["share"] is None
        else:
            assert abs(Fraction(row["share"]) - Fraction(row["cost"]) / whole) < MILLIONTH


def check_stored(rows: Rows, stored: list[Part], by: Sequence[str], told: Books) -> None:
    found, expected = rows_by(rows, by), divided(stored, by, told)
    assert found.keys() == expected.keys()
    for key, parts in expected.items():
        assert (found[key]["cost"], found[key]["is_incomplete"]) == (
            costs.summed(part.cost for part in parts),
            any(part.is_incomplete for part in parts),
        ), key


def check_rows(rows: Rows, by_row: list[Part], by: Sequence[str], told: Books) -> None:
    """Compare quantities exactly; a share of what is stored in millionths is the exact cost but for one millionth."""
    found, expected = rows_by(rows, by), divided(by_row, by, told)
    assert found.keys() == expected.keys()
    for key, parts in expected.items():
        row = found[key]
        for name in ("quantity", "unpriced") if "unit" in by else ():
            quantities = [value for part in parts if (value := getattr(part, name)) is not None]
            assert row[name] == (sum(quantities) if quantities else None), key
        assert row["is_incomplete"] == any(part.is_incomplete for part in parts)
        cells = {(p.month, p.owner, p.kind, p.provider, p.model, p.unit) for p in parts}
        exact = costs.summed(part.cost for part in parts)
        if exact is None or row["cost"] is None:
            assert row["cost"] is None, key
            assert exact is None or abs(exact) < MILLIONTH * len(cells), key
        else:
            assert abs(Fraction(row["cost"]) - exact) < MILLIONTH * len(cells), key


@EXAMPLES
@given(data=datasets(TODAY, most_users=2), days=known_days)
def test_explain_adds_up_for_every_user_and_month(migrated: Database, data: Dataset, days: set[int]) -> None:
    """The lines are the recount's, each amount quantity times rate; with the rest they sum exactly to what is stored."""
    with rolled_back(migrated) as connection:
        arrange(connection, data, days, {})
        told = books(connection)
        amounts = stored_amounts(told)
        lines = costs.lines(told)
        for user in told.source.accounts():
            for month in MONTHS if user == min(told.source.accounts()) else MONTHS[-2:]:
                mine = [line for line in lines if (line.owner, month_of(line.day)) == (user, month)]
                check_explained(connection, user, month, mine, amounts.get((user, month)))


def stored_amounts(told: Books) -> dict[Key, dict[str, Fraction | None]]:
    found: dict[Key, dict[str, Fraction | None]] = {}
    for part in costs.stored_parts(told):
        found.setdefault((part.owner, part.month), {})[part.kind] = part.cost
    return found


def explained(connection: sa.Connection, user: UUID, month: date, *, is_by_row: bool = False) -> Rows:
    name = UserName(user, "a@example.com")
    return shown(connection, cost_explain.explain(connection, name, month, is_by_row=is_by_row))


def check_explained(
    connection: sa.Connection,
    user: UUID,
    month: date,
    lines: list[costs.Line],
    stored: dict[str, Fraction | None] | None,
) -> None:
    grouped, single = (explained(connection, user, month, is_by_row=flag) for flag in (False, True))
    if stored is None:
        assert (grouped, single, lines) == ([], [], [])
        return
    for rows in (grouped, single):
        assert not [row for row in rows if row["item"] == cost_explain.CHANGED]
        for kind, cost in stored.items():
            amounts = [
                Fraction(row["amount"]) for row in rows if row["kind"] == kind and row["amount"] is not None
            ]
            assert sum(amounts, Fraction(0)) == (cost or 0)
            assert bool(amounts) or not cost
    priced = [row for row in single if row["item"] != cost_explain.ROUNDING]
    assert Counter(map(of_shown, priced)) == Counter(map(of_line, lines))
    together: Counter[Key] = Counter()
    for line in lines:
        together[of_line(line)[:-2]] += line.quantity
    lumped = [row for row in grouped if row["item"] != cost_explain.ROUNDING]
    assert {of_shown(row)[:-2]: row["quantity"] for row in lumped} == dict(together)
    assert len(lumped) == len(together)
    for row in (*priced, *lumped):
        check_product(row)


def of_shown(row: dict[str, Any]) -> Key:
    return (
        row["kind"],
        row["item"],
        row["unit"],
        row["rate"],
        row["rate_from"],
        row["amount"] is None,
        row["quantity"],
    )


def of_line(line: costs.Line) -> Key:
    rate = (line.rate.price, line.rate.effective_from) if line.rate else (None, None)
    return line.kind, line.item, line.unit, *rate, line.amount is None, line.quantity


def check_product(row: dict[str, Any]) -> None:
    if row["rate"] is None:
        assert row["amount"] is None
    elif row["amount"] is not None:
        product = Fraction(row["quantity"]) * Fraction(row["rate"]) / UNIT_SIZE[row["unit"]]
        if row["kind"] == "storage":
            lengths = {product / length for length in (28, 30, 31)}
            assert min(abs(Fraction(row["amount"]) - each) for each in lengths) < Fraction(1, 10**17)
        else:
            assert Fraction(row["amount"]) == product


@EXAMPLES
@given(data=datasets(TODAY), days=known_days, database=sizes)
def test_what_belongs_to_users(
    migrated: Database, data: Dataset, days: set[int], database: dict[date, int]
) -> None:
    """A user's page, the ranking, what has no price, and the margins equal the recount."""
    with rolled_back(migrated) as connection:
        arrange(connection, data, days, database)
        told = books(connection)
        stored = costs.stored_parts(told)
        check_pages(connection, stored, told)
        check_ranking(connection, stored)
        rows = shown(connection, cost_user.unpriced(connection, EVERY_MONTH))
        assert {(row["kind"], row["item"]): row for row in rows} == unpriced(connection, stored, told)
        assert len(rows) == len({(row["kind"], row["item"]) for row in rows})
        for month in MONTHS[-2:]:
            check_margins(connection, stored, told, month)


def check_pages(connection: sa.Connection, stored: list[Part], told: Books) -> None:
    month, before = MONTHS[-1], MONTHS[-2]
    costs_of = {(part.owner, part.month, part.kind): part.cost for part in stored}
    for user in told.source.accounts():
        rows = shown(connection, cost_user.user(connection, UserName(user, "a@example.com"), month))
        kinds = [kind for owner, of, kind in costs_of if (owner, of) == (user, month)]
        assert sorted(row["kind"] for row in rows) == sorted(kinds)
        for row in rows:
            now = costs_of[user, month, row["kind"]]
            then = costs_of.get((user, before, row["kind"]), unused(told, stored, before, row["kind"]))
            change = None if now is None or then is None else now - then
            assert (row["cost"], row["previous"], row["change"]) == (now, then, change)
        check_shares(rows)


def unused(told: Books, stored: list[Part], month: date, kind: str) -> Fraction | None:
    """Return what a kind cost a user of whom the month has no row: nothing, where it is known what all others used."""
    is_counted = (
        costs.is_storage_known(told, month) if kind == "storage" else usage.available(told.source).kinds[kind]
    )
    return Fraction(0) if is_counted and any(part.month == month for part in stored) else None


def check_ranking(connection: sa.Connection, stored: list[Part]) -> None:
    for kind in (None, "image"):
        spent: dict[costs.Owner, Fraction] = {}
        for part in stored:
            if part.month == MONTHS[-1] and kind in {None, part.kind} and part.cost:
                spent[part.owner] = spent.get(part.owner, Fraction(0)) + part.cost
        rows = shown(connection, cost_user.top(MONTHS[-1], kind))
        measure = "total_cost" if kind is None else f"{kind}_cost"
        others = {UNATTRIBUTED, costs.PLATFORM}
        assert {row["user_id"]: row[measure] for row in rows} == {
            owner: cost for owner, cost in spent.items() if owner not in others
        }
        for row in rows:
            assert row["rank"] == 1 + sum(other[measure] > row[measure] for other in rows)


def unpriced(
    connection: sa.Connection, stored: list[Part], told: Books
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what has no price, as the report should list it."""
    found: dict[tuple[str, str], list[tuple[UUID, date, int]]] = {}
    for line in costs.lines(told):
        if line.rate is None:
            found.setdefault((line.kind, line.item), []).append((line.owner, line.day, line.quantity))
    known = storage_known(connection)
    for day, ledger in {**known.interpolated, **known.seen}.items():
        for (owner, *_), cell in ledger.items():
            if cell.unsized and day >= SINCE:
                found.setdefault(("storage", "objects_without_size"), []).append((owner, day, cell.unsized))
    listed = {(kind, item): _unpriced_row(kind, item, seen) for (kind, item), seen in found.items()}
    lacking = {}
    for month in MONTHS:
        missing = [day for day in costs.days_of(month, TODAY) if day not in told.stored]
        users = {part.owner for part in stored if part.month == month} - {UNATTRIBUTED, costs.PLATFORM}
        if missing and users:
            lacking[month] = len(missing), len(users)
    if lacking:
        numbers = {
            "quantity": sum(n for n, _ in lacking.values()),
            "users": max(n for _, n in lacking.values()),
        }
        names = {"kind": "storage", "item": "days_without_snapshot", "counted_in": "days"}
        listed["storage", "days_without_snapshot"] = names | numbers | {"first_day": None, "last_day": None}
    return listed


COUNTED_IN = {
    "fine_tuning": "tokens",
    "inference": "tokens",
    "voice": "characters",
    "image": "images",
    "video": "videos",
    "storage": "objects by day",
}


def _unpriced_row(kind: str, item: str, seen: list[tuple[UUID, date, int]]) -> dict[str, Any]:
    return {
        "kind": kind,
        "item": item,
        "quantity": sum(quantity for _, _, quantity in seen),
        "counted_in": COUNTED_IN[kind],
        "users": len({owner for owner, _, _ in seen} - {UNATTRIBUTED}),
        "first_day": min(day for _, day, _ in seen),
        "last_day": max(day for _, day, _ in seen),
    }


def check_margins(connection: sa.Connection, stored: list[Part], told: Books, month: date) -> None:
    """Compare the margins by user, and by tier, with revenue day by day and the stored costs of the platform's kinds."""
    earned = costs.revenue(told, month)
    spent: dict[Key, list[Fraction | None]] = {}
    for part in stored:
        if part.month == month and part.kind in {"storage", costs.DATABASE}:
            spent.setdefault((part.owner,), []).append(part.cost)
    is_computed = any(part.month == month for part in stored)
    expected: dict[costs.Owner, tuple[Fraction, Fraction | None]] = {}
    for owner in {owner for (owner,) in spent} | set(earned) if is_computed else ():
        # Who has no usage stores nothing, where it is known who stores what.
        nothing = Fraction(0) if costs.is_storage_known(told, month) else None
        cost, income = (
            costs.summed(spent.get((owner,), [nothing])),
            Fraction(earned.get(owner, 0)) if isinstance(owner, UUID) else Fraction(0),
        )
        if income or cost != 0:
            expected[owner] = income, cost
    rows = shown(connection, cost_margin.margin(connection, month, "user"))
    labels: dict[str, costs.Owner] = {"(unattributed)": UNATTRIBUTED, "(platform)": costs.PLATFORM}
    found = {row["user_id"] or labels[row["email"]]: row for row in rows}
    assert {owner: (row["revenue"], row["platform_cost"]) for owner, row in found.items()} == expected
    for owner, row in found.items():
        assert row["tier"] == costs.tier_of(told, owner, month)
        check_margin(row)
    check_tiers(connection, expected, told, month)


def check_tiers(
    connection: sa.Connection,
    expected: dict[costs.Owner, tuple[Fraction, Fraction | None]],
    told: Books,
    month: date,
) -> None:
    labels: dict[costs.Owner, str] = {UNATTRIBUTED: "(unattributed)", costs.PLATFORM: "(platform)"}
    by_tier: dict[Any, list[Any]] = {}
    for owner in expected:
        named = labels.get(owner)
        by_tier.setdefault(named or costs.tier_of(told, owner, month), []).append(owner)
    rows = {row["tier"]: row for row in shown(connection, cost_margin.margin(connection, month, "tier"))}
    assert rows.keys() == by_tier.keys()
    for tier, owners in by_tier.items():
        assert rows[tier]["users"] == sum(owner not in labels for owner in owners)
        assert rows[tier]["revenue"] == sum(expected[owner][0] for owner in owners)
        assert rows[tier]["platform_cost"] == costs.summed(expected[owner][1] for owner in owners)
        check_margin(rows[tier])


def check_margin(row: dict[str, Any]) -> None:
    revenue, cost = row["revenue"], row["platform_cost"]
    assert row["margin"] == (None if cost is None else revenue - cost)
    if cost is None or not revenue:
        assert row["margin_ratio"] is None
    else:
        assert abs(Fraction(row["margin_ratio"]) - Fraction(revenue - cost) / Fraction(revenue)) < MILLIONTH


CHANGES = (
    "select 1",
    "drop table tts_generations cascade",
    "alter table tts_generations drop column model",
    "alter table generated_images drop column provider cascade",
    "drop table avatar_fine_tune_usage cascade",
    "drop schema storage cascade",
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_missing_is_not_nothing(migrated: Database, change: str) -> None:
    """Without a table, a column or a schema the rest is as it was, and what cannot be known is NULL and told."""
    sizes = dict.fromkeys(MARCH, 10**9)
    with rolled_back(migrated) as connection:
        connection.execute(sa.text(change))
        arrange(connection, dataset(TODAY, 11, dict.fromkeys(MAKERS, 8)), set(range(1, TODAY.day)), sizes)
        told = books(connection)
        stored = costs.stored_parts(told)
        rows = shown(connection, cost_report.report(connection, EVERY_MONTH, ("kind",)))
        check_stored(rows, stored, ("kind",), told)
        by = ("kind", "provider")
        check_rows(
            shown(connection, cost_report.report(connection, EVERY_MONTH, by)),
            costs.row_parts(told),
            by,
            told,
        )
        lacking = {kind for kind, is_there in usage.available(told.source).kinds.items() if not is_there}
        assert {row["kind"] for row in rows if row["cost"] is None} >= lacking
        notes = cost_user.unpriced(connection, EVERY_MONTH).notes
        assert {note.split()[0] for note in notes if "is missing" in note} == lacking | (
            {"storage"} if "storage" in change else set()
        )
        user = min(told.source.accounts())
        lines = [line for line in costs.lines(told) if (line.owner, month_of(line.day)) == (user, MONTHS[-1])]
        check_explained(connection, user, MONTHS[-1], lines, stored_amounts(told).get((user, MONTHS[-1])))
        check_margins(connection, stored, told, MONTHS[-1])


def test_storage_is_rounded_once(migrated: Database) -> None:
    """What lies in the middle of two millionths is rounded up, of a user, of nobody and of the database alike."""
    last = date(2025, 1, 31)
    with rolled_back(migrated) as connection:
        user = UUID(int=7)
        connection.execute(
            sa.text("insert into auth.users (id, email) values (:id, 'a@example.com')"), {"id": user}
        )
        for day in days_between(last.replace(day=1), last):
            record_snapshot(connection, day, {user: 500_000, UNATTRIBUTED: 500_000})
            record_sizes(connection, {day: 84_000})
        compute(connection)
        window = month_window(last.replace(day=1))
        rows = shown(connection, cost_report.report(connection, window, ("user", "kind")))
        found = {(row["email"], row["kind"]): row["cost"] for row in rows}
        for who in ("a@example.com", "(unattributed)"):
            assert found[who, "storage"] == Decimal("0.000011")
        assert found["(platform)", "database"] == Decimal("0.000011")


def test_storage_without_a_rate_is_not_free(migrated: Database) -> None:
    """Without a rate for it, storage costs NULL: that of a user, of nobody, and the database."""
    card = RateCard("USD", tuple(rate for rate in rates.load().rates if rate.kind not in PLATFORM_KINDS))
    with rolled_back(migrated) as connection:
        record_month(connection, None)
        for day in MARCH[:-1]:
            connection.execute(
                sa.text("update avatarlab_admin.storage_daily set bytes = 5 where day = :day"), {"day": day}
            )
        monthly_usage.run(connection, Task(TODAY, card))
        rows = shown(connection, cost_report.report(connection, EVERY_MONTH, ("kind",)))
        found = {row["kind"]: (row["cost"], row["is_incomplete"]) for row in rows}
        assert (found["storage"], found["database"]) == ((None, True), (None, True))
        assert found["image"] == (0, False)


def test_rows_that_changed_since(migrated: Database) -> None:
    """Rows that went, came or were altered after the run make a line of their own; the sum is still what is stored."""
    with rolled_back(migrated) as connection:
        user, other = UUID(int=7), UUID(int=8)
        for number, who in enumerate((user, other)):
            email = {"id": who, "email": f"{number}@example.com"}
            connection.execute(sa.text("insert into auth.users (id, email) values (:id, :email)"), email)
        add_images(connection, user, "grok", "qwen", "grok", "unheard-of")
        compute(connection)
        stored = connection.scalar(sa.text("select image_cost from monthly_usage"))
        for change, difference in (
            ("delete from generated_images where provider = 'qwen'", "0.0125"),
            ("update generated_images set provider = 'seedream' where provider = 'unheard-of'", "-0.0275"),
            ("delete from generated_images", "0.0525"),
        ):
            connection.execute(sa.text(change))
            for flag in (False, True):
                rows = [
                    row
                    for row in explained(connection, user, MONTHS[-1], is_by_row=flag)
                    if row["kind"] == "image"
                ]
                assert sum(row["amount"] or 0 for row in rows) == stored
                rest = {row["item"]: row["amount"] for row in rows if row["item"].startswith("(")}
                assert rest == {cost_explain.CHANGED: Decimal(difference)}
        add_images(connection, other, "grok")
        assert explained(connection, other, MONTHS[-1]) == []
        rows = shown(connection, cost_report.report(connection, EVERY_MONTH, ("provider", "user")))
        changed = {
            (row["user_id"], row["provider"]): row["cost"]
            for row in rows
            if row["provider"] in {"grok", cost_report.CHANGED}
        }
        assert changed == {
            (user, cost_report.CHANGED): Decimal("0.0525"),
            (other, "grok"): Decimal("0.02"),
            (other, cost_report.CHANGED): Decimal("-0.02"),
        }
        assert total(rows) == Fraction(stored or 0)


def add_images(connection: sa.Connection, user: UUID, *providers: str) -> None:
    statement = (
        "insert into generated_images (user_id, prompt, image_url, provider, created_at)"
        " values (:user, '', '', :provider, '2025-03-03')"
    )
    for provider in providers:
        connection.execute(sa.text(statement), {"user": user, "provider": provider})
