"""What the scripted mail server can be told, as a table of tags and a plan, and its ledger."""

import base64
import json
import os
import re
import ssl
import threading
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

# --- what it can be told ------------------------------------------------------------------

# What to do at a step. A text that starts with a digit is the reply to give (421: and hang up).
#   ok     the usual reply           hang   no reply, ever (until the client hangs up)
#   close  hang up                   slow   the usual reply after Plan.slow seconds
#   drip   a byte each Plan.drip s   long   a reply line of 9,000 octets
#   junk   no SMTP reply at all      odd    a 3xx reply where there should be none
#   stall  stop reading, say nothing flood  a reply line without end
Action = str


class Step(NamedTuple):
    """At `stage` do `action`; at the dot: and keep the mail as accepted, or not."""

    stage: str
    action: Action
    keep: bool = False


TAGS: dict[str, Step] = {
    "hangrcpt": Step("rcpt", "hang"),
    "hangdata": Step("data", "hang"),
    "hangdot": Step("dot", "hang", keep=True),
    "hangdotlost": Step("dot", "hang"),
    "closercpt": Step("rcpt", "close"),
    "closedata": Step("data", "close"),
    "closebody": Step("body", "close"),
    "hangbody": Step("body", "stall"),
    "body552": Step("body", "552 5.3.4 too much"),
    "closedot": Step("dot", "close", keep=True),
    "closedotlost": Step("dot", "close"),
    "drop421": Step("rcpt", "421 4.3.2 going down"),
    "slow": Step("dot", "slow", keep=True),
    "drip": Step("rcpt", "drip"),
    "dripdot": Step("dot", "drip", keep=True),
    "floodrcpt": Step("rcpt", "flood"),
    "longrcpt": Step("rcpt", "long"),
    "longdot": Step("dot", "long", keep=True),
    "junkrcpt": Step("rcpt", "junk"),
    "junkdot": Step("dot", "junk", keep=True),
    "odddot": Step("dot", "odd", keep=True),
    "hangmail": Step("mail", "hang"),
    "closemail": Step("mail", "close"),
}
# And replies by number: 550 at RCPT, dot554, data451, mail450; with an own enhanced status after
# it as in 450-4-7-1. Any tag may end in x3: only the first three times for that address.
_REPLY_TAG = re.compile(r"(?P<stage>mail|rcpt|data|dot|)(?P<code>[2-5]\d\d)(?P<status>(-\d+){3})?")
_COUNTED = re.compile(r"(?P<tag>.+?)x(?P<times>\d+)")

STATUS = {
    "421": "4.3.2 going down",
    "450": "4.2.1 mailbox busy",
    "451": "4.2.0 try again later",
    "452": "4.3.1 out of space",
    "550": "5.1.1 no such user",
    "552": "5.2.3 too big for this mailbox",
    "554": "5.6.0 not this mail",
}


def read_tag(tag: str) -> Step | None:
    """What one tag asks for; None for a tag nobody knows."""
    if tag in TAGS:
        return TAGS[tag]
    found = _REPLY_TAG.fullmatch(tag)
    if found is None:
        return None
    code = found["code"]
    own = f"{found['status'][1:].replace('-', '.')} as asked" if found["status"] else ""
    text = own or STATUS.get(code, f"{code[0]}.0.0 as asked")
    return Step(found["stage"] or "rcpt", f"{code} {text}")


def counted(tag: str) -> tuple[Step | None, int | None]:
    """What a tag asks for and how many times; None times means always."""
    found = _COUNTED.fullmatch(tag)
    return (read_tag(found["tag"]), int(found["times"])) if found else (read_tag(tag), None)


@dataclass
class Plan:
    """How the server behaves towards everybody.

    `script` holds, by stage (banner, ehlo, helo, starttls, auth, mail, rcpt, data, dot, rset, quit), the
    actions for the first times that stage comes, "ok" again when they are used up; an endless
    iterator such as itertools.repeat("hang") never is.
    """

    tls: Literal["none", "starttls", "ssl"] = "none"
    ssl_context: ssl.SSLContext | None = None
    # What happens to commands that come together although PIPELINING is offered: "says" refuses
    # them, "loses" all but the first, "muddles" loses the first answer.
    confused: Literal["", "says", "loses", "muddles"] = ""
    login: tuple[str, str] | None = None  # user and password; MAIL without a login is refused
    tokens: Container[str] = ()  # that XOAUTH2 takes for the user
    challenge: str = ""  # what a refused token hears first, in a 334
    mechanisms: Sequence[str] = ("PLAIN", "LOGIN")  # offered
    auth_lines: Sequence[str] = ()  # said in place of `AUTH` and the mechanisms
    understood: Sequence[str] = ("PLAIN", "LOGIN", "XOAUTH2")  # another one gets a 504
    login_in_clear: bool = False  # offers AUTH before TLS, as a trap
    pipelining: bool = True
    eager: bool = False  # wants a body also for a mail whose recipient it has refused
    size: int | None = None
    script: Mapping[str, Sequence[Action] | Iterator[Action]] = field(default_factory=dict)
    slow: float = 0.2
    drip: float = 0.02


# --- what it remembers --------------------------------------------------------------------


class Accepted(NamedTuple):
    """A mail the server took: unstuffed, without the final dot."""

    at: datetime
    sender: str
    recipient: str
    data: bytes
    connection: int


class Command(NamedTuple):
    """A line a client sent outside of a body, and whether TLS hid it."""

    connection: int
    line: str
    secured: bool


class Ledger:
    """The accepted mails; with a file each is on disk (fsync) before the server answers."""

    def __init__(self, file: Path | None = None) -> None:
        self.mails: list[Accepted] = self.read(file) if file and file.exists() else []
        self._file = file
        self._lock = threading.Lock()

    def add(self, mail: Accepted) -> None:
        """Writes down one mail; returns when it is safe."""
        with self._lock:
            self.mails.append(mail)
            if self._file:
                with self._file.open("ab") as out:
                    out.write(_as_line(mail))
                    out.flush()
                    os.fsync(out.fileno())

    @staticmethod
    def read(file: Path) -> list[Accepted]:
        """The mails in a ledger file, also of a server that was killed."""
        whole_lines = file.read_bytes().split(b"\n")[:-1]
        return [_from_line(line) for line in whole_lines]


def _as_line(mail: Accepted) -> bytes:
    entry = mail._asdict() | {
        "at": mail.at.isoformat(),
        "data": base64.b64encode(mail.data).decode(),
    }
    return json.dumps(entry).encode() + b"\n"


def _from_line(line: bytes) -> Accepted:
    entry = json.loads(line)
    entry["at"] = datetime.fromisoformat(entry["at"])
    entry["data"] = base64.b64decode(entry["data"])
    return Accepted(**entry)
