"""Use cases: progress is reported, on a page or from a mail."""
