"""ROAD: who gets a reminder today, and why; planning, asking by hand, looking ahead and back."""

from app.reminders.ask import Outcome, remind, would_remind
from app.reminders.explain import Explanation, why
from app.reminders.plan import Planned, plan
from app.reminders.simulate import Forecast, simulate

__all__ = [
    "Explanation",
    "Forecast",
    "Outcome",
    "Planned",
    "plan",
    "remind",
    "simulate",
    "why",
    "would_remind",
]
