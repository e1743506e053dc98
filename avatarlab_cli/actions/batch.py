"""Carries an act out on any number of targets: some hundred a transaction, each failure apart from the others."""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg

from avatarlab_cli.actions.act import Act, Change, Item, Outcome
from avatarlab_cli.actions.engine import Order, carry_out
from avatarlab_cli.database import Database, cause_of, retried
from avatarlab_cli.errors import AvatarLabError, BusyError, ExitCode, RefusedError

_FIRST_WAIT_SECONDS = 0.1
_SHORT_WAIT = "100ms"
# What an act makes up anew each time, or who does it, says nothing about whether the plan still holds.
_INVENTED = frozenset({"id", "api_key_hash", "api_key_prefix", "banned_by", "created_by", "reviewed_by"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
# SQLSTATE classes: data, constraints, serialization and deadlock, triggers that refuse.
_CLASSES_OF_A_ROW = frozenset({"22", "23", "27", "40", "44", "P0"})
_MOVED = "it is no longer as it was when the plan was made"


def carry_out_all(
    database: Database, act: Act, items: Iterable[Item], order: Order
) -> Iterator[list[Outcome]]:
    """Do the act to all items; yields the outcomes of each transaction once it is committed.

    What concerns single items ends as their outcome. Raises an AvatarLabError for what concerns all: an act not
    permitted, a database out of reach; what was yielded before is kept.
    """
    remaining, done = iter(items), set[UUID]()
    while chunk := list(islice(remaining, act.items_per_transaction)):
        yield _carry_out_some(database, act, chunk, order, done)


def _carry_out_some(
    database: Database, act: Act, items: Sequence[Item], order: Order, done: set[UUID]
) -> list[Outcome]:
    """Run one transaction for all items, or where one of them is in the way, one for each half of them.

    `done` grows by the targets that are dealt with: in other words they may be named again.
    """
    try:
        outcomes = retried(
            functools.partial(_attempt, database, act, items, order, done), _is_passing, _FIRST_WAIT_SECONDS
        )
    except AvatarLabError as error:
        if act.is_whole or not _concerns_one(error):
            raise
        if len(items) == 1:
            name, code = items[0].name, error.exit_code
            return [Outcome(items[0], None, name, "failed", code, error.message, hint=error.hint)]
        if _is_held(error):
            # Who holds the row has been waited for; nobody is to wait as long for each half of a half.
            database = replace(database, limits={**database.limits, "lock_timeout": _SHORT_WAIT})
    else:
        done.update(outcome.id for outcome in outcomes if outcome.id and outcome.result != "failed")
        return outcomes
    middle = len(items) // 2
    halves = (items[:middle], items[middle:])
    return [outcome for half in halves for outcome in _carry_out_some(database, act, half, order, done)]


def _concerns_one(error: AvatarLabError) -> bool:
    """Tell whether an error may be one target's, and not the act's or the database's as a whole."""
    cause = cause_of(error)
    if cause is not None:
        return (cause.sqlstate or "")[:2] in _CLASSES_OF_A_ROW or _is_held(error)
    return type(error) in (AvatarLabError, RefusedError)


def _is_held(error: AvatarLabError) -> bool:
    """Tell whether a row was locked for longer than the lock timeout."""
    return isinstance(cause_of(error), psycopg.errors.LockNotAvailable)


def _is_passing(error: AvatarLabError) -> bool:
    """Tell whether another transaction was in the way but for a moment."""
    return isinstance(error, BusyError) and not _is_held(error)


def _attempt(
    database: Database, act: Act, items: Sequence[Item], order: Order, done: AbstractSet[UUID]
) -> list[Outcome]:
    open_transaction = database.preview if order.is_preview else database.write
    with open_transaction() as connection:
        outcomes = carry_out(connection, act, items, order, done)
        _demand_as_planned(outcomes)
    return outcomes


def _demand_as_planned(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        expected = outcome.item.expected
        if expected is None or outcome.code is not ExitCode.OK:
            continue
        if outcome.at is None or len(outcome.changes) != len(expected.changes):
            raise RefusedError(_MOVED)
        pairs = zip(_ordered(outcome.changes), _ordered(expected.changes), strict=True)
        for found, planned in pairs:
            if not _is_as_planned(found, planned, outcome.at - expected.at):
                raise RefusedError(_MOVED)


def _ordered(changes: Iterable[Change]) -> list[Change]:
    """Put new rows in the order of what they hold: that of their keys is another one each time."""
    return sorted(changes, key=lambda change: (str(change.table), change.before is None, _told(change)))


def _told(change: Change) -> str:
    """Return what tells a change from the others on its table, the same in the plan and later."""
    made = {name: value for name, value in _lasting(change).items() if not _is_moment(value)}
    return json.dumps(change.key if change.before is not None else made, sort_keys=True)


def _lasting(change: Change) -> dict[str, Any]:
    """Return what a row becomes, without what is made up anew each time."""
    return {name: value for name, value in (change.after or {}).items() if name not in _INVENTED}


def _is_as_planned(found: Change, planned: Change, later: timedelta) -> bool:
    """Tell whether a change is the planned one, done so much later."""
    if found.table != planned.table or found.before != planned.before:
        return False
    if found.before is not None and found.key != planned.key:
        return False
    new, wanted = _lasting(found), _lasting(planned)
    return new.keys() == wanted.keys() and all(_is_same(new[name], wanted[name], later) for name in new)


def _is_same(found: object, planned: object, later: timedelta) -> bool:
    """Tell whether two values are equal, or times that both lie as far from when they were made."""
    if found == planned:
        return True
    if not (_is_moment(found) and _is_moment(planned)):
        return False
    return datetime.fromisoformat(str(found)) - datetime.fromisoformat(str(planned)) == later


def _is_moment(value: object) -> bool:
    return isinstance(value, str) and _MOMENT.fullmatch(value) is not None
