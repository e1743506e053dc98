"""What systemd is told of a service that runs: a line for `systemctl status`, and that it ends."""

import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(variables: Mapping[str, str], **states: str) -> None:
    """Tell systemd, where it listens: READY="1", STATUS="what it does". Says nothing anywhere else, and never fails."""
    address = variables.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    lines = "\n".join(f"{name}={' '.join(value.split())}" for name, value in states.items())
    # A name that begins with @ is one of the kernel's own.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.setblocking(False)
        to.sendto(lines.encode(), path)
