"""What happened when, in both languages: printed as it happens, kept in docs/day*.md."""

import os
import platform
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from app.locale import Both
from tests.stack import PROJECT

_BEGIN, _END = "<!-- played: begin -->", "<!-- played: end -->"
_HEADS = {
    "ja": "| アプリケーションの時計 | 起きたこと |",
    "en": "| the application's clock | what happened |",
}


@dataclass
class Protocol:
    """The lines of one morning, in order. `locale`: in which of the two languages it prints."""

    locale: str
    lines: list[tuple[datetime, Both]] = field(default_factory=list)

    def note(self, at: datetime, ja: str, en: str) -> None:
        """One line more; `at` is the application's clock, in the zone in which it is shown."""
        self.lines.append((at, Both(ja, en)))
        print(f"{at:%m-%d %H:%M:%S}  {Both(ja, en).to(self.locale)}", flush=True)

    def table(self, locale: str) -> str:
        """The lines as Markdown."""
        rows = [f"| {at:%m-%d %H:%M:%S} | {_cell(one.to(locale))} |" for at, one in self.lines]
        return "\n".join([_HEADS[locale], "|---|---|", *rows])


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
    """Writes the protocol down in both pages."""
    cores, system = os.cpu_count(), f"{platform.system()} {platform.machine()}"
    python, day = f"Python {platform.python_version()}", f"{datetime.now(UTC):%Y-%m-%d}"
    heads = {
        "docs/day.md": (
            "en",
            f"Played on {day}: {cores} cores, {system}, {python}, SCALE=1 (real time).",
        ),
        "docs/day.ja.md": (
            "ja",
            f"実施日 {day}。{cores}コア、{system}、{python}、SCALE=1(実時間)。",
        ),
    }
    for page, (locale, head) in heads.items():
        write(PROJECT / page, f"{head}\n\n{protocol.table(locale)}")
