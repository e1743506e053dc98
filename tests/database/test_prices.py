"""Prices that change: each quantity costs what its own day's rate says."""

from datetime import date
from uuid import UUID

import sqlalchemy as sa
from hypothesis import given

from avatarlab_cli import rate_file
from avatarlab_cli.database import Database
from jobs import monthly_usage
from jobs.result import Task
from tests.database.comparing import (
    FIRST,
    TODAY,
    Rows,
    differences,
    record_month,
    rolled_back,
    storage_known,
    stored,
)
from tests.database.test_monthly_usage import stored_days
from tests.examples import examples
from tests.reference import usage
from tests.reference.generate import Dataset, datasets, insert
from tests.reference.rates import rates_from_yaml
from tests.reference.source import read_source

CARD = """
currency: USD
rates:
  - {kind: image, key: nano-banana, unit: image, price: "0.02", from: 2024-01-01, until: 2025-02-20}
  - {kind: image, key: nano-banana, unit: image, price: "0.031", from: 2025-02-28}
  - {kind: image, key: nano-banana, unit: image, price: "0.05", from: 2025-03-01}
  - {kind: video, key: veo3-fast, unit: video, price: "0.4", from: 2025-03-01, until: 2025-03-09}
  - {kind: inference, key: gpt-4o-mini, unit: 1M input tokens, price: "0.3", from: 2024-06-01}
  - {kind: inference, key: gpt-4o-mini, unit: 1M output tokens, price: "1.2", from: 2025-03-01}
  - {kind: voice, key: elevenlabs, unit: 1k characters, price: "0", from: 2025-01-01}
  - {kind: voice, key: elevenlabs, unit: 1k characters, price: "0.22", from: 2025-02-01}
  - {kind: fine_tuning, key: gpt-4o-mini, unit: 1M trained tokens, price: "3", from: 2025-02-15}
  - {kind: storage, key: storage, unit: GB-month, price: "0.021", from: 2025-03-05, until: 2025-03-10}
  - {kind: storage, key: storage, unit: GB-month, price: "0.019", from: 2025-03-10}
"""
EXAMPLES = examples(10)


@EXAMPLES
@given(data=datasets(TODAY, most_rows=8))
def test_each_day_is_priced_by_its_own_rate(migrated: Database, data: Dataset) -> None:
    """Amounts and what has no price equal the reference's, with rates that begin, change and end on the way."""
    with rolled_back(migrated) as connection:
        insert(connection, data)
        users = data.rows["auth.users"]
        record_month(connection, UUID(str(users[0]["id"])) if users else None)
        monthly_usage.run(connection, Task(TODAY, rate_file.parse(CARD, "test")))
        known = storage_known(connection).by_user
        last = date(TODAY.year, TODAY.month, 31)
        source, card = read_source(connection), rates_from_yaml(CARD)
        assert differences(stored_days(connection), usage.usage_daily(source, card, FIRST, last, known)) == []
        months = usage.monthly_usage(source, card, FIRST, TODAY, TODAY, snapshots=known)
        found = _costs(connection)
        assert found == {
            key: {name: row[name] for name in found[key]} for key, row in months.items() if key in found
        }
        assert found.keys() == months.keys()


def _costs(connection: sa.Connection) -> Rows:
    rows = stored(connection, "monthly_usage", ("user_id", "usage_month"))
    return {
        key: {name: row[name] for name in row if name.endswith("_cost") or name == "unpriced"}
        for key, row in rows.items()
    }
