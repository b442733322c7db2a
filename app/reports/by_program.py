"""A report that a program makes with its owner's token, on one of the owner's tasks."""

from datetime import datetime

from app.compose.text import inert
from app.models import Via
from app.people.lookup import active_person
from app.reports.from_mail import FilledReport
from app.reports.progress import Recorded, record
from app.services import Services


def report(
    services: Services,
    member_id: int,
    filled: FilledReport,
    now: datetime,
    *,
    via: Via,
    token_id: int,
) -> Recorded:
    """As from a page: the same date that it counts for, `done` closes the task.

    Raises NoSuchMember; NoSuchTask for a task that is not theirs, or was cancelled.
    """
    with services.db.write() as session:
        return record(
            session,
            active_person(session, services.config, member_id),
            filled.ref,
            percent=filled.percent,
            status=filled.status,
            text="\n".join(map(inert, filled.text.splitlines())).strip(),
            now=now,
            via=via,
            token_id=token_id,
        )
