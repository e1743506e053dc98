"""How many invented inputs a property is tried with."""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("AVATARLAB_TEST_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Return the settings for so many in an ordinary run; AVATARLAB_TEST_EXAMPLES says how many times as many."""
    # Each example rolls back, or goes on where the last one ended: none needs a fixture of its own.
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
