"""The only clock. Doors ask it and pass `now` down; nobody else looks at the time of day.

TEST_CLOCK_OFFSET moves it: whoever starts a process hands `config.test_clock_offset` to
`shift` once (create_app does).
"""

from datetime import UTC, datetime, timedelta

_offset = timedelta()


def now() -> datetime:
    """The present instant, aware, in UTC, moved by what `shift` was told."""
    return datetime.now(UTC) + _offset


def shift(seconds: float) -> None:
    """Let `now` run `seconds` ahead of the machine (behind, if negative) in this process.

    Told twice, the second value holds; they do not add up.
    """
    global _offset  # noqa: PLW0603  # one process has one clock
    _offset = timedelta(seconds=seconds)
