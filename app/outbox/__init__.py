"""ROAD: the life of one mail, from the row that says it shall be sent to its end."""

from app.outbox.browse import NoSuchMail, NotPossible, cancel, listing, show
from app.outbox.deliver import deliver
from app.outbox.resending import resend
from app.outbox.sweep import sweep

__all__ = [
    "NoSuchMail",
    "NotPossible",
    "cancel",
    "deliver",
    "listing",
    "resend",
    "show",
    "sweep",
]
