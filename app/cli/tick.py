"""`tick`: decide and send what is due, in this process."""

import errno
import logging
import signal
import sys
import time
from datetime import datetime
from types import FrameType
from typing import Any

import click

from app import clock, clock_trust, outbox, reminders, tick
from app.cli.common import interrupted, now_option, rehearsal_option
from app.cli.language import complain, say
from app.cli.shell import Shell, cli
from app.locale import Both, counted
from app.models import TICK, TIMER
from app.monitoring import status
from app.util import logs

# Seconds in which it begins further mails: the timer runs again after five minutes, and what has
# become due by then shall be decided.
SEND_WITHIN = 240.0


@cli.entry("tick", "時刻が来たメールを決めて送る(1回)", "decide and send what is due, once")
@now_option
@rehearsal_option
@click.pass_obj
def run_tick(shell: Shell, now: datetime | None, *, rehearsal: bool) -> None:
    """Plans, sweeps and delivers in this process, without a broker."""
    if now is not None:
        shell.rehearsal("--now", said=rehearsal)
    services = shell.services()
    real = clock.now()
    if now is None:
        ticked = tick.run(services, real, heartbeats=(TICK, TIMER))
    else:
        ticked = tick.rehearse(services, now, real)
    end = time.monotonic() + SEND_WITHIN * services.config.test_time_scale
    if ticked.planned is None:
        complain(clock_trust.IN_DOUBT)
    with _Patience() as patience:
        sent = tick.deliver(services, clock.now, lambda: patience.over or time.monotonic() > end)
    left = outbox.ready_number(services, clock.now())
    if patience.over:
        raise interrupted(sent.accepted, left)
    try:
        _show(ticked.planned or reminders.Planned(), sent.accepted, sent.accepted + left)
    except OSError as error:  # the work is done; `status` says that it could not be written down
        if error.errno != errno.ENOSPC:
            raise
        if now is None:
            status.note_heartbeat(services, TICK, real, log_written=False)
        sys.exit(1)
    if services.config.smtp_host is None and left:
        complain(
            Both(
                "SMTP_HOST が設定されていないため、メールは送らずに残しています。",
                "SMTP_HOST is not set: the mails stay where they are.",
            )
        )


def _show(planned: reminders.Planned, accepted: int, of: int) -> None:
    if logs.in_json():
        facts = {"decided": planned.decided, "accepted": accepted, "of": of, "held": planned.held}
        print(logs.line(__name__, logging.INFO, "tick", **facts))
        return
    say(
        f"決定 {planned.decided}件、送信 {accepted}通(対象 {of}通)、確認待ち {planned.held}通",
        f"{planned.decided} decided, {accepted} of {counted(of, 'mail')} accepted, {planned.held} held",
    )


class _Patience:
    """Ctrl-C or TERM lets the mails on their way be finished first; a second one does not.

    Those are then in doubt.
    """

    def __init__(self) -> None:
        self.over = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "_Patience":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.over:
            raise KeyboardInterrupt
        self.over = True
