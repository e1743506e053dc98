"""What kind of connection this is, what it rules out, and whether everything the toolkit does works through it."""
