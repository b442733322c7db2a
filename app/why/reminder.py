"""Looking back: why did this member (not) get a mail on that date?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from app.compose.text import date_words
from app.locale import Both, counted
from app.members.snooze import SNOOZED
from app.models import ENDS, REMINDERS, DecisionRow, Member, OutboxMail
from app.outbox import restored
from app.outbox.reasons import REASONS, STATES
from app.people import values
from app.people.lookup import find
from app.people.settings import BrokenSettings, Person, organisation, person, put
from app.reminders.decide_batch import A_WEEK
from app.reminders.forecast import ahead
from app.rules import hours
from app.rules.decision import Reason, Verdict, day_reason
from app.rules.hours import Frequency
from app.rules.workdays import DAY
from app.services import Services
from app.why.digest import escalation_sentences

LOOK_AHEAD = 60 * DAY


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened in words, a fact a line, and the facts behind it."""

    paragraph: Both
    facts: dict[str, Any]


def explain(
    services: Services,
    email: str,
    on: date | None,
    now: datetime,
    *,
    reminders_only: bool = False,
) -> Explanation:
    """What was decided for the member's local date, and what became of it.

    By default that is today; while today has no record, a date that was decided ahead of it.
    `reminders_only`: without their other mails, and without the escalations to them as a lead. Of a
    member whose stored settings make no sense it names the fault. Raises NoSuchMember.
    """
    with services.db.read() as session:
        member = find(session, email)
        try:
            one = person(session, organisation(session, services.config), member)
        except BrokenSettings as error:
            return _broken(member, error.fault, on)
        home = services.config.app_timezone
        day = on or _latest(session, one, now)
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
            .where(REMINDERS if reminders_only else true())
            .order_by(OutboxMail.id)
        ).all()
        if row is None:
            sentences = [_not_decided(session, one, day, now)]
        else:
            sentences = [_decided(one, row, home)]
        sentences += [_mail_state(one, mail, home) for mail in mails]
        team_facts: dict[str, Any] = {}
        if not reminders_only:
            about_team, team_facts = escalation_sentences(session, one, day, REASONS)
            sentences += about_team
        sentences += restored.lost_records(session, one.rhythm.zone, day)
        next_mail = _next_mail(session, one, now)
        sentences.append(_coming(one, next_mail))
    facts = _facts(one, day, row, list(mails), next_mail) | team_facts
    return Explanation(
        Both("\n".join(one.ja for one in sentences), "\n".join(one.en for one in sentences)),
        facts,
    )


def _latest(session: Session, one: Person, now: datetime) -> date:
    """Today, unless only a later date was decided, as `remind --date` does (the sample's, too)."""
    today = one.today(now)
    decided = session.scalars(
        select(DecisionRow.local_date)
        .where(
            DecisionRow.user_id == one.member.id,
            DecisionRow.slot == "reminder",
            DecisionRow.local_date >= today,
        )
        .order_by(DecisionRow.local_date.desc())
    ).all()
    return decided[0] if decided and today not in decided else today


def next_reminder(
    services: Services, member_id: int, now: datetime, changes: Mapping[str, str] | None = None
) -> datetime | None:
    """When the member's next reminder can come if no more reports came; None: not in sight.

    With `changes` (keys as in app/people/values.py) as if they had been made; nothing is written.
    In the member's zone. Raises ValuesRefused.
    """
    wanted = values.read(changes or {}, values.MEMBER_SETTINGS)
    with services.db.read() as session:
        member = session.get_one(Member, member_id)
        if wanted:
            session.expunge(member)  # so that nothing of this reaches the database
            put(member, wanted)
        one = person(session, organisation(session, services.config), member)
        if one.rhythm.frequency is Frequency.NONE:
            return None
        found = _next_mail(session, one, now)
        return found and found.astimezone(one.rhythm.zone)


def _broken(member: Member, fault: str, on: date | None) -> Explanation:
    ja = f"{member.name}さんの設定に正しくない値があるため、何も決められません({fault})。"
    en = f"Nothing can be decided for {member.name}: a stored setting makes no sense ({fault})."
    mend = f"task-progress member set {member.email}"
    return Explanation(
        Both(f"{ja}`{mend} …` で直してください。", f"{en} Mend it with `{mend} …`."),
        {
            "email": member.email,
            "local_date": on.isoformat() if on else None,
            "verdict": None,
            "reason": None,
            "fault": fault,
            "mails": [],
        },
    )


