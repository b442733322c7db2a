"""The organisation's defaults, shown and changed without a restart."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, time
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app import audit
from app.db import AdvisoryLock, one_after_the_other, put
from app.members.changes import Change, set_member, typed_of
from app.models import Member, Setting
from app.people import values
from app.people.settings import organisation, original, with_values
from app.reminders.plan import plan
from app.services import Services

# Settings that move the hour, with the column in which members have their own.
_MOVES_THE_HOUR = {
    "notify_at": Member.notify_at,
    "timezone": Member.timezone,
    "quiet_hours_start": Member.quiet_hours_start,
    "quiet_hours_end": Member.quiet_hours_end,
}
_QUIET_HOURS = {"quiet_hours_start", "quiet_hours_end"}


def show_settings(services: Services) -> list[dict[str, Any]]:
    """Each default: key, value, the value it has when it is not changed, who changed it, when."""
    built_in = original(services.config)
    with services.db.read() as session:
        held = organisation(session, services.config)
        rows = {row.key: row for row in session.scalars(select(Setting))}
    return [
        {
            "key": key,
            "value": values.typed(key, getattr(held, key)) or None,
            "default": values.typed(key, getattr(built_in, key)) or None,
            "changed_by": rows[key].changed_by if key in rows else None,
            "changed_at": rows[key].changed_at.isoformat() if key in rows else None,
        }
        for key in values.ORGANISATION
    ]


def set_settings(
    services: Services,
    changes: Mapping[str, str],
    who: str,
    now: datetime,
    was: Mapping[str, str] | None = None,
) -> list[Change]:
    """Changes defaults, all or none; returns what really changed.

    An empty value brings back what holds without a setting. `was`: the values that a form was
    opened with; what is another one by now is not overwritten. What is due is decided before that,
    with the defaults as they stand; members whose hour may move are looked at by the next plan.
    Raises ValuesRefused with all faults.
    """
    wanted = values.read(changes, values.ORGANISATION)
    with services.db.read() as session:  # refused before anything is decided
        with_values(services.config, organisation(session, services.config), wanted)
    plan(services, now)
    with services.db.write() as session:
        one_after_the_other(session, AdvisoryLock.DEFAULTS)
        before = organisation(session, services.config)
        now_is = {key: values.typed(key, getattr(before, key)) for key in wanted}
        values.refuse_changed(wanted, now_is, was or {})
        after = with_values(services.config, before, wanted)
        done = [Change(key, now_is[key], values.typed(key, getattr(after, key))) for key in wanted]
        done = [one for one in done if one.before != one.after]
        for key, value in wanted.items():
            _store(session, key, value, who, now)
        _look_again(session, [one.key for one in done])
        for one in done:
            audit.note(session, who=who, what="settings.set", now=now, **asdict(one))
    return done


@dataclass(frozen=True, slots=True)
class OwnValue:
    """A member's own value, as people type it, which wins over the organisation's."""

    email: str
    key: str
    value: str


def count_own_values(services: Services) -> dict[str, int]:
    """How many active members have an own value of each setting that members have, if any do."""
    keys = list(values.MEMBER_SETTINGS)
    counts = [func.count(getattr(Member, key)) for key in keys]
    with services.db.read() as session:
        found = session.execute(select(*counts).where(Member.active.is_(True))).one()
    return {key: number for key, number in zip(keys, found, strict=True) if number}


def own_values(services: Services, keys: Iterable[str], most: int | None = None) -> list[OwnValue]:
    """Who of the active members has an own value of one of these settings, by key and address.

    `most`: members to look at.
    """
    wanted = [key for key in keys if key in values.MEMBER_SETTINGS]
    if not wanted:
        return []
    has_one = or_(*(getattr(Member, key).is_not(None) for key in wanted))
    query = select(Member).where(Member.active.is_(True), has_one).order_by(Member.email)
    with services.db.read() as session:
        members = session.scalars(query.limit(most)).all()
        found = [OwnValue(one.email, key, typed_of(one, key)) for key in wanted for one in members]
    return [one for one in found if one.value]


def forget_own_values(services: Services, keys: Iterable[str], who: str, now: datetime) -> None:
    """The organisation's value holds for every active member, each by itself as by `set_member`."""
    wanted = set(keys)
    if wanted & _QUIET_HOURS:  # one of the two alone is no value
        wanted |= _QUIET_HOURS
    by_member: dict[str, dict[str, str]] = {}
    for one in own_values(services, sorted(wanted)):
        by_member.setdefault(one.email, {})[one.key] = ""
    for email, changes in by_member.items():
        set_member(services, email, changes, who, now)


def _store(session: Session, key: str, value: Any, who: str, now: datetime) -> None:
    row = session.get(Setting, key)
    if value is None:
        if row is not None:
            session.delete(row)
        return
    stored = value.isoformat("minutes") if isinstance(value, time) else value
    put(session, Setting, {"key": key}, {"value": stored, "changed_by": who, "changed_at": now})


def _look_again(session: Session, keys: list[str]) -> None:
    columns = [_MOVES_THE_HOUR[key] for key in keys if key in _MOVES_THE_HOUR]
    if columns:
        concerned = or_(*(column.is_(None) for column in columns))
        session.execute(
            update(Member).where(Member.active.is_(True), concerned).values(next_due_at=None)
        )
