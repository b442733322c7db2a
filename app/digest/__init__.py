"""The mails about a team: the lead's weekly digest, and escalation.

`plan` decides and enqueues, `escalate` chooses whom a lead is notified of, `forecast` looks ahead;
app/letters writes the mails right before they are sent.
"""

from app.digest.forecast import Ahead, ahead
from app.digest.plan import Led, digests_now, find_leads, plan

__all__ = ["Ahead", "Led", "ahead", "digests_now", "find_leads", "plan"]
