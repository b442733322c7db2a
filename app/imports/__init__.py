"""Use cases: files of members, tasks, reports and days off, with their previews."""
