"""What members choose about their mails from the mails themselves: to stop, and to go on."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.due import Frequency
from app.members.settings import NoSuchMember, organisation
from app.models import Audit, Member
from app.reminders.plan import plan
from app.services import Services

_STOPPED = "member.reminders_stopped"
_RESTORED = "member.reminders_restored"


@dataclass(frozen=True, slots=True)
class Reminders:
    """How often a member gets reminders. A frequency of "none" means: they are stopped."""

    name: str
    locale: str
    frequency: Frequency


def reminders_of(services: Services, member_id: int) -> Reminders:
    """The member's choice as it stands. Raises NoSuchMember for a deleted or inactive one."""
    with services.db.read() as session:
        return _shown(services, session, _member(session, member_id))


def stop_reminders(services: Services, member_id: int, *, now: datetime) -> Reminders:
    """No reminders from now on; twice is as good as once.

    A mail that was planned already ends as opted_out. Raises NoSuchMember for a deleted or
    inactive member.
    """
    plan(services, now, only=member_id)  # what is due is decided before the choice changes
    with services.db.write() as session:
        member = _member(session, member_id, lock=True)
        if member.notify_frequency != Frequency.NONE:
            _change(session, member, Frequency.NONE, _STOPPED, now)
        return _shown(services, session, member)


def restore_reminders(services: Services, member_id: int, *, now: datetime) -> Reminders:
    """Reminders again, as often as before they were stopped; twice is as good as once.

    Raises NoSuchMember for a deleted or inactive member.
    """
    plan(services, now, only=member_id)  # what is due is decided before the choice changes
    with services.db.write() as session:
        member = _member(session, member_id, lock=True)
        if _shown(services, session, member).frequency is Frequency.NONE:
            _change(session, member, _before(session, member), _RESTORED, now)
            # The organisation's default may be "none" too; who asks for mail gets it.
            if _shown(services, session, member).frequency is Frequency.NONE:
                member.notify_frequency = Frequency.DAILY
        return _shown(services, session, member)


def _member(session: Session, member_id: int, *, lock: bool = False) -> Member:
    member = session.get(Member, member_id, with_for_update=lock)
    if member is None or not member.active:
        raise NoSuchMember(str(member_id))
    return member


def _shown(services: Services, session: Session, member: Member) -> Reminders:
    defaults = organisation(session, services.config)
    return Reminders(
        name=member.name,
        locale=member.locale or defaults.locale,
        frequency=Frequency(member.notify_frequency or defaults.notify_frequency),
    )


def _change(
    session: Session, member: Member, frequency: str | None, what: str, now: datetime
) -> None:
    data = {"member": member.id, "before": member.notify_frequency}
    member.notify_frequency = frequency
    member.next_due_at = None  # look at the next plan
    session.add(Audit(at=now, who=member.email, what=what, data=data))


def _before(session: Session, member: Member) -> str | None:
    """The member's own frequency before the last stop; None: the organisation's default."""
    stop = session.scalars(
        select(Audit)
        .where(Audit.what == _STOPPED, Audit.who == member.email)
        .order_by(Audit.id.desc())
        .limit(1)
    ).one_or_none()
    return stop.data["before"] if stop else None
