"""Senders that die, stop and are told to stop, at any moment."""

import os
import signal
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.models import ENDS, DecisionRow, State
from chaos.checker import Due
from chaos.conftest import Make
from chaos.proxy import Line
from chaos.rig import DAY, HANG, NINE, Rig
from tests.fork_server import Part

MANY = 200  # mails of a batch
ROUND = b"WITH answered"  # the statement that marks a round in doubt; it is its own commit


def slow(rig: Rig) -> None:
    """The mail server's answers take a while, so that a fault can come between any two of them."""
    rig.wire.delay = 0.03


def start_a_batch(rig: Rig) -> Part:
    """A worker in the middle of its mails: some accepted, at least one in ten is still to come."""
    slow(rig)
    rig.allow_many()
    worker = rig.worker()
    reached = rig.random.uniform(0, 0.8) * rig.settings.members
    with rig.ticking():
        rig.until_sending()
        rig.until(lambda: rig.mail_server.count() >= reached, "the middle")
    return worker


def still_to_come(rig: Rig) -> int:
    """How many mails have not ended; a row about the middle of a batch needs some."""
    left = sum(state not in ENDS for state in rig.states())
    assert left >= rig.settings.members // 20, "the batch was over before the fault"
    return left


def recover(rig: Rig) -> None:
    """A new worker and the timer; all is done within 3 minutes, what is in doubt within 14."""
    rig.worker()
    rig.sender()
    with rig.ticking():
        rig.until(lambda: not of_no_sender(rig), "all but what is in doubt", within=180)
        rig.drain(within=900)


def of_no_sender(rig: Rig) -> list[str]:
    """The states of mails that have not ended and are not in doubt."""
    return [state for state in rig.states() if state in {State.READY, State.SENDING}]


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.row("F1", "kill -9 the worker's parent in the middle of 200 mails")
def test_a_killed_worker(rig_of: Make) -> None:
    rig = rig_of(members=MANY)
    worker = start_a_batch(rig)
    senders = rig.pool(worker)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    still_to_come(rig)
    rig.extra_allowed = len(senders) * rig.settings.connections
    recover(rig)


@pytest.mark.kill
@pytest.mark.both
@pytest.mark.row("F1", "the same with 8 connections")
def test_a_killed_worker_with_many_connections(rig_of: Make) -> None:
    rig = rig_of(members=MANY, connections=8)
    worker = start_a_batch(rig)
    senders = rig.pool(worker)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    still_to_come(rig)
    rig.extra_allowed = len(senders) * rig.settings.connections
    recover(rig)


@pytest.mark.kill
@pytest.mark.both
@pytest.mark.row("F2", "kill -9 the worker's pool processes in the middle of 200 mails")
def test_a_killed_pool_process(rig_of: Make) -> None:
    rig = rig_of(members=MANY)
    worker = start_a_batch(rig)
    killed = rig.pool(worker)
    for pid in killed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    rig.extra_allowed = len(killed) * rig.settings.connections
    still_to_come(rig)
    rig.sender()
    with rig.ticking():
        rig.drain(within=900)


def crash(rig: Rig, place: str) -> None:
    """A sender that dies at this place."""
    doomed = rig.sender(CRASH_AT=place)
    assert doomed.wait(HANG) == -signal.SIGKILL


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.long
@pytest.mark.row("F3", "crash after the claim")
def test_a_crash_after_the_claim(rig: Rig) -> None:
    crash(rig, "claimed")
    assert rig.mail_server.count() == 0
    rig.sender()
    rig.drain(within=170)


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.row("F4", "crash after the body, before the dot")
def test_a_crash_before_the_dot(rig_of: Make) -> None:
    rig = rig_of(connections=4)
    crash(rig, "body_sent")
    assert rig.mail_server.count() == 0
    rig.sender()
    rig.drain()


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.long
@pytest.mark.row("F6", "crash after the dot, before the answer")
def test_a_crash_after_the_dot(rig: Rig) -> None:
    crash(rig, "dot")
    rig.extra_allowed = 1
    rig.sender()
    rig.drain()


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.both
@pytest.mark.row("F7", "crash after the answer, before it is recorded")
def test_a_crash_after_the_answer(rig: Rig) -> None:
    crash(rig, "reply")
    rig.extra_allowed = 1
    rig.sender()
    rig.drain()


@pytest.mark.row("F7", "the same with 8 connections (D <= 8)")
def test_a_crash_after_eight_answers(rig_of: Make) -> None:
    rig = rig_of(connections=8)
    crash(rig, "reply")
    rig.extra_allowed = 8
    rig.sender()
    rig.drain()


@pytest.mark.row("F8", "crash after the dot, twice on one mail")
def test_a_mail_in_doubt_twice(rig_of: Make) -> None:
    rig = rig_of(members=1)
    rig.expect(0, State.UNKNOWN)
    rig.extra_allowed = 1
    crash(rig, "dot")
    doomed = rig.sender(CRASH_AT="dot")
    assert doomed.wait(HANG + rig.seconds(700)) == -signal.SIGKILL
    rig.sender()
    rig.drain()
    assert any("unknown" in alert for alert in rig.alerts())


