"""Rows of every table of the platform, invented from its description alone: nasty values, and many of them equal.

It shares nothing with the demo platform: no story holds its rows together, only types, keys and constraints.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from tests.reference.chance import Chance
from tests.reference.rows import GHOST
from tests.reference.source import Row, existing_columns

DESCRIPTION = Path(__file__).parents[1] / "data" / "platform_schema.yaml"
USERS = "auth.users"
TEXTS = (
    "",
    "a",
    "b",
    "hello",
    "Hello ",
    "Grüße, мир",
    "=1+1",
    "tab\tand\x1b[31mred",
    "rate limit",
    "50% _off_ \\",
    "😀" * 3,
)
WORDS = ("hi", "price", "Hi", "größe", "")
LONG = ("x" * 2500, "data:image/png;base64," + "A" * 5000)
PHONES = ("+4915112345678", "+15550001", "+15550002", "77", "")
MODELS = ("gpt-4o-mini-2024-07-18", "GPT-4o", "ft:gpt-4o-mini-2024-07-18:acme::a1", "mystery-9", "")
PROVIDERS = ("kie-nano-banana", "KIE-Imagen4-Ultra", "openai", "sora-2-pro", "kling", "")
URLS = tuple(
    f"https://project.supabase.co/storage/v1/object/public/voice-samples/{name}"
    for name in ("one.mp3", "two.mp3", "three.mp3", "four.mp3")
)
# What a column's description does not say.
POOLS: Mapping[str, tuple[object, ...]] = {
    "phone_number": PHONES,
    "file_url": URLS,
    "audio_url": (*URLS, None),
    "base_model": MODELS,
    "fine_tuned_model": MODELS,
    "active_fine_tuned_model": (*MODELS, None),
    "model": (*MODELS, None),
    "provider": PROVIDERS,
    "image_url": ("https://cdn.example.net/a.png", *LONG[1:]),
    "chunk_text": ("", "  ", "a", "a", "b", LONG[0]),
    "chunk_size": (0, 1, 1, 500, 1000, -1),
    "top_similarity_score": (0.0, 0.7, 0.71, 0.925, 1.0, "NaN", "Infinity", None),
    "chunks_found": (0, 0, 1, 3, 15, None),
    "trained_tokens": (0, 1, 12_345, 2_000_000_000, None),
    "details": (
        {},
        {"error": "boom"},
        {"error": "boom", "stack": "at x"},
        {"error": 7},
        {"error": None},
        [],
        None,
    ),
    "version_number": ("v1.0", "v1.1", "v1.10", "v2.0", "draft"),
    "currency": ("USD", "usd", "EUR", "eur", "Eur", None),
    "duration_seconds": (Decimal("0.5"), Decimal("12.345"), Decimal(0), None),
    "request_duration_ms": (None, None, 0, 12, 999),
    "status_code": (200, 200, 200, 429, 500, None),
    "user_message": ("hi", "hi", "price?", TEXTS[9], LONG[0]),
    "avatar_response": ("ok", "ok", "no", TEXTS[6]),
}
_NUMBERS = {"chunk_size", "chunks_found", "trained_tokens", "request_duration_ms", "status_code"}
ODD_STATUS = "odd"
# Made by their own rules below, or left NULL: what refers to tables that nothing is invented for.
_LEFT_OUT = {"banned_by", "flagged_by", "subscription_tier_id", "referrer_id"}
# Their users have no foreign key.
_WITHOUT_KEY = frozenset({"avatar_memories", "memory_images", "memory_categories"})


@cache
def described() -> Mapping[str, Any]:
    """Return the description of the tables that are invented, by name."""
    tables = yaml.safe_load(DESCRIPTION.read_text())["tables"]
    return {
        name: table for name, table in tables.items() if table["set"] == "seed" or name == "generated_videos"
    }


def invent(connection: sa.Connection, seed: int, today: date, rows: int = 30, users: int = 6) -> None:
    """Write invented rows to a database of either state, leaving out what does not exist there."""
    existing = existing_columns(connection)
    made: dict[str, list[Row]] = {}
    for table in _in_order():
        if table in existing:
            made[table] = _rows(table, seed, today, made, users if table in (USERS, "profiles") else rows)
            _insert(connection, table, existing[table], made[table])


def _in_order() -> Iterator[str]:
    """Yield the tables, each after those it refers to."""
    yield USERS
    waiting = dict(described())
    done = {USERS}
    while waiting:
        ready = [name for name, table in waiting.items() if _parents(name, table) <= done]
        assert ready, f"a circle among {sorted(waiting)}"
        for name in ready:
            del waiting[name]
            done.add(name)
            yield name


def _parents(name: str, table: Mapping[str, Any]) -> set[str]:
    found = {
        key["references"].rpartition(".")[0]
        for key in table["foreign_keys"]
        if key["column"] not in _LEFT_OUT
    }
    return (found & {USERS, *described()}) - {name}


def _rows(table: str, seed: int, today: date, made: Mapping[str, list[Row]], most: int) -> list[Row]:
    drawn = [_row(table, Chance(f"{seed} {table} {n}", today), made, n) for n in range(most)]
    rows = [row for row in drawn if row is not None]
    for columns in described().get(table, {}).get("unique", ()):
        rows = list({tuple(row[column] for column in columns): row for row in rows}.values())
    return rows


def _row(table: str, chance: Chance, made: Mapping[str, list[Row]], number: int) -> Row | None:
    """Return a row; None where it would refer to a row that there is none of."""
    if table == USERS:
        return _account(chance, number)
    facts = described()[table]
    parents = {key["column"]: key["references"].rpartition(".")[0] for key in facts["foreign_keys"]}
    unique = {columns[0] for columns in facts.get("unique", ()) if len(columns) == 1}
    row: Row = {}
    for column in facts["columns"]:
        name = column["name"]
        if name == "id":
            row[name] = _identity(table, column, chance, made, number)
        elif name in parents:
            # A row does not refer to its own table: none of it is made yet.
            found = made.get(parents[name], []) if parents[name] != table else []
            row[name] = _reference(chance, column, found)
            if row[name] is None and not column["nullable"]:
                return None
        elif name == "user_id" and table in _WITHOUT_KEY:
            row[name] = chance.pick(GHOST, *(user["id"] for user in made[USERS]))
        else:
            row[name] = f"{name} {number}" if name in unique else _value(column, facts, chance)
    return row


def _account(chance: Chance, number: int) -> Row:
    return {
        "id": chance.uuid(),
        "email": f"User{number}@Example.com",
        "created_at": chance.moment(),
        "last_sign_in_at": chance.maybe(chance.moment()),
        "deleted_at": chance.moment() if chance.happens(0.1) else None,
    }


def _identity(
    table: str, column: Mapping[str, Any], chance: Chance, made: Mapping[str, list[Row]], number: int
) -> object:
    if table == "profiles":
        return made[USERS][number]["id"]
    return f"voice-{number}" if column["type"] == "text" else chance.uuid()


def _reference(chance: Chance, column: Mapping[str, Any], parents: list[Row]) -> object:
    if column["name"] in _LEFT_OUT or not parents or (column["nullable"] and chance.happens(0.2)):
        return None
    # Few of the parents have most of the rows.
    return chance.pick(*parents[:3], *parents)["id"]


def _value(column: Mapping[str, Any], facts: Mapping[str, Any], chance: Chance) -> object:
    name = column["name"]
    if column["nullable"] and chance.happens(0.15):
        return None
    allowed = facts.get("allowed_values", {}).get(name)
    seen = [str(value).partition(" ")[0] for value in facts.get("values_seen_in_code", {}).get(name, ())]
    if allowed or seen:
        usual = [value for value in seen if not allowed or value in allowed]
        options = [*usual, *(allowed or [*seen, ODD_STATUS])]
        return chance.pick(options[:2], options) if column["type"] == "text[]" else chance.pick(*options)
    if name in _NUMBERS or (name in POOLS and column["type"] not in {"integer", "text[]"}):
        return chance.pick(*(value for value in POOLS[name] if column["nullable"] or value is not None))
    return _typed(column, facts.get("value_ranges", {}).get(name, ""), chance)


def _typed(column: Mapping[str, Any], limits: str, chance: Chance) -> object:
    kind = column["type"]
    if column["name"] == "mbti_type":
        return chance.pick("INTJ", "ESFP")
    if kind in _BY_TYPE:
        return _BY_TYPE[kind](chance)
    if kind in {"integer", "bigint", "float8"} or kind.startswith("numeric"):
        return _number(kind, limits, chance)
    length = re.search(r"\d+", kind)
    return chance.pick(*TEXTS)[: int(length[0]) if length else None]


_BY_TYPE: Mapping[str, Callable[[Chance], object]] = {
    "uuid": Chance.uuid,
    "timestamptz": Chance.moment,
    "date": Chance.day,
    "boolean": lambda chance: chance.happens(0.5),
    "text[]": lambda chance: [chance.pick(*WORDS) for _ in range(chance.number(3))],
    "jsonb": lambda chance: chance.pick({}, {"a": 1}, [], "text"),
    "inet": lambda _: "192.0.2.7",
    # As JSON it is read by pgvector's type and, on a server without it, by an array of real.
    "vector(1536)": lambda _: [0.5] * 1536,
}


def _number(kind: str, limits: str, chance: Chance) -> object:
    below = re.search(r"<=? (\d+)", limits)
    most = int(below[1]) if below else 9 if kind == "numeric(2,1)" else 40
    least = 1 if limits.startswith((">= 1", "> 0")) else 0
    whole = least + chance.number(max(most - least - 1, 0))
    if kind in {"integer", "bigint"}:
        return whole
    if kind == "float8":
        return whole / 8
    return Decimal(min(whole, 0 if kind == "numeric(3,2)" else whole)) + chance.pick(
        Decimal(0), Decimal("0.5"), Decimal("0.8")
    )


def _insert(connection: sa.Connection, table: str, existing: set[str], rows: list[Row]) -> None:
    if table == USERS:
        existing = {"id", "email", "created_at", "last_sign_in_at", "deleted_at"}
    if rows:
        columns = ", ".join(f'"{column}"' for column in rows[0] if column in existing)
        connection.execute(
            sa.text(
                f"insert into {table} ({columns}) select {columns}"
                f" from jsonb_populate_recordset(cast(null as {table}), cast(:rows as jsonb))"
            ),
            {"rows": json.dumps(rows, default=str)},
        )
    if table == USERS:
        # The platform's trigger has made a profile of every account; they are invented like the rest.
        connection.execute(sa.text("delete from profiles"))
        connection.execute(sa.text("update auth.users set email = null where email like 'User4@%'"))
