"""A log stream that goes on working with a full disk: a line that cannot be written stops no mail.

Celery prints a banner and dies of it when standard output is a file on a full disk. Here such a
line is lost, and `written` tells that it was.
"""

import sys
from typing import Any, TextIO


class LogStream:
    """A text stream whose writes never fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._unproved = False  # said, and not yet flushed
        self.lost = False  # the last thing said could not be written

    def write(self, text: str) -> int:
        """Writes, or loses what cannot be written."""
        try:
            self._unproved = self._stream.write(text) > 0
        except OSError:
            self.lost = True
        return len(text)

    def flush(self) -> None:
        """Writes out what it can."""
        try:
            self._stream.flush()
        except OSError:
            self.lost = True
        else:
            self.lost = self.lost and not self._unproved
        self._unproved = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def install() -> None:
    """From now on this process says everything through a LogStream. Twice is once."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, LogStream):
            both = LogStream(stream)
            setattr(sys, name, both)
            setattr(sys, f"__{name}__", both)


def written() -> bool:
    """Whether what this process said last could be written; known only after `install`."""
    streams: tuple[object, ...] = (sys.__stdout__, sys.__stderr__)
    return not any(stream.lost for stream in streams if isinstance(stream, LogStream))
