"""A finding of a check, and what a check may look at."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from dns.resolver import Resolver
from sqlalchemy.orm import Session

from app.config import Config
from app.locale import Both
from app.services import Services

T = TypeVar("T")

ANSWER_WITHIN = 3.0  # seconds that one question to a server may take
CLOCK_YELLOW, CLOCK_RED = 2.0, 30.0  # seconds


class Level(StrEnum):
    """Green: as it should be. Yellow: works, but should be mended. Red: does not work."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`: what was looked at, how it stands, and what to type or to write."""

    check: str
    level: Level
    says: Both
    fix: Both | None = None


def green(check: str, ja: str, en: str) -> list[Finding]:
    """As it should be."""
    return [Finding(check, Level.GREEN, Both(ja, en))]


def yellow(check: str, ja: str, en: str, *fix: Both | str) -> list[Finding]:
    """Should be mended. `fix`: a command or a line to paste, or what to do in both languages."""
    return [Finding(check, Level.YELLOW, Both(ja, en), Both.made(*fix))]


def red(check: str, ja: str, en: str, *fix: Both | str) -> list[Finding]:
    """Does not work. `fix`: as of `yellow`."""
    return [Finding(check, Level.RED, Both(ja, en), Both.made(*fix))]


def compare_clocks(
    check: str, whose: Both, clock: Callable[[], datetime], ask: Callable[[], datetime]
) -> list[Finding]:
    """Compares the clock of `whose` (asked by `ask`) with `clock`; the way there is taken off."""
    before = clock()
    theirs = ask()
    after = clock()
    ahead = (theirs - (before + (after - before) / 2)).total_seconds()
    apart = max(0.0, abs(ahead) - (after - before).total_seconds() / 2)
    if apart <= CLOCK_YELLOW:
        return green(
            check,
            f"時計: {whose.ja}との差は {apart:.1f} 秒です。",
            f"Clock: {apart:.1f} s apart from that of {whose.en}.",
        )
    say = red if apart > CLOCK_RED else yellow
    return say(
        check,
        f"時計が{whose.ja}と {apart:,.0f} 秒ずれています。",
        f"The clock is {apart:,.0f} s apart from that of {whose.en}.",
        "両方のマシンで: sudo timedatectl set-ntp true && timedatectl",
        "On both machines: sudo timedatectl set-ntp true && timedatectl",
    )


@dataclass(frozen=True)
class Machine:
    """Where the program stands. `folder`: its working folder, with `.env`. `mounts`: the file in
    which the kernel names what is mounted (man 5 proc).
    """

    folder: Path
    clock: Callable[[], datetime]
    mounts: Path = field(default=Path("/proc/self/mountinfo"), kw_only=True)


@dataclass(frozen=True)
class CheckContext(Machine):
    """A whole installation, its settings read. `resolver`: None asks the system's DNS servers."""

    services: Services
    resolver: Resolver | None = None

    @property
    def has_database(self) -> bool:
        """False while the file of an SQLite database is missing."""
        return self.services.db.missing_file() is None

    @property
    def config(self) -> Config:
        """The settings."""
        return self.services.config

    def stored(self, look: Callable[[Session], T]) -> T | None:
        """What `look` finds in the database; None where there is none, no server or no table yet:
        the checks of the database and of its schema tell which.
        """
        if self.has_database:
            with suppress(Exception), self.services.db.read() as session:
                return look(session)
        return None
