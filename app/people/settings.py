"""The organisation's defaults and each member's own values over them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, CompoundSelect, ScalarSelect, literal, select, union_all
from sqlalchemy.orm import Session

from app.config import Config
from app.db import among
from app.locale import Both
from app.models import DaysOff, ExtraWorkday, Member, Setting, Spans
from app.people.values import ORGANISATION, check_quiet_hours, check_steps
from app.people.weekend_and_region import WEEKDAYS
from app.refused import Code, Refused
from app.rules.hours import Frequency, QuietHours, Rhythm
from app.rules.workdays import Calendar, Company, Span, merge, regions, week_begins
from app.util.grouped import grouped


@dataclass(frozen=True)
class Organisation:
    """The organisation's defaults; editable in the table `settings`, effective at once."""

    timezone: str
    locale: str
    notify_frequency: str = Frequency.DAILY
    notify_at: time = time(9)
    weekly_day: int = 0
    weekend: str = "sat,sun"
    holidays: str = "JP"
    quiet_hours_start: time | None = None
    quiet_hours_end: time | None = None
    catch_up_until: time = time(18)
    catch_up_hours: int = 3
    weekly_digest: bool = True
    digest_at: time | None = None  # not before this hour; None: the lead's own
    # Workdays of silence after which the member's own mail says when the lead will be notified, the
    # lead is notified, the lead's manager is notified; 0: never.
    escalate_notice_after: int = 3
    escalate_lead_after: int = 5
    escalate_manager_after: int = 8
    # The week summed up by AI, where AI_BASE_URL and AI_MODEL name one.
    ai_recap: bool = True
    ai_names: bool = False  # whether names and titles leave the house
    ai_at_once: int = 2
    ai_calls_per_day: int = 200
    ai_tokens_per_day: int = 1_000_000
    closures: tuple[Span, ...] = ()
    extra_workdays: tuple[Span, ...] = ()
    _companies: dict[tuple[str, str], Company] = field(
        default_factory=dict, repr=False, compare=False
    )

    def today(self, now: datetime) -> date:
        """The organisation's date at `now`."""
        return now.astimezone(ZoneInfo(self.timezone)).date()

    def company(self, weekend: str | None = None, holidays: str | None = None) -> Company:
        """The days off of all members with this weekend ("sat,sun") and the holidays of this region;
        None: the default. Raises ValueError when a value makes no sense.
        """
        days = self.weekend if weekend is None else weekend
        region = self.holidays if holidays is None else holidays
        company = self._companies.get((days, region))
        if company is None:
            if region and region not in regions():
                msg = f"holidays: {region!r}"
                raise ValueError(msg)
            company = Company(weekdays(days), region, self.closures, self.extra_workdays)
            self._companies[days, region] = company
        return company


@dataclass(frozen=True, slots=True)
class Person:
    """A member with what the rules need to know."""

    member: Member
    rhythm: Rhythm
    calendar: Calendar
    locale: str
    weekly_digest: bool = True

    def today(self, now: datetime) -> date:
        """The member's date at `now`."""
        return now.astimezone(self.rhythm.zone).date()

    @property
    def began(self) -> date:
        """The date on which the member became active."""
        return self.member.active_since or self.today(self.member.created_at)


@cache
def weekdays(text: str) -> frozenset[int]:
    """The numbers of "sat,sun"; ValueError on a word that is no weekday."""
    return frozenset(WEEKDAYS.index(word.strip()) for word in text.split(",") if word.strip())


def organisation(session: Session, config: Config) -> Organisation:
    """The defaults as they stand now, with the company's closures and extra workdays."""
    stored: dict[str, Any] = dict(iter(session.execute(select(Setting.key, Setting.value))))
    values = {key: _read(key, stored[key]) for key in ORGANISATION if key in stored}
    off, extra = _spans(session, _OF_COMPANY)
    return replace(
        original(config),
        **values,
        closures=off.get(None, ()),
        extra_workdays=extra.get(None, ()),
    )


def own_value(key: str) -> ScalarSelect[Any]:
    """The organisation's own value as a column of another statement; None where it has none."""
    return select(Setting.value).where(Setting.key == key).scalar_subquery()


def original(config: Config) -> Organisation:
    """The defaults as they are where none was changed."""
    return Organisation(timezone=config.app_timezone, locale=config.app_locale)


def with_values(config: Config, defaults: Organisation, wanted: Mapping[str, Any]) -> Organisation:
    """The defaults as they would be with these values (`values.read`). Raises ValuesRefused."""
    built_in = original(config)
    found = {k: getattr(built_in, k) if value is None else value for k, value in wanted.items()}
    after = replace(defaults, **found, _companies={})
    check_quiet_hours(after.quiet_hours_start, after.quiet_hours_end)
    check_steps(
        after.escalate_notice_after, after.escalate_lead_after, after.escalate_manager_after
    )
    return after


_TIMES = {"notify_at", "quiet_hours_start", "quiet_hours_end", "catch_up_until", "digest_at"}


def _read(key: str, value: Any) -> Any:
    return time.fromisoformat(value) if key in _TIMES and value is not None else value


