"""Changes to one member's settings, by an operator or the member; effective at once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit
from app.access import sent_forms
from app.access.api_tokens import revoke_all
from app.access.sessions import end_all
from app.alerts import Alarm, close_alert
from app.locale import Both
from app.members import spans
from app.members.admins import LastAdmin, an_admin_stays
from app.members.teams import id_of
from app.mime.address import address_key
from app.models import Member, OutboxMail, Role, Team
from app.people import values
from app.people.lookup import OWN_MANAGER, find, no_such_member, no_such_team, with_address
from app.people.settings import Organisation, Person, days_of, organisation, person, put, rhythm
from app.people.values import ValuesRefused
from app.people.weekend_and_region import NONE
from app.reminders.plan import plan
from app.rules import hours
from app.services import Services


@dataclass(frozen=True, slots=True)
class Change:
    """One setting as it was and as it is now, as people type them; "" is the default."""

    key: str
    before: str
    after: str


def set_member(  # noqa: PLR0917 - whose, what, by whom, when
    services: Services,
    email: str,
    changes: Mapping[str, str],
    who: str,
    now: datetime,
    was: Mapping[str, str] | None = None,
) -> list[Change]:
    """Changes settings of a member, all or none; returns what really changed.

    Keys are those of `values.MEMBER`; an empty value brings the organisation's default back, or
    means no team, no manager. A decision that was made stands, and what is due is decided before
    the change; the next one is planned anew. `was`: the values that a form was opened with; what
    is another one by now is not overwritten. Raises NoSuchMember, and ValuesRefused with all
    faults (ChangedMeanwhile for those of `was`).
    """
    wanted = values.read(changes, values.MEMBER)
    decide_before(services, email, now)
    with services.db.write() as session, _an_admin_stays(session, wanted):
        return _set(session, services, locked(session, email), wanted, who, now, was or {})


def set_team(
    services: Services, team: str, changes: Mapping[str, str], who: str, now: datetime
) -> dict[str, list[Change]]:
    """`set_member` for every active member of the team, all or none; what changed by address.

    Who is named as `manager` and is in the team keeps their own. Raises ValuesRefused.
    """
    wanted = values.read(changes, values.MEMBER)
    emails = _active_of(services, team)
    for email in emails:
        decide_before(services, email, now)
    with services.db.write() as session, _an_admin_stays(session, wanted):
        return {
            email: _set(session, services, locked(session, email), own, who, now, {})
            for email in emails
            if (own := _not_of_oneself(wanted, email))
        }


def _active_of(services: Services, team: str) -> Sequence[str]:
    mine = (Member.team_id == id_of(services, team), Member.active.is_(True))
    with services.db.read() as session:
        return session.scalars(select(Member.email).where(*mine).order_by(Member.email)).all()


def _not_of_oneself(wanted: Mapping[str, Any], email: str) -> dict[str, Any]:
    is_manager = address_key(wanted.get("manager") or "") == address_key(email)
    return {key: value for key, value in wanted.items() if key != "manager" or not is_manager}


def _set(  # noqa: PLR0917 - whose, what, by whom, when
    session: Session,
    services: Services,
    member: Member,
    wanted: Mapping[str, Any],
    who: str,
    now: datetime,
    was: Mapping[str, str],
) -> list[Change]:
    before = {key: typed_of(member, key) for key in wanted}
    values.refuse_changed(wanted, before, was)
    awakes = wanted.get("active") is True and not member.active
    if wanted.get("active") is False:
        end_all(session, member, who, now)
        revoke_all(session, member, who, now)
    put(member, {**wanted, **_places(session, member, wanted)})
    defaults = organisation(session, services.config)
    if awakes:
        begin(member, defaults, now)
    _check(member, defaults)
    _changed(session, member, wanted, now)
    done = [
        Change(key, old, now_is)
        for key, old in before.items()
        if old != (now_is := typed_of(member, key))
    ]
    plan_anew(member)
    listed = [asdict(one) for one in done]
    audit.note(session, who=who, what="member.set", now=now, email=member.email, changes=listed)
    return done


@contextmanager
def _an_admin_stays(session: Session, wanted: Mapping[str, Any]) -> Iterator[None]:
    """Refuses to take the last admin's role, or to deactivate them, by the field that would."""
    taken = [key for key, keeps in (("role", Role.ADMIN), ("active", True))
             if key in wanted and wanted[key] != keeps]  # fmt: skip
    try:
        with an_admin_stays(session) if taken else nullcontext():
            yield
    except LastAdmin as error:
        raise ValuesRefused([(key, error.sentence) for key in taken]) from None


