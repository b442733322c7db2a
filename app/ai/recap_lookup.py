"""The recap that a letter finds stored; if it is missing or wrong, the counted one takes its place."""

import logging
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.ai.answer import Unusable, still_so
from app.ai.prompt import prompt_of
from app.compose.text import Locale
from app.config import Config
from app.models import Recap, RecapState
from app.people.settings import Organisation
from app.rules.week import Week

log = logging.getLogger(__name__)


def is_on(config: Config, defaults: Organisation) -> bool:
    """True when the organisation wants recaps by AI, and a server and a model are named."""
    return bool(config.ai_base_url and config.ai_model and defaults.ai_recap)


def iso_week(first: date) -> str:
    """2026-W47 for any date of that week."""
    year, week, _ = first.isocalendar()
    return f"{year}-W{week:02}"


def found(session: Session, lead_id: int, week: Week, locale: Locale) -> list[str] | None:
    """The lines for this lead's letter, if they are there and every report in them still stands.

    One look at one row; nothing is waited for.
    """
    lines = session.scalar(
        select(Recap.lines).where(
            Recap.lead_id == lead_id,
            Recap.iso_week == iso_week(week.first),
            Recap.state == RecapState.GOOD,
        )
    )
    if not lines:
        return None
    try:
        good = still_so(lines, prompt_of(week, locale, names=True))
    except Unusable as error:
        log.info("the recap for lead %s is not used: %s", lead_id, error)
        return None
    return [line.shown() for line in good]
