"""How recurring revenue moves, by day and by month, from what each user was worth at the end of each day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from tests.reference.source import last_day, month_of

Worth = Mapping[date, Mapping[UUID, int]]
"""What each paying user is worth a year, in cents, at the end of each day; before the first nobody pays."""
KINDS = ("new", "reactivation", "expansion", "contraction", "churn")
SIGNS = {"new": 1, "reactivation": 1, "expansion": 1, "contraction": -1, "churn": -1}


def movements(worth: Worth) -> dict[date, dict[str, int]]:
    """Return each day's movements in cents of ARR."""
    found, ever, before = {}, set[UUID](), dict[UUID, int]()
    for day in sorted(worth):
        moved, now = dict.fromkeys(KINDS, 0), worth[day]
        for user in before.keys() | now.keys():
            change = now.get(user, 0) - before.get(user, 0)
            if user not in before:
                moved["reactivation" if user in ever else "new"] += change
            elif user not in now:
                moved["churn"] -= change
            elif change:
                moved["expansion" if change > 0 else "contraction"] += abs(change)
        found[day], before = moved, dict(now)
        ever |= now.keys()
    return found


def twelfth(cents: int) -> Decimal:
    """Return cents of ARR as MRR."""
    return (Decimal(cents) / 1200).quantize(Decimal("0.01"), ROUND_HALF_UP)


def share(part: int, whole: int) -> Decimal | None:
    """Return a part of a whole to six digits, None of nothing."""
    return (Decimal(part) / whole).quantize(Decimal("0.000001"), ROUND_HALF_UP) if whole else None


def waterfall(worth: Worth) -> dict[str, dict[str, Any]]:
    """Return each month's cents of ARR: start, movements, end."""
    moved, months = movements(worth), dict[str, dict[str, Any]]()
    for month, days in _months(worth).items():
        at_start = sum(worth.get(month - timedelta(days=1), {}).values())
        sums = {kind: sum(moved[day][kind] for day in days) for kind in KINDS}
        months[f"{month:%Y-%m}"] = {"start": at_start, **sums, "end": sum(worth[days[-1]].values())}
    return months


def churn(worth: Worth) -> dict[str, dict[str, Any]]:
    """Return each month's subscribers, who came, left, and the shares."""
    found, ever, flows = {}, set[UUID](), waterfall(worth)
    for month, days in _months(worth).items():
        start = set(worth.get(month - timedelta(days=1), {}))
        seen = start | {user for day in days for user in worth[day]}
        end, flow = set(worth[days[-1]]), flows[f"{month:%Y-%m}"]
        lost = flow["churn"] + flow["contraction"]
        found[f"{month:%Y-%m}"] = {
            "start": len(start),
            "new": len(seen - ever),
            "reactivated": len((seen & ever) - start),
            "churned": len(seen - end),
            "end": len(end),
            "subscribers": len(seen),
            "subscriber_churn": share(len(seen - end), len(seen)),
            "gross_mrr_churn": share(lost, flow["start"]),
            "net_mrr_churn": share(lost - flow["expansion"] - flow["reactivation"], flow["start"]),
            "arpu": (
                (Decimal(flow["end"]) / (1200 * len(end))).quantize(Decimal("0.01"), ROUND_HALF_UP)
                if end
                else None
            ),
        }
        ever |= seen
    return found


def cohorts(
    worth: Worth, signups: Mapping[UUID, date], active: Iterable[tuple[UUID, date]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return of each cohort and month since: its size, the users active, those paying at the end, and their ARR."""
    acted, groups, found = set[tuple[UUID, date]](), defaultdict[date, set[UUID]](set), {}
    for user, day in active:
        acted.add((user, month_of(day)))
    for user, day in signups.items():
        groups[month_of(day)].add(user)
    for month, days in _months(worth).items():
        for cohort, members in groups.items():
            if cohort <= month:
                paid = {user: cents for user, cents in worth[days[-1]].items() if user in members}
                found[f"{cohort:%Y-%m}", f"{month:%Y-%m}"] = {
                    "users": len(members),
                    "active": sum((user, month) in acted for user in members),
                    "paying": len(paid),
                    "arr": sum(paid.values()),
                }
    return found


def _months(worth: Worth) -> dict[date, list[date]]:
    months = defaultdict[date, list[date]](list)
    for day in sorted(worth):
        months[month_of(day)].append(day)
    assert all(last_day(month) >= days[-1] for month, days in months.items())
    return months
