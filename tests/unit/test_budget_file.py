"""A budgets.yaml: what is read, and what is refused in which line."""

from contextlib import suppress
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarlab_cli.budget_file import Budget, Budgets, load, parse
from avatarlab_cli.errors import ConfigurationError

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
FILE = f"""currency: eur
budgets:
  - {{amount: "500"}}
  - {{kind: image, amount: 100.50}}
  - {{user: each, amount: "20"}}
  - {{user: " Ada@Example.com ", amount: "50"}}

  - {{user: each, kind: video, amount: 0}}
  - user: {UUID.upper()}
    kind: storage
    amount: "0.000000001"
"""


def test_what_is_shipped() -> None:
    """No budget is set unless somebody sets one; the example in the file is one that could be."""
    assert load() == Budgets("USD", ())
    shipped = (Path(__file__).parents[2] / "config" / "budgets.yaml").read_text(encoding="utf-8")
    example = "".join(line.replace("#   -", "-", 1) for line in shipped.splitlines(True) if "#   -" in line)
    assert [(each.kind, each.user) for each in parse(f"currency: USD\nbudgets:\n{example}", "f").entries] == [
        (None, None),
        ("image", None),
        (None, "each"),
        (None, "ada@example.com"),
        ("video", "each"),
    ]


def test_entries_are_read_exactly() -> None:
    """Amounts are exact decimals, names lose case and blanks, and each entry knows its line."""
    assert parse(FILE, "f") == Budgets(
        "EUR",
        (
            Budget(None, None, Decimal(500), 3),
            Budget("image", None, Decimal("100.5"), 4),
            Budget(None, "each", Decimal(20), 5),
            Budget(None, "ada@example.com", Decimal(50), 6),
            Budget("video", "each", Decimal(0), 8),
            Budget("storage", UUID, Decimal("0.000000001"), 9),
        ),
    )


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            "{kind: music, amount: 1}",
            "kind 'music' is none of fine_tuning, inference, voice, image, video, storage, database",
        ),
        ("{kind: [image], amount: 1}", "kind must be a single value"),
        ("{kind: image}", "the budget lacks amount"),
        ("{amount: -1}", "amount '-1' must be from 0 to 1,000,000,000, with at most 9 decimals"),
        (
            "{amount: 1000000001}",
            "amount '1000000001' must be from 0 to 1,000,000,000, with at most 9 decimals",
        ),
        ("{amount: 1e-10}", "amount '1e-10' must be from 0 to 1,000,000,000, with at most 9 decimals"),
        ("{amount: much}", "amount 'much' is not a number"),
        ("{amount: .nan}", "amount '.nan' is not a number"),
        ("{amount: .inf}", "amount '.inf' is not a number"),
        ("{amount: true}", "amount 'true' is not a number"),
        ("{amount: }", "amount '' is not a number"),
        ("{amount: 1, user: ada}", "user 'ada' is neither each nor an e-mail address nor a UUID"),
        ("{amount: 1, user: }", "user '' is neither each nor an e-mail address nor a UUID"),
        ("{amount: 1, month: 2026-01}", "'month' is no field here; fields: amount, kind, user"),
        ("{amount: 1, amount: 2}", "amount stands here twice"),
        ("{amount: 9}", "this is the budget of line 3 again"),
        ("{user: EACH, kind: image, amount: 9}", "this is the budget of line 4 again"),
        ("500", 'a budget is expected, as a mapping: {kind: image, amount: "100"}'),
    ],
)
def test_faulty_entry_is_refused_with_its_line(entry: str, fault: str) -> None:
    """What no budget can be is refused with file and line."""
    text = f"currency: USD\nbudgets:\n- {{amount: 5}}\n- {{user: each, kind: image, amount: 5}}\n- {entry}\n"
    with pytest.raises(ConfigurationError) as raised:
        parse(text, "b.yaml")
    assert raised.value.message == f"b.yaml:5: {fault}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "b:1: `currency: USD` and a list `budgets` are expected"),
        ("\n- amount: 5", "b:2: `currency: USD` and a list `budgets` are expected"),
        ("budgets: []", "b:1: the file lacks currency"),
        ("currency: USD", "b:1: the file lacks budgets"),
        ("currency: $\nbudgets: []", "b:1: currency '$' must be a three-letter code such as USD"),
        ("currency: USD\nbudgets: {amount: 5}", "b:2: budgets must be a list"),
        ("currency: USD\nbudgets:\n" + "- {}\n" * 5001, "b:2: 5,001 budgets are too many: at most 5,000"),
        ("currency: USD\nbudget: []", "b:2: 'budget' is no field here; fields: currency, budgets"),
        ("currency: USD\nbudgets: [", "b:2: this is not YAML: expected the node content"),
        ("a" * 500_001, "b:1: the file is larger than 500,000 characters"),
    ],
)
def test_file_without_its_frame_is_refused(text: str, fault: str) -> None:
    """A file needs a currency and a list of budgets, in YAML of a size that somebody can have written."""
    with pytest.raises(ConfigurationError) as raised:
        parse(text, "b")
    assert raised.value.message.startswith(fault)


@given(st.text(alphabet="-{}[]:&*!|>'\"# \namountkidser@.0123~<?", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever stands in the file, it is budgets or a fault that is told."""
    with suppress(ConfigurationError):
        assert parse(f"currency: USD\nbudgets:\n{text}", "b").currency == "USD"


def test_file_is_read_or_its_fault_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of one's own takes the place of the shipped one, `-` is stdin; one that cannot be read is refused."""
    path = tmp_path / "budgets.yaml"
    path.write_text(FILE)
    assert len(load(str(path)).entries) == 6
    monkeypatch.setattr("sys.stdin", StringIO("currency: USD\nbudgets: [5]"))
    with pytest.raises(ConfigurationError, match=r"^stdin:2: a budget is expected"):
        load("-")
    with pytest.raises(ConfigurationError, match=r"^cannot read the budgets .*absent.yaml: No such file"):
        load(str(tmp_path / "absent.yaml"))
