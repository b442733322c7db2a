"""Tables: settings, alerts, heartbeats and shared state of programs, and the audit."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, WithId, partial_index


class Alert(WithId):
    """Something an operator must know; open until `closed_at`. One open row per name."""

    __tablename__ = "alerts"

    name: Mapped[str] = mapped_column(String(120))
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    detail: Mapped[str] = mapped_column(Text)  # what a former version wrote; else ""
    # The facts of app/alerts/catalogue.py.
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    acked_at: Mapped[datetime | None]
    acked_by: Mapped[str | None] = mapped_column(String(320))
    # When the admins were mailed that it is open, and that it is over.
    mailed_at: Mapped[datetime | None]
    over_mailed_at: Mapped[datetime | None]

    __table_args__ = (
        partial_index("uq_alerts_open", "name", where="closed_at IS NULL", unique=True),
    )


class Setting(Base):
    """One organisation-wide value: a default, the pause, the brake."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    changed_by: Mapped[str] = mapped_column(String(320))
    changed_at: Mapped[datetime]


# Parts with a heartbeat: any tick; and the command `task-progress tick`.
TICK, TIMER = "tick", "timer"


class Service(Base):
    """The last heartbeat of a part (beat, a worker, the timer), and shared state."""

    __tablename__ = "service"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class Audit(WithId):
    """Who changed what."""

    __tablename__ = "audit"

    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(320))
    what: Mapped[str] = mapped_column(String(60))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (
        Index("ix_audit_who_id", "who", "id"),
        Index("ix_audit_what_id", "what", "id"),
    )
