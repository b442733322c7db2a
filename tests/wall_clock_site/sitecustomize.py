"""For processes under libfaketime, whose clock_nanosleep refuses what time.sleep asks for (EINVAL).

Waiting for an event that never comes takes another call of the kernel.
"""

import threading
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    threading.Event().wait(float(seconds))


time.sleep = _sleep
