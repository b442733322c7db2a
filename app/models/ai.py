"""Tables: what the AI was asked and answered, and what of its day's budget is used."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Date, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, WithId, one_of, partial_index


class RecapState(StrEnum):
    """Where a recap is in its life."""

    WAITING = "waiting"
    ASKING = "asking"
    GOOD = "good"
    REFUSED = "refused"  # an answer came, and is not used
    FAILED = "failed"  # no answer came


class Recap(WithId):
    """One lead's week by AI: when it is needed, what was sent, what came back, what came of it.

    The text columns hold what people wrote; the row goes at `purge_at`.
    """

    __tablename__ = "ai_recaps"

    lead_id: Mapped[int] = mapped_column("team_id", ForeignKey("users.id", ondelete="CASCADE"))
    iso_week: Mapped[str] = mapped_column(String(8))  # 2026-W47
    state: Mapped[str] = mapped_column(String(10), default=RecapState.WAITING)
    why: Mapped[str | None] = mapped_column(String(60))  # no answer, or not used
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    needed_by: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    input_key: Mapped[str | None] = mapped_column(String(64), index=True)
    model: Mapped[str | None] = mapped_column(String(200))
    sent: Mapped[str | None] = mapped_column(Text)
    came_back: Mapped[str | None] = mapped_column(Text)
    lines: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    member_ids: Mapped[str] = mapped_column(Text, default="")  # " 3 15 ": whom it is about
    tokens: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    purge_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (
        one_of("state", RecapState),
        UniqueConstraint("team_id", "iso_week"),
        partial_index("ix_ai_recaps_open", "not_before", where="state IN ('waiting', 'asking')"),
    )


class AiBudget(Base):
    """What was used on one day; all workers count here, before they ask."""

    __tablename__ = "ai_budget"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    calls: Mapped[int] = mapped_column(default=0)
    tokens: Mapped[int] = mapped_column(BigInteger, default=0)
