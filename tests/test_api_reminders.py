"""Reminders that programs ask for: what stops other mails stops them, and a storm of them waits."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select, update

from app import clock
from app.alerts import Alarm, open_alerts
from app.db import Database
from app.members.changes import set_member
from app.models import Kind, Member, OutboxMail, State
from app.monitoring import status
from app.reminders import brake, plan
from app.services import Services
from tests import sending
from tests.api import Program, program
from tests.conftest import NOW, TODAY, People, add_tasks, task
from tests.smtp_server import SmtpServer
from tests.test_web_later import link

LATER = NOW + timedelta(hours=2)


@pytest.fixture
def sato(
    app: Flask, services: Services, db: Database, team: People, travel: time_machine.Traveller
) -> Program:
    """Of the lead, at eleven: the mails of the morning are settled, none of them went out."""
    add_tasks(db, team)
    settle_morning(services, db)
    travel.move_to(LATER)
    return program(app, services, team.sato.email)


def settle_morning(services: Services, db: Database) -> None:
    plan(services, NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(state=State.CANCELLED, held=None))


Stop = Callable[[Services, int], Services]


def paused(services: Services, _member_id: int) -> Services:
    status.pause(services, who="test", now=LATER)
    return services


def pilot(services: Services, _member_id: int) -> Services:
    only = {"mail_only_to": ("somebody@example.jp",)}
    return replace(services, config=services.config.model_copy(update=only))


def now_with(**values: str) -> Stop:
    """The member changes what they want, after the reminder was asked for."""

    def change(services: Services, member_id: int) -> Services:
        with services.db.read() as session:
            email = session.get_one(Member, member_id).email
        set_member(services, email, values, email, LATER)
        return services

    return change


def refused_address(services: Services, member_id: int) -> Services:
    with services.db.write() as session:
        session.get_one(Member, member_id).suppressed_reason = "5.1.1"
    return services


def held(services: Services, member_id: int) -> Services:
    with services.db.write() as session:
        mine = update(OutboxMail).where(OutboxMail.user_id == member_id, ~OutboxMail.ended)
        session.execute(mine.values(held="restore"))
    return services


@pytest.mark.parametrize(
    ("stop", "state"),
    [
        (paused, State.READY),
        (held, State.READY),
        (pilot, State.SUPPRESSED),
        (now_with(notify_frequency="none"), State.SUPPRESSED),
        (now_with(paused_until="2027-01-04"), State.SUPPRESSED),
        (refused_address, State.SUPPRESSED),
        (now_with(quiet_hours_start="10:00", quiet_hours_end="12:00"), State.READY),
    ],
    ids=["pause", "hold", "pilot", "opted out", "vacation", "address", "quiet hours"],
)
def test_what_stops_a_mail_stops_one_that_a_program_asked_for(
    services: Services,
    db: Database,
    team: People,
    sato: Program,
    smtp: SmtpServer,
    *,
    stop: Stop,
    state: State,
) -> None:
    asked = sato.post("/reminders", {"member": team.suzuki.id})
    assert asked.status_code == 202, asked.text
    sending.send(stop(services, team.suzuki.id), clock.now)
    assert smtp.mails == []
    with db.read() as session:
        assert session.get_one(OutboxMail, asked.json["mail"]).state == state


def test_what_a_program_asked_for_goes_out_where_nothing_stops_it(
    services: Services, team: People, sato: Program, smtp: SmtpServer
) -> None:
    assert sato.post("/reminders", {"member": team.suzuki.id}).status_code == 202
    sending.send(services, clock.now)
    assert [mail.recipient for mail in smtp.mails] == [team.suzuki.email]


def test_what_a_program_tries_out_takes_nothing_from_what_the_member_may_ask_for(
    app: Flask, services: Services, team: People, sato: Program, smtp: SmtpServer
) -> None:
    trial = program(app, services, team.sato.email, test=True)
    for _ in range(3):
        assert trial.post("/reminders", {"member": team.suzuki.id}).status_code == 202
    expired = link(services, team.suzuki, "/again", TODAY - timedelta(days=30))
    assert app.test_client().post(expired).status_code == 200
    sending.send(services, clock.now)
    assert [mail.recipient for mail in smtp.mails] == [team.suzuki.email]


def many(db: Database, team: People, number: int) -> list[int]:
    """So many members more of the lead, with a task each."""
    with db.write() as session:
        some = [
            Member(
                email=f"m{n}@example.jp", name=f"{n}", team_id=team.sato.team_id, created_at=NOW,
                manager_id=team.sato.id, decided_through=team.suzuki.decided_through,
                notify_at=time(9),
            )
            for n in range(number)
        ]  # fmt: skip
        session.add_all(some)
        session.flush()
        session.add_all(task(f"M-{one.id}", one) for one in some)
        return [one.id for one in some]


def test_a_storm_of_reminders_waits_for_an_admins_word_and_the_morning_does_not(
    app: Flask, services: Services, db: Database, team: People, travel: time_machine.Traveller
) -> None:
    ids = many(db, team, brake.ALWAYS_ALLOWED + 5)
    settle_morning(services, db)
    travel.move_to(LATER)
    sato = program(app, services, team.sato.email)
    for member_id in ids:
        assert sato.post("/reminders", {"member": member_id}).status_code == 202
    assert waiting(db) == {None: brake.ALWAYS_ALLOWED, "brake": 5}
    add_tasks(db, team)
    with db.write() as session:
        session.execute(
            update(Member)
            .where(Member.id == team.suzuki.id)
            .values(decided_through=TODAY, next_due_at=None)
        )
    tomorrow = NOW + timedelta(days=1)
    plan(services, LATER)
    assert waiting(db) == {None: brake.ALWAYS_ALLOWED, "brake": 5}
    with db.read() as session:
        assert Alarm.UNUSUAL_NUMBER in {one.name for one in open_alerts(session)}
    plan(services, tomorrow, only=team.suzuki.id)
    with db.read() as session:
        mine = select(OutboxMail).where(OutboxMail.user_id == team.suzuki.id)
        morning = session.scalars(mine.where(OutboxMail.local_date > TODAY)).one()
    assert (morning.kind, morning.held) == (Kind.REMINDER, None)
    status.resume(services, who="test", now=LATER)
    assert "brake" not in waiting(db)


def waiting(db: Database) -> dict[str | None, int]:
    """How many asked reminders wait, by what holds them."""
    with db.read() as session:
        rows = session.execute(
            select(OutboxMail.held, func.count())
            .where(OutboxMail.kind == Kind.ASKED_REMINDER, OutboxMail.state == State.READY)
            .group_by(OutboxMail.held)
        )
        return dict(iter(rows))
