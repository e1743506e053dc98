"""What it costs to start: `avatarlab --help` against an interpreter that does nothing.

Run as `python -m benchmarks.startup [--rounds N]`.
"""

import argparse
import functools
import sys
import sysconfig
from pathlib import Path

from benchmarks import measure

NOTHING, HELP, VERB_HELP = "python -c pass", "avatarlab --help", "avatarlab usage top --help"
MOST_TIMES_NOTHING = 8


def main() -> None:
    """Measure, print, and exit with 1 where the promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    avatarlab = str(Path(sysconfig.get_path("scripts")) / "avatarlab")
    commands = {
        NOTHING: [sys.executable, "-c", "pass"],
        HELP: [avatarlab, "--help"],
        VERB_HELP: [avatarlab, "usage", "top", "--help"],
    }
    contenders = {name: functools.partial(measure.run, command) for name, command in commands.items()}
    times = measure.take_turns(contenders, given.rounds)
    measure.show(times, NOTHING)
    ratio = times[HELP].best / times[NOTHING].best
    measure.conclude(measure.Promise(f"{HELP} / {NOTHING}", ratio, MOST_TIMES_NOTHING))


if __name__ == "__main__":
    main()
