"""The checker must be able to fail: a planted loss and a planted duplicate are reported."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from chaos.checker import ACCEPTED, Due, Row, Verdict, check
from chaos.rig import Rig
from tests.smtp_plan import Accepted

DAY = date(2026, 11, 24)


def mail(name: str, text: str = "x") -> Accepted:
    data = f"Message-ID: <{name}@example.jp>\r\n\r\n{text}\r\n".encode()
    return Accepted(datetime(2026, 11, 24, tzinfo=UTC), "app@example.jp", address(name), data, 1)


def address(name: str) -> str:
    return f"{name}@example.jp"


def row(name: str, state: str = "accepted", doubts: int = 1) -> Row:
    return Row(address(name), DAY, f"<{name}@example.jp>", state, doubts)


@dataclass(frozen=True)
class Facts:
    """Two members, both due; two mails, both there."""

    ledger: tuple[Accepted, ...] = (mail("a"), mail("b"))
    outbox: tuple[Row, ...] = (row("a"), row("b"))

    def checked(self, **changes: Any) -> Verdict:
        facts = replace(self, **changes)
        due = {Due(address(name), DAY): ACCEPTED for name in ("a", "b")}
        return check(due, facts.ledger, facts.outbox)


def test_a_good_day_has_no_faults() -> None:
    assert Facts().checked().faults(0) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ledger": (mail("a"),)}, "lost: b@example.jp"),
        ({"outbox": (row("a"),)}, "lost: b@example.jp on 2026-11-24: no row"),
        ({"ledger": (mail("a"),), "outbox": (row("a"), row("b", "ready", 0))}, "lost: b@"),
        ({"outbox": (row("a"), row("b", "in_doubt"))}, "not accepted"),
        ({"outbox": (row("a"), row("b", "expired"))}, "in the ledger, but expired"),
        ({"ledger": (mail("a"), mail("b"), mail("b"))}, "duplicated: 1, allowed 0"),
        ({"ledger": (mail("a"), mail("b"), mail("c"))}, "of which the outbox knows nothing"),
        ({"ledger": (mail("a"), mail("b"), mail("c")), "outbox": (row("a"), row("b"), row("c"))},
         "was not due"),
        ({"outbox": (row("a"), row("b"), row("b")._replace(message_id="<2@example.jp>"))},
         "2 rows"),
    ],
)  # fmt: skip
def test_each_kind_of_fault_is_reported(changes: Any, says: str) -> None:
    assert says in "\n".join(Facts().checked(**changes).faults(0))


def test_a_copy_is_explained_by_a_doubt_and_the_same_bytes_only() -> None:
    twice = (mail("a"), mail("b"), mail("b"))
    doubted = (row("a"), row("b", doubts=2))
    assert Facts().checked(ledger=twice, outbox=doubted).faults(1) == []
    assert "in doubt 1 times" in str(Facts().checked(ledger=twice).faults(1))
    other = (mail("a"), mail("b"), mail("b", "y"))
    assert "the copies differ" in str(Facts().checked(ledger=other, outbox=doubted).faults(1))


@pytest.mark.ci
def test_a_planted_loss_is_reported(rig: Rig) -> None:
    """A real run, out of whose ledger one mail is taken."""
    rig.sender()
    rig.drain()
    assert rig.verdict().faults(0) == []
    gone = rig.mail_server.take_out(3)
    assert rig.verdict().lost == [
        f"{gone} on {DAY}: accepted, not in the ledger",
        f"{gone} on {DAY}: recorded as accepted, not in the ledger",
    ]


@pytest.mark.ci
def test_a_planted_duplicate_is_reported(rig: Rig) -> None:
    """A real run, after which one mail is sent again behind the outbox's back."""
    rig.sender()
    rig.drain()
    rig.send_again(rig.mail_server.mails()[5])
    verdict = rig.verdict()
    assert verdict.extra == 1
    assert "duplicated: 1, allowed 0" in str(verdict.faults(0))
    assert "in doubt 1 times" in str(verdict.faults(1))
