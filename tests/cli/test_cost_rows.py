"""Costs of known rows, to the letter; and a closed month priced by another card, and back again."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from avatarlab_cli.database import Database
from avatarlab_cli.rollup import rates
from jobs.registry import BY_NAME
from jobs.runner import Order, execute
from tests.cli.acting import act, arranged, copied, entries, user_id
from tests.cli.costing import cost
from tests.cli.invoking import terminal
from tests.conftest import DEMO_END

ANN = "ann@example.com"
CARD = """currency: USD
rates:
  - {kind: image, key: qwen, unit: image, price: "0.02", from: 2024-01-01}
  - {kind: image, key: seedream, unit: image, price: "0.04", from: 2024-01-01}
  - {kind: voice, key: elevenlabs, unit: 1k characters, price: "0.11", from: 2024-01-01}
"""
MAY = ("--month", "2025-05")


@pytest.fixture(scope="module")
def template(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Admins, and one user with four images and a text to speech in May 2025, computed in June."""
    with arranged(server_conninfo, migrated_panel_template) as conninfo:
        with psycopg.connect(conninfo) as connection:
            for provider in ("qwen", "seedream", "unheard-of", "unheard-of"):
                connection.execute(
                    "insert into generated_images (user_id, prompt, image_url, provider, model, created_at)"
                    " values (%s, '', '', %s, 'm-2025-01-01', '2025-05-03')",
                    [user_id(ANN), provider],
                )
            speech = (
                "insert into tts_generations (user_id, text, created_at) values (%s, 'abc', '2025-05-04')"
            )
            connection.execute(speech, [user_id(ANN)])
        execute(Database(conninfo), BY_NAME["monthly-usage"], Order(rates.load(), today=DEMO_END.date()))
        yield conninfo


@pytest.fixture
def priced(template: str) -> Iterator[str]:
    """A copy to change."""
    with copied(template) as conninfo:
        yield conninfo


@pytest.fixture
def card(tmp_path: Path) -> dict[str, str]:
    """The settings that name another card: dearer images, speech at half the price."""
    (tmp_path / "rates.yaml").write_text(CARD, encoding="utf-8")
    return {"AVATARLAB_RATES_FILE": str(tmp_path / "rates.yaml")}


def close(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "insert into avatarlab_admin.period_close (month, digest) values ('2025-05-01', 'x')"
        )


def usage(conninfo: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("select t::text, xmin::text from monthly_usage t order by 1").fetchall()


def test_a_closed_month(priced: str, card: dict[str, str]) -> None:
    """Its figures stay; the differences are adjustments of an audited act, which another takes back, and done twice is done once."""
    close(priced)
    before = usage(priced)
    dry = act(priced, "cost", "reprice", *MAY, "--dry-run", "--json", env=card)
    assert (dry.code, adjustments(priced)) == (0, [])
    done = act(priced, "cost", "reprice", *MAY, "--yes", "--json", "--reason", "New contract", env=card)
    assert done.code == 0, done.err
    assert [row["result"] for row in json.loads(done.out)] == ["changed"]
    assert adjustments(priced) == [
        ("image_cost", Decimal("0.0525"), Decimal("0.06")),
        ("voice_cost", Decimal("0.00066"), Decimal("0.00033")),
    ]
    assert entries(priced)[-1]["action"] == "cost.reprice"
    assert (
        "adjustments of closed months come to +0.007170, which is in no amount"
        in cost(priced, "report", *MAY).err
    )
    again = act(priced, "cost", "reprice", *MAY, "--yes", "--json", env=card)
    assert [row["result"] for row in json.loads(again.out)] == ["unchanged"]
    back = act(priced, "cost", "reprice", *MAY, "--yes", "--json")
    assert [row["result"] for row in json.loads(back.out)] == ["changed"]
    assert adjustments(priced)[2:] == [
        ("image_cost", Decimal("0.06"), Decimal("0.0525")),
        ("voice_cost", Decimal("0.00033"), Decimal("0.00066")),
    ]
    assert len([entry for entry in entries(priced) if entry["action"] == "cost.reprice"]) == 2
    assert usage(priced) == before


def test_a_reopened_month(priced: str, card: dict[str, str]) -> None:
    """What was recorded beside its figures while it was closed holds no more, and is not spoken of."""
    close(priced)
    act(priced, "cost", "reprice", *MAY, "--yes", env=card)
    with psycopg.connect(priced) as connection:
        connection.execute("update avatarlab_admin.period_close set reopened_at = now()")
    told = cost(priced, "report", *MAY)
    assert (told.code, "adjustments" in told.err) == (0, False)


def adjustments(conninfo: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "select metric, before, after from avatarlab_admin.usage_adjustment order by recorded_at, metric"
        ).fetchall()


def test_csv_and_json(template: str) -> None:
    """Amounts are written to the last decimal, in JSON as text; nothing unknown is 0."""
    fields = (
        "--fields",
        "kind,provider,model,unit,quantity,unpriced,cost,is_incomplete",
        "--sort",
        "kind,provider",
    )
    shown = cost(template, "report", "--by", "kind,provider,model,unit", *MAY, *fields, "--csv")
    assert shown.out == (
        "kind,provider,model,unit,quantity,unpriced,cost,is_incomplete\n"
        "database,supabase,,,,,,true\n"
        "image,qwen,m,image,1,,0.012500,false\n"
        "image,seedream,m,image,1,,0.040000,false\n"
        "image,unheard-of,m,image,2,2,,true\n"
        "storage,supabase,,,,,,true\n"
        "voice,elevenlabs,,1k characters,3,,0.000660,false\n"
    )
    shown = cost(template, "explain", ANN, *MAY, "--json", "--fields", "kind,item,quantity,rate,amount")
    assert json.loads(shown.out) == [
        {"kind": "image", "item": "qwen", "quantity": "1", "rate": "0.0125", "amount": "0.0125"},
        {"kind": "image", "item": "seedream", "quantity": "1", "rate": "0.04", "amount": "0.04"},
        {"kind": "image", "item": "unheard-of", "quantity": "2", "rate": None, "amount": None},
        {"kind": "voice", "item": "elevenlabs", "quantity": "3", "rate": "0.22", "amount": "0.00066"},
    ]
    assert "the stored cost of 2025-05 is 0.053160" in shown.err


def test_on_a_terminal(template: str) -> None:
    """A terminal shows what is not known as n/a, and the exact total last."""
    shown = terminal(template, "cost", "report", *MAY, "--color", "never", columns=100)
    assert [line.rstrip() for line in shown.out.splitlines()] == [
        "kind                   cost   share  is_incomplete",
        "image              0.052500  98.8 %  yes",
        "voice              0.000660   1.2 %  no",
        "fine_tuning        0.000000   0.0 %  no",
        "inference          0.000000   0.0 %  no",
        "video              0.000000   0.0 %  no",
        "database                n/a       -  yes",
        "storage                 n/a       -  yes",
        "total        0.053160 + n/a",
        "note: not all of it could be priced, and that is in no amount; `avatarlab cost unpriced` lists it",
        "note: the database's size is not on record for every day of 2025-05",
    ]
