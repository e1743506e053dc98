"""A rates.yaml: what is read, and what is refused in which line."""

import json
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.rate_file import check, parse, read
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.rates import Rate, RateCard
from avatarlab_cli.yaml_lines import LARGEST

GOOD = {"kind": "image", "key": "qwen", "unit": "image", "price": '"0.0125"', "from": "2024-01-01"}
QWEN = Rate("image", "qwen", "image", date(2024, 1, 1), Decimal("0.0125"))


def entry(**changes: str | None) -> str:
    """Return an entry as it stands in a file: the good one with changes, None leaves a field out."""
    fields = {**GOOD, **changes}
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items() if value is not None) + "}"


def card(*entries: str, currency: str = "usd") -> str:
    """Return a card whose entries begin in line 3."""
    return f"currency: {currency}\nrates:\n" + "".join(f"  - {text}\n" for text in entries)


def faults(text: str) -> list[str]:
    """Return all that is wrong with a card."""
    return [f"{fault.line}: {fault.sentence}" for fault in check(text)[1]]


def test_shipped_card_has_every_published_price() -> None:
    """The card that is shipped prices every kind of cost, the database too, in US dollars."""
    shipped = rates.load()
    assert shipped.currency == "USD"
    prices = {rate.subject: rate.price for rate in shipped.rates}
    assert len(prices) == len(shipped.rates)
    assert {kind for kind, _, _ in prices} == set(rates.CARD_KINDS)
    assert prices["inference", "gpt-4o", "1M output tokens"] == Decimal(15)
    assert prices["storage", "storage", "GB-month"] == Decimal("0.021")
    assert prices["database", "database", "GB-month"] == Decimal("0.125")


def test_entry_is_read_exactly() -> None:
    """Keys lose case and blanks, prices are exact decimals, the currency is a code."""
    assert parse(card(entry(key='" Qwen "')), "card") == RateCard("USD", (QWEN,))


@pytest.mark.parametrize("name", ["key", "provider", "model"])
def test_key_has_three_names(name: str) -> None:
    """What a row carries, a provider or a model, may be called so."""
    assert parse(card(entry(**{"key": None, name: "qwen"})), "card").rates == (QWEN,)


def test_key_is_reduced_as_names_are() -> None:
    """A key written with the gateway's prefix or a model's date is the key that such a name is reduced to."""
    found = parse(card(entry(key="KIE-grok-2025-01-31"), entry(key="seedream-0714"), entry(key="on")), "card")
    assert [rate.key for rate in found.rates] == ["grok", "seedream", "on"]


@pytest.mark.parametrize(
    ("written", "price"),
    [('"0.30"', "0.30"), ("0.30", "0.3"), ("3", "3"), ("3.0", "3.0"), ("1e-3", "0.001"), ("0", "0")],
)
def test_price_is_exact(written: str, price: str) -> None:
    """A price is what is written; without quotes it is YAML's number, as it always was."""
    assert str(parse(card(entry(price=written)), "card").rates[0].price) == price


def test_an_end() -> None:
    """A rate may end: where the next begins, before that, or without a successor."""
    found = parse(
        card(
            entry(until="2024-02-01"),
            entry(**{"from": "2024-02-01"}, until="2024-02-15"),
            entry(**{"from": "2024-03-01"}),
            entry(**{"from": "2024-05-01"}, until='"2024-5-2"'),
        ),
        "card",
    )
    assert [(rate.valid_from, end) for rate, end in found.periods()] == [
        (date(2024, 1, 1), date(2024, 2, 1)),
        (date(2024, 2, 1), date(2024, 2, 15)),
        (date(2024, 3, 1), date(2024, 5, 1)),
        (date(2024, 5, 1), date(2024, 5, 2)),
    ]
    assert list(RateCard("USD", (QWEN,)).periods()) == [(QWEN, None)]


def test_version_follows_the_content_and_nothing_else() -> None:
    """The order of entries does not matter to the version; a price and an end do."""
    one = parse(card(entry(), entry(key="grok")), "a").version
    assert parse(card(entry(key="grok"), entry()), "b").version == one
    assert parse(card(entry(), entry(key="grok", price="1")), "c").version != one
    assert parse(card(entry(), entry(key="grok", until="2025-01-01")), "d").version != one


