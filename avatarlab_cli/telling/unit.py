"""What systemd says of a service of ours that failed, where the service could not say it itself."""

from collections.abc import Mapping

from avatarlab_cli.context import Context
from avatarlab_cli.logs import logger
from avatarlab_cli.process import host
from avatarlab_cli.telling.memory import Told
from avatarlab_cli.telling.news import key_of, memory_of, tell
from avatarlab_cli.telling.webhook import Matter

_MEANINGS = {
    "exit-code": "ended with exit code {status}",
    "signal": "was ended by SIG{status}",
    "core-dump": "crashed by SIG{status}",
    "oom-kill": "was killed, as memory ran out",
    "timeout": "took longer than it may",
    "watchdog": "hung",
    "start-limit-hit": "failed too often to be tried again",
    "resources": "could not be started: something it needs is not there",
}


def failed(invocation: Context, unit: str) -> str | None:
    """Log that a unit failed, and tell the webhook unless its command has; returns why it could not be told."""
    found = matter(unit, invocation.variables)
    log = logger(invocation).bind(unit=unit)
    log.error("service failed", what=found.finding)
    with memory_of(invocation, log) as told:
        if has_told(told, key_of(invocation, found.key), invocation.variables):
            return None
    return tell(invocation, log, found)


def has_told(told: Mapping[str, Told], key: str, variables: Mapping[str, str]) -> bool:
    """Tell whether the command itself has told of this end: in the same invocation, or of the same exit code before."""
    invocation, status = variables.get("MONITOR_INVOCATION_ID"), variables.get("MONITOR_EXIT_STATUS")
    if invocation and any(each.invocation == invocation for each in told.values()):
        return True
    return key in told and told[key].mark.split(" ")[0] == status


def matter(unit: str, variables: Mapping[str, str]) -> Matter:
    """Return what systemd's variables say of the unit; without them, that it failed."""
    name = unit.removesuffix(".service").removeprefix("avatarlab-")
    result, status = variables.get("MONITOR_SERVICE_RESULT", ""), variables.get("MONITOR_EXIT_STATUS", "")
    what = _MEANINGS.get(result, "failed").format(status=status)
    invocation = variables.get("MONITOR_INVOCATION_ID")
    by = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"-u {unit}"
    return Matter(
        name, f"{name} {what}\n`journalctl {by}` on {host()} says more", f"systemd: {status} {result}"
    )
