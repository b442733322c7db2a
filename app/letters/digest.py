"""The weekly digest to a lead, as of now."""

from app.ai import recap_lookup
from app.compose.digest import DigestFacts, weekly_digest
from app.digest.schedule import rhythm_of_digest
from app.digest.team_week import week_of
from app.letters.context import LetterContext
from app.models import Kind, State
from app.outbox.precheck import Defer, Send, Skip
from app.rules.decision import Reason


def letter(case: LetterContext) -> Send | Skip | Defer:
    """Skipped when the week has nothing to say, or when its reader wants none any more."""
    quiet = case.quiet()
    if quiet is not None:
        return quiet
    one, mail, defaults = case.reader, case.mail, case.batch.defaults
    reason = case.no_longer(rhythm_of_digest(one, defaults))
    if reason is not None:
        return Skip(State.SUPPRESSED, reason)
    week = week_of(case.session, defaults, one, mail.local_date, case.as_of)
    if not week.says_something:
        return Skip(State.SUPPRESSED, Reason.NOTHING_UNREPORTED)
    by_ai = None
    if recap_lookup.is_on(case.services.config, defaults):
        by_ai = recap_lookup.found(case.session, one.member.id, week, case.locale)
    facts = DigestFacts(
        **case.common(Kind.WEEKLY_DIGEST),
        as_of=case.as_of.astimezone(one.rhythm.zone),
        everybody=one.member.role == "admin",
        week=week,
        team_url=case.services.links.page("/team"),
        recap=by_ai,
        recap_by="count" if by_ai is None else "ai",
    )
    return Send(weekly_digest(facts), [])
