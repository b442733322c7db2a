"""`doctor`: looks at everything a working installation needs, and says how to mend it.

A check is a small function that returns findings; it writes nothing and sends nothing. All run at
once, each in a thread of its own, and one that does not come back in time is a finding itself.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from time import monotonic

from dns.resolver import Resolver

from app import clock
from app.config import ConfigError, load
from app.doctor import (
    broker,
    database,
    heartbeat_url,
    letters,
    machine,
    mail,
    mail_domain,
    mounts,
    pages,
    people,
    programs,
    settings,
)
from app.doctor.finding import CheckContext, Finding, Level, Machine, red
from app.services import make

__all__ = ["CheckContext", "Finding", "Level", "Machine", "examine", "run", "worst"]

ALL_WITHIN = 8.0  # seconds for the whole examination
SEND_WITHIN = 120.0  # seconds for the test mail

Check = Callable[[], list[Finding]]


def examine(
    here: Machine,
    environ: Mapping[str, str] | None = None,
    *,
    resolver: Resolver | None = None,
    recipient: str | None = None,
) -> list[Finding]:
    """Everything, in a fixed order. Faulty settings leave only what needs none.

    `environ`: None is that of this process. `recipient`: who gets a test mail (None: no mail).
    """
    try:
        config = load(environ, here.folder)
    except ConfigError as error:
        return [*settings.faults(error), *run(_of_the_machine(here))]
    clock.shift(config.test_clock_offset)
    with closing(make(config)) as services:
        return _whole(
            CheckContext(here.folder, here.clock, services, resolver, mounts=here.mounts), recipient
        )


def _whole(case: CheckContext, recipient: str | None) -> list[Finding]:
    """An installation whose settings can be read."""
    checks = {
        "settings": lambda: settings.settings(case),
        "secret-key": lambda: settings.secret_key(case),
        "identity": lambda: settings.identity_check(case),
        "permissions": lambda: settings.permissions(case),
        "database": lambda: database.database(case),
        "sqlite-disk": lambda: mounts.sqlite_disk(case),
        "redis": lambda: broker.broker(case),
        "ticks": lambda: programs.ticks(case),
        "timer": lambda: programs.timer(case),
        "workers": lambda: programs.workers(case),
        "smtp": lambda: mail.mail_server(case),
        "sender": lambda: mail_domain.sender_domain(case),
        "pages": lambda: pages.pages(case),
        "agents": lambda: pages.agents(case),
        "people": lambda: people.sample_people(case),
        "heartbeat": lambda: heartbeat_url.listener(case),
        "holidays": lambda: letters.holidays(case),
        "time-zones-elsewhere": lambda: machine.newer_time_zones(case),
        "disk": lambda: machine.disk(case),
    }
    found = run({**checks, **_of_the_machine(case)})
    if recipient is not None:  # by itself, as a slow server may take its time over a real mail
        found += run({"send-test": lambda: mail.send_test(case, recipient)}, SEND_WITHIN)
    return found


def _of_the_machine(here: Machine) -> dict[str, Check]:
    """What needs no settings."""
    return {
        "version": lambda: machine.program(here),
        "env-file": lambda: settings.read_alike(here),
        "letters": lambda: letters.letters(here),
        "time-zones": lambda: machine.time_zones(here),
        "locale": lambda: machine.language(here),
        "temporary-files": lambda: machine.temporary_files(here),
    }


def run(checks: Mapping[str, Check], seconds: float = ALL_WITHIN) -> list[Finding]:
    """What the checks find, in their order, after `seconds` at most."""
    found: dict[str, list[Finding]] = {}

    def one(name: str, check: Check) -> None:
        try:
            found[name] = check()
        except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
            found[name] = _broken(name, error)

    until = monotonic() + seconds
    # Daemons: one that hangs must not keep the program from ending.
    threads = [
        threading.Thread(target=one, args=(name, check), name=name, daemon=True)
        for name, check in checks.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - monotonic()))
    return [finding for name in checks for finding in found.get(name, _late(name, seconds))]


def worst(findings: Sequence[Finding]) -> Level:
    """The worst level of all."""
    levels = {finding.level for finding in findings}
    return next((one for one in (Level.RED, Level.YELLOW) if one in levels), Level.GREEN)


def _late(name: str, seconds: float) -> list[Finding]:
    return red(
        name,
        f"{name}: {seconds:.0f} 秒以内に応答がありませんでした。",
        f"{name}: no answer within {seconds:.0f} seconds.",
        "そのサーバーまでのネットワークとファイアウォールを確かめてください。",
        "Check the network and the firewall on the way to that server.",
    )


def _broken(name: str, error: Exception) -> list[Finding]:
    """The error's kind only: its text may hold secrets."""
    kind = type(error).__name__
    return red(
        name,
        f"{name}: 調べている途中で予期しない問題が起きました({kind})。",
        f"{name}: something unexpected went wrong while looking ({kind}).",
        "この行を添えて、開発者に知らせてください。",
        "Tell the developers, with this line.",
    )
