"""The job: a lead's week in at most five lines, asked for once, checked, and kept."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.ai import recap_store
from app.ai.answer import Unusable, read
from app.ai.call import NoAnswer, ask
from app.ai.prompt import Prompt, prompt_of
from app.ai.recap_lookup import is_on
from app.ai.recap_store import Mine
from app.compose.text import Locale
from app.digest.team_week import week_of
from app.models import Member, Recap, RecapState
from app.people.settings import Organisation, organisation, people
from app.rules.workdays import DAY
from app.services import Services

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]

BY_HAND = timedelta(hours=1)  # how long a recap is tried for that no digest waits for


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and in which language the answer is read."""

    prompt: Prompt
    locale: Locale


def summarize(services: Services, lead_id: int, iso_week: str, clock: Clock) -> str:
    """Has the week summed up, if it is wanted and not there; returns what came of it, in a word.

    Of the members whom the lead leads; of all where that is an admin. `iso_week` like 2026-W47.
    Running it twice, or twice at once, asks once. Raises ValueError on what is no week.
    """
    now, monday = clock(), date.fromisocalendar(*_week(iso_week), 1)
    with services.db.read() as session:
        defaults = organisation(session, services.config)
        if not is_on(services.config, defaults):
            return "off"
        question = _question(session, defaults, lead_id, monday + 7 * DAY, now)
        if question is None:
            return "no_such_team"
    row = _row(services, lead_id, iso_week, now)
    return _settled(services, row, question, now) or _ask(services, defaults, row, question, clock)


def _week(text: str) -> tuple[int, int]:
    year, _, week = text.partition("-W")
    return int(year), int(week)


def _question(
    session: Session, defaults: Organisation, lead_id: int, today: date, now: datetime
) -> Question | None:
    lead = session.get(Member, lead_id)
    good, _broken = people(session, defaults, [lead] if lead is not None and lead.active else [])
    if not good:
        return None
    locale: Locale = "en" if good[0].locale.startswith("en") else "ja"
    week = week_of(session, defaults, good[0], today, now)
    return Question(prompt_of(week, locale, names=defaults.ai_names), locale)


def _row(services: Services, lead_id: int, iso_week: str, now: datetime) -> Recap:
    which = select(Recap).where(Recap.lead_id == lead_id, Recap.iso_week == iso_week)
    with services.db.read() as session:
        found = session.scalars(which).one_or_none()
    if found is not None:
        return found
    with services.db.write() as session:
        recap_store.want(session, lead_id, iso_week, now=now, needed_by=now + BY_HAND)
        return session.scalars(which).one()


def _settled(services: Services, row: Recap, question: Question, now: datetime) -> str | None:
    """What came of it where the AI need not be asked: nothing reported, or asked the same before."""
    prompt = question.prompt
    if not prompt.messages:
        recap_store.settle(services, row.id, now, state=RecapState.REFUSED, why="nothing_reported")
        return "nothing_reported"
    key = prompt.key(services.config.ai_model or "")
    if row.input_key == key and row.ended_at is not None and row.came_back is not None:
        return row.state
    text = recap_store.paid_for(services, key)
    if text is None:
        return None
    verdict = _judged(text, question)
    about = recap_store.about(prompt, services.config.ai_model or "")
    recap_store.settle(services, row.id, now, came_back=text, **about, **verdict)
    return str(verdict["state"])


def _ask(
    services: Services, defaults: Organisation, row: Recap, question: Question, clock: Clock
) -> str:
    now = clock()
    mine = recap_store.claim(services, defaults, row.id, question.prompt, now)
    if isinstance(mine, str):
        recap_store.wait(
            services, row.id, mine, now + recap_store.LATER * services.config.test_time_scale, now
        )
        return mine
    try:
        answer = ask(services.config, question.prompt.messages)
    except NoAnswer as error:
        return _not_answered(services, mine, error, clock())
    verdict = _judged(answer.text, question)
    known = answer.tokens
    tokens = question.prompt.size + len(answer.text) if known is None else known
    recap_store.end(services, mine, clock(), tokens, came_back=answer.text, **verdict)
    log.info("recap %s: %s %s", mine.id, verdict["state"], verdict["why"] or "")
    return str(verdict["state"])


def _judged(text: str, question: Question) -> dict[str, object]:
    prompt = question.prompt
    try:
        lines = read(text, prompt, question.locale)
    except Unusable as error:
        return {"state": RecapState.REFUSED, "why": str(error), "lines": None}
    return {"state": RecapState.GOOD, "why": None, "lines": [one.as_json(prompt) for one in lines]}


def _not_answered(services: Services, mine: Mine, error: NoAnswer, now: datetime) -> str:
    log.warning("recap %s: no answer (%s)", mine.id, error)
    why = str(error)[:60]
    if error.again and mine.attempts <= len(recap_store.BACK_OFF):
        seconds = max(recap_store.BACK_OFF[mine.attempts - 1], error.after or 0)
        again = now + timedelta(seconds=seconds) * services.config.test_time_scale
        if again < mine.needed_by:
            recap_store.end(
                services, mine, now, None, state=RecapState.WAITING, why=why, not_before=again
            )
            return why
    recap_store.end(services, mine, now, None, state=RecapState.FAILED, why=why)
    return why
