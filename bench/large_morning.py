"""A large morning through the real road: the tick, the queue, the processes of a mail worker.

So many members are due at nine. Measured from before the tick is put on the queue until the last
mail is accepted: deciding is in it, and so are Redis and the ticks of the minutes that follow. When
half of the mails are accepted somebody asks for a sign-in mail. The plain loop of smtplib runs
right before each morning, because the machine is shared. `python -m bench.large_morning`, `--due`,
`--senders`; `make bench-morning`.
"""

import argparse
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery import Celery
from sqlalchemy import func, select

from app.config import load
from app.db import Database
from app.members import sign_in
from app.models import OPEN, Kind, OutboxMail, State
from app.queue.application import make_celery
from app.queue.publishing import QUEUE, TICK, publisher
from app.services import Services, make
from bench import members, morning, report
from bench.delivery import PEER_MAILS, Bench, Case, _flush, _servers, machine
from bench.rig import Missing, beside

RESULTS = Path(__file__).parent / "results" / "large_morning.json"
DUE = (20_000, 200_000)
SENDERS = (1, 2, 4)
CONNECTIONS = 32
EVERY = 60.0  # seconds between two ticks, as beat has it
GIVE_UP = 1_800.0  # seconds
LOOK_EVERY = 0.5  # seconds; each look costs the database what a few mails cost
GROWS_AT_MOST = 1.25
MIB_AT_MOST = 400
SIGN_IN_WITHIN = 5.0  # seconds
TIMES_SMTPLIB = 5.0  # with two senders


@dataclass(frozen=True)
class Morning:
    """One morning, and the plain loop's mails per second right before it."""

    due: int
    senders: int
    seconds: float  # from the tick to the last mail
    first: float  # to the first one
    sign_in: float
    peak_mib: float  # of the largest process of the worker
    smtplib: float

    @property
    def rate(self) -> float:
        """Mails per second, deciding included."""
        return self.due / self.seconds

    @property
    def times(self) -> float:
        """Times the plain loop."""
        return self.rate / self.smtplib


