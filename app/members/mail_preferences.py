"""Choices that members make in the mails themselves: to stop them, and to go on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import by_member, note
from app.locale import Both
from app.members.changes import Change, plan_anew, set_member, show_member
from app.models import Audit, Kind, Member
from app.people import values
from app.people.lookup import active_member
from app.people.settings import organisation
from app.people.values import ValuesRefused
from app.reminders.plan import plan
from app.rules.hours import Frequency
from app.services import Services

_STOPPED = "member.reminders_stopped"
_RESTORED = "member.reminders_restored"


@dataclass(frozen=True, slots=True)
class Reminders:
    """How often a member gets reminders. A frequency of "none" means: they are stopped."""

    name: str
    locale: str
    frequency: Frequency


def reminders(
    services: Services, member_id: int, wanted: bool | None, *, now: datetime
) -> Reminders:
    """Stops reminders, or restores them as often as before; `wanted` None only looks.

    Twice is as good as once. A mail that was planned already ends as opted_out. Raises
    NoSuchMember for a deleted or inactive member.
    """
    if wanted is None:
        with services.db.read() as session:
            return _shown(services, session, active_member(session, member_id))
    plan(services, now, only=member_id)  # what is due is decided before the choice changes
    with services.db.write() as session:
        member = active_member(session, member_id, lock=True)
        if not wanted and member.notify_frequency != Frequency.NONE:
            _change(session, member, Frequency.NONE, _STOPPED, now)
        elif wanted and _shown(services, session, member).frequency is Frequency.NONE:
            _change(session, member, _before(session, member), _RESTORED, now)
            # The organisation's default may be "none" too; who asks for mail gets it.
            if _shown(services, session, member).frequency is Frequency.NONE:
                member.notify_frequency = Frequency.DAILY
        return _shown(services, session, member)


# The mails about a team, and the setting that switches each.
TEAM_MAILS: dict[str, str] = {Kind.WEEKLY_DIGEST: "weekly_digest", Kind.ESCALATION: "escalations"}


@dataclass(frozen=True, slots=True)
class TeamMails:
    """Whether a lead takes one kind of mail about the team."""

    name: str
    locale: str
    wanted: bool


def team_mails(
    services: Services, member_id: int, kind: str, wanted: bool | None, *, now: datetime
) -> TeamMails:
    """Stops or restores this kind alone; `wanted` None only looks. Twice is as good as once.

    Raises NoSuchMember for a deleted or inactive member.
    """
    key = TEAM_MAILS[kind]
    transaction = services.db.read if wanted is None else services.db.write
    with transaction() as session:
        member = active_member(session, member_id, lock=wanted is not None)
        if wanted is not None and wanted is not (getattr(member, key) is not False):
            data = {"member": member.id, "key": key, "wanted": wanted}
            note(session, who=member.email, what="member.team_mails", now=now, **data)
            setattr(member, key, wanted)
        defaults = organisation(session, services.config)
        return TeamMails(
            member.name, member.locale or defaults.locale, getattr(member, key) is not False
        )


# What the page behind a mail's link changes, besides stopping; keys as in app/people/values.py.
KEYS = ("notify_frequency", "weekly_day", "notify_at", "paused_until")


def rhythm_of(services: Services, member_id: int, now: datetime) -> dict[str, str]:
    """What holds for the member now, by KEYS, as people type it; a pause that is over is "".

    Raises NoSuchMember for a deleted or inactive one.
    """
    return _rhythm(services, _email(services, member_id), now)[0]


def _rhythm(services: Services, email: str, now: datetime) -> tuple[dict[str, str], date]:
    """What holds, and the member's date."""
    holds = show_member(services, email)["holds"]
    today = now.astimezone(ZoneInfo(holds["timezone"])).date()
    shown = {key: holds[key] or "" for key in KEYS}
    if shown["paused_until"] <= today.isoformat():
        shown["paused_until"] = ""
    return shown, today


def change_rhythm(
    services: Services,
    member_id: int,
    typed: Mapping[str, str],
    *,
    now: datetime,
    was: Mapping[str, str] | None = None,
) -> list[Change]:
    """Makes the member's own what differs from what holds; returns what really changed.

    `was`: what held when a form was opened; what is something else by now is not overwritten.
    What stays as it was is not made the member's own: it goes on following the organisation.
    Raises NoSuchMember; ValuesRefused with all faults.
    """
    email = _email(services, member_id)
    shown, today = _rhythm(services, email, now)
    changes = {key: typed[key] for key in KEYS if key in typed and typed[key] != shown[key]}
    wanted = values.read(changes, values.MEMBER_SETTINGS)
    values.refuse_changed(wanted, shown, was or {})
    until = wanted.get("paused_until")
    if until is not None and until <= today:
        raise ValuesRefused([("paused_until", _HAS_COME)])
    return set_member(services, email, changes, email, now) if changes else []


def undo(services: Services, member_id: int, before: Mapping[str, str], *, now: datetime) -> None:
    """Gives the member's own values back, "" being the organisation's default; see `Change`.

    Raises NoSuchMember; ValuesRefused.
    """
    email = _email(services, member_id)
    set_member(services, email, {k: v for k, v in before.items() if k in KEYS}, email, now)


_HAS_COME = Both("明日以降の日付にしてください。", "Choose a date from tomorrow on.")


def _email(services: Services, member_id: int) -> str:
    with services.db.read() as session:
        return active_member(session, member_id).email


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
    plan_anew(member)
    note(session, who=member.email, what=what, now=now, **data)


def _before(session: Session, member: Member) -> str | None:
    """The member's own frequency before the last stop; None: the organisation's default."""
    stop = session.scalars(
        select(Audit)
        .where(Audit.what == _STOPPED, by_member(session, member))
        .order_by(Audit.id.desc())
        .limit(1)
    ).one_or_none()
    return stop.data["before"] if stop else None
