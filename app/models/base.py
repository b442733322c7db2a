"""What every table is made of: the base class, ids, constraints of words, indexes of some rows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, Integer, MetaData, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.db import UTCDateTime

LARGEST_ID = 2**63 - 1
Id = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """All tables; named constraints, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime(), dict[str, Any]: JSON()}  # noqa: RUF012 - SQLAlchemy reads it once


class WithId(Base):
    """A table whose rows have ids. None is ever given away twice, as the Redis guard carries them:
    SQLite keeps to that with AUTOINCREMENT alone.
    """

    __abstract__ = True

    id: Mapped[int] = mapped_column(Id, primary_key=True, sort_order=-1)  # the first column

    def __init_subclass__(cls, **options: Any) -> None:
        own = cls.__dict__.get("__table_args__", ())
        cls.__table_args__ = (*own, {"sqlite_autoincrement": True})
        super().__init_subclass__(**options)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """The column holds one of these words."""
    allowed = ", ".join(f"'{value!s}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of those rows alone for which `where` holds, on either database."""
    rows = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
