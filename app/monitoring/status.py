"""How things stand, and the one word that stops or starts all sending."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.alerts import open_alerts
from app.alerts.catalogue import STOPS_MAIL, Alarm, words_of
from app.compose import show_date
from app.db import put
from app.identity import known_settings
from app.locale import Both
from app.models import (
    FIRST_DUE,
    OPEN,
    TICK,
    Audit,
    DecisionRow,
    Member,
    OutboxMail,
    Service,
    Setting,
)
from app.monitoring import machine
from app.outbox import breaker, restored
from app.outbox.lease import PAUSE
from app.reminders import brake, undecided
from app.reminders.reasons import REASONS, STATES
from app.services import Services
from app.timekeeping import ticks

STALE = timedelta(minutes=5)  # without a tick something is wrong
UNSENT = timedelta(minutes=10)  # a mail that waits longer is late


@dataclass(frozen=True, slots=True)
class StatusLine:
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
    """Starts sending again, and lets go what is held; returns how many mails that were.

    Of mails held since a restore, those end of which Redis knows that a copy is out.
    """
    out = restored.guarded(services)
    with services.db.write() as session:
        paused = session.get(Setting, PAUSE)
        if paused is not None:
            session.delete(paused)
        released = brake.release(session, who=who, now=now)
        released += restored.release(session, out, who=who, now=now)
        session.add(Audit(at=now, who=who, what="resume", data={"released": len(released)}))
    services.publish(released)
    return len(released)


def sign_of_life(services: Services, name: str, now: datetime, **data: Any) -> None:
    """Notes that the part `name` (tick, timer, a worker) is alive. Ticks are counted."""
    with services.db.write() as session:
        data |= ticks.one_more(session) if name == TICK else {}
        put(session, Service, {"name": name}, {"at": now, "data": data})


def last_tick(services: Services) -> datetime | None:
    """The instant that the last tick noted, whichever program did it. Raises DatabaseDown."""
    with services.db.read() as session:
        row = session.get(Service, TICK)
        return row.at if row else None


def status(services: Services, now: datetime) -> dict[str, Any]:
    """The facts: pause, held mails, members, mails by state, last tick, open alerts."""
    with services.db.read() as session:
        today = now.astimezone(ZoneInfo(services.config.app_timezone)).date()
        return {
            **_life(services, session, now),
            "members": session.scalar(
                select(func.count()).select_from(Member).where(Member.active.is_(True))
            ),
            "decisions_of_today": _decisions(session, today),
            "undecided": undecided.undecided(services, session, now),
            "mails_of_the_last_day": _states(session, now),
        }


def troubles(services: Services, now: datetime) -> list[StatusLine]:
    """What keeps mails from going out now, for the banner of each of the operator's pages."""
    with services.db.read() as session:
        facts = _life(services, session, now)
    found = [*_stopped(facts, _ON_PAGE), *_notices(facts, _ON_PAGE)]
    return [line for line in found if line.mark == "bad"]


def stopped(services: Services, now: datetime) -> list[StatusLine]:
    """What keeps a mail that is ready from being sent now; [] while nothing does."""
    with services.db.read() as session:
        return _stopped(_life(services, session, now))


def lines(facts: dict[str, Any]) -> list[StatusLine]:
    """The facts of `status` as sentences, the worst first."""
    found = [*_stopped(facts), *_notices(facts), *_numbers(facts)]
    if facts["undecided"]:
        found.append(StatusLine("bad", undecided.sentence(facts["undecided"])))
    if not _stopped(facts) and not _sending_alarms(facts) and not facts["tick_is_late"]:
        found.append(StatusLine("ok", Both("送信できる状態です。", "Sending is on.")))
    order = {"bad": 0, "warn": 1, "ok": 2}
    return sorted(found, key=lambda line: order[line.mark])


def _life(services: Services, session: Session, now: datetime) -> dict[str, Any]:
    """The facts that say whether mails go out; no question that grows with the mails sent."""
    paused = session.get(Setting, PAUSE)
    tick, stuck = session.get(Service, TICK), session.get(Service, breaker.NAME)
    oldest = _oldest_unsent(session, now)
    free = machine.room(services.config.data_dir)
    return {
        "paused": paused is not None,
        "paused_by": paused.changed_by if paused else None,
        "paused_at": paused.changed_at.isoformat() if paused else None,
        "held": _held(session),
        "held_since_restore": restored.held_number(session),
        "smtp_host": services.config.smtp_host,
        "another_mail_server": known_settings.another_server(services),
        "mail_server_trouble": stuck.data.get("why") if stuck else None,
        "mail_only_to": list(services.config.mail_only_to),
        "oldest_unsent": oldest.isoformat() if oldest else None,
        "oldest_unsent_is_late": oldest is not None and now - oldest > UNSENT,
        "last_tick": tick.at.isoformat() if tick else None,
        "log_written": tick is None or tick.data.get("log_written", True),
        "tick_is_late": tick is not None and now - tick.at > STALE,
        "redis_answers": services.once.answers(),
        "disk_free_mb": None if free is None else free // 2**20,
        "disk_is_short": bool(machine.disk_here(services)),
        "dead_links": services.config.dead_links,
        "app_base_url": services.config.app_base_url,
        "timezone": services.config.app_timezone,
        "alerts": [
            {
                "name": one.name,
                "opened_at": one.opened_at.isoformat(),
                "detail": str(words_of(one.name, one.data, one.detail).what),
                "seen_by": one.acked_by,
            }
            for one in open_alerts(session)
        ],
    }


