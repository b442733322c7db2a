"""The days off, or extra workdays, of one owner as rows: read, united, taken out of."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.models import Member, Spans
from app.rules.workdays import Span, unite, without

Table = type[Spans]  # DaysOff or ExtraWorkday


def owned(session: Session, table: Table, owner: int | None) -> list[Span]:
    """A member's, or with None the company's; the earliest first."""
    return sorted(_span(row) for row in _rows(session, table, owner))


def add(session: Session, table: Table, owner: int | None, days: Span) -> list[Span]:
    """Adds the days, overlapping ones become one span; returns all as they stand."""
    rows = _rows(session, table, owner)
    spans = unite([*map(_span, rows), days])
    replace(session, table, owner, rows, spans)
    return spans


def remove(session: Session, table: Table, owner: int | None, days: Span) -> list[Span] | None:
    """Takes the days out and leaves the rest; None when none of them was there."""
    rows = _rows(session, table, owner)
    before = [_span(row) for row in rows]
    left = [part for span in before for part in without(span, days)]
    if left == before:
        return None
    replace(session, table, owner, rows, left)
    return sorted(left)


def replace(
    session: Session, table: Table, owner: int | None, rows: Iterable[Spans], spans: Iterable[Span]
) -> None:
    """Brings the owner's rows to `spans`; a row whose days stay keeps its id."""
    wanted = {(span.first, span.last): span for span in spans}
    for row in rows:
        kept = wanted.pop((row.first_day, row.last_day), None)
        if kept is None:
            session.delete(row)
        else:
            row.name = kept.name
    for span in wanted.values():
        days = {"first_day": span.first, "last_day": span.last, "name": span.name}
        session.add(table(user_id=owner, **days))


def of_members(
    session: Session, table: Table, since: date, limit: int
) -> list[tuple[int, str, Span]]:
    """(member's id, name, days) of active members that do not end before `since`, the earliest
    first.
    """
    query = (
        select(Member.id, Member.name, table.first_day, table.last_day, table.name)
        .join(Member, Member.id == table.user_id)
        .where(Member.active.is_(True), or_(table.last_day.is_(None), table.last_day >= since))
        .order_by(table.first_day, Member.id)
        .limit(limit)
    )
    return [
        (member_id, who, Span(first, last, name))
        for member_id, who, first, last, name in session.execute(query)
    ]


def noted(span: Span) -> dict[str, Any]:
    """The days for the audit."""
    last = span.last.isoformat() if span.last else None
    return {"first_day": span.first.isoformat(), "last_day": last, "name": span.name}


def _rows(session: Session, table: Table, owner: int | None) -> Sequence[Spans]:
    return session.scalars(select(table).where(table.user_id == owner)).all()


def _span(row: Spans) -> Span:
    return Span(row.first_day, row.last_day, row.name)
