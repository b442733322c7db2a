"""The rule of the digest: on which of a lead's dates it comes, at which hour, and why not on the others."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from app.people.settings import Organisation, Person
from app.rules import decision, hours
from app.rules.decision import Decision, Past, Reason, Verdict
from app.rules.hours import Frequency, Rhythm


def rhythm_of_digest(lead: Person, defaults: Organisation) -> Rhythm:
    """The lead's own rhythm, once an ISO week from Monday on, whatever their weekend.

    A digest tells of the ISO week before, so that all leads read of the same seven days. Its
    switch of its own stands for the frequency.
    """
    at = lead.rhythm.notify_at
    return replace(
        lead.rhythm,
        frequency=Frequency.WEEKLY if lead.weekly_digest else Frequency.NONE,
        weekly_day=0,
        week_begins=0,
        notify_at=max(at, defaults.digest_at) if defaults.digest_at else at,
    )


def decide(
    lead: Person,
    defaults: Organisation,
    day: date,
    *,
    now: datetime,
    past: Sequence[Past] = (),
    any_weekday: bool = False,
) -> Decision:
    """Does this lead get a digest on the local date `day`, and if not, why?

    By the rule of weekly reminders, from Monday on, but late until the end of the date. Whether
    there is something to say is not asked here.
    """
    rhythm = rhythm_of_digest(lead, defaults)
    ends = hours.end_of(day, rhythm.zone)
    reason = decision.day_reason(rhythm, lead.calendar, day, past)
    if any_weekday and reason in {Reason.NOT_THIS_WEEKDAY, Reason.ALREADY_SENT}:
        reason = None
    if reason is None and now >= ends:
        reason = Reason.EXPIRED
    verdict = Verdict.SEND if reason is None else Verdict.SKIP
    return Decision(day, verdict, reason, hours.hour(rhythm, day), ends)
