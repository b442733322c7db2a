"""Letters: what each kind of mail says, read again right before it is sent.

`read_again` is handed to the outbox, which knows no letter. A new kind of mail is a module with one
function from a Case to what is to be sent, and a line in LETTERS.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.letters import alert, digest, escalation, reminder, sign_in
from app.letters.case import Batch, LetterContext
from app.models import Kind, State
from app.outbox.lease import Claimed
from app.outbox.pilot import in_pilot
from app.outbox.precheck import Defer, Found, Send, Skip
from app.rules.due import Reason
from app.services import Services

LETTERS: Mapping[str, Callable[[LetterContext], Send | Skip | Defer]] = {
    Kind.REMINDER: reminder.letter,
    Kind.ASKED_REMINDER: reminder.letter,
    Kind.WEEKLY_DIGEST: digest.letter,
    Kind.ESCALATION: escalation.letter,
    Kind.SIGN_IN: sign_in.letter,
    Kind.ALERT: alert.letter,
}


def read_again(
    services: Services, session: Session, mails: Sequence[Claimed], now: datetime
) -> list[Found]:
    """For each mail the letter as of now, or why there is none; what broke one breaks no other.

    `now` is the real clock's instant.
    """
    batch = Batch(services, session, mails, now)
    found: list[Found] = []
    for mail in mails:
        try:
            found.append(_one(services, session, batch, mail, now))
        except Exception as error:  # noqa: BLE001 - whatever a letter broke on, the others go on
            found.append(error)
    return found


def _one(
    services: Services, session: Session, batch: Batch, mail: Claimed, now: datetime
) -> Send | Skip | Defer:
    if now >= mail.expires_at:
        return Skip(State.EXPIRED, Reason.EXPIRED)
    if mail.user_id in batch.broken:
        raise ValueError(batch.broken[mail.user_id])
    one = batch.people.get(mail.user_id) if mail.user_id is not None else None
    if one is None or not one.member.active:
        return Skip(State.SUPPRESSED, Reason.INACTIVE)
    if not in_pilot(services.config.mail_only_to, mail.to_addr):
        return Skip(State.SUPPRESSED, Reason.NOT_IN_PILOT)
    if mail.kind not in LETTERS:
        msg = f"no letter for {mail.kind}"
        raise ValueError(msg)
    return LETTERS[mail.kind](LetterContext(services, session, batch, mail, one, now))
