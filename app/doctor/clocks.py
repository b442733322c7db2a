"""Clock difference: how far another clock is from this machine's."""

from collections.abc import Callable
from datetime import datetime

from app.doctor.finding import Finding, green, red, yellow
from app.locale import Both

CLOCK_YELLOW, CLOCK_RED = 2.0, 30.0  # seconds


def compare(
    check: str, whose: Both, clock: Callable[[], datetime], ask: Callable[[], datetime]
) -> list[Finding]:
    """Compares the clock of `whose` (asked by `ask`) with `clock`; the way there is taken off."""
    before = clock()
    theirs = ask()
    after = clock()
    ahead = (theirs - (before + (after - before) / 2)).total_seconds()
    apart = max(0.0, abs(ahead) - (after - before).total_seconds() / 2)
    if apart <= CLOCK_YELLOW:
        return green(
            check,
            f"時計: {whose.ja}との差は {apart:.1f} 秒です。",
            f"Clock: {apart:.1f} s apart from that of {whose.en}.",
        )
    say = red if apart > CLOCK_RED else yellow
    return say(
        check,
        f"時計が{whose.ja}と {apart:,.0f} 秒ずれています。",
        f"The clock is {apart:,.0f} s apart from that of {whose.en}.",
        "両方のマシンで: sudo timedatectl set-ntp true && timedatectl",
        "On both machines: sudo timedatectl set-ntp true && timedatectl",
    )
