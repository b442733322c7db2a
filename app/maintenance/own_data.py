"""Data about one member: the download they can take along, and its deletion."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.orm import Session

from app.access.api_tokens import revoke_all
from app.access.sessions import end_all
from app.ai.recap_store import forget_member
from app.alerts import Alarm, close_alert, name_of
from app.alerts.catalogue import OF_DATES, OF_MAILS
from app.audit import by_member, note
from app.db import among
from app.members.admins import an_admin_stays
from app.members.changes import locked, own_settings, show_member
from app.models import (
    Alert,
    ApiToken,
    Audit,
    DaysOff,
    DecisionRow,
    ExtraWorkday,
    MailEvent,
    Member,
    OutboxMail,
    Report,
    Role,
    SignInLink,
    State,
    Task,
)
from app.outbox import end_ready
from app.people.lookup import find
from app.people.settings import BrokenSettings
from app.rules.decision import Reason
from app.services import Services

GONE = "deleted.invalid"  # RFC 2606: no mail can ever reach it
# What of a member says nothing about the person: up to where dates are decided and mails counted.
_BOOKKEEPING = {"next_due_at", "led_through", "active_since", "refusals_after"}


def export(services: Services, email: str) -> dict[str, Any]:
    """Everything stored about the member, for a JSON file. Raises NoSuchMember."""
    try:
        settings = show_member(services, email)
    except BrokenSettings:
        settings = own_settings(services, email)
    with services.db.read() as session:
        member = find(session, email)
        member_id = member.id
        tasks = session.scalars(select(Task).where(Task.assignee_id == member_id))
        days = select(DecisionRow).where(DecisionRow.user_id == member_id)
        mails = select(OutboxMail).where(OutboxMail.user_id == member_id).order_by(OutboxMail.id)
        doings = select(Audit).where(by_member(session, member)).order_by(Audit.id)
        return {
            "settings": settings,
            "tasks": [_columns(one, "ref title status start_on due_on") for one in tasks],
            "reports": list(_reports(session, member_id)),
            "decisions": [
                _columns(one, "local_date verdict reason at")
                for one in session.scalars(days.order_by(DecisionRow.local_date))
            ],
            "mails": [
                _columns(one, "id kind local_date state reason subject accepted_at")
                for one in session.scalars(mails)
            ],
            "api_tokens": [
                _columns(one, "name shown scopes created_at expires_on last_used_at revoked_at")
                for one in session.scalars(select(ApiToken).where(ApiToken.user_id == member_id))
            ],
            "audit": [_columns(one, "at what data") for one in session.scalars(doings)],
        }


def reports(services: Services, member_id: int) -> list[dict[str, Any]]:
    """The member's reports, the oldest first."""
    with services.db.read() as session:
        return list(_reports(session, member_id))


def forget(services: Services, member_id: int, now: datetime) -> None:
    """Takes the member's name, address, settings, leave and extra workdays out, for good.

    What belongs to the team stays without a name: tasks (assigned to no member), reports, the counts of
    mails. What an AI was told of them goes, and what a server or an alert said of mails to them; the
    audit stays, and says this too. Mails not sent yet end as inactive. Raises LastAdmin.
    """
    with services.db.write() as session, an_admin_stays(session):
        member = locked(session, session.get_one(Member, member_id).email)
        was = member.email
        end_all(session, member, was, now)
        revoke_all(session, member, was, now)
        for table in (DaysOff, ExtraWorkday, SignInLink):
            session.execute(delete(table).where(table.user_id == member_id))
        session.execute(update(Task).where(Task.assignee_id == member_id).values(assignee_id=None))
        led = update(Member).where(Member.manager_id == member_id)
        session.execute(led.values(manager_id=None))
        _clear(member)
        _clear_alerts(session, member.id, now)
        _clear_mails(session, member, now)
        forget_member(session, member_id, now)
        note(session, who=was, what="member.deleted", now=now, member=member_id)


def _clear(member: Member) -> None:
    member.email, member.name = f"deleted-{member.id}@{GONE}", f"#{member.id}"
    member.active, member.role = False, Role.MEMBER
    for column in Member.__table__.columns:
        if column.nullable and column.name not in _BOOKKEEPING:
            setattr(member, column.name, None)


def _clear_mails(session: Session, member: Member, now: datetime) -> None:
    end_ready(
        session, OutboxMail.user_id == member.id,
        why=Reason.INACTIVE, now=now, state=State.SUPPRESSED, reason=Reason.INACTIVE,
    )  # fmt: skip
    # One that is on its way keeps its bytes: a second copy has to be the same as the first.
    over = update(OutboxMail).where(
        OutboxMail.user_id == member.id,
        OutboxMail.lease_token.is_(None),
        OutboxMail.state != State.READY,
    )
    # A server's words name the address, and often the person; a code of ours says neither.
    why = case((OutboxMail.reason.contains(" "), None), else_=OutboxMail.reason)
    gone = {"subject": None, "sent_bytes": None, "response": None, "reason": why}
    session.execute(over.values(to_addr=member.email, **gone))
    ids = select(OutboxMail.id).where(OutboxMail.user_id == member.id)
    words = or_(MailEvent.detail.contains(" "), MailEvent.detail.contains("@"))
    told = update(MailEvent).where(MailEvent.outbox_id.in_(ids), words)
    session.execute(told.values(detail=None).execution_options(synchronize_session=False))


def _clear_alerts(session: Session, member_id: int, now: datetime) -> None:
    """Takes them out of the alerts about them and their mails; what is about them alone is over.

    Call it while the mails still name their addresses: an alert about a day names those.
    """
    theirs = (OutboxMail.id, OutboxMail.local_date, OutboxMail.to_addr)
    mails = session.execute(select(*theirs).where(OutboxMail.user_id == member_id)).all()
    names = [name_of(alarm, one.id) for alarm in OF_MAILS.values() for one in mails]
    for alarm in (Alarm.MEMBER, Alarm.TEAM, Alarm.ADDRESS):
        close_alert(session, alarm, member_id, now=now)
        names.append(name_of(alarm, member_id))
    about = update(Alert).where(among(Alert.name, names))
    session.execute(about.values(data={}, detail=""))
    days = {name_of(alarm, one.local_date) for alarm in OF_DATES.values() for one in mails}
    addresses = {one.to_addr for one in mails}
    for alert in session.scalars(select(Alert).where(among(Alert.name, list(days)))):
        named = (alert.data or {}).get("members", ())
        if addresses.intersection(named):  # whose words `why` tells is not noted
            others = [one for one in named if one not in addresses]
            alert.data = {**(alert.data or {}), "members": others, "why": None}
        alert.detail = ""


def _reports(session: Session, member_id: int | None) -> Iterator[dict[str, Any]]:
    rows = session.execute(
        select(Report, Task.ref, Task.title)
        .join(Task, Task.id == Report.task_id)
        .where(Report.reporter_id == member_id)
        .order_by(Report.id)
    )
    for report, ref, title in rows:
        yield {
            "task_ref": ref,
            "title": title,
            **_columns(report, "counts_for percent status text created_at"),
        }


def _columns(row: object, names: str) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in names.split()}


def _plain(value: Any) -> Any:
    if isinstance(value, (int, dict, list)) or value is None:
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
