"""The labels of the lead's board, and its picture as a page draws it."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from app.compose import colours, show_date
from app.compose.text import Locale, shorten
from app.locale import Both
from app.rules.standing import BoardRow, DaySquare, Standing, Stopped
from app.rules.week import Status
from app.rules.workdays import DayOff

CELL = 24  # px, a square of the picture with its space

_TITLE, _TEXT = 60, 120  # columns shown

STANDINGS: dict[Standing, tuple[str, Both]] = {
    Standing.BLOCKED: (colours.STUCK.style, Both("止まっている", "Blocked")),
    Standing.SILENT: (colours.UNREPORTED.style, Both("未報告", "No report")),
    Standing.AT_RISK: (colours.LATE.style, Both("遅れ気味", "At risk")),
    Standing.REPORTED: (colours.GOOD.style, Both("報告済", "Reported")),
    Standing.NOT_YET: (colours.NOT_YET.style, Both("これから", "Nothing due yet")),
    Standing.AWAY: (colours.AWAY.style, Both("休み", "Away")),
    Standing.NO_TASK: (colours.NOTHING.style, Both("担当タスクなし", "No open task")),
}
_OPEN = Both("まだ報告なし(今日)", "not yet (today)")
DAYS_OFF: dict[DayOff, Both] = {
    DayOff.ON_LEAVE: Both("休暇", "on leave"),
    DayOff.COMPANY_CLOSED: Both("会社の休業日", "company closed"),
    DayOff.HOLIDAY: Both("祝日", "public holiday"),
    DayOff.WEEKEND: Both("休日", "day off"),
}
_STOPPED = {
    "address_suppressed": Both(
        "メール停止中(宛先が受け付けません)", "Mails stopped: the address refuses"
    ),
    "frequency_none": Both("メール停止中(本人の設定)", "Mails stopped by the member"),
}


class Square(NamedTuple):
    """One square of the picture: where, which mark, and what it says in words."""

    x: int
    mark: str
    title: str


class BoardWords:
    """What the board says in one language."""

    def __init__(self, locale: Locale, today: date) -> None:
        self.locale = locale
        self._today = today  # the reader's

    def _say(self, ja: str, en: str) -> str:
        return Both(ja, en).to(self.locale)

    def due(self, day: date) -> tuple[str, str]:
        """When a task is due, as its own page says it: the class of the mark, and the words."""
        shown = self.date(day)
        if day < self._today:
            return colours.OVERDUE.style, self._say(
                f"期限切れ {shown}", f"Overdue, was due {shown}"
            )
        if day == self._today:
            return colours.DUE_TODAY.style, self._say(f"今日が期限 {shown}", f"Due today, {shown}")
        return "", self._say(f"期限 {shown}", f"Due {shown}")

    def date(self, day: date) -> str:
        """A date as people read it."""
        return show_date(day, self.locale)

    def standing(self, which: Standing) -> tuple[str, str]:
        """The class of the mark, and the words."""
        mark, words = STANDINGS[which]
        return mark, words.to(self.locale)

    def status(self, which: Status) -> tuple[str, str]:
        """The class and the words of what a report says."""
        mark, words = colours.STATUSES[which]
        return mark.style, words.to(self.locale)

    def states(self, row: BoardRow) -> list[tuple[str, str]]:
        """All that holds of a member today, what matters most first."""
        found = [] if row.standing is Standing.AWAY else [self.standing(row.standing)]
        if row.silent:
            silent = (colours.UNREPORTED.style, self.silent(row.silent))
            found = [silent] if row.standing is Standing.SILENT else [*found, silent]
        if row.away is not None:
            found.append((colours.AWAY.style, DAYS_OFF[row.away].to(self.locale)))
        return found

    def silent(self, workdays: int) -> str:
        """For how long nothing was reported."""
        days = "workday" if workdays == 1 else "workdays"
        return self._say(f"{workdays}営業日 報告なし", f"No report for {workdays} {days}")

    def stopped(self, why: Stopped) -> str:
        """Why no mails come."""
        if why.until is not None:
            until = self.date(why.until)
            return self._say(
                f"メール停止中({until}に再開)", f"Mails stopped, they resume on {until}"
            )
        return _STOPPED[why.why].to(self.locale)

    def picture(self, days: Sequence[DaySquare]) -> list[Square]:
        """The squares of one member."""
        return [
            Square(n * CELL, one.mark or "open", f"{self.date(one.day)} {self._said(one)}")
            for n, one in enumerate(days)
        ]

    def _said(self, one: DaySquare) -> str:
        if one.off is not None:
            return DAYS_OFF[one.off].to(self.locale)
        return (_OPEN if one.mark is None else colours.DAYS[one.mark][1]).to(self.locale)

    def summary(self, days: Sequence[DaySquare]) -> str:
        """The picture for those who do not see it."""
        marks = [one.mark for one in days if one.mark is not None]
        counted = ", ".join(
            f"{colours.DAYS[mark][1].to(self.locale)} {number}"
            for mark, number in Counter(marks).items()
        )
        return f"{self._say('直近の日ごとの報告', 'Recent days')}: {counted}"

    def title(self, text: str) -> str:
        """A task's title, cut."""
        return shorten(text, _TITLE)

    def text(self, text: str) -> str:
        """A report's text, cut."""
        return shorten(text, _TEXT)
