"""Twenty members at nine: from the tick job to the last mail accepted, in a real, warm worker.

Measured from before the job is put on the queue until the database says that all are accepted: so
Redis, the tick, the second job that delivers, and the mail server are all in it.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from celery import Celery
from sqlalchemy import func, select, update

from app.config.sources import HOME
from app.db import Database
from app.models import Member, OutboxMail, State
from bench.members import NOW
from tests import servers
from tests.stack import CELERY

PROJECT = Path(__file__).parents[1]
TEAM = 20
APP = CELERY[2]
WARM_UPS, MEASURED = 4, 5  # a worker of two processes: both have sent before
GIVE_UP = 60.0  # seconds


def measure(environ: Mapping[str, str], folder: Path) -> dict[str, float]:
    """Seconds for one team: the middle and the longest of MEASURED mornings."""
    with closing(Database(environ["DATABASE_URL"])) as database, worker(environ, folder):
        queue = Celery(broker=environ["CELERY_BROKER_URL"])
        teams = [team(database, queue, number)[-1] for number in range(WARM_UPS + MEASURED)]
        queue.close()
    return {"middle": statistics.median(teams[WARM_UPS:]), "longest": max(teams[WARM_UPS:])}


def members() -> int:
    """How many members the database must have, besides those who warm a sender up."""
    return TEAM * (WARM_UPS + MEASURED)


@contextmanager
def worker(
    environ: Mapping[str, str],
    folder: Path,
    *,
    app: str = APP,
    queue: str = "mail",
    processes: int = 2,
) -> "Iterator[subprocess.Popen[bytes]]":
    """A worker for whom it is just past nine, ready; that of the ai queue yields, as its unit does."""
    log = folder / f"worker-{queue}.log"
    offset = str((NOW - datetime.now(UTC)).total_seconds() + 1)
    settings = {**environ, "TEST_CLOCK_OFFSET": offset, "PYTHONPATH": str(PROJECT)}
    settings[HOME] = str(folder)
    yields = ["chrt", "--idle", "0", "nice", "-n", "19"] if queue == "ai" else []
    command = [*yields, CELERY[0], "-A", app, "worker", "-Q", queue, "-n", f"{queue}@localhost"]
    command += ["-c", str(processes)]
    environment = {"PATH": os.environ["PATH"], **settings}
    process = servers.spawn([*command, "-l", "INFO"], log, cwd=folder, env=environment)
    try:
        servers.wait_until(lambda: b" ready." in log.read_bytes(), f"the worker, see {log}", 60)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def team(database: Database, queue: Celery, number: int) -> list[float]:
    """Seconds from before the tick is queued to each of the 20 mails, as they are accepted."""
    first = number * TEAM
    with database.write() as session:
        ids = session.scalars(select(Member.id).order_by(Member.id).offset(first).limit(TEAM)).all()
        later = datetime(2026, 11, 26, tzinfo=UTC)
        session.execute(update(Member).where(Member.next_due_at <= NOW).values(next_due_at=later))
        session.execute(update(Member).where(Member.id.in_(ids)).values(next_due_at=NOW))
    began = time.monotonic()
    queue.send_task("app.tasks.notifications.tick", queue="mail")
    seconds: list[float] = []
    while len(seconds) < TEAM:
        now, known = time.monotonic() - began, _accepted(database) - first
        seconds += [now] * (known - len(seconds))
        if now > GIVE_UP:
            raise RuntimeError("the team's mails were not accepted")
        time.sleep(0.002)  # it would take the worker's time if it looked without a pause
    return seconds


def _accepted(database: Database) -> int:
    with database.read() as session:
        of_state = select(func.count()).where(OutboxMail.state == State.ACCEPTED)
        return session.scalars(of_state.select_from(OutboxMail)).one()
