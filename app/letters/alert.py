"""The alert mail: how things stand when it is sent."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import and_

from app.alerts import IS_OPEN, first_of
from app.alerts.catalogue import words_of
from app.compose.alert import AlertFacts, AlertLine, alert
from app.letters.context import LetterContext
from app.models import Alert
from app.outbox.precheck import Send

OVER_FOR = timedelta(days=1)  # so long an alert that is over is named


def letter(case: LetterContext) -> Send:
    """Whatever was the matter when it was written down; whatever the hour."""
    recently = case.now - OVER_FOR
    over = and_(Alert.over_mailed_at.is_not(None), Alert.closed_at > recently)
    newest = Alert.id.desc()
    opened, more_open = first_of(case.session, IS_OPEN, newest)
    ended, more_over = first_of(case.session, over, newest)
    zone = case.reader.rhythm.zone
    facts = AlertFacts(
        name=case.reader.member.name,
        email=case.mail.to_addr,
        locale=case.locale,
        open=[_line(one, zone) for one in opened],
        over=[_line(one, zone) for one in ended],
        url=case.services.links.page("/admin"),
        more_open=more_open,
        more_over=more_over,
    )
    return Send(alert(facts), [])


def _line(one: Alert, zone: ZoneInfo) -> AlertLine:
    words = words_of(one.name, one.data, one.detail)
    return AlertLine(
        what=words.what,
        fix=words.fix,
        since=one.opened_at.astimezone(zone),
        until=one.closed_at.astimezone(zone) if one.closed_at else None,
    )
