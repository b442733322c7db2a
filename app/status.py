"""How things stand, and the one word that stops or starts all sending."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.alerts import open_alerts
from app.db import put
from app.models import ENDS, Audit, Member, OutboxMail, Service, Setting
from app.outbox.lease import PAUSE
from app.reminders import brake
from app.services import Services
from app.words import Both

TICK = "tick"
STALE = timedelta(minutes=5)  # without a tick something is wrong


@dataclass(frozen=True, slots=True)
class Line:
    """One line of `status`: a mark ("ok", "warn", "bad") and a sentence."""

    mark: str
    sentence: Both


def pause(services: Services, *, who: str, now: datetime) -> None:
    """Stops all sending at once, for everybody. Mails stay ready, and expire at their time."""
    with services.db.write() as session:
        put(session, Setting, {"key": PAUSE}, {"value": True, "changed_by": who, "changed_at": now})
        session.add(Audit(at=now, who=who, what="pause", data={}))


def paused(services: Services) -> bool:
    """Whether all sending is stopped. Raises what the database raises."""
    with services.db.read() as session:
        return session.get(Setting, PAUSE) is not None


def resume(services: Services, *, who: str, now: datetime) -> int:
    """Starts sending again, and lets go what an unusual number held; returns how many that were."""
    with services.db.write() as session:
        paused = session.get(Setting, PAUSE)
        if paused is not None:
            session.delete(paused)
        released = brake.release(session, who=who, now=now)
        session.add(Audit(at=now, who=who, what="resume", data={"released": len(released)}))
    services.publish(released)
    return len(released)


def sign_of_life(services: Services, name: str, now: datetime, **data: Any) -> None:
    """Notes that the part `name` (tick, timer, a worker) is alive."""
    with services.db.write() as session:
        put(session, Service, {"name": name}, {"at": now, "data": data})


def status(services: Services, now: datetime) -> dict[str, Any]:
    """The facts: pause, held mails, members, mails by state, last tick, open alerts."""
    with services.db.read() as session:
        paused = session.get(Setting, PAUSE)
        tick = session.get(Service, TICK)
        states = _states(session, now)
        return {
            "paused": paused is not None,
            "paused_by": paused.changed_by if paused else None,
            "paused_at": paused.changed_at.isoformat() if paused else None,
            "held": _held(session),
            "smtp_host": services.config.smtp_host,
            "mail_only_to": list(services.config.mail_only_to),
            "members": session.scalar(
                select(func.count()).select_from(Member).where(Member.active.is_(True))
            ),
            "mails_of_the_last_day": states,
            "oldest_unsent": _oldest_unsent(session, now),
            "last_tick": tick.at.isoformat() if tick else None,
            "tick_is_late": tick is None or now - tick.at > STALE,
            "alerts": [
                {"name": one.name, "opened_at": one.opened_at.isoformat(), "detail": one.detail}
                for one in open_alerts(session)
            ],
        }


def lines(facts: dict[str, Any]) -> list[Line]:
    """The facts of `status` as sentences, the worst first."""
    found = [_sending(facts), *_notices(facts), *_numbers(facts)]
    order = {"bad": 0, "warn": 1, "ok": 2}
    return sorted(found, key=lambda line: order[line.mark])


def _sending(facts: dict[str, Any]) -> Line:
    if facts["paused"]:
        return Line(
            "bad",
            Both(
                f"送信は止まっています({facts['paused_by']}さんが停止)。"
                "`task-progress resume` で再開します。",
                f"Sending is paused (by {facts['paused_by']}). `task-progress resume` starts it.",
            ),
        )
    if facts["smtp_host"] is None:
        return Line(
            "bad",
            Both(
                "SMTP_HOST が設定されていないため、メールは1通も送られません。",
                "SMTP_HOST is not set: no mail is sent.",
            ),
        )
    return Line("ok", Both("送信できる状態です。", "Sending is on."))


def _notices(facts: dict[str, Any]) -> list[Line]:
    found: list[Line] = []
    if facts["held"]:
        found.append(
            Line(
                "bad",
                Both(
                    f"{facts['held']}通が確認待ちです。`task-progress resume` で送信します。",
                    f"{facts['held']} mails wait for your word: `task-progress resume`.",
                ),
            )
        )
    if facts["mail_only_to"]:
        only = ", ".join(facts["mail_only_to"])
        found.append(
            Line(
                "warn",
                Both(
                    f"試行中です。送信先は {only} に限られています。",
                    f"Pilot: mail only to {only}.",
                ),
            )
        )
    if facts["tick_is_late"]:
        found.append(
            Line(
                "bad",
                Both(
                    f"5分以上、定期処理が動いていません(最後: {facts['last_tick'] or 'なし'})。",
                    f"No tick for 5 minutes (last: {facts['last_tick'] or 'none'}).",
                ),
            )
        )
    found += [
        Line(
            "bad",
            Both(
                f"警告: {one['name']}({one['detail']})", f"Alert: {one['name']} ({one['detail']})"
            ),
        )
        for one in facts["alerts"]
    ]
    return found


def _numbers(facts: dict[str, Any]) -> list[Line]:
    states = facts["mails_of_the_last_day"]
    shown = ", ".join(f"{state} {number}" for state, number in states.items()) or "0"
    return [
        Line(
            "ok",
            Both(f"有効なメンバー: {facts['members']}人", f"Active members: {facts['members']}"),
        ),
        Line("ok", Both(f"直近24時間のメール: {shown}", f"Mails of the last 24 hours: {shown}")),
    ]


def _held(session: Session) -> int:
    held = select(func.count()).select_from(OutboxMail).where(OutboxMail.held.is_not(None))
    return session.scalar(held) or 0


def _states(session: Session, now: datetime) -> dict[str, int]:
    rows = session.execute(
        select(OutboxMail.state, func.count())
        .where(OutboxMail.created_at > now - timedelta(days=1))
        .group_by(OutboxMail.state)
        .order_by(OutboxMail.state)
    )
    return {state: number for state, number in rows}


def _oldest_unsent(session: Session, now: datetime) -> str | None:
    oldest = session.scalar(
        select(func.min(OutboxMail.created_at)).where(
            OutboxMail.state.not_in([state.value for state in ENDS]),
            OutboxMail.not_before <= now,
        )
    )
    return oldest.isoformat() if oldest else None
