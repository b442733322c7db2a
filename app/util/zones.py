"""Time zone data: of the system's and the pinned package's, the newer.

`zoneinfo` takes the system's files whenever there are any, and a stable system keeps old ones for
years: laws on clocks change with weeks of notice, and mails then come an hour early or late.
Source: the format of tzdata.zi, whose first line is "# version 2026f" (IANA, tz-link.html).
"""

import importlib
import re
import zoneinfo
from functools import cache
from pathlib import Path


def use_newest() -> None:
    """Puts the package's data before the system's where they are newer. Before any zone is read."""
    package = _of_the_package()
    system = _in_use()
    if package is not None and (system is None or _version_in(system) < _version_in(package)):
        # The system's stay behind it, for names that only they have.
        zoneinfo.reset_tzpath([str(package), *zoneinfo.TZPATH])
        zoneinfo.ZoneInfo.clear_cache()


def version() -> str:
    """The version of the data in use, such as "2026f"; "" where it is not stated."""
    used = _in_use() or _of_the_package()
    return _version_in(used) if used is not None else ""


def is_package() -> bool:
    """True when the data in use are the package's."""
    return _in_use() in {None, _of_the_package()}


def _in_use() -> Path | None:
    """The first folder in which zones are looked for, and are: the system's, unless replaced."""
    folders = (Path(folder) for folder in zoneinfo.TZPATH)
    return next((folder for folder in folders if (folder / "UTC").exists()), None)


@cache
def _of_the_package() -> Path | None:
    try:
        found = importlib.import_module("tzdata").__file__
    except ImportError:
        return None
    return Path(found).parent / "zoneinfo" if found else None


@cache
def _version_in(folder: Path) -> str:
    """ "" for data that do not say it: they count as old."""
    try:
        with (folder / "tzdata.zi").open(encoding="ascii", errors="replace") as file:
            found = re.match(r"# version (\d{4}[a-z]+)", file.readline())
    except OSError:
        return ""
    return found[1] if found else ""
