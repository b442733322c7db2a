"""Retention: the text of old mails goes by itself, old decisions and mails on an operator's command.

Reports, tasks, members and the audit stay: they are the history that the pages show. What each
takes along is written down in docs/runbook.md.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from app import audit
from app.access import api_calls
from app.db import among, put
from app.imports import uploads
from app.models import (
    OPEN,
    Alert,
    ApiCall,
    Audit,
    DecisionRow,
    OutboxMail,
    Service,
    SignInLink,
    Upload,
    WebSession,
)
from app.refused import UnusableValue
from app.rules.workdays import DAY
from app.services import Services

KEPT = timedelta(days=30)  # nothing newer is ever removed
# A step of escalation stays longer: while a silence lasts, it is escalated once.
STEPS_KEPT = timedelta(days=366)
AT_ONCE = 500  # rows of one transaction
BODIES = "bodies"  # the name in `service`: up to which date the texts of mails are gone
BODIES_AT_ONCE = 1000  # of one tick


def newest(services: Services, now: datetime) -> date:
    """The newest date that `purge` takes: of what is at least 30 days old."""
    return services.config.day_of(now) - KEPT


def what_goes(services: Services, before: date, now: datetime) -> dict[str, int]:
    """How many rows `purge` would remove, by what they are. Raises UnusableValue as it does."""
    with services.db.read() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table).where(which)) or 0
            for name, (table, which) in _old(services, before, now).items()
        }


def purge(
    services: Services,
    before: date,
    *,
    who: str,
    now: datetime,
    progress: Callable[[int], None] = lambda _number: None,
) -> dict[str, int]:
    """Removes what belongs to local dates before `before`, and never a mail that is open.

    In transactions of 500 rows, so that no sender waits. `progress` is called for each. Raises
    UnusableValue for a date that is too new, DatabaseDown; what was removed by then stays so.
    """
    old = _old(services, before, now)
    data: dict[str, Any] = {"before": before.isoformat()}
    with services.db.write() as session:  # first: whatever ends it, the audit names the operator
        entry = audit.note(session, who=who, what="purge", now=now, **data)
        session.flush()
        entry_id = entry.id
    done = {}
    for name, (table, which) in old.items():
        done[name] = 0
        while number := _remove_some(services, table, which):
            done[name] += number
            progress(number)
    with services.db.write() as session:
        session.get_one(Audit, entry_id).data = data | done
    return done


def _old(
    services: Services, before: date, now: datetime
) -> dict[str, tuple[type[Any], ColumnElement[bool]]]:
    """The rows that go, mails before their decisions. Raises UnusableValue."""
    if before > (last := newest(services, now)):
        raise UnusableValue(
            f"{last} までの日付を指定してください(直近30日分は消しません)。",
            f"The date can be {last} or earlier: the last 30 days stay.",
        )
    instant = datetime.combine(before, time(), UTC)
    of_open_mails = select(OutboxMail.decision_id).where(OPEN, OutboxMail.decision_id.is_not(None))
    step = DecisionRow.slot == "escalation"
    return {
        "mails": (OutboxMail, and_(OutboxMail.local_date < before, ~OPEN)),
        "decisions": (
            DecisionRow,
            and_(
                DecisionRow.local_date < before,
                or_(~step, DecisionRow.local_date < now.date() - STEPS_KEPT),
                DecisionRow.id.not_in(of_open_mails),
            ),
        ),
        "alerts": (Alert, Alert.closed_at < instant),
        "sessions": (WebSession, WebSession.expires_at < instant),
        "sign_in_links": (SignInLink, SignInLink.expires_at < instant),
    }


def _remove_some(services: Services, table: type[Any], which: ColumnElement[bool]) -> int:
    with services.db.write() as session:
        some = select(table.id).where(which).limit(AT_ONCE).with_for_update(skip_locked=True)
        ids = session.scalars(some).all()
        # What a mail's row takes along (its history) goes by the foreign key.
        session.execute(delete(table).where(among(table.id, ids), which))
    return len(ids)


# --- the texts of mails -------------------------------------------------------------------------


def forget_bodies(services: Services, now: datetime) -> int:
    """Removes the texts of mails that are older than 30 days, a bounded piece; returns how many.

    One date after the other, the oldest first; a date that is done is not looked at again. Called
    by each tick when its mails are on their way.
    """
    last = newest(services, now) - DAY
    with services.db.read() as session:
        done = session.get(Service, BODIES)
        through = date.fromisoformat(done.data["through"]) if done else _before_all(session, last)
    if done is not None and through >= last:
        return 0
    day = min(through + DAY, last)
    with services.db.write() as session:
        number = _forget_some(session, day)
        if number < BODIES_AT_ONCE:
            put(
                session,
                Service,
                {"name": BODIES},
                {"at": now, "data": {"through": day.isoformat()}},
            )
    return number


def forget_calls(services: Services, now: datetime) -> int:
    """Removes the answers that calls with a key were given more than a day ago, a bounded piece.

    Returns how many. Called by each tick, as `forget_bodies`.
    """
    old = ApiCall.created_at < now - api_calls.KEPT_FOR
    with services.db.read() as session:
        if session.scalar(select(ApiCall.token_id).where(old).limit(1)) is None:
            return 0
    with services.db.write() as session:
        some = select(ApiCall.token_id, ApiCall.key).where(old).limit(AT_ONCE)
        rows = [(one.token_id, one.key) for one in session.execute(some)]
        session.execute(delete(ApiCall).where(tuple_(ApiCall.token_id, ApiCall.key).in_(rows)))
    return len(rows)


def forget_uploads(services: Services, now: datetime) -> int:
    """Removes the files that an admin looked at more than a day ago and did not import.

    They hold names and addresses, and their page opens them no more. A bounded piece; returns how
    many. Called by each tick, as `forget_bodies`.
    """
    old = Upload.created_at < now - uploads.KEPT_FOR
    with services.db.read() as session:
        if session.scalar(select(Upload.id).where(old).limit(1)) is None:
            return 0
    return _remove_some(services, Upload, old)


def _before_all(session: Session, last: date) -> date:
    oldest = session.scalar(select(func.min(OutboxMail.local_date)))
    return min(oldest, last) - DAY if oldest else last


def _forget_some(session: Session, day: date) -> int:
    some = (
        select(OutboxMail.id)
        .where(OutboxMail.local_date == day, ~OPEN, OutboxMail.sent_bytes.is_not(None))
        .limit(BODIES_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    ids = session.scalars(some).all()
    session.execute(update(OutboxMail).where(among(OutboxMail.id, ids)).values(sent_bytes=None))
    return len(ids)