# How to start sending: typed, or pressed by whoever reads a page.
_TYPED = Both("`task-progress resume`", "`task-progress resume`")
_ON_PAGE = Both("ページ「送信の状態」", 'the page "Sending status"')


def _bad(ja: str, en: str) -> StatusLine:
    return StatusLine("bad", Both(ja, en))


def _warn(ja: str, en: str) -> StatusLine:
    return StatusLine("warn", Both(ja, en))


def _stopped(facts: dict[str, Any], how: Both = _TYPED) -> list[StatusLine]:
    """Why nothing goes out, as far as no alert says it."""
    found: list[StatusLine] = []
    if facts["paused"]:
        hand = who_words(facts["paused_by"])
        found.append(
            _bad(
                f"送信を一時停止しています(操作: {hand.ja})。{how.ja} で再開します。",
                f"Sending is paused (by {hand.en}). To start it again: {how.en}.",
            )
        )
    if facts["smtp_host"] is None:
        found.append(
            _bad(
                "SMTP_HOST が設定されていないため、メールは1通も送られません。",
                "SMTP_HOST is not set: no mail is sent.",
            )
        )
    elif facts["another_mail_server"] is not None:
        found.append(_bad(*facts["another_mail_server"]))
    elif facts["mail_server_trouble"] is not None and not _sending_alarms(facts):
        why = Both.of(facts["mail_server_trouble"])
        found.append(
            _warn(
                f"メールサーバーを使えないため、いまは送っていません({why.ja})。"
                "自動で試し直しています。",
                f"The mail server cannot be used, so nothing goes out now ({why.en}). "
                "It is tried again by itself.",
            )
        )
    return found


def _sending_alarms(facts: dict[str, Any]) -> list[str]:
    """The open alerts with which mails do not go out, or are late."""
    names = [one["name"] for one in facts["alerts"]]
    return [name for name in names if name.partition(":")[0] in STOPS_MAIL]


def _notices(facts: dict[str, Any], how: Both = _TYPED) -> list[StatusLine]:
    """What else is to be known: of the mails, of the machine, and each open alert."""
    details = [Both.of(one["detail"]) for one in facts["alerts"]]
    alerts = [_bad(f"警告: {one.ja}", f"Alert: {one.en}") for one in details]
    return [*_of_mails(facts, how), *_of_the_machine(facts), *alerts]


def _of_mails(facts: dict[str, Any], how: Both) -> list[StatusLine]:
    """Mails that wait, go to few, or hold links that few can open."""
    found: list[StatusLine] = []
    if facts["held"]:
        found.append(
            _bad(
                f"{facts['held']}通が確認待ちです。{how.ja} で送信します。",
                f"{_held_words(facts['held'])} To send: {how.en}.",
            )
        )
    if facts["mail_only_to"]:
        only = ", ".join(facts["mail_only_to"])
        found.append(
            _warn(f"試行中です。送信先は {only} に限られています。", f"Pilot: mail only to {only}.")
        )
    if facts["dead_links"]:
        url = facts["app_base_url"]
        found.append(
            _warn(
                f"APP_BASE_URL が {url} のため、メールの中のリンクはこのマシンでしか"
                "開けません。メンバーが開けるアドレスを設定してください。",
                f"APP_BASE_URL is {url}: the links in the mails open only on this machine. "
                "Set the address under which your members reach the pages.",
            )
        )
    if facts["oldest_unsent_is_late"]:
        since = _local(facts, "oldest_unsent")
        found.append(
            _bad(
                f"10分以上、送られていないメールがあります(最も古いもの: {since.ja})。",
                f"A mail has waited for more than 10 minutes (since {since.en}).",
            )
        )
    return found


def _of_the_machine(facts: dict[str, Any]) -> list[StatusLine]:
    """The tick, and what it needs: a log, Redis, a disk with room."""
    found: list[StatusLine] = []
    if not facts["log_written"]:
        found.append(
            _bad(
                "ログを書き込めません(ディスクの空きがないなど)。メールの送信は続いています。",
                "The log cannot be written (a full disk?). Mail goes on.",
            )
        )
    found.append(_tick(facts))
    if facts["redis_answers"] is False:
        found.append(
            _bad(
                "Redis が応答しません。メールは5分ごとの安全タイマーで送られます。",
                "Redis does not answer: mails wait for the safety timer, every 5 minutes.",
            )
        )
    if facts["disk_is_short"] and Alarm.DISK not in [one["name"] for one in facts["alerts"]]:
        free = facts["disk_free_mb"]
        found.append(
            _bad(
                f"ディスクの空きが {free} MB しかありません。なくなるとメールを送れません。",
                f"The disk has only {free} MB left. Without room no mail is sent.",
            )
        )
    return found


