"""The organisation's defaults, shown and changed without a restart."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.db import one_after_the_other, put
from app.members.changes import Change
from app.models import Audit, Member, Setting
from app.people import values
from app.people.settings import organisation, original, with_values
from app.reminders.plan import plan
from app.services import Services

_LOCK = 7_305_516_004  # any fixed number
# Settings that move the hour, with the column in which members have their own.
_MOVES_THE_HOUR = {
    "notify_at": Member.notify_at,
    "timezone": Member.timezone,
    "quiet_hours_start": Member.quiet_hours_start,
    "quiet_hours_end": Member.quiet_hours_end,
}


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

    `was`: the values that a form was opened with; what is another one by now is not overwritten. An empty value brings back what holds without a setting. What is due is decided before that,
    with the defaults as they stand; members whose hour may move are looked at by the next plan.
    Raises ValuesRefused with all faults.
    """
    wanted = values.read(changes, values.ORGANISATION)
    with services.db.read() as session:  # refused before anything is decided
        with_values(services.config, organisation(session, services.config), wanted)
    plan(services, now)
    with services.db.write() as session:
        one_after_the_other(session, _LOCK)
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
            data = {"key": one.key, "before": one.before, "after": one.after}
            session.add(Audit(at=now, who=who, what="settings.set", data=data))
    return done


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
