"""TOOL. The SMTP session: one connection, mail after mail. The mailer hands it on.

One mail's way: MAIL, RCPT, DATA (in one go where the server takes that, RFC 2920), the body
without its final dot, `before_dot()`, the dot, the answer. Before the dot the server has nothing:
whoever stops there closes the connection, and the mail was never sent.
"""

import base64
import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import datetime
from time import monotonic
from typing import NamedTuple, Self

from app.util.mail_error import MailSendError, Phase, failure, no_tls, refusal
from app.util.message import Envelope
from app.util.smtp_settings import SmtpSettings
from app.util.wire import Answer, BadReplyError, Wire
from app.words import Both

LAST_WORDS = 0.2  # seconds for what a server said before it cut the connection
BODY_PIECE = 65536  # octets; each piece is one operation with its own time limit

_FULL_NAME = re.compile(r"(?=.{4,253}$)[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]+", re.IGNORECASE)


class _Command(NamedTuple):
    phase: Phase
    line: str
    wanted: int


class SmtpSession:
    """One connection to the mail server, for any number of mails one after the other.

    `send` is `offer`, `agree`, `write_body`, `write_dot` and `read_answer` in that order; a
    caller with several sessions may take the steps apart to overlap them. All raise
    MailSendError. After one the session can go on: it connects again where it must.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self.settings = settings
        self._wire: Wire | None = None
        self._features: dict[str, str] = {}
        self._opened = 0.0
        self._leave_by: float | None = None  # when the answer to QUIT must be there
        self._limit = 0.0  # when all before the dot must be done
        self._answer_by = 0.0  # when the answer to the dot must be there
        self._spent = 0.0  # seconds that open() took of the next mail's time
        self._used = False  # this connection has carried a mail, so the server may be tired of it
        self._stale = False  # an offer began on such a connection
        self._unfinished = False  # the server still holds the last mail's sender or recipient
        self._in_body = False
        self._envelope = Envelope("", "", b"")

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

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as is known, and free for the next mail."""
        return self._wire is not None and not self._in_body

    def say_goodbye(self) -> None:
        """Writes QUIT and does not wait for the answer; `close` comes next. Never raises.

        Who closes several sessions says goodbye on all of them first: so they wait together.
        """
        self._leave_by = monotonic() + self.settings.farewell
        if self._wire and not self._in_body:
            try:
                self._wire.write(b"QUIT\r\n", self._leave_by)
            except (OSError, ValueError):
                self.abandon()

    def close(self) -> None:
        """Says goodbye and closes. Never raises: a mail once accepted stays accepted."""
        if self._leave_by is None:
            self.say_goodbye()
        if self._wire and not self._in_body and self._leave_by is not None:
            with contextlib.suppress(OSError, ValueError):
                self._wire.read_answer(self._leave_by)
        self.abandon()

    def abandon(self) -> None:
        """Closes at once and without a word; the server throws away what it has no dot for."""
        if self._wire:
            self._wire.close()
        self._wire = None
        self._used = self._unfinished = self._in_body = False
        self._spent = 0.0
        self._leave_by = None

    @property
    def features(self) -> dict[str, str]:
        """What the server offered in its last EHLO: the word in capitals -> what follows it."""
        return dict(self._features)

    def certificate_ends(self) -> datetime | None:
        """Until when the server's certificate is good; None without TLS."""
        return self._wire.certificate_ends() if self._wire else None

    def _connect(self) -> None:
        """All that comes before the first mail."""
        settings = self.settings
        if settings.security == "none" and settings.needs_tls:
            raise no_tls()
        try:
            with self._at(Phase.CONNECT):
                self._wire = Wire(settings.host, settings.port, self._until())
            self._opened = monotonic()
            self._used = self._unfinished = False
            if settings.speaks_ssl_first:
                self._secure()
            _check(Phase.BANNER, self._read(Phase.BANNER), 220)
            self._hello()
            if not settings.speaks_ssl_first and settings.security != "none":
                self._start_tls()
            if settings.username is not None:
                self._log_in(settings.username, settings.password or "")
        except MailSendError:
            self.abandon()
            raise

    def _hello(self) -> None:
        with self._at(Phase.EHLO):
            name = socket.gethostname()  # asks no DNS, unlike getfqdn()
            name = name if _FULL_NAME.fullmatch(name) else self._line().own_address()
        answer = self._command(_Command(Phase.EHLO, f"EHLO {name}", 250))
        lines = (line.partition(" ") for line in answer.text.upper().split("\n")[1:])
        self._features = {word: rest for word, _, rest in lines}

    def _start_tls(self) -> None:
        if "STARTTLS" in self._features:
            self._command(_Command(Phase.TLS, "STARTTLS", 220))
            self._secure()
            self._hello()  # what was said in the clear does not count (RFC 3207 4.2)
        elif self.settings.needs_tls:
            raise no_tls()

    def _secure(self) -> None:
        with self._at(Phase.TLS):
            context = self.settings.ssl_context or ssl.create_default_context()
            self._line().secure(context, self.settings.host, self._until())

    def _log_in(self, username: str, password: str) -> None:
        offered = self._features.get("AUTH", "").split()
        if "PLAIN" in offered:
            steps = [f"AUTH PLAIN {_base64(f'{chr(0)}{username}{chr(0)}{password}')}"]
        elif "LOGIN" in offered:
            steps = ["AUTH LOGIN", _base64(username), _base64(password)]
        else:
            raise MailSendError(
                Phase.AUTH,
                Both(
                    "メールサーバーが PLAIN と LOGIN のどちらのログインも提供していません。",
                    "The mail server offers neither PLAIN nor LOGIN.",
                ),
            )
        for step in steps[:-1]:
            self._command(_Command(Phase.AUTH, step, 334))
        self._say(Phase.AUTH, steps[-1])
        answer = self._read(Phase.AUTH)
        secrets = {password, _base64(password), steps[-1]} - {""}
        hidden = re.sub("|".join(map(re.escape, secrets)) or "(?!)", "***", answer.text)
        _check(Phase.AUTH, Answer(answer.code, hidden), 235)

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
        if self._in_body:
            self.abandon()  # the last mail was left before its dot; these words would be its text
        if self._wire and monotonic() - self._opened > self.settings.oldest:
            self.close()
        self._envelope = envelope
        self._limit = monotonic() + self.settings.before_dot - self._spent
        self._spent = 0.0
        self._stale = self._used
        if self._wire is None:
            self._connect()
        self._check_size()
        try:
            self._write_offer()
        except MailSendError as error:
            self._offer_anew(error)

    def agree(self) -> None:
        """Reads the answers to the offer; returns when the server wants the body."""
        try:
            self._read_offer()
        except MailSendError as error:
            self._offer_anew(error)
            self._read_offer()

    def write_body(self) -> None:
        """Writes the body, dot-stuffed (RFC 5321 4.5.2), without the final dot."""
        body = self._envelope.data.replace(b"\r\n.", b"\r\n..")
        body = b"." + body if body.startswith(b".") else body
        self._in_body = True
        for start in range(0, len(body), BODY_PIECE):
            self._write(Phase.BODY, body[start : start + BODY_PIECE])

    def write_dot(self) -> None:
        """Writes the final dot. From here on the mail may have been accepted.

        A server that has hung up or objected meanwhile gets no dot, so there is no doubt.
        """
        with self._at(Phase.BODY):
            line = self._line()
            heard = line.has_spoken()
            objection = line.read_answer(monotonic() + LAST_WORDS) if heard else None
        if objection:
            self.abandon()
            raise refusal(Phase.BODY, objection)
        until = monotonic() + self.settings.operation
        self._answer_by = monotonic() + self.settings.dot_answer
        with self._at(Phase.DOT, in_doubt=True):
            self._line().write(b".\r\n", until)

    def read_answer(self) -> Answer:
        """The server's 2xx answer to the dot. An error here is in doubt unless it has a code."""
        with self._at(Phase.DOT, in_doubt=True):
            answer = self._line().read_answer(self._answer_by)
            if answer.code // 100 == 3:
                raise BadReplyError("neither yes nor no")
        self._in_body = False
        self._unfinished = False
        if answer.code // 100 == 2:
            return answer
        raise self._refused(Phase.DOT, answer)

    def _offer_anew(self, error: MailSendError) -> None:
        """Once more over a new connection, if the old one only got tired between two mails."""
        tired = error.phase is Phase.MAIL and error.code in {None, 421}
        if not (self._stale and tired):
            raise error
        self._stale = False
        self.abandon()
        self._connect()
        self._check_size()
        self._write_offer()

    def _check_size(self) -> None:
        size = len(self._envelope.data)
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

    def _commands(self) -> list[_Command]:
        size = f" SIZE={len(self._envelope.data)}" if "SIZE" in self._features else ""
        clean = [_Command(Phase.MAIL, "RSET", 250)] if self._unfinished else []
        return [
            *clean,
            _Command(Phase.MAIL, f"MAIL FROM:<{self._envelope.sender}>{size}", 250),
            _Command(Phase.RCPT, f"RCPT TO:<{self._envelope.recipient}>", 250),
            _Command(Phase.DATA, "DATA", 354),
        ]

    def _write_offer(self) -> None:
        commands = self._commands()
        at_once = commands if "PIPELINING" in self._features else commands[:1]
        self._say(Phase.MAIL, "\r\n".join(command.line for command in at_once))

    def _read_offer(self) -> None:
        """Reads until the first refusal; of a pipelined offer all answers, to stay in step."""
        pipelined = "PIPELINING" in self._features
        refused: MailSendError | None = None
        for number, command in enumerate(self._commands()):
            try:
                if number and not pipelined:
                    self._say(command.phase, command.line)
                answer = self._read(command.phase)
            except MailSendError:
                if refused is None:
                    raise
                raise refused from None  # hung up after saying why: the why is what counts
            self._used = True
            if answer.code // 10 != command.wanted // 10:
                refused = refused or self._refused(command.phase, answer)
                if answer.code == 421 or not pipelined:
                    break
        if refused is None:
            return
        if answer.code == 354:
            self.abandon()  # it waits for a body without a recipient, and no dot is sent here
        self._unfinished = self._wire is not None
        raise refused

    # --- the words on the wire ------------------------------------------------------------

    def _until(self) -> float:
        return min(monotonic() + self.settings.operation, self._limit)

    @contextlib.contextmanager
    def _at(self, phase: Phase, *, in_doubt: bool = False) -> Iterator[None]:
        """All trouble inside becomes a MailSendError of `phase`, and the connection is closed."""
        try:
            yield
        except (OSError, ValueError) as error:
            self.abandon()
            raise failure(phase, error, in_doubt=in_doubt) from error
        except BaseException:  # a signal, a job's time limit: whatever it was, this talk is over
            self.abandon()
            raise

    def _line(self) -> Wire:
        if self._wire is None:
            raise ConnectionResetError("not connected")
        return self._wire

    def _say(self, phase: Phase, line: str) -> None:
        self._write(phase, f"{line}\r\n".encode())

    def _write(self, phase: Phase, data: bytes) -> None:
        with self._at(phase):
            try:
                self._line().write(data, self._until())
            except ConnectionError:
                # It may have said why before it hung up: "421 too busy", "552 too big".
                answer = self._line().last_answer(monotonic() + LAST_WORDS)
                if answer is None:
                    raise
            else:
                return
        self.abandon()
        raise refusal(phase, answer)

    def _read(self, phase: Phase) -> Answer:
        with self._at(phase):
            return self._line().read_answer(self._until())

    def _command(self, command: _Command) -> Answer:
        self._say(command.phase, command.line)
        return _check(command.phase, self._read(command.phase), command.wanted)

    def _refused(self, phase: Phase, answer: Answer) -> MailSendError:
        if answer.code == 421:
            self.abandon()
        return refusal(phase, answer)


def _check(phase: Phase, answer: Answer, wanted: int) -> Answer:
    if answer.code != wanted:
        raise refusal(phase, answer)
    return answer


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
