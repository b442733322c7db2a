"""Table: forms that made something, so that a second click makes nothing."""

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class SentForm(Base):
    """One form that was sent, by the key it was shown with, and the id of what it made."""

    __tablename__ = "sent_forms"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    made: Mapped[int] = mapped_column(BigInteger, default=0)
    at: Mapped[datetime] = mapped_column(index=True)
