"""Sessions: one row for each signed-in browser, so that it can be ended from anywhere."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from app import audit
from app.config import Config
from app.models import Member, Role, WebSession
from app.people.settings import own_value
from app.services import Services

SESSION_DAYS = 30


@dataclass(frozen=True, slots=True)
class Me:
    """The signed-in member, as pages need it. `leads`: is a manager of members, or a lead."""

    id: int
    team_id: int | None
    email: str
    name: str
    role: Role
    leads: bool
    locale: str
    zone: ZoneInfo

    @property
    def is_admin(self) -> bool:
        """Whether the pages of the operator are theirs."""
        return self.role == Role.ADMIN


def begin(session: Session, member: Member, now: datetime, replaces: str | None = None) -> str:
    """Signs the member in; returns the key for the browser's cookie. Old sessions are swept.

    `replaces`: the key that the browser had until now, whosever session that was; it ends, so a
    copy of the old cookie is worth nothing.
    """
    if replaces is not None:
        session.execute(delete(WebSession).where(WebSession.key_hash == hash_of(replaces)))
    session.execute(
        delete(WebSession).where(WebSession.user_id == member.id, WebSession.expires_at <= now)
    )
    key = secrets.token_urlsafe(32)
    expires_at = now + timedelta(days=SESSION_DAYS)
    session.add(
        WebSession(key_hash=hash_of(key), user_id=member.id, created_at=now, expires_at=expires_at)
    )
    audit.note(session, who=member.email, what="session.begin", now=now, member=member.id)
    return key


def who(services: Services, key: str, now: datetime) -> Me | None:
    """Whose session this is; None when it was ended, or its member is no longer active."""
    with services.db.read() as session:
        found = session.execute(
            select(Member, *ABOUT_ME)
            .join(WebSession, WebSession.user_id == Member.id)
            .where(
                WebSession.key_hash == hash_of(key),
                WebSession.expires_at > now,
                Member.active.is_(True),
            )
        ).one_or_none()
    return me_of(services.config, *found) if found is not None else None


_Led = aliased(Member)
# What `me_of` needs beside the member, in the statement that finds who is asking: each request
# waits for that one.
ABOUT_ME = (
    exists().where(_Led.manager_id == Member.id, _Led.active.is_(True)),
    own_value("timezone"),
    own_value("locale"),
)


def me_of(
    config: Config, member: Member, manages: bool, timezone: str | None, locale: str | None
) -> Me:
    """The member as pages and calls need them, from a row of `Member` and `ABOUT_ME`."""
    leads = member.role == Role.LEAD or manages
    try:
        zone = ZoneInfo(member.timezone or timezone or config.app_timezone)
    except (KeyError, ValueError, OSError):  # a row edited by hand; the pages must still work
        zone = ZoneInfo(config.app_timezone)
    return Me(
        id=member.id,
        team_id=member.team_id,
        email=member.email,
        name=member.name,
        role=Role(member.role),
        leads=leads,
        locale=member.locale or locale or config.app_locale,
        zone=zone,
    )


def end(services: Services, me: Me, key: str, now: datetime) -> None:
    """Signs this browser out."""
    with services.db.write() as session:
        session.execute(delete(WebSession).where(WebSession.key_hash == hash_of(key)))
        audit.note(session, who=me.email, what="session.end", now=now, member=me.id)


def end_all(session: Session, member: Member, who: str, now: datetime) -> int:
    """Signs the member out everywhere; returns how many browsers that were."""
    ended = session.scalars(
        delete(WebSession).where(WebSession.user_id == member.id).returning(WebSession.id)
    ).all()
    if ended:
        data = {"member": member.id, "browsers": len(ended)}
        audit.note(session, who=who, what="session.end_all", now=now, **data)
    return len(ended)


def end_everywhere(services: Services, me: Me, now: datetime) -> int:
    """`end_all` for the signed-in member."""
    with services.db.write() as session:
        return end_all(session, session.get_one(Member, me.id), me.email, now)


def number(services: Services, me: Me, now: datetime) -> int:
    """In how many browsers the member is signed in."""
    with services.db.read() as session:
        mine = select(func.count()).where(WebSession.user_id == me.id, WebSession.expires_at > now)
        return session.scalar(mine) or 0


def hash_of(key: str) -> str:
    """What is stored of a random key: a plain hash is enough, and a stolen backup opens nothing."""
    return hashlib.sha256(key.encode()).hexdigest()
