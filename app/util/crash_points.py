"""Named places at which the fault tests let a process die (CRASH_AT): a sender at claimed, body_sent,
dot and reply, one that answers a program at acted and committed.
"""

import os
import signal

_place: str | None = None


def arm(place: str | None) -> None:
    """Lets this process die at `place` from now on; None means nowhere."""
    global _place  # noqa: PLW0603 - one process dies once
    _place = place


def point(name: str) -> None:
    """Dies here as by kill -9 when armed for this place; else does nothing."""
    if _place == name:
        os.kill(os.getpid(), signal.SIGKILL)
