"""After a restore: what may have gone out since the backup waits for an admin's confirmation.

The restored database knows nothing of the time since its backup. Whatever it would send for that
time, mails that were open in it and mails that it decides anew, is held: no sender claims it. `resume`
lets it go; until then each mail ends `unknown` at its time, because a copy may be out, and its
decision stands, so that no later date makes up for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alert
from app.compose.text import date_words
from app.db import among, insert_new, put
from app.locale import Both
from app.models import OPEN, Kind, MailEvent, OutboxMail, Setting, State
from app.outbox import log_records
from app.outbox.lease import DOUBTS_AT_MOST, AnyMail, some
from app.rules.workdays import DAY, week_of
from app.services import Services
from app.util.redis_guard import Guard

RESTORED = "restored"  # settings key; also the reason of mails that end without a confirmation
HELD = "restore"
HOLDS_AT_MOST = timedelta(days=8)  # to the end of a week, in whatever time zone
_COUNTED_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_EASTERNMOST = timezone(timedelta(hours=14))  # where a local date begins first
_HELD: ColumnElement[bool] = and_(OPEN, OutboxMail.held == HELD)
NOT_HELD: ColumnElement[bool] = OutboxMail.held.is_distinct_from(HELD)


@dataclass(frozen=True, slots=True)
class Restored:
    """The last restore: when, how far its backup reached (None: not known), and if it still waits
    for an admin's confirmation. Not `by_hand`: the program found by itself that the database is an older one.
    """

    at: datetime
    as_of: datetime | None
    waits: bool
    by_hand: bool = True

    def hold(self, zone: ZoneInfo, day: date, *, week_begins: int | None) -> str | None:
        """What `held` says of an automatic mail for the local date `day` in `zone`.

        The dates that had begun by then, whatever the hour: a member may have been reminded by
        hand. What comes once a week (which begins on that weekday) waits to the end of the week.
        """
        last = self.at.astimezone(zone).date()
        if week_begins is not None:
            last = week_of(last, week_begins).first + 6 * DAY
        return HELD if self.waits and day <= last else None


def last_restore(session: Session) -> Restored | None:
    """The last restore that this database went through."""
    row = session.get(Setting, RESTORED)
    if row is None:
        return None
    as_of = row.value["as_of"]
    return Restored(
        row.changed_at,
        datetime.fromisoformat(as_of) if as_of else None,
        row.value["waits"],
        row.value.get("by_hand", True),
    )


def note(session: Session, restored: Restored, *, who: str) -> None:
    """Writes it down."""
    as_of = restored.as_of.isoformat() if restored.as_of else None
    value = {"as_of": as_of, "waits": restored.waits, "by_hand": restored.by_hand}
    values = {"value": value, "changed_by": who, "changed_at": restored.at}
    put(session, Setting, {"key": RESTORED}, values)


def first_n(session: Session, day: date) -> int:
    """The smallest number of an asked mail or a resend for the local date `day`.

    The lost database may have given away smaller ones, and with them their Message-IDs: another
    mail with one of those would be dropped as a copy.
    """
    restored = last_restore(session)
    if restored is None or day > restored.at.astimezone(_EASTERNMOST).date():
        return 1
    return 10 * ((restored.at - _COUNTED_FROM) // timedelta(minutes=1))


def hold_all(session: Session, *, now: datetime) -> int:
    """Holds every open mail; returns how many. One that was in doubt twice has ended."""
    end_unknown(session, and_(OPEN, OutboxMail.doubts >= DOUBTS_AT_MOST), now=now)
    held = session.scalars(
        update(OutboxMail)
        .where(OPEN)
        .values(
            state=State.READY,
            held=HELD,
            lease_token=None,
            lease_until=None,
            claims=0,
            updated_at=now,
        )
        .returning(OutboxMail.id)
    )
    return len(held.all())


def held_of(services: Services, mail_ids: Iterable[int]) -> int:
    """How many of these mails wait."""
    with services.db.read() as session:
        which = and_(_HELD, among(OutboxMail.id, list(mail_ids)))
        return session.scalar(select(func.count()).where(which)) or 0


def held_number(session: Session) -> int:
    """How many mails wait."""
    return session.scalar(select(func.count()).where(_HELD)) or 0


def guarded(services: Services) -> list[int]:
    """The ids of held reminders of which Redis knows that a copy is out, or may be.

    Their guard stands, in the name of this mail or of the one that the lost database had.
    """
    with services.db.read() as session:
        rows = session.execute(
            select(
                OutboxMail.user_id, OutboxMail.local_date, OutboxMail.id, OutboxMail.channel
            ).where(
                _HELD,
                OutboxMail.kind == Kind.REMINDER,
                OutboxMail.n == 0,
            )
        )
        guards = [Guard(who, day, mail, channel) for who, day, mail, channel in rows if who]
    return [guard.mail_id for guard in services.guard.standing(guards)]


def release(session: Session, out: list[int], *, who: str, now: datetime) -> list[int]:
    """Confirmed by an admin: what is held goes, except the mails `out`, which end; returns the ids.

    A copy of each may be out: if this one meets a doubt, no further one follows.
    """
    late = OutboxMail.expires_at <= now
    end_unknown(session, and_(_HELD, or_(late, among(OutboxMail.id, out))), now=now)
    ids = session.scalars(
        update(OutboxMail)
        .where(_HELD)
        .values(held=None, doubts=1, updated_at=now)
        .returning(OutboxMail.id)
    ).all()
    restored = last_restore(session)
    if restored is not None and restored.waits:
        _nothing_waits(session, restored, who=who, now=now)
    return list(ids)


def give_up(session: Session, now: datetime, at_most: int) -> int:
    """No confirmation came in time: ends up to so many of them, and returns how many.

    One alert covered all of them; no alert per mail follows. It is over when nothing can wait any more.
    """
    late = some(and_(_HELD, OutboxMail.expires_at <= now), at_most)
    ended = end_unknown(session, OutboxMail.id == late.c.id, now=now)
    restored = last_restore(session)
    over = restored is not None and restored.waits and now - restored.at > HOLDS_AT_MOST
    if restored is not None and over and not held_number(session):
        _nothing_waits(session, restored, who=HELD, now=now)
    return len(ended)


def _nothing_waits(session: Session, restored: Restored, *, who: str, now: datetime) -> None:
    note(session, replace(restored, waits=False), who=who)
    close_alert(session, Alarm.RESTORED, now=now)


def end_unknown(
    session: Session, which: ColumnElement[bool], *, now: datetime, reason: str = RESTORED
) -> Sequence[AnyMail]:
    """Ends mails of which a copy may be out; their decisions stand. Returns them."""
    ended = session.execute(
        update(OutboxMail)
        .where(which)
        .values(
            state=State.UNKNOWN,
            reason=reason,
            held=None,
            lease_token=None,
            lease_until=None,
            updated_at=now,
        )
        .returning(
            OutboxMail.id, OutboxMail.kind, OutboxMail.claims, OutboxMail.retries,
            OutboxMail.local_date, OutboxMail.to_addr,
        )
    ).all()  # fmt: skip
    events = [
        {"outbox_id": one.id, "at": now, "event": State.UNKNOWN, "detail": reason} for one in ended
    ]
    for one in ended:
        log_records.ended(session, one, State.UNKNOWN, reason)
    insert_new(session, MailEvent, events)
    return ended


def lost_records(session: Session, zone: ZoneInfo, day: date) -> list[Both]:
    """What `why` adds for a date of which the records of a part were lost with a restore."""
    restored = last_restore(session)
    if restored is None:
        return []
    first = (restored.as_of or restored.at).astimezone(zone).date()
    if not first <= day <= restored.at.astimezone(zone).date():
        return []
    since, until = moment(restored.as_of, zone), moment(restored.at, zone)
    return [
        Both(
            f"データベースは {until.ja} にバックアップから復元されました。"
            f"{since.ja}から復元までに送られたメールと届いた報告は、ここには残っていません。",
            f"The database was restored from a backup at {until.en}: of mails and reports "
            f"between {since.en} and then nothing is recorded here.",
        )
    ]


def alert_facts(restored: Restored, zone: ZoneInfo) -> dict[str, Any]:
    """What the alert says of the time of the backup, and who found it."""
    as_of = moment(restored.as_of, zone) if restored.as_of else None
    return {"as_of": as_of, "by_hand": restored.by_hand}


def moment(at: datetime | None, zone: ZoneInfo) -> Both:
    """An instant as people read it; None is the time of the backup, whenever that was."""
    if at is None:
        return Both("バックアップの時点", "the time of the backup")
    local = at.astimezone(zone)
    ja, en = date_words(local.date(), with_year=False)
    return Both(f"{ja} {local:%H:%M}", f"{en} {local:%H:%M}")
