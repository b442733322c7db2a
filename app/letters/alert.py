"""The alert mail: how things stand when it is sent."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.alerts.catalogue import words_of
from app.compose.alert import AlertFacts, AlertLine, alert
from app.letters.context import LetterContext
from app.models import Alert
from app.outbox.precheck import Send

OVER_FOR = timedelta(days=1)  # so long an alert that is over is named


def letter(case: LetterContext) -> Send:
    """Whatever was the matter when it was written down; whatever the hour."""
    opened, over = _alerts(case.session, case.reader.rhythm.zone, case.now)
    facts = AlertFacts(
        name=case.reader.member.name,
        email=case.mail.to_addr,
        locale=case.locale,
        open=opened,
        over=over,
        url=case.services.links.page("/admin"),
    )
    return Send(alert(facts), [])


def _alerts(
    session: Session, zone: ZoneInfo, now: datetime
) -> tuple[list[AlertLine], list[AlertLine]]:
    """The open alerts, the newest first; those that were mailed and are over."""
    opened = Alert.closed_at.is_(None)
    over = and_(Alert.over_mailed_at.is_not(None), Alert.closed_at > now - OVER_FOR)
    both = select(Alert).where(or_(opened, over)).order_by(Alert.id.desc())
    rows = session.scalars(both).all()
    found = [(one, words_of(one.name, one.data, one.detail)) for one in rows]
    made = [
        AlertLine(
            what=words.what,
            fix=words.fix,
            since=one.opened_at.astimezone(zone),
            until=one.closed_at.astimezone(zone) if one.closed_at else None,
        )
        for one, words in found
    ]
    return [one for one in made if not one.until], [one for one in made if one.until]
