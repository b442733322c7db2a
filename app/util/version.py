"""The version of this program, for the check-up, the status and the metrics."""

import importlib.metadata


def version() -> str:
    """That of the installed package, such as 0.1.0."""
    return importlib.metadata.version("task-progress")
