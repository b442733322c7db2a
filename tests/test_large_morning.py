"""A morning with more members than one slice of a tick decides, through the jobs themselves."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from celery import Celery
from sqlalchemy import func, select

from app import reminders
from app.alerts import open_alerts
from app.config import Config
from app.db import Database
from app.models import DecisionRow, OutboxMail, State
from app.queue import db_lock, publishing
from app.queue.application import make_celery
from app.services import Services
from tests.conftest import NOW, People
from tests.databases import on_sqlite
from tests.test_outbox_lines import crowd, states

MANY = 1_200  # three batches


def after(batches: int) -> "Iterator[bool]":
    """What `stopped` says before each batch."""
    yield from [False] * batches
    while True:
        yield True


# --- deciding in slices -------------------------------------------------------------------


def test_what_one_slice_leaves_the_next_one_decides(
    services: Services, db: Database, team: People
) -> None:
    crowd(db, team, MANY)
    times = after(1)
    first = reminders.plan(services, NOW, stopped=lambda: next(times))
    assert (first.decided, first.left) == (500, True)
    second = reminders.plan(services, NOW)
    assert (second.decided, second.left) == (MANY + 3 - 500, False)
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(DecisionRow)) == MANY + 3


def test_the_brake_judges_only_when_all_are_counted(
    services: Services, db: Database, team: People
) -> None:
    """Slice by slice an unusual number would look like a usual one."""
    crowd(db, team, MANY)
    times = after(1)
    first = reminders.plan(services, NOW, stopped=lambda: next(times))
    assert first.ids == []
    with db.read() as session:
        assert open_alerts(session) == []
        assert set(session.scalars(select(OutboxMail.held))) == {"brake"}
    second = reminders.plan(services, NOW)
    assert second.held == MANY
    with db.read() as session:
        (alert,) = open_alerts(session)
        assert alert.data is not None
        assert alert.data["number"] == MANY


def test_two_who_decide_at_once_share_the_members(
    services: Services, db: Database, team: People
) -> None:
    crowd(db, team, MANY)
    planned: list[reminders.Planned] = []
    hands = [
        threading.Thread(target=lambda: planned.append(reminders.plan(services, NOW)))
        for _ in range(2)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    decided = sum(one.decided for one in planned)
    decided += reminders.plan(services, NOW).decided  # whoever was being decided by the other one
    assert decided == MANY + 3
    assert states(db) == [State.READY] * MANY


def test_a_turn_is_had_by_one_at_a_time_and_ends_with_whoever_died_in_it(
    services: Services,
) -> None:
    minute = timedelta(minutes=1)
    with db_lock.of(services, "planning", NOW, minute) as mine:
        assert mine
        with db_lock.of(services, "planning", NOW, minute) as another:
            assert not another
        with db_lock.of(services, "planning", NOW + minute, minute) as later:
            assert later
    with db_lock.of(services, "planning", NOW + minute, minute) as mine:
        assert mine


# --- the queue ----------------------------------------------------------------------------


@pytest.fixture
def celery(config: Config) -> Celery:
    return make_celery(config)


def waiting(broker: "redis.Redis") -> list[str]:
    """The jobs on the queue in the order in which a worker takes them."""
    lists = ["mail", *(f"mail\x06\x16{step}" for step in (3, 6, 9))]
    messages = [json.loads(one) for name in lists for one in reversed(broker.lrange(name, 0, -1))]
    return [message["headers"]["task"].rpartition(".")[2] for message in messages]


@on_sqlite
def test_however_many_mails_are_ready_a_few_messages_say_so(
    celery: Celery, redis_admin: redis.Redis
) -> None:
    publish = publishing.publisher(celery, 1)
    for start in range(0, 200_000, 5_000):
        publish(range(start, start + 5_000))
    assert waiting(redis_admin) == ["deliver"] * publishing.POKES_AT_MOST


@on_sqlite
def test_no_tick_and_no_single_mail_waits_behind_the_bulk(
    celery: Celery, redis_admin: redis.Redis
) -> None:
    publish = publishing.publisher(celery, 1)
    publish(range(1_000))
    publish([1])
    publishing.tick_again(celery)
    publishing.poke(celery)
    assert waiting(redis_admin) == ["deliver", "tick", *["deliver"] * 5]
    assert redis_admin.llen("mail") == 2


@on_sqlite
def test_the_alarm_pokes_when_the_hour_comes(celery: Celery, redis_admin: redis.Redis) -> None:
    alarm = publishing.NextMailTimer()
    alarm.set(celery, timedelta(minutes=1))
    alarm.set(celery, timedelta(seconds=2))
    assert waiting(redis_admin) == []
    for _ in range(500):
        if waiting(redis_admin):
            break
        threading.Event().wait(0.02)
    assert waiting(redis_admin) == ["deliver"]
