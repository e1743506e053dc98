"""Rate cards shown, checked and compared: those in files without a database, those of former runs from it."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.errors import ExitCode
from avatarlab_cli.rollup import rates
from avatarlab_cli.rollup.rates import Rate, RateCard
from avatarlab_cli.schema.private import job_runs
from tests.cli.conftest import WRITTEN
from tests.cli.invoking import Outcome, invoke, process, terminal
from tests.conftest import created_database

OLD = """currency: USD
rates:
  - {kind: image, key: qwen, unit: image, price: "0.0125", from: 2024-01-01}
  - {kind: image, provider: grok, unit: image, price: "0.020", from: 2024-01-01, until: 2025-06-01}
  - {kind: voice, key: elevenlabs, unit: 1k characters, price: "0.22", from: 2024-01-01}
  - {kind: video, key: hailuo, unit: video, price: "0.30", from: 2024-01-01}
"""
NEW = """currency: USD
rates:
  - {kind: image, key: qwen, unit: image, price: "0.0125", from: 2024-01-01}
  - {kind: image, key: qwen, unit: image, price: "0.01", from: 2025-06-16}
  - {kind: image, key: grok, unit: image, price: "0.02", from: 2024-01-01, until: 2025-07-01}
  - {kind: voice, key: elevenlabs, unit: 1k characters, price: "0.2", from: 2024-01-01}
  - {kind: video, key: hailuo, unit: video, price: "0.3", from: 2024-01-01}
"""
FAULTY = """currency: dollars
rates:
  - {kind: image, key: qwen, unit: image, price: "-1", from: 2024-01-01}
  - {kind: image, key: qwen, unit: dozen, from: 2024-01-01}
"""
LATEST = RateCard("USD", (Rate("image", "qwen", "image", date(2024, 1, 1), Decimal("0.0125")),))
FORMER = RateCard("EUR", ())


@pytest.fixture(scope="module")
def priced(server_conninfo: str, migrated_panel_template: str) -> Iterator[str]:
    """Two stored cards; runs with both, the later one well ended, a dry one and a failed one after it."""
    with created_database(server_conninfo, migrated_panel_template) as conninfo:
        with Database(conninfo).write() as connection:
            for card in (FORMER, LATEST):
                rates.collect(connection, card)
                connection.execute(sa.text("DROP TABLE rates_fresh"))
            runs = (
                (FORMER, "succeeded", False),
                (LATEST, "succeeded", False),
                (FORMER, "succeeded", True),
                (FORMER, "failed", False),
            )
            for hour, (card, status, is_dry_run) in enumerate(runs):
                run = {"job": "monthly-usage", "status": status, "is_dry_run": is_dry_run}
                begun = WRITTEN + timedelta(hours=hour)
                connection.execute(
                    sa.insert(job_runs).values(run | {"started_at": begun, "rate_card_version": card.version})
                )
        yield conninfo


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A card of before, one of now, and one that cannot be."""
    for name, text in (("old", OLD), ("new", NEW), ("faulty", FAULTY)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return {name: str(tmp_path / f"{name}.yaml") for name in ("old", "new", "faulty")}


def test_show(files: dict[str, str]) -> None:
    """The card the settings name is shown without a database, with what holds today, on another day, of one kind."""
    env = {"AVATARLAB_RATES_FILE": files["new"]}
    shown = invoke(None, "cost", "rates", "show", env=env)
    version = shown.err.split()[3]
    assert shown == Outcome(
        0,
        "kind   key         unit            price  currency  from        until       in_force\n"
        "voice  elevenlabs  1k characters     0.2  USD       2024-01-01  -           true\n"
        "image  grok        image            0.02  USD       2024-01-01  2025-07-01  true\n"
        "image  qwen        image          0.0125  USD       2024-01-01  2025-06-16  true\n"
        "image  qwen        image            0.01  USD       2025-06-16  -           false\n"
        "video  hailuo      video             0.3  USD       2024-01-01  -           true\n",
        f"note: rate card {version} ({files['new']}, USD)\n",
    )
    later = invoke(
        None, "cost", "rates", "show", "--day", "2025-07-01", "--kind", "image", "--json", "-q", env=env
    )
    assert later.err == ""
    assert [(row["key"], row["price"], row["until"], row["in_force"]) for row in json.loads(later.out)] == [
        ("grok", "0.02", "2025-07-01", False),
        ("qwen", "0.0125", "2025-06-16", False),
        ("qwen", "0.01", None, True),
    ]


def test_show_what_is_shipped() -> None:
    """Without a setting it is the card that is shipped."""
    shown = invoke(None, "cost", "rates", "show", "--kind", "database", "--csv", "--no-headers")
    assert shown.out == "database,database,GB-month,0.125,USD,2024-01-01,,true\n"
    assert rates.load().version in shown.err


def test_show_a_stored_card(priced: str) -> None:
    """The beginning of a version names a card that a job has used."""
    version = LATEST.version
    for name in (version, version[:3]):
        shown = invoke(priced, "cost", "rates", "show", "--version", name, "--fields", "key,price")
        assert shown == Outcome(
            0, "key    price\nqwen  0.0125\n", f"note: rate card {version} (stored, USD)\n"
        )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--version", "000"), ExitCode.NOT_FOUND, "there is no stored rate card '000'"),
        (("--version", "%"), ExitCode.NOT_FOUND, "there is no stored rate card '%'"),
        (("--kind", "music"), ExitCode.USAGE, "'music' is no kind of cost"),
        (("--day", "soon"), ExitCode.USAGE, "'soon' is not a day"),
    ],
)
def test_show_what_is_not_there(priced: str, arguments: tuple[str, ...], code: int, message: str) -> None:
    """A version nobody stored, a kind and a day there is none of are told."""
    shown = invoke(priced, "cost", "rates", "show", *arguments)
    assert (shown.code, shown.out) == (code, "")
    assert shown.err.startswith(f"avatarlab: {message}\n")


