"""Telling somebody how runs go: heartbeats, a webhook, metrics for Prometheus, systemd.

Nothing here raises, changes an exit code or holds a run up for long: what cannot be told is a warning in the log.
"""
