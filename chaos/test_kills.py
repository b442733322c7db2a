"""Senders that die, stop and are told to stop, at any moment."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.models import DecisionRow, State
from chaos.checker import Due
from chaos.conftest import Make
from chaos.proxy import Line
from chaos.rig import DAY, NINE, Rig

BATCH = 1.6  # seconds that 20 mails take when each answer takes 30 ms


def slow(rig: Rig) -> None:
    """The mail server's answers take a while, so that a fault can come between any two of them."""
    rig.wire.delay = 0.03


def start_a_batch(rig: Rig) -> subprocess.Popen[bytes]:
    """A worker in the middle of its mails."""
    slow(rig)
    worker = rig.worker()
    rig.call("tick")
    rig.until_sending()
    time.sleep(rig.random.uniform(0, BATCH / rig.settings.connections))
    return worker


def recover(rig: Rig, unscaled: float = 900) -> None:
    """A new worker and the timer; returns when all is done."""
    rig.worker(wait=False)
    rig.sender()
    with rig.beat():
        rig.drain(unscaled)


@pytest.mark.kill
@pytest.mark.both
@pytest.mark.row("F1", "kill -9 the worker's parent in the middle of a batch")
def test_a_killed_worker(rig_of: Make) -> None:
    rig = rig_of(connections=1)
    worker = start_a_batch(rig)
    senders = rig.pool(worker)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    rig.extra_allowed = len(senders) * rig.settings.connections
    recover(rig)


@pytest.mark.kill
@pytest.mark.both
@pytest.mark.row("F1", "the same with 8 connections")
def test_a_killed_worker_with_many_connections(rig_of: Make) -> None:
    rig = rig_of(connections=8)
    worker = start_a_batch(rig)
    senders = rig.pool(worker)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    rig.extra_allowed = len(senders) * rig.settings.connections
    recover(rig)


@pytest.mark.kill
@pytest.mark.both
@pytest.mark.row("F2", "kill -9 the worker's pool processes in the middle of a batch")
def test_a_killed_pool_process(rig: Rig) -> None:
    worker = start_a_batch(rig)
    killed = rig.pool(worker)
    for pid in killed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    rig.extra_allowed = len(killed) * rig.settings.connections
    rig.sender()
    with rig.beat():
        rig.drain(900)


def crash(rig: Rig, place: str) -> None:
    """A sender that dies at this place."""
    doomed = rig.sender(CRASH_AT=place)
    assert doomed.wait(60) == -signal.SIGKILL


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.long
@pytest.mark.row("F3", "crash after the claim")
def test_a_crash_after_the_claim(rig: Rig) -> None:
    crash(rig, "claimed")
    assert rig.mail_server.count() == 0
    rig.sender()
    rig.drain(170)


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.row("F4", "crash after the body, before the dot")
def test_a_crash_before_the_dot(rig_of: Make) -> None:
    rig = rig_of(connections=4)
    crash(rig, "body_sent")
    assert rig.mail_server.count() == 0
    rig.sender()
    rig.drain(170)


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.long
@pytest.mark.row("F6", "crash after the dot, before the answer")
def test_a_crash_after_the_dot(rig: Rig) -> None:
    crash(rig, "dot")
    rig.extra_allowed = 1
    rig.sender()
    rig.drain(900)


@pytest.mark.kill
@pytest.mark.both
@pytest.mark.row("F7", "crash after the answer, before it is recorded")
def test_a_crash_after_the_answer(rig: Rig) -> None:
    crash(rig, "reply")
    rig.extra_allowed = 1
    rig.sender()
    rig.drain(900)


@pytest.mark.row("F7", "the same with 8 connections (D <= 8)")
def test_a_crash_after_eight_answers(rig_of: Make) -> None:
    rig = rig_of(connections=8)
    crash(rig, "reply")
    rig.extra_allowed = 8
    rig.sender()
    rig.drain(900)


@pytest.mark.row("F8", "crash after the dot, twice on one mail")
def test_a_mail_in_doubt_twice(rig_of: Make) -> None:
    rig = rig_of(members=1)
    rig.expect(0, State.UNKNOWN)
    rig.extra_allowed = 1
    crash(rig, "dot")
    doomed = rig.sender(CRASH_AT="dot")
    assert doomed.wait(rig.seconds(700)) == -signal.SIGKILL
    rig.sender()
    rig.drain(700)
    assert any("unknown" in alert for alert in rig.alerts())


