"""Connections to the mail server: opened together, used again, closed when nobody needs them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from app import reminders
from app.db import Database
from app.mime.message import Envelope
from app.services import Services
from app.smtp.idle import IdleConnections
from app.smtp.session import SmtpSession
from app.smtp.settings import SmtpSettings
from tests import sending
from tests.conftest import NOW, People, task
from tests.databases import on_sqlite
from tests.smtp_server import Plan, SmtpServer

MAIL = Envelope("app@example.jp", "suzuki@example.jp", b"Subject: x\r\n\r\nx\r\n")


def at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment


def settings(smtp: SmtpServer) -> SmtpSettings:
    return SmtpSettings("127.0.0.1", smtp.port, security="none")


@pytest.fixture
def kept() -> Iterator[IdleConnections]:
    kept = IdleConnections()
    yield kept
    kept.close()


@on_sqlite
def test_two_deliveries_in_a_row_use_one_connection(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    with db.write() as session:
        session.add_all([task("T-1", team.sato), task("T-2", team.suzuki)])
    for mail_id in reminders.plan(services, NOW).ids:
        assert sending.deliver(services, [mail_id], at(NOW)) == 1
    assert (len(smtp.mails), smtp.connections) == (2, 1)


def test_a_connection_that_nobody_takes_up_is_closed_with_a_word(
    smtp: SmtpServer, kept: IdleConnections
) -> None:
    (line,) = kept.take(replace(settings(smtp), time_scale=0.05), 1)
    line.settings = replace(line.settings, timeout=100.0)
    line.open()
    kept.keep([line])
    smtp.wait_until_closed()
    assert smtp.said()[-1] == "QUIT"


def test_a_connection_the_server_closed_meanwhile_costs_no_mail(
    smtp: SmtpServer, kept: IdleConnections
) -> None:
    (line,) = kept.take(settings(smtp), 1)
    line.send(MAIL)
    kept.keep([line])
    smtp.cut()
    smtp.wait_until_closed()
    (again,) = kept.take(settings(smtp), 1)
    assert again is line
    assert again.send(MAIL).code == 250
    again.close()
    assert (len(smtp.mails), smtp.connections) == (2, 2)


def test_a_connection_with_other_settings_is_not_used(
    smtp: SmtpServer, kept: IdleConnections
) -> None:
    (line,) = kept.take(settings(smtp), 1)
    line.open()
    kept.keep([line])
    (other,) = kept.take(replace(settings(smtp), timeout=7.0), 1)
    assert (other is line, other.is_free, line.is_free) == (False, False, False)


def test_an_old_connection_is_left_for_a_new_one(smtp: SmtpServer) -> None:
    class NoneMayAge(SmtpSettings):
        oldest = 0.0

    with SmtpSession(NoneMayAge("127.0.0.1", smtp.port, security="none")) as line:
        line.send(MAIL)
        line.send(MAIL)
    assert (len(smtp.mails), smtp.connections) == (2, 2)
    assert smtp.said().count("QUIT") == 2


@on_sqlite
def test_all_lines_connect_at_the_same_time(services: Services, db: Database, team: People) -> None:
    """A server that greets nobody before three have come: one after the other would wait for ever."""
    together = threading.Barrier(3, timeout=20)

    class GreetsThree(SmtpServer):
        def next_action(self, stage: str) -> str:
            if stage == "banner":
                together.wait()
            return super().next_action(stage)

    with db.write() as session:
        members = (team.sato, team.suzuki, team.tanaka)
        session.add_all([task(f"T-{one.id}", one) for one in members])
    with GreetsThree(Plan()) as smtp:
        values = {"smtp_connections": 3, "smtp_port": smtp.port}
        three = replace(services, config=services.config.model_copy(update=values))
        ids = reminders.plan(three, NOW).ids
        assert sending.deliver(three, ids, at(NOW)) == 3
        assert smtp.connections == 3