def measure(bench: Bench, due: int, senders: int) -> Morning:
    """Plays one morning."""
    loop = bench.measure(Case("smtplib", "", PEER_MAILS, 1)).rate
    environ = bench._environ(bench.copy("postgresql", f"due_{due}"), CONNECTIONS, bench.smtp_port)
    _flush(bench.redis)
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(morning.worker(environ, bench.folder, processes=senders))
        config = load(environ, bench.folder)
        services = make(config, publisher(celery := make_celery(config), 1))
        stack.callback(services.db.close)
        began = time.monotonic()
        stack.enter_context(_ticking(celery))
        _until_accepted(services, began, (due + members.WARM) // 2)
        waited = _sign_in(services, began)
        _until_accepted(services, began, due + members.WARM + 1)
        seconds = time.monotonic() - began
        found = {"due": due, "senders": senders, "seconds": seconds, "sign_in": waited}
        found["first"] = seconds - _from_first_to_last(services.db)
        found["peak_mib"] = max(_peak_mib(pid) for pid in [worker.pid, *_children(worker.pid)])
    return Morning(**found, smtplib=loop)  # type: ignore[arg-type] # numbers all


@contextlib.contextmanager
def _ticking(celery: Celery) -> Iterator[None]:
    """As beat: now, and each minute."""

    def ticks(over: threading.Event) -> None:
        celery.send_task(TICK, queue=QUEUE, expires=50)
        while not over.wait(EVERY):
            celery.send_task(TICK, queue=QUEUE, expires=50)

    with beside(ticks):
        yield


def _until_accepted(services: Services, began: float, number: int) -> None:
    while (left := number - _ended(services.db)) > 0:
        if time.monotonic() - began > GIVE_UP:
            raise RuntimeError(f"{left} mails are not accepted")
        time.sleep(LOOK_EVERY if left > 1_000 else LOOK_EVERY / 10)


def _ended(database: Database) -> int:
    """How many mails have ended, without counting those."""
    with database.read() as session:
        first, last, still_open = session.execute(
            select(
                func.min(OutboxMail.id),
                func.max(OutboxMail.id),
                select(func.count()).select_from(OutboxMail).where(OPEN).scalar_subquery(),
            )
        ).one()
    return 0 if first is None else int(last - first + 1 - still_open)


def _sign_in(services: Services, began: float) -> float:
    """Seconds from asking, as the page does, to the mail's acceptance."""
    asked = time.monotonic()
    sign_in.ask(services, "member1@example.jp", "/", members.NOW + timedelta(seconds=asked - began))
    mine = select(OutboxMail.state).where(OutboxMail.kind == Kind.SIGN_IN)
    while True:
        with services.db.read() as session:
            if session.scalar(mine.order_by(OutboxMail.id.desc()).limit(1)) == State.ACCEPTED:
                return time.monotonic() - asked
        time.sleep(0.02)


def _from_first_to_last(database: Database) -> float:
    with database.read() as session:
        first, last, accepted = session.execute(
            select(
                func.min(OutboxMail.accepted_at),
                func.max(OutboxMail.accepted_at),
                func.count(OutboxMail.accepted_at),
            )
        ).one()
        if (
            first is None
            or last is None
            or accepted != session.scalar(select(func.count()).select_from(OutboxMail))
        ):
            raise RuntimeError("not all mails were accepted")
    return float((last - first).total_seconds())


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# --- what is said of it -----------------------------------------------------------------------

HEAD = (
    "| due | sender processes | mails/s | times smtplib | tick to last | to first "
    "| sign-in mail in the middle | largest process |\n"
    "|--:|--:|--:|--:|--:|--:|--:|--:|\n"
)


def table(mornings: list[Morning]) -> str:
    """All mornings as a Markdown table, and what was wanted of them."""
    rows = [
        f"| {one.due:,} | {one.senders} | {one.rate:,.0f} | {one.times:.1f} ({one.smtplib:,.0f}) "
        f"| {one.seconds:,.1f} s | {one.first:.1f} s | {one.sign_in:.1f} s "
        f"| {one.peak_mib:.0f} MiB |\n"
        for one in mornings
    ]
    return HEAD + "".join(rows) + "\n" + "".join(f"- {line}\n" for line in verdicts(mornings))


def verdicts(mornings: list[Morning]) -> list[str]:
    """Each target with what was measured."""
    said = []
    by = {(one.due, one.senders): one for one in mornings}
    for one in mornings:
        small = by.get((one.due // 10, one.senders))
        if small is not None:
            grown = one.seconds / (10 * small.seconds)
            said.append(
                f"{one.due:,} with {one.senders}: {grown:.2f} times ten times {small.due:,} "
                f"(at most {GROWS_AT_MOST}): {_met(grown <= GROWS_AT_MOST)}"
            )
        if one.senders == 2:
            said.append(
                f"{one.due:,} with 2: {one.times:.1f} times smtplib (aim {TIMES_SMTPLIB:.0f}): "
                f"{_met(one.times >= TIMES_SMTPLIB)}"
            )
    most, slowest = max(one.peak_mib for one in mornings), max(one.sign_in for one in mornings)
    said.append(
        f"largest process {most:.0f} MiB (at most {MIB_AT_MOST}): {_met(most <= MIB_AT_MOST)}"
    )
    within = _met(slowest <= SIGN_IN_WITHIN)
    said.append(f"sign-in mail {slowest:.1f} s (at most {SIGN_IN_WITHIN:.0f}): {within}")
    return said


def _met(well: bool) -> str:
    return "met" if well else "**missed**"


def main() -> int:
    """The command; 0 also where smtp-sink is missing, as there is nothing to measure then."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--due", type=int, action="append", help="members due; may be repeated")
    arguments.add_argument("--senders", type=int, action="append", help="may be repeated")
    given = arguments.parse_args()
    sizes, senders = given.due or list(DUE), given.senders or list(SENDERS)
    try:
        with _servers() as bench:
            bench.prepare("sqlite", 20)  # the plain loop takes its words from there
            mornings = []
            for due in sizes:
                bench.prepare_due("postgresql", due)
                for number in senders:
                    mornings.append(measure(bench, due, number))
                    sys.stderr.write(f"{mornings[-1]} {mornings[-1].rate:.0f}/s\n")
            about = {**machine(bench.postgresql), "load": round(os.getloadavg()[0], 1)}
    except Missing as error:
        sys.stderr.write(f"Not measured / 測定しませんでした: {error}\n")
        return 0
    sys.stdout.write(table(mornings))
    if not (given.due or given.senders):
        date = datetime.now(UTC).date().isoformat()
        results = {"date": date, "machine": about, "mornings": [asdict(one) for one in mornings]}
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        report.write_morning(date, about, table(mornings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
