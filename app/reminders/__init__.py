"""Use cases: who gets a reminder today; planning, asking by hand, looking ahead."""

from app.reminders.ask import Reminded, remind, would_remind
from app.reminders.forecast import Compared, Forecast, compare, left_out, simulate
from app.reminders.plan import Planned, plan

__all__ = [
    "Compared",
    "Forecast",
    "Planned",
    "Reminded",
    "compare",
    "left_out",
    "plan",
    "remind",
    "simulate",
    "would_remind",
]