def test_version_and_content_of_before() -> None:
    """A card without an end is kept as before there were any, under the same version, and can be read again."""
    known = RateCard("USD", (QWEN,))
    assert known.as_json() == (
        '{"currency": "USD", "rates": [{"from": "2024-01-01", "key": "qwen", "kind": "image",'
        ' "price": "0.0125", "unit": "image"}]}'
    )
    assert known.version == "7d3feedcbd28"
    assert RateCard.from_dict(json.loads(known.as_json())) == known


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            entry(kind="music"),
            "kind 'music' is none of fine_tuning, inference, voice, image, video, storage, database",
        ),
        (entry(kind="[image]"), "kind must be a single value"),
        (entry(unit="dozen"), "unit 'dozen' is none of image, for image"),
        (entry(unit="video"), "unit 'video' is none of image, for image"),
        (entry(key='" "'), "key ' ' names nothing that can be priced"),
        (entry(key=""), "key '' names nothing that can be priced"),
        (entry(key="null"), "key 'null' names nothing that can be priced"),
        (entry(key="kie-"), "key 'kie-' names nothing that can be priced"),
        (entry(key="ft:gpt-4o:a"), "key 'ft:gpt-4o:a' names nothing that can be priced"),
        (
            entry(key='"a\\0"'),
            "key must be a name of at most 200 characters, none of them a control character",
        ),
        (
            entry(key="a" * 201),
            "key must be a name of at most 200 characters, none of them a control character",
        ),
        (
            entry(kind="storage", key=None, provider="supabase", unit="GB-month"),
            "provider 'supabase' names nothing that can be priced: for storage it is always storage",
        ),
        (
            entry(kind="voice", key="openai", unit="1k characters"),
            "key 'openai' names nothing that can be priced: for voice it is always elevenlabs",
        ),
        (entry(price='"-1"'), "price '-1' must be 0 or more"),
        (entry(price="-0.01"), "price '-0.01' must be 0 or more"),
        (entry(price="cheap"), "price 'cheap' is not a number"),
        (entry(price="NaN"), "price 'NaN' is not a number"),
        (entry(price=".nan"), "price '.nan' is not a number"),
        (entry(price='"Infinity"'), "price 'Infinity' is not a number"),
        (entry(price="1:30"), "price '1:30' is not a number"),
        (entry(price="yes"), "price 'yes' is not a number"),
        (entry(price='""'), "price '' is not a number"),
        (entry(price="1e999999999"), "price '1e999999999' is not a number"),
        (entry(price="1e9"), "price '1e9' must be at most 1,000,000, with at most 9 decimals"),
        (
            entry(price="0.0000000001"),
            "price '0.0000000001' must be at most 1,000,000, with at most 9 decimals",
        ),
        (entry(price="{}"), "price must be a single value"),
        (entry(**{"from": "soon"}), "from 'soon' is not a day of the calendar, such as 2026-01-31"),
        (
            entry(**{"from": "2025-02-29"}),
            "from '2025-02-29' is not a day of the calendar, such as 2026-01-31",
        ),
        (
            entry(**{"from": "2025-02-01 12:00:00"}),
            "from '2025-02-01 12:00:00' is not a day of the calendar, such as 2026-01-31",
        ),
        (entry(until=""), "until '' is not a day of the calendar, such as 2026-01-31"),
        (entry(until="2024-01-01"), "until 2024-01-01 is not after from 2024-01-01"),
        (entry(price=None), "the rate lacks price"),
        ("{kind: image}", "the rate lacks key (or provider, or model), unit, price, from"),
        (entry(model="qwen"), "key and model are one field by several names: give one"),
        (
            entry(color="red"),
            "'color' is no field here; fields: kind, key, provider, model, unit, price, from, until",
        ),
        (
            entry(currency="EUR"),
            "a card has one currency, as amounts of several cannot be added; it stands before the rates",
        ),
        (entry().replace("}", ", price: 1}"), "price stands here twice"),
        (entry().replace("}", ", [a]: 1}"), "a key must be a word"),
        ("text", "a rate is expected, as a mapping of kind, key, provider, model, unit, price, from, until"),
        (
            "- image",
            "a rate is expected, as a mapping of kind, key, provider, model, unit, price, from, until",
        ),
    ],
)
def test_faulty_entry_is_refused_with_its_line(text: str, fault: str) -> None:
    """What no rate can be is refused, with file and line, and that alone is said to be wrong."""
    content = card(entry(key="grok"), text)
    assert faults(content) == [f"4: {fault}"]
    with pytest.raises(ConfigurationError) as raised:
        parse(content, "rates.yaml")
    assert (raised.value.message, raised.value.hint) == (f"rates.yaml:4: {fault}", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1: a card is expected: `currency: USD`, and a list `rates`"]),
        ("\n- a", ["2: a card is expected: `currency: USD`, and a list `rates`"]),
        ("rates: []", ["1: the card lacks currency"]),
        ("currency: USD", ["1: the card lacks rates"]),
        ("rates: []\ncurrency: dollars", ["2: currency 'dollars' must be a three-letter code such as USD"]),
        ("rates: []\ncurrency:", ["2: currency '' must be a three-letter code such as USD"]),
        ("rates: []\ncurrency: [USD]", ["2: currency must be a single value"]),
        ("currency: USD\ncurrency: EUR\nrates: []", ["2: currency stands here twice"]),
        ("currency: USD\nrates: {}", ["2: rates must be a list"]),
        (
            "currency: USD\nrates: []\nrate: []",
            ["3: 'rate' is no field here; fields: currency, rates"],
        ),
        (
            "currency: USD\nrates:\n" + "- {}\n" * 5001,
            ["2: 5,001 rates are too many: at most 5,000"],
        ),
        ("a" * (LARGEST + 1), ["1: the file is larger than 500,000 characters"]),
        ("[" * 5000, ["1: this is nested too deeply"]),
        (
            "currency: USD\nrates: [",
            ["2: this is not YAML: expected the node content, but found '<stream end>'"],
        ),
        ("currency: USD\nrates: *x", ["2: this is not YAML: found undefined alias 'x'"]),
        ("currency: USD\n---\nrates: []", ["2: this is not YAML: but found another document"]),
        ("\x00", ["None: this is not YAML: special characters are not allowed"]),
    ],
)
def test_card_without_its_frame_is_refused(text: str, expected: list[str]) -> None:
    """A card needs a currency and a list of rates, in YAML of a size that somebody can have written."""
    assert faults(text) == expected


