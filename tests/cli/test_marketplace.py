"""The reports of the noun `marketplace`: money exact, and what is no revenue apart."""

import json

from avatarlab_cli.errors import ExitCode
from tests.cli.invoking import invoke
from tests.cli.known_shelf import CLEO, NOVA, ORION


def test_purchases_by_day(shelf: str) -> None:
    """A purchase counts on its day, UTC; the total is the sum of the days; euros and refunds are no revenue."""
    shown = invoke(shelf, "marketplace", "purchases")
    assert shown.out == (
        "day         purchases  completed  refunded  revenue  refunded_usd  other_currencies\n"
        "2025-06-10          2          1         1     7.00          3.00  {}\n"
        '2025-06-14          2          2         0     4.99          0.00  {"EUR": 4.99}\n'
        "total               4          3         1    11.99          3.00\n"
    )
    assert "no payment stands behind" in shown.err


def test_purchases_by_avatar(shelf: str) -> None:
    """Those that brought in most stand first, with the name of each."""
    shown = invoke(shelf, "marketplace", "purchases", "--by", "avatar", "--json")
    rows = [(row["avatar"], row["avatar_id"], row["revenue"]) for row in json.loads(shown.out)]
    assert rows == [
        ("Orion", str(ORION), "7.00"),
        ("Cleo", str(CLEO), "4.99"),
        ("Nova 100%_", str(NOVA), "0.00"),
    ]


def test_purchases_by_month_and_user(shelf: str) -> None:
    """However they are divided, the sum is the same."""
    by_month = invoke(
        shelf, "marketplace", "purchases", "--by", "month", "--csv", "--fields", "month,revenue"
    )
    assert by_month.out == "month,revenue\n2025-06,11.99\n"
    by_user = invoke(shelf, "marketplace", "purchases", "--by", "user", "--csv", "--fields", "email,revenue")
    assert by_user.out == "email,revenue\nEve@example.org,7.00\nada@example.com,4.99\n"
    nothing = invoke(shelf, "marketplace", "purchases", "--until", "2025-06-01")
    assert nothing.out == ""
    assert "Nothing was bought in that time." in nothing.err


def test_list(shelf: str) -> None:
    """The platform's own counter stands beside the purchases there are, and is not believed."""
    shown = invoke(shelf, "marketplace", "list")
    assert shown.out == (
        "name        email            status  price  rating  total_sales  completed\n"
        "Cleo        (unattributed)   active   4.99     4.5          900          2\n"
        "Nova 100%_  ada@example.com  active   0.00     0.0            0          0\n"
        "total                                                                    2\n"
    )
    assert "made-up numbers" in shown.err


def test_summary(shelf: str) -> None:
    """Revenue is of completed purchases in USD alone."""
    fields = "purchases,completed,refunded,revenue,refunded_usd,other_currencies,buyers,revenue_30d"
    assert json.loads(invoke(shelf, "marketplace", "summary", "--json", "--fields", fields).out) == {
        "purchases": 4,
        "completed": 3,
        "refunded": 1,
        "revenue": "11.99",
        "refunded_usd": "3.00",
        "other_currencies": {"EUR": 4.99},
        "buyers": 2,
        "revenue_30d": "11.99",
    }


def test_an_unknown_dimension(shelf: str) -> None:
    """It is told with those there are."""
    refused = invoke(shelf, "marketplace", "purchases", "--by", "price")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert "by: day, avatar, month, user" in refused.err
