"""PURE. The marks, words and colours of states: one vocabulary for letters, pages and commands.

They are the marks that a Japanese reader knows from school: ○ is good and never anything else, △ is
so-so, × is bad, □ is a box still to be filled. Pages draw them in static/style.css, which has their
colours on pages, and templates/_board.html; a test compares.
"""

from typing import NamedTuple

from app.locale import Both
from app.rules.week import Mark, Status

# Each colour of words stands on the paper of its theme at 4.5:1 or better (WCAG 2.2, 1.4.3), which
# is why amber is darker here than in marks on pages: #b76e00 on white has only 4.0:1.
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2933",
    "muted": "#52606d",
    "line": "#d9dee4",
    "accent": "#274690",
    "on_accent": "#ffffff",
    "red": "#c0392b",
    "amber": "#a86500",
    "teal": "#1b7f79",
}
DARK = {
    "paper": "#14181d",
    "ink": "#e6e9ed",
    "muted": "#a8b3bf",
    "line": "#3a434d",
    "accent": "#9db4f0",
    "on_accent": "#14181d",
    "red": "#f08a7c",
    "amber": "#e5a54b",
    "teal": "#5cc4bc",
}


class Sign(NamedTuple):
    """A mark, the name of its colour in letters, and its class on pages."""

    sign: str
    tone: str
    style: str


GOOD = Sign("○", "teal", "reported")
LATE = Sign("△", "amber", "at-risk")
STUCK = Sign("×", "red", "blocked")
UNREPORTED = Sign("□", "ink", "unreported")
AWAY = Sign("–", "muted", "away")
NOT_YET = Sign("·", "muted", "not-yet")
OVERDUE = Sign("◆", "red", "overdue")
DUE_TODAY = Sign("◇", "amber", "due-today")
NOTHING = Sign("\u3000", "", "")

SIGNS = (GOOD, LATE, STUCK, UNREPORTED, AWAY, NOT_YET, OVERDUE, DUE_TODAY)

STATUSES: dict[Status, tuple[Sign, Both]] = {
    "on_track": (GOOD, Both("順調", "On track")),
    "at_risk": (LATE, Both("遅れ気味", "At risk")),
    "blocked": (STUCK, Both("止まっている", "Blocked")),
    "done": (GOOD, Both("完了", "Done")),
}
DAYS: dict[Mark, tuple[Sign, Both]] = {
    Mark.REPORTED: (GOOD, Both("報告済", "reported")),
    Mark.AT_RISK: (LATE, Both("遅れ気味", "at risk")),
    Mark.BLOCKED: (STUCK, Both("止まっている", "blocked")),
    Mark.SILENT: (UNREPORTED, Both("未報告", "no report")),
    Mark.OFF: (AWAY, Both("休み", "day off")),
    Mark.NO_TASK: (NOTHING, Both("担当タスクなし", "no task")),
}
