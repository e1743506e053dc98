"""The aggregates: what each figure is made of, and how it is recomputed and set."""

LOCK = "rollup"
"""The name of the lock whoever writes usage_daily must hold."""
