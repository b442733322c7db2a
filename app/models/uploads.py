"""Table: files to import, between their preview and its confirmation."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import WithId


class Upload(WithId):
    """One uploaded file, and what its lines would do. Swept after a day."""

    __tablename__ = "uploads"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    what: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    overwrite_settings: Mapped[bool]
    data: Mapped[bytes] = mapped_column(LargeBinary)  # zlib
    preview: Mapped[bytes] = mapped_column(LargeBinary)  # zlib, JSON
    created_at: Mapped[datetime]
