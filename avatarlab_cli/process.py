"""What this process says of itself in run records and audit entries."""

import getpass
import os
import platform


def host() -> str:
    """Return the name of this machine."""
    return platform.node()


def os_user() -> str:
    """Return the operating system's user, by number where the number has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
