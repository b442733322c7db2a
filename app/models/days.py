"""Tables: days off, and extra workdays; of the company, or of one member."""

from datetime import date

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import WithId


class Spans(WithId):
    """Days of one owner: a member, or with no `user_id` the company."""

    __abstract__ = True

    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date | None] = mapped_column(Date)
    name: Mapped[str] = mapped_column(String(200), default="")


class DaysOff(Spans):
    """A company closure or a member's leave; `last_day` NULL is open-ended."""

    __tablename__ = "days_off"
    __table_args__ = (
        CheckConstraint("last_day IS NULL OR last_day >= first_day", name="in_order"),
        Index("ix_days_off_user_id_last_day", "user_id", "last_day"),
    )


class ExtraWorkday(Spans):
    """Days that are workdays whatever the weekday or holiday (土曜出勤日); never open-ended."""

    __tablename__ = "extra_workdays"
    __table_args__ = (
        CheckConstraint("last_day >= first_day", name="in_order"),
        Index("ix_extra_workdays_user_id_last_day", "user_id", "last_day"),
    )

    last_day: Mapped[date | None] = mapped_column(Date, nullable=False)
