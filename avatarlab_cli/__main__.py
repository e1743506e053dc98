"""Where the process begins."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, the process's own unless another is given, and exit."""
    from avatarlab_cli.errors import Terminated, exit_code_of
    from avatarlab_cli.main import app

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    _replace_closed_streams()
    try:
        app(arguments, prog_name="avatarlab")
    except SystemExit as end:
        # A signal that comes while an error is being reported typer takes for Ctrl-C, whichever it is.
        cause = end.__context__ and end.__context__.__cause__
        sys.exit(exit_code_of(cause) if isinstance(cause, KeyboardInterrupt) else end.code)
    sys.exit()


def _replace_closed_streams() -> None:
    """Put something in the place of streams the process was started without: data on stdout must fail, not vanish."""
    sys.stdout = sys.stdout or open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115, PTH123 (it lives as long as the process)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123 (it lives as long as the process)


if __name__ == "__main__":
    run()
