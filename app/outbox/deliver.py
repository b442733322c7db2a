"""The send protocol: row before wire, in doubt before the dot, the answer recorded.

claim, commit -> read again, compose -> Redis guard -> MAIL, RCPT, DATA, body -> in_doubt, commit
-> final dot -> answer, commit. No database, no dot.
"""

import logging
import random
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.alerts import raise_alert
from app.db import DatabaseDown
from app.models import Kind, OutboxMail, State
from app.outbox.lease import CLAIMS_AT_MOST, LeaseLost, claim, end, give_back, mark_in_doubt
from app.outbox.letters import Letter, Stop, Wait, read_again
from app.services import Services
from app.util import crash
from app.util.mailer import Answer, MailSendError, SmtpSession, SmtpSettings
from app.util.message import Envelope, UnusableMessage, build

log = logging.getLogger(__name__)

RETRY_MINUTES = (1, 5, 10, 30)  # after a temporary refusal; the last one again and again
SERVER_RETRY = timedelta(seconds=30)  # after a fault of the server's
SETTLE_FOR = 60.0  # seconds to try to record an answer while the database is away
ALREADY_SENT = "already_sent"

Clock = Callable[[], datetime]


class _ServerFault(Exception):
    """The server cannot be worked with now; the other mails need not be tried."""


def deliver(services: Services, ids: Sequence[int], clock: Clock) -> int:
    """Sends the mails with these ids, one after the other over one connection.

    Whoever else has the same ids does no harm. Returns how many were accepted.
    """
    config = services.config
    if config.smtp_host is None:
        log.error("SMTP_HOST is not set: %d mails stay ready", len(ids))
        return 0
    accepted = 0
    with SmtpSession(SmtpSettings.from_config(config)) as smtp:
        sender = _Sender(services, smtp, clock)
        for mail_id in ids:
            try:
                accepted += sender.deliver_one(mail_id)
            except _ServerFault:
                break
            except LeaseLost:
                log.warning("mail %s: another sender has it", mail_id)
    return accepted