def test_show_where_a_beginning_fits_several(migrated_panel_conninfo: str) -> None:
    """An ambiguous beginning is refused, with what it could be."""
    with Database(migrated_panel_conninfo).write() as connection:
        for version in ("abc1", "abc2"):
            connection.execute(
                sa.text(
                    "INSERT INTO avatarlab_admin.rate_card (version, currency, card) VALUES (:v, 'USD', '{}')"
                ),
                {"v": version},
            )
    shown = invoke(migrated_panel_conninfo, "cost", "rates", "show", "--version", "abc")
    assert shown == Outcome(
        ExitCode.USAGE, "", "avatarlab: 'abc' fits several rate cards: abc1, abc2\nwrite more of it\n"
    )


def test_validate(files: dict[str, str]) -> None:
    """Every fault has a row with its line; without any there is nothing but a sentence."""
    assert invoke(None, "cost", "rates", "validate", files["faulty"]) == Outcome(
        ExitCode.FOUND,
        "line  entry  fault\n"
        "   1      -  currency 'dollars' must be a three-letter code such as USD\n"
        "   3      1  price '-1' must be 0 or more\n"
        "   4      2  the rate lacks price\n"
        "   4      2  unit 'dozen' is none of image, for image\n",
        "",
    )
    fine = invoke(None, "cost", "rates", "validate", files["new"])
    assert (fine.code, fine.out) == (0, "")
    assert fine.err.startswith("5 rates, version ")
    assert fine.err.endswith(", currency USD: valid\n")


def test_validate_for_a_script(files: dict[str, str], tmp_path: Path) -> None:
    """A pipe gets faults as data; the card in force is the default; a file that is not there is no fault of a card."""
    faulty = process(
        None,
        "cost",
        "rates",
        "validate",
        "--json",
        "--limit",
        "1",
        env={"AVATARLAB_RATES_FILE": files["faulty"]},
    )
    assert faulty.code == ExitCode.FOUND
    assert json.loads(faulty.out) == [
        {"line": 1, "entry": None, "fault": "currency 'dollars' must be a three-letter code such as USD"}
    ]
    assert invoke(None, "cost", "rates", "validate", "--json") == Outcome(0, "[]\n", "")
    absent = str(tmp_path / "absent.yaml")
    assert invoke(None, "cost", "rates", "validate", absent) == Outcome(
        ExitCode.CONFIGURATION,
        "",
        f"avatarlab: cannot read the rate card {absent}: No such file or directory\n",
    )