@pytest.mark.row("F9", "TERM, TERM twice, QUIT or INT in the middle of a batch")
def test_a_worker_that_is_told_to_stop(rig_of: Make) -> None:
    rig = rig_of(members=10)  # so that they fit into the 6 s that QUIT leaves here
    worker = start_a_batch(rig)
    how = rig.random.choice([["TERM"], ["TERM", "TERM"], ["QUIT"], ["INT"]])
    for name in how:
        worker.send_signal(signal.Signals[f"SIG{name}"])
        time.sleep(0.3)
    worker.wait(HANG + rig.seconds(900))
    states = set(rig.states())
    assert states <= {State.ACCEPTED, State.READY}, f"{how}: {states}"
    rig.sender()
    rig.drain()


@pytest.mark.both
@pytest.mark.row("F10", "SIGSTOP before the body for longer than the lease, then CONT")
def test_a_sender_that_slept_before_the_dot(rig_of: Make) -> None:
    rig = rig_of(members=5)
    slept: list[float] = []

    def stop_at_354(_line: Line, data: bytes) -> None:
        if b"354" in data and not slept:
            slept.append(time.monotonic())
            rig.parts[0].send_signal(signal.SIGSTOP)

    rig.wire.from_server = stop_at_354
    sender = rig.sender()
    rig.until(lambda: slept, "the sender sleeps")
    rig.pause(110)
    rig.sender()
    rig.drain()
    sender.send_signal(signal.SIGCONT)
    time.sleep(3)


@pytest.mark.only("postgresql")
@pytest.mark.row("F10", "SIGSTOP between body and dot for longer than the lease, then CONT")
def test_a_sender_that_slept_between_body_and_dot(rig_of: Make) -> None:
    rig = rig_of(members=5)
    slept: list[Line] = []
    woken = threading.Event()

    def stop_at_the_mark(line: Line, data: bytes) -> None:
        if ROUND in data and not slept:
            slept.append(line)
            rig.parts[0].send_signal(signal.SIGSTOP)
            woken.wait(120)

    rig.to_database.from_client = stop_at_the_mark
    sender = rig.sender()
    rig.until(lambda: slept, "the sender sleeps")
    rig.pause(110)
    rig.sender()
    rig.drain()
    woken.set()
    sender.send_signal(signal.SIGCONT)
    rig.until_said(sender, "0 of 5 accepted")  # fenced: it has no mail left to give a dot


@pytest.mark.row("F12", "worker stopped, mails queued, worker killed: the broker loses the message")
def test_a_message_that_the_broker_lost(rig: Rig) -> None:
    worker = rig.worker()
    os.killpg(worker.pid, signal.SIGSTOP)
    rig.call("daily_progress_reminder")
    rig.call("tick")
    time.sleep(1)
    rig.end(worker)
    rig.worker()
    with rig.ticking():
        rig.drain(within=90)


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
    with rig.ticking():
        rig.drain(within=300)


@pytest.mark.row("F14", "beat is dead all day, the timer runs")
def test_the_timer_alone(rig_of: Make) -> None:
    rig = rig_of(clock=NINE + timedelta(minutes=5))
    rig.sender()
    rig.drain(within=300)


@pytest.mark.row("F15", "nothing ticks until 10:00 of the next day")
def test_a_whole_day_without_a_tick(rig_of: Make) -> None:
    rig = rig_of(clock=NINE + timedelta(hours=25))
    rig.due = {Due(one.address, DAY + timedelta(days=1)): ends for one, ends in rig.due.items()}
    rig.sender()
    rig.drain()
    with rig.db.read() as session:
        of_day_one = select(DecisionRow.reason).where(DecisionRow.local_date == DAY)
        assert list(session.scalars(of_day_one)) == ["expired"] * rig.settings.members


@pytest.mark.row("F62", "2,000 mails, 4 workers, 2 dispatchers, one worker killed every 30 s")
def test_a_backlog_with_workers_dying(rig_of: Make) -> None:
    rig = rig_of(members=2000, connections=2)
    rig.allow_many()
    rig.wire.delay = 0.05
    workers = [rig.worker(processes=1, wait=False) for _ in range(4)]
    for worker in workers:
        rig.until_said(worker, " ready.")
    with rig.ticking(), rig.ticking():
        rig.until_sending()
        for _ in range(6):
            time.sleep(30 * rig.scale * rig.random.uniform(0.5, 1.5))
            victim = workers.pop(0)
            assert 0 < rig.peak_megabytes(victim) < 300
            rig.extra_allowed += len(rig.pool(victim)) * rig.settings.connections
            rig.end(victim)
            workers.append(rig.worker(processes=1))
        still_to_come(rig)
        rig.drain()
        assert all(0 < rig.peak_megabytes(worker) < 300 for worker in workers)
