"""What digest and escalation share: whether their reader still wants mail about the team."""

from app.letters.case import LetterContext
from app.models import Kind
from app.rules.due import Frequency, Reason, Rhythm


def no_longer(case: LetterContext, rhythm: Rhythm, *, wanted: bool) -> str | None:
    """Why a mail about a team that was decided must not go out any more."""
    if rhythm.suppressed:
        return Reason.ADDRESS_SUPPRESSED
    mail, one = case.mail, case.one
    off_all = one.rhythm.frequency is Frequency.NONE and mail.kind == Kind.ESCALATION
    if off_all or not wanted:
        return Reason.OPTED_OUT
    if rhythm.paused_until is not None and mail.local_date < rhythm.paused_until:
        return Reason.PAUSED
    off = one.calendar.day_off(mail.local_date)
    return Reason(off.value) if off else None
