"""The rows of recaps, shared by all workers: who asks about which team, how often, and the day's budget.

Each function is one short transaction; none is open while a server is asked.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from app.ai.call import ANSWER_WITHIN, MOST_TOKENS
from app.ai.prompt import Prompt
from app.db import insert_new
from app.models import AiBudget, Recap, RecapState
from app.people.settings import Organisation
from app.services import Services

LEASE = timedelta(seconds=3 * ANSWER_WITHIN)
BACK_OFF = (30, 60, 120, 240)  # seconds after each attempt; then it is given up
KEPT = timedelta(days=90)
LATER = timedelta(seconds=30)  # until another worker's question is answered
_OPEN = (RecapState.WAITING, RecapState.ASKING)


@dataclass(frozen=True, slots=True)
class Mine:
    """A question that this worker may ask until `until`."""

    id: int
    until: datetime
    attempts: int
    needed_by: datetime
    estimate: int  # tokens, counted already
    day: date


def want(session: Session, lead_id: int, week: str, *, now: datetime, needed_by: datetime) -> None:
    """A recap is wanted; one that is there stays as it is."""
    row = {
        "team_id": lead_id,  # the column's older name
        "iso_week": week,
        "state": RecapState.WAITING,
        "attempts": 0,
        "not_before": now,
        "needed_by": needed_by,
        "member_ids": "",
        "tokens": 0,
        "created_at": now,
        "purge_at": now + KEPT,
    }
    insert_new(session, Recap, [row])


def open_now(services: Services, now: datetime, at_most: int) -> list[tuple[int, str]]:
    """Leads and weeks that may be asked about now; what is no longer needed is closed."""
    with services.db.read() as session:
        late = session.scalar(
            select(Recap.id).where(Recap.state.in_(_OPEN), Recap.needed_by <= now).limit(1)
        )
        open_ones = (
            select(Recap.lead_id, Recap.iso_week)
            .where(_free(now), Recap.state.in_(_OPEN), Recap.needed_by > now)
            .order_by(Recap.needed_by, Recap.id)
            .limit(at_most)
        )
        found = [(lead_id, week) for lead_id, week in session.execute(open_ones)]
    if late is not None:
        with services.db.write() as session:
            session.execute(
                update(Recap)
                .where(Recap.state.in_(_OPEN), Recap.needed_by <= now)
                .values(state=RecapState.FAILED, why="late", ended_at=now, lease_until=None)
            )
    return found


def _free(now: datetime) -> ColumnElement[bool]:
    return and_(Recap.not_before <= now, or_(Recap.lease_until.is_(None), Recap.lease_until <= now))


def paid_for(services: Services, key: str) -> str | None:
    """What came back to the very same question, used or refused."""
    same = (
        select(Recap.came_back)
        .where(
            Recap.input_key == key,
            Recap.came_back.is_not(None),
            Recap.state.in_((RecapState.GOOD, RecapState.REFUSED)),
        )
        .order_by(Recap.id)
        .limit(1)
    )
    with services.db.read() as session:
        return session.scalar(same)


def about(prompt: Prompt, model: str) -> dict[str, object]:
    """What a row says of its question."""
    return {
        "input_key": prompt.key(model),
        "model": model[:200],
        "sent": prompt.messages[-1]["content"],
        "member_ids": f" {' '.join(map(str, sorted(prompt.members)))} ",
    }


def claim(
    services: Services, defaults: Organisation, row_id: int, prompt: Prompt, now: datetime
) -> Mine | str:
    """The right to ask, with its calls and tokens counted; or, in one word, why not now."""
    until = now + LEASE * services.config.test_time_scale
    day = defaults.today(now)
    estimate = prompt.size + MOST_TOKENS
    model = services.config.ai_model or ""
    with services.db.write() as session:
        insert_new(session, AiBudget, [{"day": day, "calls": 0, "tokens": 0}])
        # This row is locked until the commit, so that no other worker counts meanwhile.
        used = session.execute(
            select(AiBudget).where(AiBudget.day == day).with_for_update()
        ).scalar_one()
        if used.calls >= defaults.ai_calls_per_day:
            return "calls_used_up"
        if used.tokens + estimate > defaults.ai_tokens_per_day:
            return "tokens_used_up"
        asked = select(Recap.input_key).where(
            Recap.state == RecapState.ASKING, Recap.lease_until > now
        )
        keys = session.scalars(asked).all()
        if len(keys) >= defaults.ai_at_once or prompt.key(model) in keys:
            return "others_are_asking"
        taken = session.execute(
            update(Recap)
            .where(Recap.id == row_id, _free(now))
            .values(
                state=RecapState.ASKING,
                lease_until=until,
                attempts=Recap.attempts + 1,
                came_back=None,
                lines=None,
                why=None,
                **about(prompt, model),
            )
            .returning(Recap.attempts, Recap.needed_by)
        ).one_or_none()
        if taken is None:
            return "others_are_asking"
        used.calls += 1
        used.tokens += estimate
    return Mine(row_id, until, taken.attempts, taken.needed_by, estimate, day)


def wait(services: Services, row_id: int, why: str, until: datetime, now: datetime) -> None:
    """Not now: the tick asks again at `until`."""
    with services.db.write() as session:
        session.execute(
            update(Recap)
            .where(Recap.id == row_id, Recap.state == RecapState.WAITING, _free(now))
            .values(not_before=until, why=why)
        )


def end(
    services: Services, mine: Mine, now: datetime, tokens: int | None, **values: object
) -> None:
    """Writes down what came of it, unless it took so long that it is no longer ours."""
    open_still = values.get("state") == RecapState.WAITING
    with services.db.write() as session:
        session.execute(
            update(Recap)
            .where(Recap.id == mine.id, Recap.lease_until == mine.until)
            .values(
                lease_until=None,
                ended_at=None if open_still else now,
                tokens=Recap.tokens + (tokens or 0),
                **values,
            )
        )
        if tokens is not None:
            session.execute(
                update(AiBudget)
                .where(AiBudget.day == mine.day)
                .values(tokens=AiBudget.tokens + tokens - mine.estimate)
            )


def settle(services: Services, row_id: int, now: datetime, **values: object) -> None:
    """Ends a recap that cost nothing."""
    with services.db.write() as session:
        session.execute(
            update(Recap).where(Recap.id == row_id, _free(now)).values(ended_at=now, **values)
        )


def purge(services: Services, now: datetime) -> None:
    """What was kept long enough goes."""
    with services.db.read() as session:
        old = session.scalar(select(Recap.id).where(Recap.purge_at <= now).limit(1))
    if old is not None:
        with services.db.write() as session:
            session.execute(delete(Recap).where(Recap.purge_at <= now))


def forget_member(session: Session, member_id: int, now: datetime) -> None:
    """What was sent and came back about a member who deleted their data goes at once."""
    about = Recap.member_ids.contains(f" {member_id} ")
    session.execute(
        update(Recap)
        .where(or_(Recap.lead_id == member_id, about))
        .values(
            state=RecapState.REFUSED,
            why="member_deleted",
            lease_until=None,
            ended_at=now,
            input_key=None,
            sent=None,
            came_back=None,
            lines=None,
        )
    )
