"""The outbox: one message, from the row that says it shall be sent to its end state.

rows -> claim -> deliver (read again, compose, guard) -> connections -> settle; sweep ends and
requeues what no sender ended; breaker and probe decide whether the server is tried at all.
"""

from app.outbox.browse import NoSuchMail, NotPossible, listing, show
from app.outbox.cancelling import cancel, end_ready
from app.outbox.claim import next_hour, ready_number
from app.outbox.deliver import Clock, Delivery, deliver, never, send
from app.outbox.resending import resend
from app.outbox.sweep import sweep, urgent

__all__ = [
    "Clock",
    "Delivery",
    "NoSuchMail",
    "NotPossible",
    "cancel",
    "deliver",
    "end_ready",
    "listing",
    "never",
    "next_hour",
    "ready_number",
    "resend",
    "send",
    "show",
    "sweep",
    "urgent",
]
