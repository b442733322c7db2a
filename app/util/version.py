"""The version of this program: said by the commands, the metrics and the check-up alike."""

import importlib.metadata


def version() -> str:
    """That of the installed package, such as 0.1.0."""
    return importlib.metadata.version("task-progress")
