"""The first nine days of a new team, as its people see them: every mail, and the lead's board.

Imported on a Sunday with the tasks' real dates. Nobody reports until Thursday evening, then everybody
does. The golden file is what was read and found kind; GOLDEN=write writes it anew.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app import tick
from app.access import sessions
from app.board import Wanted
from app.board.team import board
from app.compose import show_date
from app.imports.files import import_file
from app.models import Report, Task
from app.people.lookup import find
from app.services import Services
from tests.smtp_server import SmtpServer

pytestmark = pytest.mark.pages

GOLDEN = Path(__file__).parent / "golden" / "first-week.txt"
TOKYO = ZoneInfo("Asia/Tokyo")
SUNDAY = date(2026, 11, 29)
DAYS = [SUNDAY + timedelta(days=n) for n in range(1, 10)]
THURSDAY = DAYS[3]
LEAD = "yamada.aoi@example.jp"
MEMBERS = """\
email,name,role,team,manager_email,locale,timezone,notify_frequency,notify_at,weekly_day,quiet_hours_start,quiet_hours_end,active
yamada.aoi@example.jp,山田 葵,lead,営業,,,,,,,,,yes
kato.ren@example.jp,加藤 蓮,member,営業,yamada.aoi@example.jp,,,,,,,,yes
ito.mei@example.jp,伊藤 芽依,member,営業,yamada.aoi@example.jp,,,,,,,,yes
"""
TASKS = """\
ref,title,assignee_email,status,start_on,due_on,report_every
K-1,見積書のひな形,kato.ren@example.jp,open,2026-10-05,2026-12-11,daily
K-2,顧客台帳の整理,kato.ren@example.jp,open,2026-11-16,,weekly
I-1,展示会の準備,ito.mei@example.jp,open,2026-09-28,2026-12-04,daily
"""


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=TOKYO)


def standing(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment


def everybody_reports(services: Services, day: date) -> None:
    with services.db.write() as session:
        for task in session.scalars(select(Task)):
            session.add(
                Report(
                    task_id=task.id,
                    reporter_id=task.assignee_id,
                    counts_for=day,
                    percent=40,
                    status="on_track",
                    text="予定どおりです。",
                    created_at=at(day, 18),
                )
            )


def mails(smtp: SmtpServer, seen: int) -> Iterator[str]:
    """Each mail's text without its links, whose signatures are this run's."""
    for mail in sorted(smtp.mails[seen:], key=lambda one: one.recipient):
        message = message_from_bytes(mail.data, policy=policy.default)
        part = message.get_body(("plain",))
        assert part is not None
        text = part.get_content().replace("\r\n", "\n")
        text = re.sub(r"(?<=/r/)[\w-]+", "…", text)
        yield f"--- {mail.recipient}: {message['Subject']}\n{text.partition('-- ')[0].rstrip()}\n"


def on_the_board(services: Services, now: datetime) -> Iterator[str]:
    with services.db.write() as session:
        key = sessions.begin(session, find(session, LEAD), now)
    me = sessions.who(services, key, now)
    assert me is not None
    for one in board(services, me, Wanted(), now).shown:
        yield f"--- board: {one.row.facts.name} {one.row.standing} {one.row.silent}\n"


def test_the_first_days_are_kind_and_nobody_is_called_silent_for_days_before_the_import(
    services: Services, smtp: SmtpServer
) -> None:
    sunday = at(SUNDAY, 15)
    for what, data in (("members", MEMBERS), ("tasks", TASKS)):
        import_file(services, what, data.encode(), now=sunday)
    told: list[str] = []
    for day in DAYS:
        told.append(f"=== {show_date(day, 'ja', with_year=True)}\n")
        seen, nine = len(smtp.mails), at(day, 9)
        tick.run(services, nine)
        tick.deliver(services, standing(nine))
        told += [*mails(smtp, seen), *on_the_board(services, nine)]
        if day >= THURSDAY and day.weekday() < 5:
            everybody_reports(services, day)
    made = "\n".join(told)
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(made, encoding="utf-8")
    assert GOLDEN.read_text("utf-8") == made, "GOLDEN=write, then review the diff"
