"""One connection to the mail server, from its banner to the login; commands and replies."""

import base64
import contextlib
import json
import re
import socket
from collections.abc import Iterator, Sequence
from datetime import datetime
from time import monotonic
from typing import NamedTuple

from app.channel import Answer, Fault
from app.locale import Both
from app.oauth.tokens import TokenSource, tokens_of
from app.oauth.trouble import TokenError, masked
from app.smtp.capabilities import Dialect, features_of
from app.smtp.errors import MailSendError, Phase, failure, no_tls, refusal
from app.smtp.fault import judge, status_of
from app.smtp.settings import SmtpSettings
from app.smtp.wire import Wire
from app.util.tls import client_context

_NO_EHLO = {500, 502}  # a server older than RFC 1869, which knows HELO only (RFC 5321 3.2)

_SHOWN = ("status", "error", "schemes", "scope")  # what of a 334's JSON is shown

LAST_WORDS = 0.2  # seconds for what a server said before it cut the connection

_FULL_NAME = re.compile(r"(?=.{4,253}$)[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]+", re.IGNORECASE)


class SmtpCommand(NamedTuple):
    """A line to say, at which step, and the answer that lets the talk go on."""

    phase: Phase
    line: str
    wanted: int


class SmtpConnection:
    """A connection that is made when it is needed, again and again. All raise MailSendError."""

    def __init__(self, settings: SmtpSettings, dialect: Dialect | None = None) -> None:
        self.settings = settings
        self.dialect = dialect or Dialect()
        self._wire: Wire | None = None
        self._features: dict[str, str] = {}
        self._opened = 0.0
        self._limit = 0.0  # when all before the dot must be done

    def abandon(self) -> None:
        """Closes at once and without a word; the server throws away what it has no dot for."""
        if self._wire:
            self._wire.close()
        self._wire = None

    @property
    def features(self) -> dict[str, str]:
        """What the server offered in its last EHLO: the word in capitals -> what follows it."""
        return dict(self._features)

    def certificate_ends(self) -> datetime | None:
        """Until when the server's certificate is good; None without TLS."""
        return self._wire.certificate_ends() if self._wire else None

    def _connect(self) -> None:
        """All that comes before the first mail. A token that is refused is renewed once."""
        if self.settings.security == "none" and self.settings.needs_tls:
            raise no_tls()
        if self.settings.oauth is None:
            self._connect_with(None)
            return
        tokens = tokens_of(self.settings.oauth)
        token = _token(tokens, self._limit)
        try:
            self._connect_with(token)
        except MailSendError as error:
            if error.phase is not Phase.AUTH or error.code != 535:
                raise
            tokens.refused(token)
            self._connect_with(_token(tokens, self._limit))

    def _connect_with(self, token: str | None) -> None:
        """`token`: None logs in by password."""
        settings = self.settings
        try:
            with self._at(Phase.CONNECT):
                self._wire = Wire(settings.host, settings.port, self._until())
            self._opened = monotonic()
            if settings.speaks_ssl_first:
                self._secure()
            _check(Phase.BANNER, self._read(Phase.BANNER), 220)
            self._hello()
            if not settings.speaks_ssl_first and settings.security != "none":
                self._start_tls()
            if token is not None:
                self._log_in_by_token(settings.username or "", token)
            elif settings.username is not None:
                self._log_in(settings.username, settings.password or "")
        except MailSendError:
            self.abandon()
            raise

    def _hello(self) -> None:
        with self._at(Phase.EHLO):
            name = socket.gethostname()  # asks no DNS, unlike getfqdn()
            name = name if _FULL_NAME.fullmatch(name) else self._connection().own_address()
        self._say(Phase.EHLO, f"EHLO {name}")
        answer = self._read(Phase.EHLO)
        if answer.code in _NO_EHLO:
            answer = self._command(SmtpCommand(Phase.EHLO, f"HELO {name}", 250))
            self._features = {}
            return
        _check(Phase.EHLO, answer, 250)
        self._features = features_of(answer.text)

    def _start_tls(self) -> None:
        if "STARTTLS" in self._features:
            self._command(SmtpCommand(Phase.TLS, "STARTTLS", 220))
            self._secure()
            self._hello()  # what was said in the clear does not count (RFC 3207 4.2)
        elif self.settings.needs_tls:
            raise no_tls()

    def _secure(self) -> None:
        with self._at(Phase.TLS):
            context = self.settings.ssl_context or client_context(self.settings.ca_file)
            self._connection().secure(context, self.settings.host, self._until())

    def _log_in(self, username: str, password: str) -> None:
        offered = self._features.get("AUTH", "").split()
        plain = _base64(f"\0{username}\0{password}")
        ways = {
            "PLAIN": [f"AUTH PLAIN {plain}", plain],  # once more where the server asks (334)
            "LOGIN": ["AUTH LOGIN", _base64(username), _base64(password)],
        }
        usable = [steps for name, steps in ways.items() if name in offered]
        if not usable:
            raise MailSendError(
                Phase.AUTH,
                Both(
                    "メールサーバーが PLAIN と LOGIN のどちらのログインも提供していません。",
                    "The mail server offers neither PLAIN nor LOGIN.",
                ),
            )
        for steps in usable:
            answer = self._answer_to_login(steps, password)
            if answer.code // 100 == 2 or not _is_about_mechanism(answer):
                break
        _check(Phase.AUTH, answer, 235)

    def _answer_to_login(self, steps: Sequence[str], password: str) -> Answer:
        """The answer to the last step, or to the first one that was refused; without secrets."""
        for number, step in enumerate(steps, 1):
            self._say(Phase.AUTH, step)
            answer = self._read(Phase.AUTH)
            if answer.code != 334 or number == len(steps):
                break
        secrets = sorted({password, _base64(password), *steps} - {""}, key=len, reverse=True)
        hidden = re.sub("|".join(map(re.escape, secrets)), "***", answer.text)
        return Answer(answer.code, hidden)

    def _log_in_by_token(self, username: str, token: str) -> None:
        """AUTH XOAUTH2; a refusal comes as a 334 with the reason, then, asked by an empty line, as 535.

        Google, "The SASL XOAUTH2 mechanism"; Microsoft, "Authenticate an IMAP, POP or SMTP connection
        using OAuth".
        """
        if "XOAUTH2" not in self._features.get("AUTH", "").split():
            raise MailSendError(
                Phase.AUTH,
                Both(
                    "メールサーバーが OAuth のログイン(XOAUTH2)を提供していません。",
                    "The mail server does not offer logins by OAuth (XOAUTH2).",
                ),
                fault=Fault.OAUTH,
            )
        word = _base64(f"user={username}\x01auth=Bearer {token}\x01\x01")
        self._say(Phase.AUTH, f"AUTH XOAUTH2 {word}")
        answer, reason = self._read(Phase.AUTH), ""
        if answer.code == 334:
            reason = _reason(answer.text)
            self._say(Phase.AUTH, "")
            answer = self._read(Phase.AUTH)
        if answer.code == 235:
            return
        # Masked before anything is cut: half a token is one too many.
        words = masked(f"{answer.text}{reason and f' ({reason})'}", (token, word))
        fault = judge(Phase.AUTH, answer.code, words)
        fault = Fault.OAUTH if fault is Fault.LOGIN else fault
        raise refusal(Phase.AUTH, Answer(answer.code, words), fault)

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

    def _connection(self) -> Wire:
        if self._wire is None:
            raise ConnectionResetError("not connected")
        return self._wire

    def _say(self, phase: Phase, line: str) -> None:
        self._write(phase, f"{line}\r\n".encode())

    def _write(self, phase: Phase, data: bytes) -> None:
        with self._at(phase):
            try:
                self._connection().write(data, self._until())
            except ConnectionError:
                # It may have said why before it hung up: "421 too busy", "552 too big".
                answer = self._connection().last_answer(monotonic() + LAST_WORDS)
                if answer is None:
                    raise
            else:
                return
        self.abandon()
        raise refusal(phase, answer)

    def _read(self, phase: Phase, until: float | None = None) -> Answer:
        with self._at(phase):
            return self._connection().read_answer(self._until() if until is None else until)

    def _command(self, command: SmtpCommand) -> Answer:
        self._say(command.phase, command.line)
        return _check(command.phase, self._read(command.phase), command.wanted)


def _check(phase: Phase, answer: Answer, wanted: int) -> Answer:
    if answer.code != wanted:
        raise refusal(phase, answer)
    return answer


def _token(tokens: TokenSource, limit: float) -> str:
    try:
        return tokens.token(limit)
    except TokenError as error:
        raise MailSendError(Phase.AUTH, error.why, fault=error.fault) from error


def _reason(challenge: str) -> str:
    """What the JSON of a 334 says, in short; "" where it is none."""
    try:
        found = json.loads(base64.b64decode(challenge, validate=True))
    except (ValueError, RecursionError):
        return ""
    said = found if isinstance(found, dict) else {}
    return " ".join(f"{key}={said[key]}" for key in _SHOWN if key in said)


def _is_about_mechanism(answer: Answer) -> bool:
    """Whether another mechanism may do where this one was refused (RFC 4954 6)."""
    return answer.code in {504, 534} or status_of(answer.text) in {"5.5.4", "5.7.9"}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
