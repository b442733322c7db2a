"""PURE. The words of each letter: one small function per letter, facts in, `MailMessage` out.

`templates/mail/NAME.ja.txt` and `NAME.en.txt` are the text part of the letter NAME, `NAME.ja.html`
and `NAME.en.html` say the same words in the look of `layout.html`; a note needs no template. What people wrote (titles,
reports, names) is data: on one line, without invisible characters, cut at a stated length.
"""

from app.compose.alert import AlertFacts, AlertLine, alert
from app.compose.digest import DigestFacts, weekly_digest
from app.compose.escalation import EscalationFacts, SilentLine, escalation
from app.compose.note import NoteFacts, note, shown_name
from app.compose.reminder import ReminderFacts, TaskLine, reminder
from app.compose.text import message_id, show_date

__all__ = [
    "AlertFacts",
    "AlertLine",
    "DigestFacts",
    "EscalationFacts",
    "NoteFacts",
    "ReminderFacts",
    "SilentLine",
    "TaskLine",
    "alert",
    "escalation",
    "message_id",
    "note",
    "reminder",
    "show_date",
    "shown_name",
    "weekly_digest",
]
