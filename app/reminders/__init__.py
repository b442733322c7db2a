"""ROAD: who gets a reminder today, and why; planning, asking by hand, looking ahead and back."""

from app.reminders.ask import Outcome, remind, would_remind
from app.reminders.plan import Planned, plan
from app.reminders.simulate import Compared, Forecast, compare, left_out, simulate
from app.why.reminder import Explanation, why

__all__ = [
    "Compared",
    "Explanation",
    "Forecast",
    "Outcome",
    "Planned",
    "compare",
    "left_out",
    "plan",
    "remind",
    "simulate",
    "why",
    "would_remind",
]
