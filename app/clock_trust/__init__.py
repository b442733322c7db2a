"""Timekeeping: whether this machine's clock may be believed.

An instant from the future is evidence of a wrong clock, not state. `may_work` is asked once in each
tick and by each delivery. With a clock in doubt nothing is planned, swept or sent but alerts and
sign-in links, until the clocks agree again or an admin accepts it (`accept`). What a clock that ran
ahead has stored is repaired once it was set back (`put_back`).
"""

from app.clock_trust.repair import put_back
from app.clock_trust.trust import accept, doubted, may_work, waiting
from app.locale import Both

IN_DOUBT = Both(
    "このマシンの時計を確かめられないため、リマインダーを決めず、送りませんでした。"
    "詳しくは `task-progress clock` で。",
    "The clock of this machine is in doubt: no reminder was decided or sent. "
    "`task-progress clock` says more.",
)

__all__ = ["IN_DOUBT", "accept", "doubted", "may_work", "put_back", "waiting"]
