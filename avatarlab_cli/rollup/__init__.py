"""The aggregates: what each figure is made of, and how it is recomputed and set."""
