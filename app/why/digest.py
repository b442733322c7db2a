"""Looking back at the mails about a team: what was decided, and which lead was notified of whom."""

from datetime import date
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.compose.text import date_words
from app.locale import Both, counted
from app.models import DecisionRow, Member
from app.people.settings import Person
from app.rules.escalation import Step

NOTHING_TO_SAY = Both("知らせることがありません", "there is nothing to say")
SWITCHED_OFF = Both("受け取らない設定になっています", "they are switched off")
_OF_DIGEST = {"nothing_unreported": NOTHING_TO_SAY, "frequency_none": SWITCHED_OFF}


def escalation_sentences(
    session: Session, person: Person, day: date, reasons: dict[str, Both]
) -> tuple[list[Both], dict[str, Any]]:
    """The sentences and the facts of the member's local date `day`, beside its reminder."""
    rows = session.execute(
        select(DecisionRow, Member.name, Member.email)
        .join(Member, Member.id == DecisionRow.user_id)
        .where(
            or_(
                and_(
                    DecisionRow.user_id == person.member.id,
                    DecisionRow.local_date == day,
                    DecisionRow.slot != "reminder",
                ),
                and_(DecisionRow.told_id == person.member.id, DecisionRow.told_on == day),
            )
        )
        .order_by(DecisionRow.id)
    ).all()
    sentences = [_sentence(row, name, reasons) for row, name, _ in rows]
    digest = next((row for row, _, _ in rows if row.slot == "digest"), None)
    facts = {
        "digest": {"verdict": digest.verdict, "reason": digest.reason} if digest else None,
        "escalation": [_facts(row, email) for row, _, email in rows if row.slot == "escalation"],
    }
    return sentences, facts


def _facts(row: DecisionRow, email: str) -> dict[str, Any]:
    return {
        "about": email,
        "step": row.facts["step"],
        "silent": row.facts["silent"],
        "since": row.facts["since"],
        "told": row.facts.get("told"),
        "local_date": row.local_date.isoformat(),
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _sentence(row: DecisionRow, name: str, reasons: dict[str, Both]) -> Both:
    if row.slot == "digest":
        return _of_digest(row, reasons)
    silent = row.facts["silent"]
    if row.facts["step"] == Step.NOTICE:
        return Both(
            f"{name}さんのリマインダーに、リーダーへ知らせる日を書きました(報告がない期間 {silent}営業日)。",
            f"The reminder of {name} said when the lead will be told ({counted(silent, 'workday')} silent).",
        )
    whom = row.facts.get("told", "")
    if row.reason is None:
        return Both(
            f"{name}さんの報告が{silent}営業日ないことを、{whom} に知らせることにしました。",
            f"{whom} is told that {name} has been silent for {counted(silent, 'workday')}.",
        )
    because = reasons[row.reason]
    return Both(
        f"{name}さんの報告が{silent}営業日ないことを {whom} に知らせるのは、取りやめました。"
        f"理由: {because.ja}。",
        f"{whom} is not told that {name} was silent for {counted(silent, 'workday')}: {because.en}.",
    )


def _of_digest(row: DecisionRow, reasons: dict[str, Both]) -> Both:
    ja, en = date_words(row.local_date)
    if row.reason is None:
        return Both(
            f"{ja} の週次のまとめを送ることにしました。", f"The weekly digest of {en} is sent."
        )
    because = _OF_DIGEST.get(row.reason) or reasons[row.reason]
    return Both(
        f"{ja} の週次のまとめはありません。理由: {because.ja}。",
        f"There is no weekly digest on {en}: {because.en}.",
    )
