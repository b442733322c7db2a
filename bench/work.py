"""What is measured, in a process of its own: warmed up first, then started by the word "go".

The warm-up sends the first WARM mails, as a worker has done that ran this morning already.
"""

import json
import logging
import os
import resource
import signal
import smtplib
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import event, select

from app import reminders
from app.config import load
from app.letters import read_again
from app.mime.message import MailMessage
from app.models import OutboxMail
from app.outbox.claim import claim
from app.outbox.mail_channel import MailChannel
from app.outbox.precheck import Send
from app.queue.publishing import IDS_PER_MESSAGE
from app.services import Services, make
from app.util import logs
from bench.members import EARLIER, NOW, WARM
from tests import sending

PREPARED = 500  # letters that the plain loop sends over and over: their words cost it nothing

Run = Callable[[], int]


def main(task: dict[str, Any]) -> None:
    """Does one task and writes what it took as one line of JSON."""
    log = logging.FileHandler(os.environ.get("BENCH_LOG", os.devnull))
    logs.install("text", handler=log)  # a worker logs what it sends
    services = make(load(task["environ"], Path(task["folder"])))
    commits = _count_commits(services)
    run = PREPARE[task["what"]](services, task)
    commits.clear()
    _say("ready")
    sys.stdin.readline()
    if task["profile"]:
        run = _profiled(run)
    began, cpu = time.monotonic(), _processor()
    mails = run()
    ended, cpu = time.monotonic(), _processor() - cpu
    services.db.close()
    found = {"began": began, "ended": ended, "cpu": cpu, "mails": mails, "peak_kib": _peak()}
    _say(json.dumps({**found, "commits": len(commits)}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _processor() -> float:
    """Seconds of processor time, with those of children that have ended."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _peak() -> int:
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _count_commits(services: Services) -> list[None]:
    seen: list[None] = []
    event.listen(services.db.engine, "commit", lambda _: seen.append(None))
    return seen


def _profiled(run: Run) -> Run:
    """The same, and on standard error which functions were at work: a look every millisecond."""
    seen: Counter[str] = Counter()

    def look(_signal: int, frame: FrameType | None) -> None:
        names = set()
        while frame is not None:
            code = frame.f_code
            names.add(f"{'/'.join(code.co_filename.split('/')[-2:])} {code.co_qualname}")
            frame = frame.f_back
        seen.update(names)
        seen["looks"] += 1

    def profiled() -> int:
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        mails = run()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, times in seen.most_common(70):
            sys.stderr.write(f"{times / seen['looks']:6.1%}  {name}\n")
        return mails

    return profiled


def _now() -> datetime:
    return NOW


def _outbox_ids(services: Services) -> list[int]:
    with services.db.read() as session:
        return list(session.scalars(select(OutboxMail.id).order_by(OutboxMail.id)))


# --- ours -----------------------------------------------------------------------------------


def _from_ready(services: Services, task: dict[str, Any]) -> Run:
    """Mails that lie in the outbox; `part` of `parts` senders takes its share."""
    part, parts = task["part"]
    ids = _outbox_ids(services)[part::parts]
    sending.deliver(services, ids[:WARM], _now)
    return lambda: sending.deliver(services, ids[WARM:], _now)


def _from_due(services: Services, task: dict[str, Any]) -> Run:
    """Members whose hour has come: one process decides, as a tick does, and this one sends.

    What it hears of through the pipe it would hear of through Redis.
    """
    ours, theirs = Pipe()
    planner = get_context("spawn").Process(target=_planner, args=(task, theirs), daemon=True)
    planner.start()
    theirs.close()
    sending.deliver(services, ours.recv(), _now)

    def run() -> int:
        ours.send("go")
        accepted = 0
        while ids := ours.recv():
            accepted += sending.deliver(services, ids, _now)
        planner.join()
        return accepted

    return run


def _planner(task: dict[str, Any], pipe: Connection) -> None:
    services = make(load(task["environ"], Path(task["folder"])))
    pipe.send(reminders.plan(services, EARLIER).ids)
    pipe.recv()

    def publish(ids: Sequence[int]) -> None:
        for start in range(0, len(ids), IDS_PER_MESSAGE):
            pipe.send(ids[start : start + IDS_PER_MESSAGE])

    reminders.plan(services, NOW, publish=publish)
    pipe.send([])
    services.db.close()


# --- the plain loop ---------------------------------------------------------------------------


def _smtplib(services: Services, task: dict[str, Any]) -> Run:
    """EmailMessage and smtplib over one connection; the same words, already in memory."""
    with services.db.read() as session:
        ids = _outbox_ids(services)[:PREPARED]
        mails = claim(session, ids, "mail", now=NOW, scale=1, at_most=PREPARED)  # undone at the end
        letters = read_again(services, session, mails, NOW)
    channel = MailChannel(services)
    messages = [
        channel.complete(mail, letter.message)
        for mail, letter in zip(mails, letters, strict=True)
        if isinstance(letter, Send)
    ]
    smtp = smtplib.SMTP("127.0.0.1", services.config.smtp_port)
    _send(smtp, messages[0])

    def run() -> int:
        for number in range(task["mails"]):
            _send(smtp, messages[number % len(messages)])
        smtp.quit()
        return int(task["mails"])

    return run


def _send(smtp: smtplib.SMTP, words: MailMessage) -> None:
    mail = EmailMessage(policy=SMTP)
    mail["Date"] = format_datetime(NOW)
    mail["From"] = words.mail_from
    mail["To"] = words.to
    mail["Subject"] = words.subject
    mail["Message-ID"] = words.message_id
    for name, value in words.headers.items():
        mail[name] = value
    mail.set_content(words.text)
    mail.add_alternative(words.html, subtype="html")
    smtp.send_message(mail)


PREPARE = {"ready": _from_ready, "due": _from_due, "smtplib": _smtplib}

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
