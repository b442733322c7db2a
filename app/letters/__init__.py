"""Letters: what each kind of mail says, read again right before it is sent.

`read_again` is handed to the outbox, which knows no letter. A new kind of mail is a module with one
function from a LetterContext to what is to be sent, and a line in LETTERS (docs/architecture.md).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.letters import address_changed, alert, digest, escalation, reminder, sign_in, token_notice
from app.letters.context import Batch, LetterContext
from app.locale import Both
from app.models import Kind, State
from app.outbox.allowlist import in_pilot
from app.outbox.lease import Claimed
from app.outbox.precheck import Defer, Found, Send, Skip
from app.rules.decision import Reason
from app.services import Services


class MailKind(NamedTuple):
    """A kind of mail: its name on pages, and what its letter says as of now."""

    name: Both
    letter: Callable[[LetterContext], Send | Skip | Defer]


LETTERS: Mapping[str, MailKind] = {
    Kind.REMINDER: MailKind(Both("リマインダー", "Reminder"), reminder.letter),
    Kind.ASKED_REMINDER: MailKind(Both("再度のお知らせ", "Asked reminder"), reminder.letter),
    Kind.WEEKLY_DIGEST: MailKind(Both("週のまとめ", "Weekly digest"), digest.letter),
    Kind.ESCALATION: MailKind(Both("リーダーへのお知らせ", "Note to the lead"), escalation.letter),
    Kind.SIGN_IN: MailKind(Both("サインイン", "Sign-in"), sign_in.letter),
    Kind.ALERT: MailKind(Both("警告", "Alert"), alert.letter),
    Kind.ADDRESS_CHANGED: MailKind(
        Both("アドレス変更のお知らせ", "Change of address"), address_changed.letter
    ),
    Kind.TOKEN_NOTICE: MailKind(
        Both("トークンの期限のお知らせ", "API token ends"), token_notice.letter
    ),
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
    return LETTERS[mail.kind].letter(LetterContext(services, session, batch, mail, one, now))