@pytest.mark.row("F9", "TERM, TERM twice, QUIT or INT in the middle of a batch")
def test_a_worker_that_is_told_to_stop(rig_of: Make) -> None:
    rig = rig_of(members=10)  # so that they fit into the 6 s that QUIT leaves here
    worker = start_a_batch(rig)
    how = rig.random.choice([["TERM"], ["TERM", "TERM"], ["QUIT"], ["INT"]])
    for name in how:
        worker.send_signal(signal.Signals[f"SIG{name}"])
        time.sleep(0.3)
    worker.wait(rig.seconds(900))
    states = set(rig.states())
    assert states <= {State.ACCEPTED, State.READY}, f"{how}: {states}"
    rig.sender()
    rig.drain(120)


@pytest.mark.both
@pytest.mark.row("F10", "SIGSTOP before the body for longer than the lease, then CONT")
def test_a_sender_that_slept_before_the_dot(rig_of: Make) -> None:
    rig = rig_of(members=5)
    sender = rig.sender()
    slept: list[float] = []

    def stop_at_354(_line: Line, data: bytes) -> None:
        if b"354" in data and not slept:
            slept.append(time.monotonic())
            sender.send_signal(signal.SIGSTOP)

    rig.wire.from_server = stop_at_354
    rig.until(lambda: slept, "the sender sleeps", 60)
    rig.pause(110)
    rig.sender()
    rig.drain(300)
    sender.send_signal(signal.SIGCONT)
    time.sleep(3)


@pytest.mark.only("postgresql")
@pytest.mark.row("F10", "SIGSTOP between body and dot for longer than the lease, then CONT")
def test_a_sender_that_slept_between_body_and_dot(rig_of: Make) -> None:
    rig = rig_of(members=5)
    sender = rig.sender()
    slept: list[Line] = []
    woken = threading.Event()

    def stop_at_the_mark(line: Line, data: bytes) -> None:
        line.seen = (line.seen + data)[-20000:]
        if marks(line) and not slept:
            slept.append(line)
            sender.send_signal(signal.SIGSTOP)
            woken.wait(120)

    rig.to_database.from_client = stop_at_the_mark
    rig.until(lambda: slept, "the sender sleeps", 60)
    rig.pause(110)
    rig.sender()
    rig.drain(300)
    woken.set()
    sender.send_signal(signal.SIGCONT)
    rig.until(lambda: "another sender has it" in rig.logs("sender"), "fencing", 30)


def marks(line: Line) -> bool:
    """Whether this connection is about to mark a mail as in doubt, with its bytes."""
    return b"in_doubt" in line.seen and b"x\x01" in line.seen


@pytest.mark.row("F12", "worker stopped, mails queued, worker killed: the broker loses the message")
def test_a_message_that_the_broker_lost(rig: Rig) -> None:
    worker = rig.worker()
    os.killpg(worker.pid, signal.SIGSTOP)
    rig.call("daily_progress_reminder")
    rig.call("tick")
    time.sleep(1)
    rig.end(worker)
    rig.worker()
    with rig.beat():
        rig.drain(90)


@pytest.mark.row("F13", "beat is dead from 08:55 to 09:40")
def test_beat_was_away_at_nine(rig_of: Make) -> None:
    rig = rig_of(clock=NINE - timedelta(minutes=5))
    worker = rig.worker()
    rig.call("tick")
    time.sleep(2)
    assert rig.states() == []
    rig.end(worker, signal.SIGTERM)
    rig.set_clock(NINE + timedelta(minutes=40))
    rig.worker()
    with rig.beat():
        rig.drain(300)


@pytest.mark.row("F14", "beat is dead all day, the timer runs")
def test_the_timer_alone(rig_of: Make) -> None:
    rig = rig_of(clock=NINE + timedelta(minutes=5))
    rig.sender()
    rig.drain(60)


@pytest.mark.row("F15", "nothing ticks until 10:00 of the next day")
def test_a_whole_day_without_a_tick(rig_of: Make) -> None:
    rig = rig_of(clock=NINE + timedelta(hours=25))
    rig.due = {Due(one.address, DAY + timedelta(days=1)): ends for one, ends in rig.due.items()}
    rig.sender()
    rig.drain(60)
    with rig.db.read() as session:
        of_day_one = select(DecisionRow.reason).where(DecisionRow.local_date == DAY)
        assert list(session.scalars(of_day_one)) == ["expired"] * rig.settings.members


@pytest.mark.row("F62", "400 mails, 4 senders, one killed every 2 s")
def test_a_backlog_with_senders_dying(rig_of: Make) -> None:
    rig = rig_of(members=400, connections=4)
    rig.allow_many()
    rig.wire.delay = 0.02
    senders = [rig.sender() for _ in range(4)]
    rig.until_sending()
    killed = 0
    for _ in range(3):
        time.sleep(2 * rig.random.uniform(0.3, 1))
        victim = senders.pop(0)
        assert rig.peak_megabytes(victim) < 300
        rig.end(victim)
        killed += 1
        senders.append(rig.sender())
    rig.extra_allowed = killed * rig.settings.connections
    rig.drain(1500)
