"""The lead's week, and gentle escalation.

`plan` decides and enqueues, `letters` writes the two mails right before they are sent, `notice` is
the sentence in a silent member's own mail, `explain` looks back and ahead.
"""

from app.digest.ahead import Ahead, ahead
from app.digest.plan import Led, digests_now, look_for_leads, plan

__all__ = ["Ahead", "Led", "ahead", "digests_now", "look_for_leads", "plan"]