def _next_mail(session: Session, one: Person, now: datetime) -> datetime | None:
    """When the next reminder can come: the one that waits, or the first that would be decided if
    no more reports came.
    """
    today = one.today(now)
    waiting = session.execute(
        select(OutboxMail.not_before, OutboxMail.local_date)
        .where(
            OutboxMail.user_id == one.member.id,
            OutboxMail.local_date >= today - DAY,
            REMINDERS,
            OutboxMail.state.not_in([state.value for state in ENDS]),
            OutboxMail.expires_at > now,
        )
        .order_by(OutboxMail.not_before)
    ).all()
    if not one.member.active:
        return None
    for not_before, local_date in waiting:
        # On a day off, or stopped meanwhile, it ends without being sent.
        if day_reason(one.rhythm, one.calendar, local_date) in {None, Reason.NOT_THIS_WEEKDAY}:
            return max(not_before, now)
    first = max(one.member.decided_through + DAY, today)
    decided = set(
        session.scalars(
            select(DecisionRow.local_date).where(
                DecisionRow.user_id == one.member.id,
                DecisionRow.slot == "reminder",
                DecisionRow.local_date >= first,
            )
        )
    )
    for _, decision in ahead(session, [one], first, first + LOOK_AHEAD):
        late = decision.expires_at <= now or decision.local_date in decided
        if decision.verdict is Verdict.SEND and not late:
            return max(decision.at, now)
    return None


def _coming(one: Person, next_mail: datetime | None) -> Both:
    if next_mail is None:
        return Both(
            f"この先{LOOK_AHEAD.days}日のうちに、リマインダーを送る予定はありません。",
            f"No reminder can come within {LOOK_AHEAD.days} days as things stand.",
        )
    clock = _clock(next_mail, one)
    ja, en = date_words(next_mail.astimezone(one.rhythm.zone).date())
    return Both(
        f"次にリマインダーを送る可能性があるのは {ja} {clock} です。",
        f"The next reminder can come on {en} at {clock}.",
    )


def _clock(moment: datetime, one: Person) -> str:
    return f"{moment.astimezone(one.rhythm.zone):%H:%M}"


def _when(moment: datetime, one: Person, day: date, home: str) -> Both:
    """The member's wall clock; with the date where it is not `day`, the zone where not `home`."""
    local = moment.astimezone(one.rhythm.zone)
    zone = "" if one.rhythm.zone.key == home else one.rhythm.zone.key
    clock = f"{local:%H:%M:%S}"
    if local.date() == day:
        return Both(clock + (f"({zone})" if zone else ""), f"{clock} {zone}".rstrip())
    ja, en = date_words(local.date())
    return Both(
        f"{ja} {clock}" + (f"({zone})" if zone else ""), f"{clock} {zone}".rstrip() + f" on {en}"
    )


def _decided(one: Person, row: DecisionRow, home: str) -> Both:
    name, at = one.member.name, _clock(row.at, one)
    decided = _when(row.decided_at, one, row.local_date, home)
    ja, en = date_words(row.local_date)
    if row.reason is None:
        count = len(row.facts["tasks"])
        return Both(
            f"{ja} の {at} に、{name}さんへ未報告のタスク{count}件のリマインダーを送ることに"
            f"しました(決定: {decided.ja})。",
            f"On {en}, at the hour of {at}, {name} is reminded of {counted(count, 'unreported task')} "
            f"(decided at {decided.en}).",
        )
    because = why_not(row)
    day = row.facts.get("day")
    detail = f"({day})" if day else ""
    return Both(
        f"{ja}、{name}さんへのリマインダーはありません。理由: {because.ja}{detail}"
        f"(決定: {decided.ja})。",
        f"On {en} there is no reminder for {name}: {because.en}{detail and ' ' + detail} "
        f"(decided at {decided.en}).",
    )


def why_not(row: DecisionRow) -> Both:
    """The reason of a decision not to send, in words."""
    if row.reason == Reason.CANCELLED:
        until = row.facts.get(SNOOZED)
        if until is None:
            return Both("運用担当者が取り消しました", "an operator cancelled it")
        return Both(
            f"本人の希望で {until} のお知らせに変えました",
            f"the member asked for a reminder at {until} instead",
        )
    return REASONS[row.reason or ""]