def add_member(
    services: Services,
    typed: Mapping[str, str],
    who: str,
    now: datetime,
    form_key: str | None = None,
) -> int:
    """A new member: `email`, `name` and whatever `set_member` takes; returns the id.

    Raises ValuesRefused with all faults.
    """
    faults: list[tuple[str, Both]] = []
    wanted: dict[str, Any] = {}
    try:
        wanted = values.read({"name": "", **typed, "active": "yes"}, values.NEW_MEMBER)
    except ValuesRefused as error:
        faults = error.faults
    with services.db.write() as session:
        if (known := sent_forms.made_before(session, form_key, now)) is not None:
            return known
        email = wanted.get("email", "")
        if email and session.scalars(with_address(email)).first() is not None:
            faults.append(("email", _KNOWN))
        if faults:
            raise ValuesRefused(faults)
        member = Member(created_at=now)
        with session.no_autoflush:
            put(member, wanted | _places(session, member, wanted))
        defaults = organisation(session, services.config)
        _check(member, defaults)
        begin(member, defaults, now)
        _insert(session, member)
        about = {"email": member.email, "name": member.name}
        audit.note(session, who=who, what="member.add", now=now, **about)
        sent_forms.made(session, form_key, member.id)
        return member.id


def _insert(session: Session, member: Member) -> None:
    """Stores the new member. Raises ValuesRefused where another one was quicker with the address."""
    session.add(member)
    try:
        session.flush()
    except IntegrityError as error:
        if "uq_users_email" not in str(error.orig):
            raise
        raise ValuesRefused([("email", _KNOWN)]) from None


def decide_before(services: Services, email: str, now: datetime) -> None:
    """Decides what is due of the member with the settings as they stand, before they change.

    So a date keeps that date's facts, also when nothing ran since: settings have no history.
    Raises NoSuchMember.
    """
    with services.db.read() as session:
        member_id = find(session, email).id
    plan(services, now, only=member_id)  # the sweep finds its mails: no need for the queue