class _Sender:
    """One sender's connection and what it works with."""

    def __init__(self, services: Services, smtp: SmtpSession, clock: Clock) -> None:
        self.services = services
        self.smtp = smtp
        self.clock = clock
        self.scale = services.config.test_time_scale

    def deliver_one(self, mail_id: int) -> bool:
        """True when the server accepted the mail and that is recorded."""
        with self.services.db.write() as session:
            mail = claim(session, mail_id, now=self.clock(), scale=self.scale)
            if mail is None:
                return False
            if mail.claims > CLAIMS_AT_MOST:
                end(session, mail, State.DEAD, now=self.clock(), reason="claimed_too_often")
                raise_alert(session, f"mail {mail.id} dead", "dead", now=self.clock())
                return False
        crash.point("claimed")
        prepared = self._prepare(mail)
        if prepared is None or not self._guard(mail):
            return False
        return self._send(mail, *prepared)

    def _prepare(self, mail: OutboxMail) -> tuple[Envelope, list[str], str] | None:
        """The envelope, task refs and subject; None when the mail has ended or waits."""
        try:
            with self.services.db.read() as session:
                letter = read_again(self.services, session, mail, self.clock())
            if isinstance(letter, Letter):
                return self._build(mail, letter)
        except Exception as error:  # noqa: BLE001 - whatever the facts broke, the others go on
            # No traceback: it could hold what people wrote.
            log.error("mail %s cannot be built: %s", mail.id, type(error).__name__)  # noqa: TRY400 - see above
            reason = str(error) if isinstance(error, UnusableMessage) else f"{error!r}"
            self._end(mail, State.FAILED, reason=reason)
            return None
        self._not_now(mail, letter)
        return None

    def _build(self, mail: OutboxMail, letter: Letter) -> tuple[Envelope, list[str], str]:
        if mail.sent_bytes is not None:  # in doubt before: the same bytes again
            return unpack(mail.sent_bytes), list(mail.task_refs or []), mail.subject or ""
        envelope = build(
            letter.message,
            date=mail.date_header,
            allow_localhost=self.services.config.rehearsal_allowed,
        )
        return envelope, letter.task_refs, letter.message.subject

    def _not_now(self, mail: OutboxMail, letter: Stop | Wait) -> None:
        if isinstance(letter, Wait):
            self._give_back(mail, letter.until, "waits", "quiet_hours")
        elif mail.doubts:  # a copy may be out, so it is not known to be suppressed
            self._end(mail, State.UNKNOWN, reason=letter.reason)
        else:
            self._end(mail, letter.state, reason=letter.reason)

    # --- the Redis guard ------------------------------------------------------------------

    def _guard(self, mail: OutboxMail) -> bool:
        if not _guarded(mail) or mail.user_id is None:
            return True
        if self.services.once.take(mail.user_id, mail.local_date, str(mail.id)):
            return True
        self._end(mail, State.SUPPRESSED, reason=ALREADY_SENT)
        return False

    def _release(self, mail: OutboxMail) -> None:
        if _guarded(mail) and mail.user_id is not None:
            self.services.once.release(mail.user_id, mail.local_date, str(mail.id))

    # --- the wire -------------------------------------------------------------------------

    def _send(self, mail: OutboxMail, envelope: Envelope, refs: list[str], subject: str) -> bool:
        def before_dot() -> None:
            crash.point("body_sent")
            with self.services.db.write() as session:
                mark_in_doubt(
                    session,
                    mail,
                    scale=self.scale,
                    subject=subject,
                    task_refs=refs,
                    sent_bytes=pack(envelope),
                )

        try:
            answer = self.smtp.send(envelope, before_dot)
        except MailSendError as error:
            self._refused(mail, error)
            return False
        except (LeaseLost, DatabaseDown):  # no dot was sent, the server throws the mail away
            self._release(mail)
            raise
        crash.point("reply")
        self._accepted(mail, answer)
        return True

    def _accepted(self, mail: OutboxMail, answer: Answer) -> None:
        response = f"{answer.code} {answer.text}"
        give_up = time.monotonic() + SETTLE_FOR * self.scale
        while True:
            try:
                self._end(mail, State.ACCEPTED, response=response)
            except DatabaseDown:
                # The answer is known to this process alone: worth some patience.
                if time.monotonic() > give_up:
                    raise
                time.sleep(1.0 * self.scale)
            else:
                log.info("mail %s %s accepted", mail.id, mail.kind)
                return

    def _refused(self, mail: OutboxMail, error: MailSendError) -> None:
        said = _said(error)
        log.warning("mail %s: %s", mail.id, said)
        if error.in_doubt:
            return  # the lease runs out, then it is sent once more with the same bytes
        self._release(mail)
        if error.blame == "server":
            self._give_back(mail, self.clock() + SERVER_RETRY * self.scale, "server", said)
            raise _ServerFault from error
        if error.permanent:
            self._end(mail, State.FAILED, reason=said, response=said)
        else:
            self._give_back(mail, self._next_try(mail), "deferred", said)

    def _next_try(self, mail: OutboxMail) -> datetime:
        minutes = RETRY_MINUTES[min(mail.retries, len(RETRY_MINUTES) - 1)]
        # Jitter only shortens: nobody waits longer than the table says.
        wait = timedelta(minutes=minutes) * random.uniform(0.8, 1.0)  # noqa: S311 - no secret
        return self.clock() + wait * self.scale

    # --- recording ------------------------------------------------------------------------

    def _end(
        self,
        mail: OutboxMail,
        state: State,
        *,
        reason: str | None = None,
        response: str | None = None,
    ) -> None:
        with self.services.db.write() as session:
            end(session, mail, state, now=self.clock(), reason=reason, response=response)
            if state in {State.FAILED, State.UNKNOWN}:
                _alert(session, mail, state, self.clock())

    def _give_back(self, mail: OutboxMail, until: datetime, event: str, why: str) -> None:
        now = self.clock()
        with self.services.db.write() as session:
            give_back(session, mail, now=now, not_before=until, event=event, why=why)


def _alert(session: Session, mail: OutboxMail, state: State, now: datetime) -> None:
    raise_alert(session, f"mail {mail.id} {state}", f"task-progress outbox show {mail.id}", now=now)


def _guarded(mail: OutboxMail) -> bool:
    return mail.kind == Kind.REMINDER and mail.n == 0


def _said(error: MailSendError) -> str:
    code = f"{error.code} " if error.code else ""
    return f"{error.phase}: {code}{error.text}"


def pack(envelope: Envelope) -> bytes:
    """The envelope as stored in `outbox.sent_bytes`."""
    head = f"{envelope.sender}\n{envelope.recipient}\n".encode()
    return zlib.compress(head + envelope.data)


def unpack(stored: bytes) -> Envelope:
    """The envelope that `pack` stored."""
    sender, recipient, data = zlib.decompress(stored).split(b"\n", 2)
    return Envelope(sender.decode(), recipient.decode(), data)
