"""The parts of our SQL: instants, the database's own clock, lists as one parameter."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    String,
    Text,
    bindparam,
    cast,
    func,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from app.mime.address import spellings


def as_utc(value: datetime) -> datetime:
    """The same instant in UTC; ValueError for a naive one."""
    if value.tzinfo is None:
        raise ValueError(f"naive datetime: {value!r}")
    return value.astimezone(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: aware on the way in (naive is refused), aware UTC on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC; without its zone on SQLite, which keeps none."""
        if value is None:
            return None
        value = as_utc(value)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as an SQL function
    """The database's clock plus `seconds`: leases of several machines need one clock."""

    inherit_cache = True
    type = UTCDateTime()

    def __init__(self, seconds: float | ColumnElement[float] = 0.0) -> None:
        super().__init__(cast(seconds, Double))


@compiles(database_now, "postgresql")
def _now_postgresql(element: database_now, compiler: Any, **kw: Any) -> str:
    # now() stands still inside a transaction; a lease must not.
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


@compiles(database_now, "sqlite")
def _now_sqlite(element: database_now, compiler: Any, **kw: Any) -> str:
    # Six digits, as SQLAlchemy writes them: the texts must compare.
    seconds = compiler.process(element.clauses, **kw)
    moment = f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+f seconds', {seconds}))"
    return f"({moment} || '000')"


class seconds_between(FunctionElement[float]):  # noqa: N801 - reads as an SQL function
    """How many seconds `later` comes after `earlier`; two instants of the database."""

    inherit_cache = True
    type = Double()

    def __init__(self, earlier: Any, later: Any) -> None:
        super().__init__(earlier, later)


@compiles(seconds_between, "postgresql")
def _between_postgresql(element: seconds_between, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(one, **kw) for one in element.clauses)
    # Not extract(): that makes a numeric, and a day's mails take twice as long.
    return f"date_part('epoch', {later} - {earlier})"


@compiles(seconds_between, "sqlite")
def _between_sqlite(element: seconds_between, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(one, **kw) for one in element.clauses)
    return f"((julianday({later}) - julianday({earlier})) * 86400.0)"


class among(FunctionElement[Any]):  # noqa: N801 - reads as an SQL function
    """`column` is one of `values`, all in one parameter: the statement's text stays the same.

    An IN of 500 parameters takes milliseconds to write anew each time, and is never prepared.
    """

    inherit_cache = True
    # Not Boolean: SQLAlchemy writes that as `(… IN …) = 1` for SQLite, which takes no index then.
    type = NullType()

    def __init__(self, column: Any, values: Iterable[int] | Iterable[str]) -> None:
        item = Text() if isinstance(column.type, String) else BigInteger()
        super().__init__(column, bindparam(None, list(values), type_=_Several(item)))


def same_address(column: Any, address: str) -> ColumnElement[bool]:
    """`column` holds this mail address, however either of them is written."""
    return func.lower(column).in_(spellings(address))


class _Several(TypeDecorator[list[Any]]):
    """A list as one parameter: an array, or JSON where there are no arrays."""

    impl = JSON
    cache_ok = True

    def __init__(self, item: Text | BigInteger) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own type for it."""
        is_postgresql = dialect.name == "postgresql"
        return dialect.type_descriptor(ARRAY(self.item) if is_postgresql else JSON())


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: Any, **kw: Any) -> str:
    column, values = element.clauses
    return f"{compiler.process(column, **kw)} = ANY ({compiler.process(values, **kw)})"


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: Any, **kw: Any) -> str:
    column, values = element.clauses
    # The text is the compiler's own, with a placeholder for the values.
    listed = f"SELECT value FROM json_each({compiler.process(values, **kw)})"  # noqa: S608 - above
    return f"{compiler.process(column, **kw)} IN ({listed})"
