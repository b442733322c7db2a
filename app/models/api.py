"""Tables: API tokens, and what a call with an Idempotency-Key was answered."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Date, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, WithId


class Via(StrEnum):
    """By which way a report came."""

    WEB = "web"  # a page: that of a mail's link, too
    MAIL = "mail"  # a reply to a mail
    API = "api"
    MCP = "mcp"  # an agent
    IMPORT = "import"  # a file
    SOURCE = "source"  # read from another program


class ApiToken(WithId):
    """A program's key to act as its owner, within scopes. The row keeps only the key's hash."""

    __tablename__ = "api_tokens"

    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    shown: Mapped[str] = mapped_column(String(12))  # the key's first characters
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(50))
    scopes: Mapped[str] = mapped_column(String(60))  # "read,report"
    test: Mapped[bool]  # what it sends ends suppressed
    created_at: Mapped[datetime]
    # The last day, in APP_TIMEZONE, on which it works.
    expires_on: Mapped[date] = mapped_column(Date)
    last_used_at: Mapped[datetime | None]  # to the hour
    notified_at: Mapped[datetime | None]  # when its owner was mailed that it ends
    revoked_at: Mapped[datetime | None]


class ApiCall(Base):
    """A call that had an effect and came with a key, committed with the effect itself."""

    __tablename__ = "api_calls"

    token_id: Mapped[int] = mapped_column(
        ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # of method, path and body
    status: Mapped[int]
    answer: Mapped[str] = mapped_column(Text)
    location: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(index=True)
