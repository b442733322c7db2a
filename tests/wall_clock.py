"""A wall clock that a test moves under a running process: libfaketime (Debian: `faketime`)."""

from datetime import timedelta
from pathlib import Path

import pytest

_FOUND = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

_SITE = Path(__file__).resolve().parent / "wall_clock_site"

needs_faketime = pytest.mark.skipif(
    not _FOUND, reason="libfaketime is missing (apt install faketime)"
)


class WallClock:
    """The wall clock of the processes that get its `environ`; their monotonic clocks go on."""

    def __init__(self, folder: Path, ahead: timedelta = timedelta()) -> None:
        self._file = folder / "wall-clock"
        self.set(ahead)

    def set(self, ahead: timedelta) -> None:
        """So far ahead of the machine's from now on."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{ahead.total_seconds():+.0f}\n")
        draft.rename(self._file)

    @property
    def environ(self) -> dict[str, str]:
        """For the start of a process."""
        return {
            "LD_PRELOAD": str(_FOUND[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": f"{_SITE}:{_SITE.parent.parent}",
        }
