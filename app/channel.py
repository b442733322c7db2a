"""PURE. What every channel has in common: its name, a connection, and whose fault a refusal is.

A channel is a way by which messages leave. Mail is one, and the only one here; app/outbox/channels.py
lists them. The outbox does the same for each: claim, guard, in doubt, breaker, rate, end.
"""

import re
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from app.locale import Both

MAIL = "mail"
MOST_TEXT = 500  # characters of an answer that are read


def key_of(name: str, channel: str) -> str:
    """A name or key as this channel has it: that of mail is the bare one, as it was before channels."""
    return name if channel == MAIL else f"{name}:{channel}"


class Fault(StrEnum):
    """Who or what has to change before a message like this one is taken."""

    SERVER = "server"  # it is away, going away, or full
    LOCAL = "local"  # this machine finds no name or no way
    LOGIN = "login"  # it is missing or refused
    OAUTH = "oauth"  # its token: the application, its secret, or its right to the mailbox
    SENDER = "sender"  # the sender's address
    QUOTA = "quota"  # the account has sent what it may
    ACCOUNT = "account"  # the account or this machine may not send
    THROTTLE = "throttle"  # too fast, or too many at once
    ADDRESS = "address"  # the recipient's address does not exist
    RECIPIENT = "recipient"  # this recipient takes no mail, or not now
    MAIL = "mail"  # this message, or not known
    EVERYONE = "everyone"  # the same answer for one recipient after the other, whatever it says

    @property
    def stops_all(self) -> bool:
        """Whether the next message would fare the same."""
        return self in _OF_ALL

    @property
    def is_login(self) -> bool:
        """Whether the login failed, by a password or for want of a token."""
        return self in {Fault.LOGIN, Fault.OAUTH}

    @property
    def needs_operator(self) -> bool:
        """Whether waiting does not help: an operator has to mend something, so the alert opens at once."""
        return self in _OF_THE_OPERATOR


_OF_THE_OPERATOR = frozenset({Fault.LOGIN, Fault.OAUTH, Fault.SENDER, Fault.QUOTA, Fault.ACCOUNT})
_OF_ALL = _OF_THE_OPERATOR | {Fault.SERVER, Fault.LOCAL, Fault.EVERYONE}


class Answer(NamedTuple):
    """A server's reply: its code and its text, the lines of a long one joined by newlines."""

    code: int
    text: str


class SendError(Exception):
    """A message, or all of them, that the server did not take: what its answer means.

    phase: the step at which it happened. code, status, text: the server's answer; without one None,
    None and our own words. permanent: trying the same again cannot help. in_doubt: all was sent and
    no answer came, so the message may have been accepted. of_one: it may be about this one message,
    for its recipient was named. words: all of it for people.
    """

    phase: str
    code: int | None
    status: str | None
    text: str
    permanent: bool
    in_doubt: bool
    of_one: bool
    fault: Fault
    words: Both

    @property
    def said(self) -> str:
        """As it is kept with the message: the step, then the answer or our own words."""
        return refusal_words(self.phase, self.code, self.text)


def refusal_words(phase: str, code: int | None, text: str) -> str:
    """An answer, or our own words, after the step: `rcpt: 550 5.1.1 no such user`."""
    return f"{phase}: {code} {text}" if code else f"{phase}: {text}"


_WITH_CODE = re.compile(r"\w+: [0-9]+ ")


def both_of(words: str) -> Both:
    """What `refusal_words` made: an answer stands whole in both languages, our own words in each."""
    return Both.made(words) if _WITH_CODE.match(words) else Both.of(words)


def printable(text: str) -> str:
    """A server's words on one line of at most 500 characters, nothing unprintable in it."""
    line = re.sub(r"\s+", " ", text).strip()
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)[:MOST_TEXT]


class Connection(Protocol):
    """One way to the server, for any number of messages one after the other.

    `offer`, `agree`, `write_body`, `write_dot` and `read_answer` in that order are one message; a
    round takes each step on all connections, so that their waits overlap. Up to `write_dot` the
    server has nothing that it would deliver: the outbox marks the message in doubt in between. All
    raise SendError; after one the connection can go on. `prepared` is what the channel made of it.
    """

    def is_ready_for(self, prepared: Any) -> bool:
        """Whether it is connected, as far as is known, and can go on with this message."""

    def open(self) -> None:
        """Connects and logs in. The steps do it by themselves where needed."""

    def offer(self, prepared: Any) -> None:
        """Says what comes."""

    def agree(self) -> None:
        """Waits until the server agrees to take it."""

    def write_body(self) -> None:
        """Writes all of it but what makes it count."""

    def write_dot(self, following: Any | None) -> None:
        """From here on the message may be out. `following`: the next one, to be offered at once."""

    def read_answer(self) -> Answer:
        """Waits for the answer that the server has taken it."""

    def abandon(self) -> None:
        """Closes at once and without a word."""