def _held_words(number: int) -> str:
    return "1 mail is held." if number == 1 else f"{number} mails are held."


def _tick(facts: dict[str, Any]) -> StatusLine:
    if facts["last_tick"] is None:
        return _warn("定期処理はまだ一度も動いていません。", "There has been no tick yet.")
    last = _local(facts, "last_tick")
    if facts["tick_is_late"]:
        return _bad(
            f"5分以上、定期処理が動いていません(最後: {last.ja})。",
            f"No tick for more than 5 minutes (last: {last.en}).",
        )
    return StatusLine("ok", Both(f"最後の定期処理: {last.ja}", f"Last tick: {last.en}"))


def _local(facts: dict[str, Any], name: str) -> Both:
    """The instant `name` as the organisation's clock shows it."""
    moment = datetime.fromisoformat(facts[name]).astimezone(ZoneInfo(facts["timezone"]))
    return Both(
        f"{show_date(moment.date(), 'ja')} {moment:%H:%M}",
        f"{show_date(moment.date(), 'en')} {moment:%H:%M}",
    )


def who_words(who: str | None) -> Both:
    """Whose hand it was, as the audit names it ("cli:root"), for people."""
    name = (who or "").removeprefix("cli:")
    if who is None or name == who:
        return Both(who or "?", who or "?")
    return Both(f"{name}(コマンド)", f"{name} (command line)")


def _numbers(facts: dict[str, Any]) -> list[StatusLine]:
    states = facts["mails_of_the_last_day"]
    mails = _counted({state: (STATES[state], n) for state, n in states.items()})
    today = facts["decisions_of_today"]
    skipped = _counted({why: (REASONS[why], n) for why, n in today["skipped"].items()})
    left = facts["members"] - today["decided"]
    waiting = Both("", "")
    if left > 0:
        waiting = Both(
            f"まだ時刻が来ていない、または次の定期処理で決まる {left}人",
            f"Not decided yet, as the hour or the next tick is still to come: {left}",
        )
    return [
        StatusLine(
            "ok",
            Both(f"有効なメンバー: {facts['members']}人", f"Active members: {facts['members']}"),
        ),
        StatusLine(
            "ok",
            Both(
                f"今日の決定: {today['decided']}件、うち送る {today['send']}件、"
                f"送らない {today['decided'] - today['send']}件{_after(skipped.ja, ' – ')}"
                f"{_after(waiting.ja, '。')}",
                f"Decided today: {today['decided']}, to send {today['send']}, "
                f"not to send {today['decided'] - today['send']}{_after(skipped.en, ' – ')}"
                f"{_after(waiting.en, '. ')}",
            ),
        ),
        StatusLine(
            "ok",
            Both(
                f"直近24時間のメール: {mails.ja or '0通'}",
                f"Mails of the last 24 hours: {mails.en or '0'}",
            ),
        ),
    ]


def _counted(numbers: dict[str, tuple[Both, int]]) -> Both:
    """ "words (code) number", one after the other."""
    return Both(
        "、".join(f"{words.ja}({code}) {n}" for code, (words, n) in numbers.items()),
        "; ".join(f"{words.en} ({code}) {n}" for code, (words, n) in numbers.items()),
    )


def _after(words: str, sign: str) -> str:
    return words and sign + words


def _decisions(session: Session, today: date) -> dict[str, Any]:
    """How many reminders were decided for this date: all, to send, and not by reason."""
    rows = session.execute(
        select(DecisionRow.reason, func.count())
        .where(DecisionRow.local_date == today, DecisionRow.slot == "reminder")
        .group_by(DecisionRow.reason)
        .order_by(DecisionRow.reason)
    )
    by_reason: dict[str | None, int] = {reason: number for reason, number in rows}
    return {
        "decided": sum(by_reason.values()),
        "send": by_reason.pop(None, 0),
        "skipped": by_reason,
    }


def _held(session: Session) -> int:
    held = select(func.count()).select_from(OutboxMail).where(OPEN, OutboxMail.held.is_not(None))
    return session.scalar(held) or 0


def _states(session: Session, now: datetime) -> dict[str, int]:
    rows = session.execute(
        select(OutboxMail.state, func.count())
        .where(OutboxMail.created_at > now - timedelta(days=1))
        .group_by(OutboxMail.state)
        .order_by(OutboxMail.state)
    )
    return {state: number for state, number in rows}


def _oldest_unsent(session: Session, now: datetime) -> datetime | None:
    return session.scalar(select(func.min(FIRST_DUE)).where(OPEN, OutboxMail.not_before <= now))
