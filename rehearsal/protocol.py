"""What happened when: printed as it happens in the shell's language, kept in docs/day.md in English."""

import os
import platform
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from app.locale import Both
from tests.stack import PROJECT

_BEGIN, _END = "<!-- played: begin -->", "<!-- played: end -->"
_HEAD = "| the application's clock | what happened |"


@dataclass
class Protocol:
    """The lines of one morning, in order. `locale`: in which of the two languages it prints."""

    locale: str
    lines: list[tuple[datetime, Both]] = field(default_factory=list)

    def note(self, at: datetime, ja: str, en: str) -> None:
        """One line more; `at` is the application's clock, in the zone in which it is shown."""
        self.lines.append((at, Both(ja, en)))
        print(f"{at:%m-%d %H:%M:%S}  {Both(ja, en).to(self.locale)}", flush=True)

    def table(self) -> str:
        """The lines as Markdown, in English."""
        rows = [f"| {at:%m-%d %H:%M:%S} | {_cell(one.en)} |" for at, one in self.lines]
        return "\n".join([_HEAD, "|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write(page: Path, played: str) -> None:
    """Puts `played` between the page's markers. Raises ValueError where they are missing."""
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"({re.escape(_BEGIN)}\n).*?({re.escape(_END)})", re.DOTALL)
    if not between.search(text):
        raise ValueError(f"{page.name}: {_BEGIN} … {_END} is missing")
    page.write_text(
        between.sub(lambda found: f"{found[1]}{played}\n{found[2]}", text), encoding="utf-8"
    )


def record(protocol: Protocol) -> None:
    """Writes the protocol down in its page."""
    cores, system = os.cpu_count(), f"{platform.system()} {platform.machine()}"
    head = (
        f"Played on {datetime.now(UTC):%Y-%m-%d}: {cores} cores, {system}, "
        f"Python {platform.python_version()}, SCALE=1 (real time)."
    )
    write(PROJECT / "docs/day.md", f"{head}\n\n{protocol.table()}")
