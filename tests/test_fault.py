"""Whose fault a refusal is: the table of docs/server-answers.md, line by line."""

import re
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import select

from app import reminders
from app.alerts import Alarm
from app.channel import Fault, refusal_words
from app.db import Database
from app.models import Alert, Member, OutboxMail, Service, State
from app.outbox.breaker import Breaker
from app.services import Services
from app.smtp.fault import (
    REMEDIES,
    RULES,
    Phase,
    judge,
    judge_again,
    same_refusal,
)
from tests import sending
from tests.conftest import NOW, People, task
from tests.databases import on_sqlite
from tests.smtp_server import SmtpServer
from tests.test_outbox_lines import at

pytestmark = pytest.mark.pages  # what the mail server says, not SQL

DOCS = Path(__file__).parent.parent / "docs"
_ROW = re.compile(
    r"^\| (?P<step>\w+) \| `(?P<code>\d{3}) (?P<text>.*)` \| (?P<fault>\w+) \| (?P<happens>.*) \|$",
    re.MULTILINE,
)
# What happens, in both languages: the state the mail is left in, whether all stops, and is told.
HAPPENS = {
    "stops all, told at once": (State.READY, True, True),
    "stops all, told after 2 minutes": (State.READY, True, False),
    "slower; the mail waits": (State.READY, False, False),
    "the mail waits": (State.READY, False, False),
    "the mail fails": (State.FAILED, False, False),
    "the mail fails; after 3 days the address gets no more": (State.FAILED, False, False),
}
JAPANESE = {
    "stops all, told at once": "全体を止め、すぐに知らせる",
    "stops all, told after 2 minutes": "全体を止め、2分続けば知らせる",
    "slower; the mail waits": "間隔をあける。このメールは待つ",
    "the mail waits": "このメールは待つ",
    "the mail fails": "このメールは失敗",
    "the mail fails; after 3 days the address gets no more": (
        "このメールは失敗。3つの日に続けば以後送らない"
    ),
}


class Row(NamedTuple):
    """One line of the table."""

    step: str
    code: str
    text: str
    fault: str
    happens: str


def rows(page: str) -> list[Row]:
    return [Row(*found.groups()) for found in _ROW.finditer((DOCS / page).read_text("utf-8"))]


TABLE = rows("server-answers.md")


def test_the_page_says_in_both_languages_what_can_happen() -> None:
    page = (DOCS / "server-answers.md").read_text("utf-8")
    assert len(TABLE) > 50
    assert {row.happens for row in TABLE} == set(JAPANESE)
    assert [one for one in JAPANESE.items() if "| {} | {} |".format(*one) not in page] == []


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.step} {row.code} {row.text[:30]}")
def test_a_line_of_the_table_is_judged_as_it_says(row: Row) -> None:
    phase = Phase(row.step)
    assert judge(phase, int(row.code), row.text) == row.fault
    assert judge_again(refusal_words(phase, int(row.code), row.text)) == row.fault


@on_sqlite
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.step} {row.code} {row.text[:30]}")
def test_what_happens_on_a_line_of_the_table(
    row: Row, services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    if row.step == "auth":
        pytest.skip("a login needs TLS: tests/test_mailer_tls.py and row F52 of chaos/")
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    smtp._script = {row.step: iter([f"{row.code} {row.text}"])}
    sending.deliver(services, reminders.plan(services, NOW).ids, lambda: NOW)
    state, stops, told = HAPPENS[row.happens]
    with db.read() as session:
        mail = session.scalars(select(OutboxMail)).one()
        stopped = session.get(Service, Breaker().name) is not None
        alerts = session.scalars(select(Alert.name).where(Alert.name == Alarm.MAIL_SERVER)).all()
    assert (mail.state, stopped, bool(alerts)) == (state, stops, told)
    assert row.text in (mail.response or "")
    assert mail.claims == (1 if state == State.FAILED else 0)
    assert mail.retries == (1 if state == State.READY and not stops else 0)


def test_every_row_in_code_has_its_source_and_every_fault_of_the_operators_a_remedy() -> None:
    assert all(rule.source for rule in RULES)
    assert {one for one in Fault if one.needs_operator} <= set(REMEDIES)


@pytest.mark.parametrize(
    ("phase", "text", "fault"),
    [
        ("rcpt", "5.1.1 <unknown.sender.rejected@example.jp>: User unknown", Fault.ADDRESS),
        ("rcpt", "5.1.1 <relay.access.denied@example.jp>: User unknown", Fault.ADDRESS),
        ("rcpt", "user.unknown@example.jp does not want this", Fault.RECIPIENT),
        ("dot", "5.7.1 spam for no.such.user@example.jp", Fault.MAIL),
        ("rcpt", "5.2.2 <daily.limit.exceeded@example.jp> over quota", Fault.RECIPIENT),
    ],
)
def test_an_address_that_is_quoted_decides_nothing(phase: str, text: str, fault: Fault) -> None:
    assert judge(Phase(phase), 550, text) is fault


def test_the_same_refusal_is_the_same_whomever_and_whichever_case_it_names() -> None:
    one = same_refusal("rcpt: 550 5.7.1 <a@example.jp>: refused, case 81f3a-22 - gsmtp")
    assert one == same_refusal("dot: 550 5.7.1 <b.c@example.com>: refused, case 99zz1-07 - gsmtp")
    assert one != same_refusal("rcpt: 550 5.7.1 <a@example.jp>: not here")
    assert one != same_refusal("rcpt: 450 5.7.1 <a@example.jp>: refused, case 81f3a-22 - gsmtp")


@pytest.mark.parametrize(
    "piece", ["<", "a@", "sending ", "over a ", "sender x ", "5.1.1 ", "ip x "]
)
def test_no_words_of_a_server_take_long_to_judge(piece: str) -> None:
    assert judge(Phase.RCPT, 550, piece * 100_000) in set(Fault)
    assert len(same_refusal(f"rcpt: 550 {piece * 100_000}")) < 200


@pytest.mark.parametrize(
    "text",
    [
        "5.4.1 Recipient address rejected: Access denied",
        "Unknown user gone@docomo.ne.jp",
        "<gone@ezweb.ne.jp>: User unknown",
        "5.1.10 RESOLVER.ADR.RecipientNotFound; not found",
    ],
)
def test_an_address_that_does_not_exist_is_stopped_after_three_days_in_whatever_words(
    text: str, services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    for day in range(3):
        smtp._script = {"rcpt": iter([f"550 {text}"])}
        moment = NOW + timedelta(days=day)
        sending.deliver(services, reminders.plan(services, moment).ids, at(moment))
    with db.read() as session:
        suzuki = session.get_one(Member, team.suzuki.id)
        assert text in (suzuki.suppressed_reason or "")
