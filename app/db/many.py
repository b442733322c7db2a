"""Insert and update of many rows in one statement and one parameter."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Dialect,
    Executable,
    FromClause,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeDecorator

from app.db.columns import as_utc


def insert_new(
    session: Session,
    table: type[Any],
    rows: Sequence[Mapping[str, Any]],
    returning: Sequence[Any] = (),
) -> list[Any]:
    """Inserts the rows that break no unique constraint; returns `returning` of those inserted.

    A row that is there already stays as it is: a second insert changes nothing. The rows
    name the same columns, none of them bytes; None is NULL, in JSON too; a column they leave out
    gets its default.
    """
    if not rows:
        return []
    session.flush()
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    answers = tuple(one.key for one in returning)
    statement = _insert_new(table.__table__, tuple(rows[0]), answers, is_sqlite=is_sqlite)
    result = session.execute(statement, {"rows": rows})
    return list(result) if returning else []


@lru_cache(maxsize=64)  # making the statement anew takes as long as running it
def _insert_new(
    table: Table, names: tuple[str, ...], returning: tuple[str, ...], *, is_sqlite: bool
) -> Executable:
    given = _handed_over([table.c[name] for name in names], is_sqlite=is_sqlite)
    insert = sqlite.insert if is_sqlite else postgresql.insert
    rows = select(*given.c).where(true())  # SQLite would take the ON CONFLICT for a join's ON
    statement = insert(table).from_select(names, rows).on_conflict_do_nothing()
    return statement.returning(*(table.c[name] for name in returning)) if returning else statement


def update_each(session: Session, table: type[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Sets the columns that the rows name in the rows with their `id`s.

    What the session has loaded of them stays as it was loaded.
    """
    if rows:
        session.flush()
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        statement = _update_each(table.__table__, tuple(rows[0]), is_sqlite=is_sqlite)
        session.execute(statement, {"rows": rows})


@lru_cache(maxsize=64)
def _update_each(table: Table, names: tuple[str, ...], *, is_sqlite: bool) -> Executable:
    given = _handed_over([table.c[name] for name in names], is_sqlite=is_sqlite)
    values = {name: given.c[name] for name in names if name != "id"}
    return update(table).where(table.c.id == given.c.id).values(values)


def _handed_over(columns: Sequence[Column[Any]], *, is_sqlite: bool) -> FromClause:
    """The mappings of the parameter `rows` as a table with these columns.

    One parameter, however many rows: a VALUES list of 500 rows takes the driver longer to read
    than the database to store, and is new text to both each time.
    """
    rows = bindparam("rows", type_=_Rows())
    if not is_sqlite:
        wanted = (column(one.key, one.type) for one in columns)
        found = func.json_to_recordset(cast(rows, JSON)).table_valued(*wanted)
        return found.render_derived(with_types=True)
    row = func.json_each(rows).table_valued("value").c.value
    return select(*(_field(row, one).label(one.key) for one in columns)).subquery()


def _field(row: ColumnElement[Any], wanted: Column[Any]) -> ColumnElement[Any]:
    value = func.json_extract(row, f"$.{wanted.key}", type_=wanted.type)
    if not isinstance(wanted.type, JSON):
        return value
    # What json_extract gives of a text is no JSON any more; and None is NULL, as on PostgreSQL.
    return func.nullif(func.json_quote(value), "null", type_=wanted.type)


class _Rows(TypeDecorator[Sequence[Mapping[str, Any]]]):
    """Rows as one JSON text, with dates and instants as the database's own columns have them."""

    impl = Text
    cache_ok = True

    def process_bind_param(
        self, value: Sequence[Mapping[str, Any]] | None, dialect: Dialect
    ) -> str | None:
        """The text; a naive instant is refused."""
        return json.dumps(value, default=_sqlite_text if dialect.name == "sqlite" else _text)


# Most of a batch's instants are the same few.
@lru_cache(maxsize=4096)
def _text(value: object) -> str:
    if isinstance(value, datetime):
        return as_utc(value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"cannot be handed over: {type(value).__name__}")


@lru_cache(maxsize=4096)
def _sqlite_text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{as_utc(value):%Y-%m-%d %H:%M:%S.%f}"
    return value.isoformat("microseconds") if isinstance(value, time) else _text(value)
