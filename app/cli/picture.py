"""The month picture: who would get a mail on which day, a mark a day.

All marks are two columns wide in every terminal, as days and weekdays are: nothing shifts. A mail is
送 or m, never the circle that means good.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

import click

from app.cli.language import LOCALE, t
from app.compose.text import WEEKDAYS
from app.locale import Both
from app.mime.message import width
from app.rules.decision import DAY_OFF, Reason
from app.rules.workdays import DAY, dates

SEND, OFF, NONE, STOPPED = (
    t(*pair) for pair in (("送", " m"), ("－", " -"), ("・", " ."), ("Ｘ", " x"))
)
_LEGEND = Both(
    f"{SEND} 送る  {OFF} 休みの日  {NONE} 送るものがない  {STOPPED} 本人が止めている、または送れない",
    f"{SEND} a mail  {OFF} a day off  {NONE} nothing to send  {STOPPED} stopped",
)
_CHANGED = Both("  * 変わる日", "  * changed")
_STOPPING = {Reason.ADDRESS_SUPPRESSED, Reason.FREQUENCY_NONE, Reason.PAUSED}


@dataclass
class Picture:
    """The marks of each member, by date; a change is marked with a star."""

    first: date
    last: date
    rows: dict[str, dict[date, str]] = field(default_factory=dict)
    changed: bool = False

    def add(self, email: str, day: date, reason: str | None, *, differs: bool = False) -> None:
        """One day of one member; `reason` None is a mail."""
        self.changed |= differs
        self.rows.setdefault(email, {})[day] = _mark(reason) + ("*" if differs else " ")

    def show(self) -> None:
        """One member: a calendar. Several: a row each, in blocks as wide as the terminal."""
        click.echo(_LEGEND.to(LOCALE).strip() + _CHANGED.to(LOCALE) * self.changed)
        lines = self._calendar() if len(self.rows) == 1 else self._blocks()
        for line in lines:
            click.echo(line.rstrip())

    def _calendar(self) -> Iterator[str]:
        """A week a line, from Monday on, after the week's first date."""
        ((email, marks),) = self.rows.items()
        yield f"\n{email}"
        yield " " * 12 + "".join(f"{WEEKDAYS[n].to(LOCALE)[:2]} " for n in range(7))
        for monday, days in groupby(
            dates(self.first, self.last), lambda day: day - day.weekday() * DAY
        ):
            shown = {day.weekday(): marks[day] for day in days}
            start = max(monday, self.first)
            yield f"{start}  " + "".join(shown.get(n, "   ") for n in range(7))

    def _blocks(self) -> Iterator[str]:
        label = max([width(email) for email in self.rows], default=0) + 2
        fit = max((shutil.get_terminal_size().columns - label) // 3, 7)
        days = list(dates(self.first, self.last))
        for start in range(0, len(days), fit):
            yield from self._block(days[start : start + fit], label)

    def _block(self, days: Sequence[date], label: int) -> Iterator[str]:
        space = " " * label
        yield "\n" + space + _months(days)
        yield space + "".join(f"{day.day:2} " for day in days)
        yield space + "".join(f"{WEEKDAYS[day.weekday()].to(LOCALE)[:2]} " for day in days)
        for email, marks in self.rows.items():
            yield f"{email:{label}}" + "".join(marks[day] for day in days)
        sends = [sum(marks[day].startswith(SEND) for marks in self.rows.values()) for day in days]
        if max(sends) < 100:  # three digits would touch each other
            total = t("送る人数", "mails")
            yield total + " " * (label - width(total)) + "".join(f"{n:2} " for n in sends)


def _mark(reason: str | None) -> str:
    if reason is None:
        return SEND
    if reason in DAY_OFF:
        return OFF
    return STOPPED if reason in _STOPPING else NONE


def _months(days: Iterable[date]) -> str:
    """The months over their first shown days."""
    line = ""
    for n, (_, month) in enumerate(groupby(days, lambda day: (day.year, day.month))):
        shown = list(month)
        name = f"{shown[0]:%Y-%m}" if n == 0 or shown[0].month == 1 else f"{shown[0]:%m}"
        room = len(shown) * 3
        line += (name if len(name) < room else "").ljust(room)
    return line
