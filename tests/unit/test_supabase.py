"""What is run where there is no host is what timers run."""

import re
from importlib import resources

from jobs.registry import BY_NAME, SCHEDULED

PAGE = (resources.files("config") / "supabase/README.md").read_text(encoding="utf-8")


def test_the_page_runs_all_that_is_scheduled() -> None:
    """Every job and check once, in the words of the timers; a job stands right after those it follows."""
    shown = re.findall(r"^avatarlab --quiet (.*)$", PAGE, re.MULTILINE)
    assert sorted(shown) == sorted(" ".join(entry.words) for entry in SCHEDULED)
    order = [line.split()[2] for line in shown if line.startswith("job run")]
    for name, job in BY_NAME.items():
        place = order.index(name)
        assert tuple(order[place - len(job.follows) : place]) == job.follows
