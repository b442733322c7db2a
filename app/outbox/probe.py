"""The one mail that is tried while the breaker is open, chosen so that its answer tells most."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session, aliased

from app.db import among
from app.models import OPEN, OutboxMail, State
from app.outbox.claim import claim, claimable
from app.outbox.lease import Claimed

PROBES = 200  # mails of which the best probe is chosen


def claim_probe(
    session: Session,
    channel: str,
    ids: Sequence[int] | None,
    met: Sequence[int],
    *,
    now: datetime,
    scale: float,
) -> list[Claimed]:
    """Leases one of these mails (of all, where none are named): none that met the trouble (`met`) while others are ready.

    Where these have all met it, others that are ready are looked for; after them, these themselves.
    """
    theirs = [one for one in met if ids is None or one in set(ids)]
    not_met = and_(OutboxMail.channel == channel, OutboxMail.id.not_in(met))
    others: ColumnElement[bool] = not_met
    if ids is not None:
        others = OutboxMail.channel == channel
        others &= among(OutboxMail.id, [one for one in ids if one not in set(met)])
    if not (chosen := _best_probe(session, others, met, now)) and theirs:
        due = select(OutboxMail.id).where(among(OutboxMail.id, theirs), claimable(now))
        if session.scalar(due.limit(1)) is None:
            return []
        chosen = _best_probe(session, not_met, met, now) or theirs
    for one in chosen:
        if mails := claim(session, [one], channel, now=now, scale=scale, at_most=1):
            return mails
    return []


def _best_probe(
    session: Session, which: ColumnElement[bool], met: Sequence[int], now: datetime
) -> list[int]:
    """The mails that tell most, first: to who took mail before, then to another domain."""
    earlier = aliased(OutboxMail)
    took_mail = (
        select(earlier.id)
        .where(
            earlier.user_id == OutboxMail.user_id,
            earlier.to_addr == OutboxMail.to_addr,
            earlier.state == State.ACCEPTED,
        )
        .exists()
    )
    refused = session.scalars(select(OutboxMail.to_addr).where(among(OutboxMail.id, met)))
    domains = {address.rpartition("@")[2].lower() for address in refused}
    candidates = session.execute(
        select(OutboxMail.id, OutboxMail.to_addr, took_mail)
        .where(OPEN, which, claimable(now))
        .order_by(OutboxMail.not_before, OutboxMail.id)
        .limit(PROBES)
    ).all()

    best = sorted(
        (not took, address.rpartition("@")[2].lower() in domains, place, mail_id)
        for place, (mail_id, address, took) in enumerate(candidates)
    )
    return [mail_id for *_, mail_id in best]