def test_two_rates_of_one_day_are_refused() -> None:
    """A key cannot have two prices from one day, nor one that holds beyond the next one's first day."""
    content = card(
        entry(**{"from": "2024-06-01"}, until="2024-08-02"),
        entry(key="grok"),
        entry(until="2024-06-02"),
        entry(**{"from": "2024-08-01"}),
        entry(key="grok", price="1"),
    )
    assert faults(content) == [
        "3: until 2024-08-02 overlaps with the price of qwen from 2024-08-01, in line 6",
        "5: until 2024-06-02 overlaps with the price of qwen from 2024-06-01, in line 3",
        "7: grok has two prices from 2024-01-01; the other is in line 4",
    ]


def test_all_faults_are_listed_and_the_first_is_raised() -> None:
    """A faulty card is told of whole by a check; whoever needs it is told the first fault, and how to see the others."""
    content = card(entry(), entry(kind="music", price="x", color="red"), entry(), currency="€")
    _, found = check(content)
    assert [(fault.line, fault.entry) for fault in found] == [(1, None), (4, 2), (4, 2), (4, 2), (5, 3)]
    with pytest.raises(ConfigurationError, match=r"^f:1: currency '€' must be") as raised:
        parse(content, "f")
    assert raised.value.hint == "there is more: `avatarlab cost rates validate FILE` lists all that is wrong"


def test_an_alias_bomb_is_harmless() -> None:
    """A short file whose aliases stand for a billion values is refused like any other."""
    bomb = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 1}]\n" for i in range(9))
    found = faults(f"{bomb}currency: *a8\nrates: [{{kind: *a8}}]\n")
    assert "10: currency must be a single value" in found
    assert len(found) == 12


@given(st.text(alphabet="-{}[]:&*!|>'\"# \nratescurnykdpifom0123.~<?", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever stands in the file, it is a card or a list of faults."""
    found, wrong = check(f"currency: USD\nrates:\n{text}")
    assert wrong or found.currency == "USD"


def test_file_is_read_or_its_fault_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card of one's own takes the place of the shipped one, `-` is stdin; one that cannot be read is refused."""
    path = tmp_path / "rates.yaml"
    path.write_text(card(entry()))
    assert rates.load(str(path)).rates == (QWEN,)
    monkeypatch.setattr("sys.stdin", StringIO(card(entry(price="x"))))
    with pytest.raises(ConfigurationError, match=r"^stdin:3: price 'x' is not a number$"):
        read("-")
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=f"^cannot read the rate card {path}: it is not UTF-8$"):
        read(str(path))
    for absent in (tmp_path / "absent.yaml", tmp_path, Path("/dev/null/none"), "\x00"):
        with pytest.raises(ConfigurationError, match=r"^cannot read the rate card "):
            read(str(absent))
