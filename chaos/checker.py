"""The one checker: who was due, what the mail server took, what the outbox says. It only compares.

Nothing here knows which fault was played, except how many extra copies it may cost.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from email import message_from_bytes, policy
from typing import NamedTuple

from tests.smtp_plan import Accepted

ACCEPTED = frozenset({"accepted"})
# Ends in which a copy may be out although no answer was recorded.
MAY_BE_OUT = frozenset({"accepted", "unknown"})


class Due(NamedTuple):
    """One mail that somebody was to get: the recipient and the local date."""

    address: str
    day: date


class Row(NamedTuple):
    """What the outbox says of one mail."""

    address: str
    day: date
    message_id: str
    state: str
    doubts: int


@dataclass
class Verdict:
    """What is missing, what came more than once, and what nothing explains."""

    due: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: dict[str, int] = field(default_factory=dict)  # Message-ID -> extra copies
    unexplained: list[str] = field(default_factory=list)

    @property
    def extra(self) -> int:
        """Copies beyond the first, all mails together."""
        return sum(self.duplicated.values())

    def faults(self, extra_allowed: int) -> list[str]:
        """All that breaks the promise, as sentences; [] when it is kept."""
        found = [f"lost: {one}" for one in self.lost]
        found += [f"unexplained: {one}" for one in self.unexplained]
        if self.extra > extra_allowed:
            copies = ", ".join(f"{name} +{n}" for name, n in sorted(self.duplicated.items()))
            found.append(f"duplicated: {self.extra}, allowed {extra_allowed} ({copies})")
        return found

    def __str__(self) -> str:
        """One line, as printed after every run."""
        return (
            f"due {self.due}, lost {len(self.lost)}, duplicated {self.extra}, "
            f"unexplained {len(self.unexplained)}"
        )


def check(
    due: Mapping[Due, Collection[str]], ledger: Sequence[Accepted], outbox: Sequence[Row]
) -> Verdict:
    """Compares. `due` says for each mail in which states of the outbox it may end.

    Lost is a mail that was to be accepted, or is recorded so, and is not in the ledger. An extra
    copy is explained when it has the same bytes and the outbox was in doubt before it.
    """
    verdict = Verdict(due=len(due))
    copies: dict[str, list[Accepted]] = defaultdict(list)
    for mail in ledger:
        copies[message_id(mail)].append(mail)
    rows = {row.message_id: row for row in outbox}
    _compare_due(due, copies, outbox, verdict)
    for row in outbox:
        _compare_row(row, copies.get(row.message_id, []), verdict)
    for name, mails in copies.items():
        if name not in rows:
            to = mails[0].recipient
            verdict.unexplained.append(f"{to} got {name}, of which the outbox knows nothing")
        elif (rows[name].address, rows[name].day) not in due:
            verdict.unexplained.append(f"{rows[name].address} got {name}, but was not due")
    return verdict


def _compare_due(
    due: Mapping[Due, Collection[str]],
    copies: Mapping[str, Sequence[Accepted]],
    outbox: Sequence[Row],
    verdict: Verdict,
) -> None:
    by_due: dict[Due, list[Row]] = defaultdict(list)
    for row in outbox:
        by_due[Due(row.address, row.day)].append(row)
    for one, ends in due.items():
        found = by_due[one]
        what = f"{one.address} on {one.day}"
        arrived = any(copies.get(row.message_id) for row in found)
        if not found:
            verdict.lost.append(f"{what}: no row in the outbox")
        elif set(ends) <= ACCEPTED and not arrived:
            verdict.lost.append(f"{what}: {found[0].state}, not in the ledger")
        if len(found) > 1:
            verdict.unexplained.append(f"{what}: {len(found)} rows in the outbox")
        elif found and found[0].state not in ends:
            verdict.unexplained.append(f"{what}: {found[0].state}, not {' or '.join(sorted(ends))}")


def _compare_row(row: Row, mails: Sequence[Accepted], verdict: Verdict) -> None:
    what = f"{row.address} on {row.day}"
    if row.state == "accepted" and not mails:
        verdict.lost.append(f"{what}: recorded as accepted, not in the ledger")
    if mails and row.state not in MAY_BE_OUT:
        verdict.unexplained.append(f"{what}: in the ledger, but {row.state}")
    wrong = {mail.recipient for mail in mails} - {row.address}
    if wrong:
        verdict.unexplained.append(f"{what}: went to {', '.join(sorted(wrong))}")
    if len(mails) > 1:
        verdict.duplicated[row.message_id] = len(mails) - 1
        if row.doubts < len(mails):
            verdict.unexplained.append(f"{what}: {len(mails)} copies, in doubt {row.doubts} times")
        if len({mail.data for mail in mails}) > 1:
            verdict.unexplained.append(f"{what}: the copies differ")


def message_id(mail: Accepted) -> str:
    """The Message-ID of a mail in the ledger."""
    return str(message_from_bytes(mail.data, policy=policy.default)["Message-ID"])
