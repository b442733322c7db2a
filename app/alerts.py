"""Things an operator must know: opened once, closed when they are over."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import insert_new
from app.models import Alert


def raise_alert(session: Session, name: str, detail: str, *, now: datetime) -> None:
    """Opens the alert `name`, or leaves it as it is when it is open already."""
    insert_new(session, Alert, [{"name": name, "detail": detail, "opened_at": now}])


def close_alert(session: Session, name: str, *, now: datetime) -> None:
    """Closes the alert `name` if it is open."""
    session.execute(
        update(Alert).where(Alert.name == name, Alert.closed_at.is_(None)).values(closed_at=now)
    )


def open_alerts(session: Session) -> list[Alert]:
    """All open alerts, the oldest first."""
    return list(
        session.scalars(select(Alert).where(Alert.closed_at.is_(None)).order_by(Alert.opened_at))
    )
