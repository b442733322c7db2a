"""The preview of a change of settings, before it is saved: the same decisions as `plan`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from app.people import values
from app.people.lookup import find
from app.people.settings import organisation, person, put
from app.reminders.forecast import Forecast, ahead, forecast_of
from app.rules.workdays import DAY
from app.services import Services
from app.why.reminder import next_reminder

WEEKS = 5


@dataclass(frozen=True, slots=True)
class SettingsPreview:
    """The next mail (None: not in sight) and each day's forecast from today on, 5 weeks of them."""

    timezone: str
    today: date
    next_at: datetime | None
    days: list[Forecast]


def preview(
    services: Services, email: str, changes: Mapping[str, str], now: datetime
) -> SettingsPreview:
    """As if `changes` (keys as in app/people/values.py) were saved; writes nothing.

    Raises NoSuchMember, ValuesRefused with all faults.
    """
    wanted = values.read(changes, values.MEMBER_SETTINGS)
    with services.db.read() as session:
        member = find(session, email)
        session.expunge(member)  # so that nothing of this reaches the database
        put(member, wanted)
        one = person(session, organisation(session, services.config), member)
        today = one.today(now)
        last = today + (WEEKS * 7 - 1 - today.weekday()) * DAY
        days = [forecast_of(*found) for found in ahead(session, [one], today, last)]
    next_at = next_reminder(services, member.id, now, changes)
    return SettingsPreview(one.rhythm.zone.key, today, next_at, days)
