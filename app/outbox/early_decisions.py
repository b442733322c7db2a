"""Decisions made before their time: by a rehearsal, or by a clock that ran ahead.

They are rows like others until their day comes. Then the day decides anew, unless the mail of the
early decision is out. With the local mailbox they stand: `make run` shows the next workday's mails
in it, and no real mailbox gets those.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from app.config import Config
from app.db import among, insert_new
from app.models import DecisionRow, Kind, OutboxMail

EARLY = -1  # the number of a rehearsal's mail: that of the day itself is 0
SET_ASIDE = "#"  # in the dedupe key of a mail that made way for that of its day

_ITS_KIND = case(
    (DecisionRow.slot == "reminder", Kind.REMINDER),
    (DecisionRow.slot == "digest", Kind.WEEKLY_DIGEST),
    else_=Kind.ESCALATION,
)
_ITS_MAIL = and_(  # by the index of members and dates
    OutboxMail.user_id == func.coalesce(DecisionRow.told_id, DecisionRow.user_id),
    OutboxMail.local_date == func.coalesce(DecisionRow.told_on, DecisionRow.local_date),
    OutboxMail.kind == _ITS_KIND,
    OutboxMail.n == 0,
)
_HAS_MAIL = exists(
    select(OutboxMail.id).where(_ITS_MAIL, OutboxMail.dedupe_key.not_like(f"%{SET_ASIDE}%"))
).correlate(DecisionRow)

# The decisions that say what becomes of a real day.
STANDS: ColumnElement[bool] = or_(DecisionRow.provisional.is_(False), _HAS_MAIL)


def insert_decisions(
    session: Session,
    config: Config,
    rows: Sequence[Mapping[str, Any]],
    *,
    early: bool,
    returning: Sequence[Any],
) -> list[Any]:
    """Inserts the decisions for dates that have none; returns `returning` of those inserted.

    `early`: a rehearsal's. A real one takes the place of an early one that does not stand.
    """
    if early:
        rows = [{**row, "provisional": True} for row in rows]
    new = insert_new(session, DecisionRow, rows, returning=returning)
    if early or config.local_mailbox or len(new) == len(rows):
        return new
    freed = _make_way(session, rows)
    again = [row for row in rows if (row["user_id"], row["local_date"]) in freed]
    return new + insert_new(session, DecisionRow, again, returning=returning)


def _make_way(session: Session, rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, Any]]:
    """Removes the early decisions in the place of these rows; returns their members and dates."""
    wanted = {(row["user_id"], row["local_date"]) for row in rows}
    found = session.execute(
        select(DecisionRow.id, DecisionRow.user_id, DecisionRow.local_date).where(
            among(DecisionRow.user_id, [row["user_id"] for row in rows]),
            DecisionRow.slot == rows[0]["slot"],
            DecisionRow.local_date.in_({row["local_date"] for row in rows}),
            ~STANDS,
        )
    ).all()
    early = [one for one in found if (one.user_id, one.local_date) in wanted]
    if early:
        session.execute(delete(DecisionRow).where(among(DecisionRow.id, [one.id for one in early])))
    return {(one.user_id, one.local_date) for one in early}
