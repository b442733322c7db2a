"""Table: what happened to an outbox mail, one row for each thing."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import WithId


class MailEvent(WithId):
    """One thing that happened to an outbox mail."""

    __tablename__ = "mail_events"

    outbox_id: Mapped[int] = mapped_column(ForeignKey("outbox.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(30))
    detail: Mapped[str | None] = mapped_column(Text)
