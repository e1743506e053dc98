"""Where the process begins."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, the process's own unless another is given, and exit."""
    from avatarlab_cli.main import Terminated, app

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    sys.exit(app(arguments, prog_name="avatarlab"))


if __name__ == "__main__":
    run()
