"""TOOL. What the programs say goes on when nobody can write it down: a full disk stops no mail.

Celery prints a banner and dies of it when standard output is a file on a full disk. Here such a
line is lost, and `written` tells that it was.
"""

import sys
from typing import Any, TextIO


class LogStream:
    """A text stream whose writes never fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes, or keeps in memory what fits (8 KB) until there is space again."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Writes out what it can."""
        self.written()

    def written(self) -> bool:
        """False while something that was said cannot be written."""
        try:
            self._stream.flush()
        except OSError:
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def install() -> None:
    """From now on this process says everything through a LogStream. Twice is once."""
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, LogStream):
            setattr(sys, name, LogStream(stream))


def written() -> bool:
    """Whether all that this process said could be written; known only after `install`."""
    streams: tuple[object, ...] = (sys.__stdout__, sys.__stderr__)
    return all(stream.written() for stream in streams if isinstance(stream, LogStream))
