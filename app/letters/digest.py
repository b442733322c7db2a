"""The weekly digest to a lead, as of now."""

from app import compose
from app.ai import stored
from app.digest.rule import rhythm_of_digest
from app.digest.team_week import week_of
from app.letters.case import LetterContext
from app.letters.team import no_longer
from app.links import StopLink
from app.models import Kind, State
from app.outbox.precheck import Defer, Send, Skip
from app.rules.due import Reason


def letter(case: LetterContext) -> Send | Skip | Defer:
    """Skipped when the week has nothing to say, or when its reader wants none any more."""
    quiet = case.quiet()
    if quiet is not None:
        return quiet
    one, mail, defaults = case.one, case.mail, case.batch.defaults
    reason = no_longer(case, rhythm_of_digest(one, defaults), wanted=one.weekly_digest)
    if reason is not None:
        return Skip(State.SUPPRESSED, reason)
    week = week_of(case.session, defaults, one, mail.local_date, case.as_of)
    if not week.says_something:
        return Skip(State.SUPPRESSED, Reason.NOTHING_UNREPORTED)
    by_ai = None
    if stored.is_on(case.services.config, defaults):
        by_ai = stored.found(case.session, one.member.id, week, case.locale)
    links = case.services.links
    facts = compose.DigestFacts(
        member_id=one.member.id,
        name=one.member.name,
        email=mail.to_addr,
        locale=case.locale,
        local_date=mail.local_date,
        n=mail.n,
        as_of=case.as_of.astimezone(one.rhythm.zone),
        everybody=one.member.role == "admin",
        week=week,
        team_url=links.team_url,
        stop_url=links.stop_url(StopLink(one.member.id, Kind.WEEKLY_DIGEST)),
        reply_to_shown=case.reply_to_shown,
        message_origin=case.batch.origin,
        recap=by_ai,
        recap_by="count" if by_ai is None else "ai",
    )
    return Send(case.from_us(compose.weekly_digest(facts)), [])
