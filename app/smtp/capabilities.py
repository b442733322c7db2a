"""What a mail server understands: what its EHLO offers, and what it proved not to take."""

import re
from dataclasses import dataclass

from app.smtp.errors import MailSendError, Phase

# Answers that a server gives to words it did not expect (RFC 5321 4.2.4, 4.3.2): unknown, not
# implemented, out of order.
_UNEXPECTED = {500, 502, 503}
OFFER = {Phase.MAIL, Phase.RCPT, Phase.DATA}


@dataclass
class Dialect:
    """What one server has been seen to do, for all connections of a process.

    looks_ahead: it takes the next mail's offer together with a dot. pipelines: it takes several
    commands at once; None until it has taken a mail offered so.
    """

    looks_ahead: bool = True
    pipelines: bool | None = None

    def may_be_confused(self, error: MailSendError) -> bool:
        """Whether an offer of several commands at once may have failed only because of that.

        Some servers offer PIPELINING and answer it with "500 Pipelining not supported"; others,
        or a firewall before them, lose commands or answers: then an answer is out of order or none
        comes. Silence counts only as long as no mail went so, since one recipient may cause it.
        """
        if error.phase not in OFFER:
            return False
        if error.code is None:
            return self.pipelines is not True
        out_of_step = error.code in _UNEXPECTED or error.code // 100 in {2, 3}
        return out_of_step or re.search("pipelin", error.text, re.IGNORECASE) is not None

    def was_confused(self, before: MailSendError, one_by_one: MailSendError) -> bool:
        """Whether the same offer, a command at a time, got a real answer where it got none."""
        answered = one_by_one.phase in OFFER and one_by_one.code not in {None, 421}
        same = (one_by_one.phase, one_by_one.code) == (before.phase, before.code)
        return answered and not same


def features_of(ehlo: str) -> dict[str, str]:
    """What an answer to EHLO offers: the word in capitals -> what follows it.

    AUTH may come twice, and as `AUTH=LOGIN` from servers older than RFC 4954: all of it counts.
    """
    found: dict[str, str] = {}
    for line in ehlo.upper().split("\n")[1:]:
        word, _, rest = re.sub(r"^AUTH=", "AUTH ", line.strip()).partition(" ")
        if word == "AUTH":
            rest = " ".join(dict.fromkeys(f"{found.get(word, '')} {rest}".split()))
        found[word] = rest
    return found