def put(member: Member, wanted: Mapping[str, Any]) -> None:
    """Gives the member the values that `values.read` made. Raises ValuesRefused."""
    for key, value in wanted.items():
        setattr(member, "suppressed_reason" if key == "suppressed" else key, value)
    check_quiet_hours(member.quiet_hours_start, member.quiet_hours_end)


def rhythm(member: Member, defaults: Organisation) -> Rhythm:
    """How the member wants to be reminded.

    Raises ValueError (zoneinfo's own errors included) when a stored value makes no sense.
    """
    start, end = member.quiet_hours_start, member.quiet_hours_end
    if start is None:
        start, end = defaults.quiet_hours_start, defaults.quiet_hours_end
    quiet = None if start is None or end is None or start == end else QuietHours(start, end)
    return Rhythm(
        zone=_zone(member.timezone or defaults.timezone),
        frequency=Frequency(member.notify_frequency or defaults.notify_frequency),
        notify_at=member.notify_at or defaults.notify_at,
        weekly_day=defaults.weekly_day if member.weekly_day is None else member.weekly_day,
        week_begins=week_begins(
            weekdays(defaults.weekend if member.weekend is None else member.weekend)
        ),
        quiet=quiet,
        paused_until=member.paused_until,
        suppressed=member.suppressed_reason is not None,
        catch_up_until=defaults.catch_up_until,
        catch_up_for=timedelta(hours=defaults.catch_up_hours),
    )


class BrokenSettings(Refused, ValueError):
    """A stored value of the member makes no sense, as in a row edited by hand. `fault`: which."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        sentence = Both(
            f"保存された設定に正しくない値があります({fault})。管理者に知らせてください。管理者は"
            "メンバーのページか `task-progress member set` で直せます。",
            f"A stored setting makes no sense ({fault}). Please tell an admin, who can mend it on "
            "the member's page or with `task-progress member set`.",
        )
        super().__init__(Code.BROKEN_SETTINGS, sentence)


def zone_of(member: Member, defaults: Organisation) -> ZoneInfo:
    """The member's time zone; the organisation's where the stored one makes no sense."""
    try:
        return _zone(member.timezone or defaults.timezone)
    except ValueError:
        return _zone(defaults.timezone)


def today_of(member: Member | None, defaults: Organisation, now: datetime) -> date:
    """The local date of `now` for the member; without one, for the organisation."""
    if member is None:
        return defaults.today(now)
    return now.astimezone(zone_of(member, defaults)).date()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        msg = f"timezone: {name!r}"
        raise ValueError(msg) from error


def people(
    session: Session, defaults: Organisation, members: Sequence[Member]
) -> tuple[list[Person], dict[int, str]]:
    """The members with rhythm and calendar; and, by id, those whose values make no sense.

    One member's bad data never stops the others.
    """
    ids = [member.id for member in members]
    leave, extra = _spans(session, _of(lambda table: among(table.user_id, ids)))
    good: list[Person] = []
    broken: dict[int, str] = {}
    for member in members:
        try:
            person = Person(
                member=member,
                rhythm=rhythm(member, defaults),
                calendar=Calendar(
                    defaults.company(member.weekend, member.holidays),
                    leave.get(member.id, ()),
                    extra.get(member.id, ()),
                ),
                locale=member.locale or defaults.locale,
                weekly_digest=(
                    defaults.weekly_digest if member.weekly_digest is None else member.weekly_digest
                ),
            )
        except ValueError as error:
            broken[member.id] = str(error)
        else:
            good.append(person)
    return good, broken


def person(session: Session, defaults: Organisation, member: Member) -> Person:
    """One member with rhythm and calendar; BrokenSettings when a stored value makes no sense."""
    good, broken = people(session, defaults, [member])
    if broken:
        raise BrokenSettings(broken[member.id])
    return good[0]


def days_of(session: Session, member_id: int) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The member's leave, and their extra workdays."""
    leave, extra = _spans(session, _of(lambda table: table.user_id == member_id))
    return leave.get(member_id, ()), extra.get(member_id, ())


_SPANS: tuple[type[Spans], ...] = (DaysOff, ExtraWorkday)


def _of(whose: Callable[[type[Spans]], ColumnElement[bool]]) -> CompoundSelect[Any]:
    """The days off and extra workdays of these owners, in one statement."""
    return union_all(
        *(
            select(literal(n), table.user_id, table.first_day, table.last_day, table.name).where(
                whose(table)
            )
            for n, table in enumerate(_SPANS)
        )
    )


_OF_COMPANY = _of(lambda table: table.user_id.is_(None))


def _spans(
    session: Session, query: CompoundSelect[Any]
) -> list[dict[int | None, tuple[Span, ...]]]:
    """Days off, then extra workdays, by owner; the company is None."""
    spans = grouped(((n, owner), Span(*days)) for n, owner, *days in session.execute(query))
    found: list[dict[int | None, tuple[Span, ...]]] = [{} for _ in _SPANS]
    for (n, owner), days in spans.items():
        found[n][owner] = merge(days)
    return found
