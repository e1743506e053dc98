"""A user's personal data in one archive: a file of JSON lines a table, and a manifest that proves them whole."""
