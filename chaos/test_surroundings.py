"""What is around the programs: the folder they stand in, the disk of their logs, the calendar."""

import os
import signal
from collections import Counter
from datetime import date, datetime, time, timedelta
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app.compose import show_date
from app.models import DecisionRow, State
from chaos.checker import ACCEPTED, Due
from chaos.conftest import Make
from chaos.rig import NINE, Rig
from tests.stack import CELERY, PYTHON

TOKYO = ZoneInfo("Asia/Tokyo")
NOBODY = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@pytest.mark.row("F17", "working directory read-only, with the schedule file of another version")
def test_a_read_only_folder(rig_of: Make) -> None:
    """Beat keeps no file, so that there is none to corrupt; it ticks at the next full minute."""
    rig = rig_of(clock=NINE - timedelta(minutes=2))
    rig.cwd = rig.folder / "read-only"
    rig.cwd.mkdir()
    for name in ("celerybeat-schedule", "celerybeat-schedule.db", "celerybeat.pid"):
        (rig.cwd / name).write_bytes(b"\x00of another version")
    rig.cwd.chmod(0o555)
    if os.geteuid() == 0:
        rig.account = (*NOBODY, "setpriv", "--pdeathsig", "KILL")
    if rig.once("sh", "-c", "echo x > there", check=False).returncode == 0:
        pytest.skip("this account may write everywhere, and no other can be taken")
    rig.set_clock(NINE)
    rig.worker()
    rig.beat()
    rig.until(lambda: "Sending due task tick" in rig.logs("beat"), "beat ticks", 60 / rig.scale)
    rig.drain()
    assert not any(word in rig.logs() for word in ("Traceback", "exception="))


def to_full_disk(*command: str) -> tuple[str, ...]:
    """The command with all it says going to a disk that is full."""
    return ("sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh", *command)


@pytest.mark.both
@pytest.mark.row("F38", "the log's disk is full: worker and beat")
def test_a_worker_that_cannot_log(rig: Rig) -> None:
    worker = rig.start("full", *to_full_disk(*CELERY, "worker", "-Q", "mail", "-c", "2"))
    beat = rig.start("full", *to_full_disk(*CELERY, "beat", "-l", "INFO"))
    with rig.ticking():
        rig.drain()
        rig.until(lambda: "cannot be written" in status_of(rig), "status says so")
    assert (worker.poll(), beat.poll()) == (None, None)
    rig.end(worker, signal.SIGTERM)
    rig.worker()
    with rig.ticking():
        rig.until(lambda: "cannot be written" not in status_of(rig), "status says that it is over")


@pytest.mark.row("F38", "the log's disk is full: the timer")
def test_a_timer_that_cannot_log(rig: Rig) -> None:
    rig.once(*to_full_disk(PYTHON, "-m", "app.cli", "tick"), check=False)
    rig.drain()
    assert "cannot be written" in status_of(rig)
    rig.once(PYTHON, "-m", "app.cli", "tick")
    assert "cannot be written" not in status_of(rig)


def status_of(rig: Rig) -> str:
    """What an operator reads."""
    return rig.once(PYTHON, "-m", "app.cli", "status").stdout


MIDNIGHTS = [  # the day that ends, and the reason why the next one has no mail
    (date(2026, 11, 24), None),
    (date(2026, 12, 31), "holiday"),  # New Year
    (date(2028, 2, 28), None),  # before a 29 February
    (date(2028, 2, 29), None),
]


@pytest.mark.row(
    "F58", "a worker runs through midnight: any day, year end, to and from 29 February"
)
def test_through_midnight(rig_of: Make, seed: int) -> None:
    """Half of the members have their hour a minute before midnight, the others at midnight."""
    day, reason = MIDNIGHTS[seed % len(MIDNIGHTS)]
    midnight = datetime.combine(day + timedelta(days=1), time(), TOKYO)
    rig = rig_of(
        day=day,
        clock=midnight - timedelta(seconds=20),
        values=lambda number: {
            "notify_at": time(23, 59) if number % 2 else time(0, 0),
            "decided_through": day - timedelta(days=1 if number % 2 else 0),
        },
    )
    rig.due = {}
    for number in range(rig.settings.members):
        if number % 2:  # what is not sent before midnight is too late
            rig.due[Due(rig.address(number), day)] = {State.ACCEPTED, State.EXPIRED}
        elif reason is None:
            rig.due[Due(rig.address(number), day + timedelta(days=1))] = ACCEPTED
    rig.wire.delay = 0.6  # some of the mails are left at midnight
    rig.worker()
    with rig.ticking():
        rig.until(lambda: rig.clock() > midnight, "midnight")
        rig.wire.delay = 0
        rig.drain()
    rig.until(lambda: len(reasons_of(rig, midnight.date())) == 10, "the next day's decisions")
    assert reasons_of(rig, midnight.date()) == [reason] * 10
    assert_dates(rig)


def reasons_of(rig: Rig, day: date) -> list[str | None]:
    """Why there was no mail on that date, for each decision; None where there was one."""
    with rig.db.read() as session:
        return list(
            session.scalars(select(DecisionRow.reason).where(DecisionRow.local_date == day))
        )


@pytest.mark.row("F58", "weekly members in ISO week 53 and the week after, ticks each day")
def test_week_53(rig_of: Make) -> None:
    """2026 has a week 53, of which Friday is a holiday and Saturday is in the next year."""
    monday = date(2026, 12, 28)
    weekdays = [0, 2, 4, 6]  # Friday and Sunday are no workdays: Monday to Thursday instead
    rig = rig_of(
        day=monday,
        clock=datetime.combine(monday, time(9, 1), TOKYO),
        values=lambda number: {"notify_frequency": "weekly", "weekly_day": weekdays[number % 4]},
    )
    rig.due = {}
    chosen = {0: monday, 2: date(2026, 12, 30), 4: date(2026, 12, 31), 6: date(2026, 12, 31)}
    for number in range(rig.settings.members):
        weekday = weekdays[number % 4]
        rig.due[Due(rig.address(number), chosen[weekday])] = ACCEPTED
        if weekday == 0:
            rig.due[Due(rig.address(number), monday + timedelta(weeks=1))] = ACCEPTED
    for days in range(8):  # Monday of week 53 to Monday of week 1
        rig.set_clock(datetime.combine(monday + timedelta(days=days), time(9, 1), TOKYO))
        rig.once(PYTHON, "-m", "app.cli", "tick")
    weeks = Counter((row.to_addr, row.local_date.isocalendar()[:2]) for row in rig.rows())
    assert set(weeks.values()) == {1}
    assert_dates(rig)


def assert_dates(rig: Rig) -> None:
    """Each letter names the local date that was planned, and was written on it."""
    by_id = {row.message_id: row for row in rig.rows()}
    for mail in rig.mail_server.mails():
        letter = message_from_bytes(mail.data, policy=policy.default)
        day = by_id[str(letter["Message-ID"])].local_date
        shown = {show_date(day, "ja"), show_date(day, "en")}
        assert any(str(letter["Subject"]).endswith(one) for one in shown), letter["Subject"]
        assert parsedate_to_datetime(letter["Date"]).astimezone(TOKYO).date() == day
