"""The alert mail: how things stand when it is sent."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, func, select

from app.alerts import GENERAL_FIRST
from app.alerts.catalogue import words_of
from app.compose.alert import SHOWN, AlertFacts, AlertLine, alert
from app.letters.context import LetterContext
from app.models import Alert
from app.outbox.precheck import Send

OVER_FOR = timedelta(days=1)  # so long an alert that is over is named


def letter(case: LetterContext) -> Send:
    """Whatever was the matter when it was written down; whatever the hour."""
    recently = case.now - OVER_FOR
    over = and_(Alert.over_mailed_at.is_not(None), Alert.closed_at > recently)
    shown_open, more_open = _alerts(case, Alert.closed_at.is_(None))
    shown_over, more_over = _alerts(case, over)
    facts = AlertFacts(
        name=case.reader.member.name,
        email=case.mail.to_addr,
        locale=case.locale,
        open=shown_open,
        over=shown_over,
        url=case.services.links.page("/admin"),
        more_open=more_open,
        more_over=more_over,
    )
    return Send(alert(facts), [])


def _alerts(case: LetterContext, which: ColumnElement[bool]) -> tuple[list[AlertLine], int]:
    """Of these alerts what stops mail first, then the newest; and how many more there are."""
    query = select(Alert).where(which).order_by(GENERAL_FIRST, Alert.id.desc()).limit(SHOWN)
    shown = [_line(one, case.reader.rhythm.zone) for one in case.session.scalars(query)]
    number = case.session.scalar(select(func.count()).select_from(Alert).where(which)) or 0
    return shown, number - len(shown)


def _line(one: Alert, zone: ZoneInfo) -> AlertLine:
    words = words_of(one.name, one.data, one.detail)
    return AlertLine(
        what=words.what,
        fix=words.fix,
        since=one.opened_at.astimezone(zone),
        until=one.closed_at.astimezone(zone) if one.closed_at else None,
    )
