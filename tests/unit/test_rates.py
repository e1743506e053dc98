"""The rate card: what is read from YAML, what is refused, and how names become keys."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.rollup import rates

GOOD = {"kind": "image", "key": "Qwen ", "unit": "image", "price": "0.0125", "from": date(2024, 1, 1)}


def card(*entries: object, currency: object = "usd") -> object:
    return {"currency": currency, "rates": list(entries)}


def test_shipped_card_has_every_published_price() -> None:
    """The card that is shipped prices every kind of cost in US dollars."""
    shipped = rates.load()
    assert shipped.currency == "USD"
    prices = {(rate.kind, rate.key, rate.unit): rate.price for rate in shipped.rates}
    assert len(prices) == len(shipped.rates)
    assert prices["inference", "gpt-4o", "1M output tokens"] == Decimal(15)
    assert prices["storage", "storage", "GB-month"] == Decimal("0.021")


def test_entry_is_read_exactly() -> None:
    """Keys lose case and blanks, prices are exact decimals, the currency is a code."""
    found = rates.parse(card(GOOD), "card")
    assert found == rates.RateCard(
        "USD", (rates.Rate("image", "qwen", "image", date(2024, 1, 1), Decimal("0.0125")),)
    )


def test_key_is_reduced_as_names_are() -> None:
    """A key written with the gateway's prefix or a model's date is the key that such a name is reduced to."""
    entries = (GOOD | {"key": "KIE-grok-2025-01-31"}, GOOD | {"key": "seedream-0714"})
    assert [rate.key for rate in rates.parse(card(*entries), "card").rates] == ["grok", "seedream"]


def test_version_follows_the_content_and_nothing_else() -> None:
    """The order of entries does not matter to the version; a price does."""
    other = GOOD | {"key": "grok"}
    one, two = rates.parse(card(GOOD, other), "a"), rates.parse(card(other, GOOD), "b")
    dearer = rates.parse(card(GOOD, other | {"price": "0.02"}), "c")
    assert one.version == two.version != dearer.version


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (GOOD | {"kind": "music"}, "kind 'music'"),
        (GOOD | {"unit": "dozen"}, "unit 'dozen'"),
        (GOOD | {"unit": "video"}, "unit 'video' is none of image, for image"),
        (GOOD | {"key": " "}, "names nothing that can be priced"),
        (GOOD | {"price": "-1"}, "price '-1' must be 0 or more"),
        (GOOD | {"price": "cheap"}, "price 'cheap' is not a number"),
        (GOOD | {"price": "NaN"}, "must be 0 or more"),
        (GOOD | {"from": "soon"}, "from 'soon' is not a day"),
        ({"kind": "image"}, "exactly these fields"),
        ("text", "exactly these fields"),
    ],
)
def test_faulty_entry_is_named(entry: object, complaint: str) -> None:
    """A card with a faulty entry is refused, with the entry's number and what is wrong."""
    with pytest.raises(ConfigurationError, match=r"card, rate 2: ") as raised:
        rates.parse(card(GOOD | {"key": "grok"}, entry), "card")
    assert complaint in raised.value.message


def test_two_prices_of_one_day_are_refused() -> None:
    """A key cannot have two prices from the same day."""
    with pytest.raises(ConfigurationError, match="rate 2: qwen has two prices from 2024-01-01"):
        rates.parse(card(GOOD, GOOD | {"price": "1"}), "card")


@pytest.mark.parametrize("content", [None, [], {"rates": []}, card(GOOD, currency="dollars")])
def test_card_without_its_frame_is_refused(content: object) -> None:
    """A card needs a currency and a list of rates."""
    with pytest.raises(ConfigurationError, match="currency"):
        rates.parse(content, "card")


def test_file_is_read_or_its_fault_is_told(tmp_path: Path) -> None:
    """A card of one's own takes the place of the shipped one; one that cannot be read is refused."""
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump(card(GOOD)))
    assert [rate.key for rate in rates.load(str(path)).rates] == ["qwen"]
    path.write_text("rates: [")
    with pytest.raises(ConfigurationError, match="cannot read the rate card"):
        rates.load(str(path))
    with pytest.raises(ConfigurationError, match="cannot read the rate card"):
        rates.load(str(tmp_path / "absent.yaml"))
