"""What a test token sends ends suppressed before any sender can see it."""

from datetime import datetime

from app.models import State
from app.outbox import log_records
from app.outbox.browse import find
from app.outbox.lease import record
from app.outbox.reasons import TRIAL
from app.services import Services


def suppress(services: Services, mail_id: int, *, who: str, now: datetime) -> None:
    """The new mail ends here; called in the transaction that made it."""
    with services.db.write() as session:
        mail = find(session, mail_id)
        mail.state, mail.reason, mail.updated_at = State.SUPPRESSED, TRIAL, now
        record(session, mail_id, State.SUPPRESSED, who, now=now)
        log_records.ended(session, mail, State.SUPPRESSED, TRIAL)
