"""Rendering: every list and figure leaves through `write.write` or `write.write_rows`, in every format."""
