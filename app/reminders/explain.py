"""Looking back: why did this member (not) get a mail on that date?"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import due
from app.compose import show_date
from app.due import Reason
from app.members.settings import Person, find, organisation, person
from app.models import DecisionRow, OutboxMail, State
from app.reminders.facts import decide_all
from app.services import Services
from app.words import Both

REASONS: dict[str, Both] = {
    Reason.ADDRESS_SUPPRESSED: Both(
        "宛先が存在しないと繰り返し拒否されたため、このアドレスへの送信を止めています",
        "the address was refused for good again and again, so mail to it is stopped",
    ),
    Reason.FREQUENCY_NONE: Both(
        "リマインダーを受け取らない設定になっています", "reminders are switched off"
    ),
    Reason.PAUSED: Both("一時停止中です", "reminders are paused"),
    Reason.ON_LEAVE: Both("休暇の日です", "it is a day of leave"),
    Reason.COMPANY_CLOSED: Both("会社の休業日です", "the company is closed"),
    Reason.HOLIDAY: Both("祝日です", "it is a public holiday"),
    Reason.WEEKEND: Both("週末です", "it is a weekend day"),
    Reason.NOT_THIS_WEEKDAY: Both(
        "週1回の設定で、この日は送る曜日ではありません",
        "reminders come once a week, and this is not the day",
    ),
    Reason.ALREADY_SENT: Both(
        "この日(または今週)のリマインダーはすでに送られています",
        "the reminder of this day (or week) has been sent already",
    ),
    Reason.NOTHING_UNREPORTED: Both("未報告のタスクがありません", "nothing is unreported"),
    Reason.REPORTED_MEANWHILE: Both(
        "送る直前に、すべて報告済みになりました", "all was reported just before the mail went out"
    ),
    Reason.OPTED_OUT: Both(
        "送る直前に、受け取らない設定に変わりました",
        "reminders were switched off just before the mail went out",
    ),
    Reason.INACTIVE: Both("メンバーが無効になっています", "the member is not active"),
    Reason.EXPIRED: Both(
        "送れる時間のうちに送れなかったため、取りやめました",
        "it could not go out in time, so it was dropped",
    ),
    Reason.NOT_IN_PILOT: Both(
        "MAIL_ONLY_TO で送信先を限っているため、送っていません",
        "MAIL_ONLY_TO limits mails to others",
    ),
    Reason.CANCELLED: Both("運用担当者が取り消しました", "an operator cancelled it"),
    "quiet_hours": Both("通知を控える時間帯です", "these are quiet hours"),
}

STATES: dict[str, Both] = {
    State.READY: Both("送信待ちです", "is waiting to be sent"),
    State.SENDING: Both("送信中です", "is being sent"),
    State.IN_DOUBT: Both(
        "送信の最後の応答を確認中です", "was sent, and the server's last answer is awaited"
    ),
    State.ACCEPTED: Both("メールサーバーが受け付けました", "was accepted by the mail server"),
    State.FAILED: Both("送れませんでした", "could not be sent"),
    State.DEAD: Both(
        "送信処理が繰り返し失敗したため、止めました",
        "broke the sender again and again and was stopped",
    ),
    State.UNKNOWN: Both(
        "届いたかどうか分かりません(1通は出ている可能性があります)",
        "may or may not have gone out (one copy may be on its way)",
    ),
    State.SUPPRESSED: Both("送信前に取りやめました", "was dropped before it was sent"),
    State.CANCELLED: Both("取り消されました", "was cancelled"),
    State.EXPIRED: Both("期限までに送れませんでした", "could not go out in time"),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One readable paragraph, and the facts behind it."""

    paragraph: Both
    facts: dict[str, Any]


def why(services: Services, email: str, on: date | None, now: datetime) -> Explanation:
    """What was decided for the member's local date (default: today), and what became of it.

    Raises NoSuchMember.
    """
    with services.db.read() as session:
        member = find(session, email)
        one = person(session, organisation(session, services.config), member)
        day = on or now.astimezone(one.rhythm.zone).date()
        row = session.scalars(
            select(DecisionRow).where(
                DecisionRow.user_id == member.id,
                DecisionRow.slot == "reminder",
                DecisionRow.local_date == day,
            )
        ).one_or_none()
        mails = session.scalars(
            select(OutboxMail)
            .where(OutboxMail.user_id == member.id, OutboxMail.local_date == day)
            .order_by(OutboxMail.id)
        ).all()
        if row is None:
            sentences = [_not_decided(session, one, day, now)]
        else:
            sentences = [_decided(one, row), *(_life(one, mail) for mail in mails)]
        next_at = member.next_due_at
    facts = _facts(one, day, row, list(mails), next_at)
    return Explanation(
        Both("".join(one.ja for one in sentences), " ".join(one.en for one in sentences)),
        facts,
    )