def _not_decided(session: Session, one: Person, day: date, now: datetime) -> Both:
    name, at = one.member.name, hours.hour(one.rhythm, day)
    ja, en = date_words(day)
    if not one.member.active:
        reason = REASONS[Reason.INACTIVE]
        return Both(
            f"{ja}の記録はありません。{name}さんは無効になっています。",
            f"There is no record for {en}: {reason.en}.",
        )
    if at <= now:
        return _no_record(one, day, now)
    # The week before: what it brings decides about a weekly reminder.
    first = max(day - A_WEEK, min(one.member.decided_through + DAY, day))
    *_, (_, decision) = ahead(session, [one], first, day)
    clock = _clock(at, one)
    if decision.reason is None:
        count = len(decision.tasks)
        return Both(
            f"{ja} {clock} に決まります。このまま報告がなければ、{name}さんに{count}件のリマインダーを送ります。",
            f"It will be decided on {en} at {clock}. Without further reports {name} gets a "
            f"reminder of {counted(count, 'task')}.",
        )
    because = REASONS[decision.reason]
    return Both(
        f"{ja} {clock} に決まります。このままなら、{name}さんへのリマインダーはありません。理由: {because.ja}。",
        f"It will be decided on {en} at {clock}. As things stand there is none: {because.en}.",
    )


def _no_record(one: Person, day: date, now: datetime) -> Both:
    """Of a date whose hour has passed: not decided yet, or never to be."""
    name, today = one.member.name, one.today(now)
    ja, en = date_words(day)
    if day > one.member.decided_through and day >= today - hours.LOOK_BACK:
        return Both(
            f"{ja}はまだ決まっていません。時刻は過ぎていますが、その後まだ定期処理が動いていません。"
            "次に動いたときに決まります。",
            f"{en} is not decided yet: its hour has passed, but nothing has run since. "
            "The next tick decides it.",
        )
    return Both(
        f"{ja}の記録はありません。{name}さんが加わる前か、その日の時刻を過ぎてから加わったか、"
        f"{hours.LOOK_BACK.days}日を超えて何も動いていなかったか、記録が整理されています。",
        f"There is no record for {en}: {name} came later, or after that day's hour, or nothing "
        f"ran for more than {hours.LOOK_BACK.days} days, or old records were purged.",
    )


def _mail_state(one: Person, mail: OutboxMail, home: str) -> Both:
    words, what = STATES[mail.state], _what(mail)
    if mail.accepted_at is not None:
        when = _when(mail.accepted_at, one, mail.local_date, home)
        return Both(
            f"{what.ja}は {when.ja} に{words.ja}。応答: {mail.response}。",
            f"{what.en} {words.en} at {when.en}: {mail.response}.",
        )
    held = Both("(確認待ち)", " (held)") if mail.held else Both("", "")
    if mail.held == restored.HELD:
        held = Both(
            "(復元前に届いた可能性があり、確認待ち)",
            " (held: it may have gone out before the restore)",
        )
    # Of a mail that expired or was cancelled its state says it.
    said = mail.response or (mail.reason if mail.reason != mail.state else None) or ""
    because = REASONS.get(said, Both(said, said))
    return Both(
        f"{what.ja}は{words.ja}{held.ja}{': ' * bool(said)}{because.ja}。",
        f"{what.en} {words.en}{held.en}{': ' * bool(said)}{because.en}.",
    )


def _what(mail: OutboxMail) -> Both:
    """The mail by its number, and whether it was a rehearsal's or a copy of another."""
    notes = []
    if mail.clock_shift:
        notes.append(Both("予行", "a rehearsal"))
    if mail.resend_of is not None:
        notes.append(Both(f"メール{mail.resend_of}の再送", f"mail {mail.resend_of} sent again"))
    if not notes:
        return Both(f"メール{mail.id}", f"Mail {mail.id}")
    ja, en = "、".join(one.ja for one in notes), ", ".join(one.en for one in notes)
    return Both(f"メール{mail.id}({ja})", f"Mail {mail.id} ({en})")


def _facts(
    one: Person,
    day: date,
    row: DecisionRow | None,
    mails: list[OutboxMail],
    next_mail: datetime | None,
) -> dict[str, Any]:
    zone, next_at = one.rhythm.zone, one.member.next_due_at
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
        "next_mail_at": next_mail.astimezone(zone).isoformat() if next_mail else None,
    }
