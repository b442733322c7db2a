"""A database that was put back by hand, or lost its last records, marks itself as restored.

Each tick is counted in the database (app/clock_trust/ticks.py), and Redis keeps the highest count of its
timeline (app/util/shared_redis.py). Redis is told only what is committed, so a database that
counts fewer ticks is older than what ran: a copied file, a snapshot of the machine, a standby
that took over without the last transactions.

There is no clock in it. A Redis that was emptied, is away or older knows fewer ticks, which
says nothing.
"""

import logging
from datetime import datetime

from app.clock_trust import ticks
from app.maintenance.restore_mark import mark_in
from app.models import TICK, Service
from app.services import Services

log = logging.getLogger(__name__)


def mark_if_behind(services: Services, now: datetime) -> bool:
    """Asked before anything is planned or sent: True when the database was found older, and marked.

    The mark ends the timeline, so it happens once. Raises DatabaseDown.
    """
    with services.db.read() as session:
        seen = ticks.counted(session)
    known = services.guard.ticks_of(seen.timeline) if seen else None
    if seen is None or known is None or known <= seen.number:
        return False
    with services.db.write() as session:
        # Looked at again after Redis, and alone: ticks go on meanwhile, or another one has marked.
        row = session.get(Service, TICK, with_for_update=True)
        count = ticks.Count.of(row)
        if row is None or count is None or count.timeline != seen.timeline or count.number >= known:
            return False
        log.error("the database is older than what ran: %d of %d ticks", count.number, known)
        zone = services.config.app_timezone
        mark_in(session, zone, who=WHO, now=now, ends=row.at)
        return True


WHO = "tick"  # in the audit
