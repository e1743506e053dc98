"""The reports on training."""

from decimal import Decimal
from functools import partial

from avatarlab_cli.queries import (
    training_errors,
    training_examples,
    training_files,
    training_jobs,
    training_prompts,
    training_stale,
    training_summary,
)
from avatarlab_cli.queries.training_jobs import Wanted
from avatarlab_cli.rollup import rates
from tests.database.comparing import card
from tests.database.watching import NOW, SPAN, Case, read_tables
from tests.reference import training
from tests.reference.voice import BEFORE

CARD, PRICES = rates.load(), card()
BELOW = Decimal("0.7")
CASES = (
    Case(
        "training summary",
        lambda connection: training_summary.summary(connection, SPAN, BEFORE, CARD),
        partial(training.summary, card=PRICES),
    ),
    *(
        Case(
            "training jobs",
            lambda connection, status=status: training_jobs.jobs(
                connection, CARD, Wanted(SPAN, status=status)
            ),  # type: ignore[misc]  # bound early
            partial(training.jobs, card=PRICES, status=status),
            label=f"--status {status}" if status else "",
        )
        for status in (None, "failed")
    ),
    *(
        Case(
            "training jobs",
            lambda connection, by=by: training_jobs.jobs_by(connection, CARD, Wanted(SPAN), by),  # type: ignore[misc]
            partial(training.jobs_by, card=PRICES, by=by),
            label=f"--by {by}",
        )
        for by in training_jobs.DIMENSIONS
    ),
    Case("training errors", lambda connection: training_errors.errors(connection, SPAN), training.errors),
    Case(
        "training logs",
        lambda connection: training_errors.logs(connection, training.run_of(read_tables(connection))),
        training.logs,
    ),
    *(
        Case(
            "training files",
            lambda connection, by=by: training_files.files(connection, by),  # type: ignore[misc]
            partial(training.files, by=by),
            label=f"--by {by}",
        )
        for by in training_files.DIMENSIONS
    ),
    *(
        Case(
            "training files",
            lambda connection, status=status: training_files.uploads(connection, status=status),  # type: ignore[misc]
            partial(training.uploads, status=status),
            label=f"--status {status}" if status else "--list",
        )
        for status in (None, "failed")
    ),
    Case("training stale", lambda connection: training_stale.stale(connection, NOW, BEFORE), training.stale),
    *(
        Case(
            "training examples",
            lambda connection, by=by: training_examples.examples(connection, by, BELOW),  # type: ignore[misc]
            partial(training.examples, by=by, below=BELOW),
            label=f"--by {by}",
        )
        for by in training_examples.DIMENSIONS
    ),
    Case(
        "training prompts",
        lambda connection: training_prompts.versions(connection, training.avatar_of(read_tables(connection))),
        training.versions,
    ),
)