def test_validate_on_a_terminal(tmp_path: Path) -> None:
    """What a file holds cannot command a terminal."""
    path = tmp_path / "rates.yaml"
    path.write_text('currency: USD\nrates: [{kind: "a\\e[31m"}]\n')
    shown = terminal(None, "cost", "rates", "validate", str(path))
    assert shown.code == ExitCode.FOUND
    assert "\x1b[31m" not in shown.out


def test_a_faulty_card_in_use(files: dict[str, str], priced: str) -> None:
    """Whatever needs the card stops at its first fault, says where it is, and how to see the others."""
    env = {"AVATARLAB_RATES_FILE": files["faulty"]}
    for command in (("cost", "rates", "show"), ("job", "run", "monthly-usage"), ("cost", "rates", "diff")):
        assert invoke(priced, *command, env=env) == Outcome(
            ExitCode.CONFIGURATION,
            "",
            f"avatarlab: {files['faulty']}:1: currency 'dollars' must be a three-letter code such as USD\n"
            "there is more: `avatarlab cost rates validate FILE` lists all that is wrong\n",
        )


def test_diff(files: dict[str, str]) -> None:
    """Each rate that is new, gone or different has a row; a price that is only written otherwise is the same."""
    shown = invoke(None, "cost", "rates", "diff", files["old"], files["new"])
    assert shown.code == ExitCode.FOUND
    assert shown.out == (
        "change   kind   key         unit           from        before  after  until_before  until_after\n"
        "changed  image  grok        image          2024-01-01   0.020   0.02  2025-06-01    2025-07-01\n"
        "added    image  qwen        image          2025-06-16       -   0.01  -             -\n"
        "changed  voice  elevenlabs  1k characters  2024-01-01    0.22    0.2  -             -\n"
    )
    back = invoke(
        None, "cost", "rates", "diff", files["new"], files["old"], "--csv", "--fields", "change", "-q"
    )
    assert back == Outcome(ExitCode.FOUND, "change\nchanged\nremoved\nchanged\n", "")
    same = invoke(None, "cost", "rates", "diff", files["old"], files["old"], "--json")
    assert (same.code, same.out) == (0, "[]\n")


def test_diff_against_the_latest_run(files: dict[str, str], priced: str) -> None:
    """Without a name the latest run's card is compared, not a dry run's nor a failed one's, with the card in force."""
    env = {"AVATARLAB_RATES_FILE": files["new"]}
    fields = ("--fields", "change,key,after", "--csv", "--no-headers")
    for named in ((), (LATEST.version,), (LATEST.version[:4],), (LATEST.version, files["new"])):
        shown = invoke(priced, "cost", "rates", "diff", *named, *fields, env=env)
        assert (shown.code, shown.out) == (
            ExitCode.FOUND,
            "added,grok,0.02\nadded,qwen,0.01\nadded,hailuo,0.3\nadded,elevenlabs,0.2\n",
        )
        assert shown.err.startswith(f"note: before is {LATEST.version} (stored, USD), after is ")


def test_diff_of_currencies(files: dict[str, str], tmp_path: Path) -> None:
    """The same number in another currency is another price."""
    euros = tmp_path / "euros.yaml"
    euros.write_text(OLD.replace("USD", "EUR"))
    shown = invoke(None, "cost", "rates", "diff", files["old"], str(euros), "--json")
    assert {
        (row["change"], row["currency_before"], row["currency_after"]) for row in json.loads(shown.out)
    } == {("changed", "USD", "EUR")}


def test_diff_before_any_run(migrated_panel_conninfo: str) -> None:
    """Where no job has run there is no card to compare with."""
    shown = invoke(migrated_panel_conninfo, "cost", "rates", "diff")
    assert (shown.code, shown.out) == (ExitCode.NOT_FOUND, "")
    assert shown.err.startswith("avatarlab: the job monthly-usage has not run yet")
