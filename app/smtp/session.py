"""The SMTP session: one connection, mail after mail; app/util/mailer.py exports it.

The steps of one mail: MAIL, RCPT, DATA (in one go where the server takes that, RFC 2920), the body
without its final dot, `before_dot()`, the dot, the answer. Before the dot the server has nothing:
a sender that stops there closes the connection, and the mail was never sent.
"""

import contextlib
import re
from collections.abc import Callable
from time import monotonic
from typing import Self

from app.channel import Answer
from app.locale import Both
from app.mime.message import Envelope
from app.smtp.capabilities import OFFER, Dialect
from app.smtp.connection import LAST_WORDS, SmtpCommand, SmtpConnection
from app.smtp.errors import MailSendError, Phase, refusal
from app.smtp.settings import SmtpSettings
from app.smtp.wire import BadReplyError

BODY_PIECE = 65536  # octets; each piece is one operation with its own time limit


class SmtpSession(SmtpConnection):
    """One connection to the mail server, for any number of mails one after the other.

    `send` is `offer`, `agree`, `write_body`, `write_dot` and `read_answer` in that order; a
    caller with several sessions may take the steps apart to overlap them, and may let the next
    mail's offer go out with a dot. All raise MailSendError. After one the session can go on: it
    connects again where it must.
    """

    def __init__(self, settings: SmtpSettings, dialect: Dialect | None = None) -> None:
        super().__init__(settings, dialect)
        self._leave_by: float | None = None  # when the answer to QUIT must be there
        self._answer_by = 0.0  # when the answer to the dot must be there
        self._spent = 0.0  # seconds that open() took of the next mail's time
        self._used = False  # this connection has carried a mail, so the server may be tired of it
        self._stale = False  # an offer began on such a connection
        self._unfinished = False  # the server still holds the last mail's sender or recipient
        self._busy = False  # from an offer to its end: a sender that stops there must hang up
        self._envelope = Envelope("", "", b"")
        self._next: Envelope | None = None  # offered together with the dot before it
        self._was_ahead = False  # this mail was
        self._mail_by = 0.0  # when the first answer to the offer must be there
        self._asked: list[SmtpCommand] = []  # the offer's words, whose answers are to come
        self._at_once = False  # they were written in one go

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the connection -------------------------------------------------------------------

    def open(self) -> None:
        """Connects, says EHLO, secures and logs in. `send` does it by itself where needed.

        What it takes counts against the 90 s of the first mail.
        """
        self.abandon()
        started = monotonic()
        self._limit = started + self.settings.before_dot
        self._connect()
        self._spent = monotonic() - started

    def is_ready_for(self, envelope: Envelope) -> bool:
        """Whether it is connected, as far as is known, and can go on with this mail."""
        return self.is_free or self._next is envelope

    @property
    def is_free(self) -> bool:
        """Whether it is connected, as far as is known, and ready for any mail."""
        return self._wire is not None and not self._busy

    def send_quit(self) -> None:
        """Writes QUIT and does not wait for the answer; `close` comes next. Never raises.

        Who closes several sessions sends it on all of them first: so they wait together.
        """
        self._leave_by = monotonic() + self.settings.quit_wait
        if self._wire and not self._busy:
            try:
                self._wire.write(b"QUIT\r\n", self._leave_by)
            except (OSError, ValueError):
                self.abandon()

    def close(self) -> None:
        """Sends QUIT and closes. Never raises: a mail once accepted stays accepted."""
        if self._leave_by is None:
            self.send_quit()
        if self._wire and not self._busy and self._leave_by is not None:
            with contextlib.suppress(OSError, ValueError):
                self._wire.read_answer(self._leave_by)
        self.abandon()

    def abandon(self) -> None:
        """Closes at once and without a word; the server throws away what it has no dot for."""
        super().abandon()
        self._used = self._unfinished = self._busy = False
        self._next = None
        self._spent = 0.0
        self._leave_by = None

    # --- one mail -------------------------------------------------------------------------

    def send(self, envelope: Envelope, before_dot: Callable[[], None] = lambda: None) -> Answer:
        """Sends one mail; returns the server's 2xx answer to the final dot.

        `before_dot` is called when all but the dot is sent. If it raises, the connection is
        closed, the server discards the mail, and what it raised goes on to the caller.
        """
        self.offer(envelope)
        self.agree()
        self.write_body()
        try:
            before_dot()
        except BaseException:
            self.abandon()
            raise
        self.write_dot()
        return self.read_answer()

    def offer(self, envelope: Envelope) -> None:
        """Starts a mail: connects if needed and writes MAIL (pipelined: and RCPT and DATA)."""
        ahead = envelope is self._next
        if not ahead and self._busy:
            self.abandon()  # the last mail was left before its dot; these words would be its text
        if not ahead and self._wire and self._too_old():
            self.close()
        self._envelope, self._next = envelope, None
        self._limit = monotonic() + self.settings.before_dot - self._spent
        self._spent = 0.0
        self._stale = self._used
        self._was_ahead = ahead
        if ahead:
            self._mail_by = self._until()
            return  # the words are on their way already
        if self._wire is None:
            self._connect()
        self._check_size(envelope)
        try:
            self._write_offer()
        except MailSendError as error:
            self._offer_anew(error)

    def agree(self) -> None:
        """Reads the answers to the offer; returns when the server wants the body."""
        try:
            self._read_offer()
            if self._was_ahead:
                self._check_still_there()
        except MailSendError as error:
            if self._may_be_confused(error):
                self._offer_one_by_one(error)
                return
            self._offer_anew(error)
            self._read_offer()
        if self._at_once and self.dialect.pipelines is None:
            self.dialect.pipelines = True

    def write_body(self) -> None:
        """Writes the body, dot-stuffed (RFC 5321 4.5.2), without the final dot."""
        body = self._envelope.data.replace(b"\r\n.", b"\r\n..")
        body = b"." + body if body.startswith(b".") else body
        for start in range(0, len(body), BODY_PIECE):
            self._write(Phase.BODY, body[start : start + BODY_PIECE])

    def write_dot(self, following: Envelope | None = None) -> None:
        """Writes the final dot. From here on the mail may have been accepted.

        A server that has hung up or objected meanwhile gets no dot, so there is no doubt. Where
        the server takes several commands at once, the offer of `following` goes with the dot: a
        dot may be the first of a group (RFC 2920 3.1). A caller that offers another mail next has the
        connection made anew.
        """
        with self._at(Phase.BODY):
            connection = self._connection()
            heard = connection.has_spoken()
            objection = connection.read_answer(monotonic() + LAST_WORDS) if heard else None
        if objection:
            self.abandon()
            raise refusal(Phase.BODY, objection)
        words = b".\r\n" + self._ahead(following)  # made first: trouble here is no doubt
        until = monotonic() + self.settings.operation
        self._answer_by = monotonic() + self.settings.dot_answer
        with self._at(Phase.DOT, in_doubt=True):
            self._connection().write(words, until)

    def read_answer(self) -> Answer:
        """The server's 2xx answer to the dot. An error here is in doubt unless it has a code."""
        ahead = self._next is not None
        try:
            with self._at(Phase.DOT, in_doubt=True):
                answer = self._connection().read_answer(self._answer_by)
                if answer.code // 100 == 3:
                    raise BadReplyError("neither yes nor no")
        except MailSendError:
            # It may look for the dot at the end of what it has read only.
            self.dialect.looks_ahead = self.dialect.looks_ahead and not ahead
            raise
        self._busy = self._next is not None
        self._unfinished = False
        if answer.code // 100 == 2:
            return answer
        raise self._refused(Phase.DOT, answer)

    def _ahead(self, following: Envelope | None) -> bytes:
        """The words that offer `following`, if it may be offered before this mail is answered."""
        at_once = self._pipelines and self.dialect.looks_ahead
        if following is None or not at_once or self._too_old():
            return b""
        try:
            self._check_size(following)
        except MailSendError:
            return b""  # said when its turn comes
        self._next = following
        self._asked, self._at_once = self._commands(following), True
        return _lines(self._asked)

    @property
    def _pipelines(self) -> bool:
        allowed = self.settings.pipelining != "off" and self.dialect.pipelines is not False
        return allowed and "PIPELINING" in self._features

    def _too_old(self) -> bool:
        return monotonic() - self._opened > self.settings.oldest

    def _offer_anew(self, error: MailSendError) -> None:
        """Once more over a new connection, if the old one only got tired between two mails."""
        if not self._is_tired(error):
            raise error
        if self._was_ahead and error.code is None:
            # It loses what comes with a dot, or does not wait for the body: asked later from now on.
            self.dialect.looks_ahead = False
        self._connect_anew()

    def _is_tired(self, error: MailSendError) -> bool:
        return self._stale and error.phase is Phase.MAIL and error.code in {None, 421}

    def _connect_anew(self) -> None:
        self._stale = self._was_ahead = False
        self.abandon()
        self._connect()
        self._check_size(self._envelope)
        self._write_offer()

    def _may_be_confused(self, error: MailSendError) -> bool:
        confused = self._at_once and self.dialect.may_be_confused(error)
        return confused and not self._is_tired(error) and monotonic() < self._limit

    def _offer_one_by_one(self, error: MailSendError) -> None:
        """The same mail again, a command at a time; where that changes nothing, it was the mail."""
        known, self.dialect.pipelines = self.dialect.pipelines, False
        try:
            self._connect_anew()
            self._read_offer()
        except MailSendError as again:
            if not self.dialect.was_confused(error, again):
                self.dialect.pipelines = known
            if again.phase in OFFER or again.code is not None:
                raise
            raise error from None  # the time ran out, or no connection came about: nothing new

    def _check_still_there(self) -> None:
        """A pause came after the dot: a server that did not wait for the body gets a new offer."""
        with self._at(Phase.MAIL):
            if self._connection().has_spoken():
                raise ConnectionResetError("did not wait for the body")

    def _check_size(self, envelope: Envelope) -> None:
        size = len(envelope.data)
        found = re.fullmatch(r"[0-9]{1,18}", self._features.get("SIZE", ""))
        limit = int(found[0]) if found else 0  # RFC 1870: 0 or nothing means no fixed limit
        if limit == 0 or size <= limit:
            return
        raise MailSendError(
            Phase.SIZE,
            Both(
                f"メールは {size:,} バイトですが、メールサーバーが受け取るのは "
                f"{limit:,} バイトまでです。",
                f"The mail has {size:,} bytes, the mail server takes at most {limit:,}.",
            ),
            permanent=True,
        )

    def _commands(self, envelope: Envelope) -> list[SmtpCommand]:
        size = f" SIZE={len(envelope.data)}" if "SIZE" in self._features else ""
        return [
            SmtpCommand(Phase.MAIL, f"MAIL FROM:<{envelope.sender}>{size}", 250),
            SmtpCommand(Phase.RCPT, f"RCPT TO:<{envelope.recipient}>", 250),
            SmtpCommand(Phase.DATA, "DATA", 354),
        ]

    def _write_offer(self) -> None:
        clean = [SmtpCommand(Phase.MAIL, "RSET", 250)] if self._unfinished else []
        self._asked = [*clean, *self._commands(self._envelope)]
        self._at_once = self._pipelines
        first = self._asked if self._at_once else self._asked[:1]
        self._busy = True  # from here on: who stops now leaves answers unread, and a 354
        self._mail_by = self._until()
        self._write(Phase.MAIL, _lines(first))

    def _read_offer(self) -> None:
        """Reads until the first refusal; of a pipelined offer all answers, to stay in step."""
        pipelined = self._at_once
        refused: MailSendError | None = None
        for number, command in enumerate(self._asked):
            try:
                if number and not pipelined:
                    self._say(command.phase, command.line)
                # All connections that waited for their dots wait for this together.
                answer = self._read(command.phase, None if number else self._mail_by)
            except MailSendError:
                if refused is None:
                    raise
                raise refused from None  # hung up after saying why: the why is what counts
            self._used = True
            if answer.code // 10 != command.wanted // 10:
                refused = refused or self._refused(command.phase, answer)
                if pipelined and self.dialect.may_be_confused(refused):
                    self.abandon()  # which answer belongs to what is not known
                if answer.code == 421 or not pipelined or self._wire is None:
                    break
        if refused is None:
            return
        if answer.code == 354:
            self.abandon()  # it waits for a body without a recipient, and no dot is sent here
        self._busy = False
        self._unfinished = self._wire is not None
        raise refused

    # --- the words on the wire ------------------------------------------------------------

    def _refused(self, phase: Phase, answer: Answer) -> MailSendError:
        if answer.code == 421:
            self.abandon()
        return refusal(phase, answer)


def _lines(commands: list[SmtpCommand]) -> bytes:
    return "".join(f"{command.line}\r\n" for command in commands).encode()