def _places(session: Session, member: Member, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The rows that `team` and `manager` name. Raises ValuesRefused."""
    found: dict[str, Any] = {}
    faults: list[tuple[str, Both]] = []
    if wanted.get("team"):
        teams = {team.name: team for team in session.scalars(select(Team))}
        found["team"] = teams.get(wanted["team"])
        if found["team"] is None:
            faults.append(("team", no_such_team(wanted["team"], teams)))
    if wanted.get("manager"):
        found["manager"] = session.scalars(with_address(wanted["manager"])).first()
        if found["manager"] is None:
            faults.append(("manager", no_such_member(wanted["manager"])))
        elif found["manager"] is member:
            faults.append(("manager", OWN_MANAGER))
    if faults:
        raise ValuesRefused(faults)
    return found


def begin(member: Member, defaults: Organisation, now: datetime) -> None:
    """The member is active from now on: the first decision is that of the first date whose hour
    is still to come.

    A member who was away keeps the dates decided before: no date is decided twice. Raises
    ValueError when a stored value makes no sense.
    """
    before = hours.first_date(rhythm(member, defaults), now) - timedelta(days=1)
    known: Any = member.decided_through  # None while it is new
    member.decided_through = before if known is None else max(known, before)
    plan_anew(member)
    member.active_since = now.astimezone(rhythm(member, defaults).zone).date()


def locked(session: Session, email: str) -> Member:
    """The member, whom no planner decides meanwhile. Raises NoSuchMember."""
    member = find(session, email)
    address = member.email
    session.refresh(member, with_for_update=True)
    # Renamed while this waited: the address is another member's by now, or no member's.
    return member if member.email == address else locked(session, email)


def plan_anew(member: Member) -> None:
    """The next plan looks at the member: their hour may be another one."""
    member.next_due_at = None


def own_settings(services: Services, email: str) -> dict[str, Any]:
    """The member, their own settings and days as they are stored. Raises NoSuchMember."""
    with services.db.read() as session:
        return _stored(session, find(session, email))


def _stored(session: Session, member: Member) -> dict[str, Any]:
    leave, works = days_of(session, member.id)
    return {
        "email": member.email,
        "name": member.name,
        "role": member.role,
        "team": typed_of(member, "team") or None,
        "manager": typed_of(member, "manager") or None,
        "active": member.active,
        "own": {key: typed_of(member, key) or None for key in values.MEMBER_SETTINGS},
        "suppressed": member.suppressed_reason,
        "leave": [spans.noted(span) for span in leave],
        "extra_workdays": [spans.noted(span) for span in works],
    }


def show_member(services: Services, email: str) -> dict[str, Any]:
    """The same, with what holds, and where the planning stands.

    Raises NoSuchMember; BrokenSettings.
    """
    with services.db.read() as session:
        member = find(session, email)
        one = person(session, organisation(session, services.config), member)
        due = member.next_due_at
        return _stored(session, member) | {
            "holds": _holding(one),
            "decided_through": member.decided_through.isoformat(),
            "next_due_at": due.astimezone(one.rhythm.zone).isoformat() if due else None,
        }


def typed_of(member: Member, key: str) -> str:
    """The member's own value as people type it; "" where the default holds."""
    if key == "suppressed":
        return values.typed(key, member.suppressed_reason is not None)
    if key == "team":
        return member.team.name if member.team else ""
    if key == "manager":
        return member.manager.email if member.manager else ""
    return values.typed(key, getattr(member, key))


def _holding(one: Person) -> dict[str, str | None]:
    rhythm, weekend = one.rhythm, sorted(one.calendar.company.weekend)
    quiet = rhythm.quiet
    return {
        "notify_at": values.typed("notify_at", rhythm.notify_at),
        "notify_frequency": rhythm.frequency,
        "weekly_day": values.typed("weekly_day", rhythm.weekly_day),
        "weekend": ",".join(values.typed("weekly_day", day) for day in weekend) or NONE,
        "holidays": values.typed("holidays", one.calendar.company.region),
        "timezone": rhythm.zone.key,
        "locale": one.locale,
        "quiet_hours_start": values.typed("", quiet.start) if quiet else None,
        "quiet_hours_end": values.typed("", quiet.end) if quiet else None,
        "paused_until": values.typed("", rhythm.paused_until) or None,
        "weekly_digest": values.typed("", one.weekly_digest),
        "escalations": values.typed("", one.member.escalations is not False),
    }


def _check(member: Member, defaults: Organisation) -> None:
    try:
        rhythm(member, defaults)
    except ValueError as error:  # a value that came by another way, such as a row edited by hand
        words = Both(f"保存済みの値が使えません: {error}", f"A stored value is no use: {error}")
        raise ValuesRefused([(member.email, words)]) from None


def _changed(session: Session, member: Member, wanted: Mapping[str, Any], now: datetime) -> None:
    """Closes the alerts about the member that this change settles."""
    close_alert(session, Alarm.MEMBER, member.id, now=now)
    if "suppressed" in wanted:
        believe_address(session, member, now)


def believe_address(session: Session, member: Member, now: datetime) -> None:
    """The member's address takes mail as far as is known: earlier refusals do not count."""
    member.suppressed_reason = None
    close_alert(session, Alarm.ADDRESS, member.id, now=now)
    member.refusals_after = session.scalar(select(func.max(OutboxMail.id)))


_KNOWN = Both(
    "このアドレスのメンバーはすでにいます。一覧で検索してください。",
    "There is a member with this address already. Look for them in the list.",
)