def _clock(moment: datetime, one: Person) -> str:
    return f"{moment.astimezone(one.rhythm.zone):%H:%M}"


def _decided(one: Person, row: DecisionRow) -> Both:
    name, at = one.member.name, _clock(row.at, one)
    ja, en = (
        show_date(row.local_date, "ja", with_year=True),
        show_date(row.local_date, "en", with_year=True),
    )
    if row.reason is None:
        count = len(row.facts["tasks"])
        return Both(
            f"{ja} {at}、{name}さんに未報告のタスク{count}件のリマインダーを送ることにしました。",
            f"On {en} at {at} it was decided to remind {name} of {count} unreported task(s).",
        )
    because = REASONS[row.reason]
    day = row.facts.get("day")
    detail = f"({day})" if day else ""
    return Both(
        f"{ja}、{name}さんへのリマインダーはありません。理由: {because.ja}{detail}。",
        f"On {en} there is no reminder for {name}: {because.en}{detail and ' ' + detail}.",
    )


def _not_decided(session: Session, one: Person, day: date, now: datetime) -> Both:
    name, at = one.member.name, due.hour(one.rhythm, day)
    ja, en = show_date(day, "ja", with_year=True), show_date(day, "en", with_year=True)
    if not one.member.active:
        reason = REASONS[Reason.INACTIVE]
        return Both(
            f"{ja}の記録はありません。{name}さんは無効になっています。",
            f"There is no record for {en}: {reason.en}.",
        )
    if at < now:
        return Both(
            f"{ja}の記録はありません。{name}さんが加わる前か、その日の時刻を過ぎてから加わりました。",
            f"There is no record for {en}: {name} came later, or after that day's hour.",
        )
    _, decision = decide_all(session, [one], day, None)[0]
    clock = _clock(at, one)
    if decision.reason is None:
        count = len(decision.tasks)
        return Both(
            f"{ja} {clock} に決まります。このまま報告がなければ、{name}さんに{count}件のリマインダーが届きます。",
            f"It will be decided on {en} at {clock}. Without further reports {name} gets a "
            f"reminder of {count} task(s).",
        )
    because = REASONS[decision.reason]
    return Both(
        f"{ja} {clock} に決まります。このままなら、{name}さんへのリマインダーはありません。理由: {because.ja}。",
        f"It will be decided on {en} at {clock}. As things stand there is none: {because.en}.",
    )


def _life(one: Person, mail: OutboxMail) -> Both:
    words = STATES[mail.state]
    if mail.accepted_at is not None:
        when = f"{mail.accepted_at.astimezone(one.rhythm.zone):%H:%M:%S}"
        return Both(
            f"メール{mail.id}は {when} に{words.ja}。応答: {mail.response}。",
            f"Mail {mail.id} {words.en} at {when}: {mail.response}.",
        )
    held = Both("(確認待ち)", " (an admin's word is awaited)") if mail.held else Both("", "")
    because = f": {mail.response or mail.reason}" if mail.response or mail.reason else ""
    return Both(
        f"メール{mail.id}は{words.ja}{held.ja}{because}。",
        f"Mail {mail.id} {words.en}{held.en}{because}.",
    )


def _facts(
    one: Person,
    day: date,
    row: DecisionRow | None,
    mails: list[OutboxMail],
    next_at: datetime | None,
) -> dict[str, Any]:
    zone = one.rhythm.zone
    return {
        "email": one.member.email,
        "local_date": day.isoformat(),
        "verdict": row.verdict if row else None,
        "reason": row.reason if row else None,
        "at": row.at.astimezone(zone).isoformat() if row else None,
        "decided_at": row.decided_at.astimezone(zone).isoformat() if row else None,
        "saw": row.facts if row else None,
        "mails": [
            {
                "id": mail.id,
                "kind": mail.kind,
                "state": mail.state,
                "reason": mail.reason,
                "attempts": mail.claims + mail.retries,
                "accepted_at": mail.accepted_at.isoformat() if mail.accepted_at else None,
                "response": mail.response,
            }
            for mail in mails
        ],
        "next_decision_at": next_at.astimezone(zone).isoformat() if next_at else None,
    }
