"""`make day`: the mail server is down at nine, and everybody still gets their mail, once.

A fresh machine as the specification lays it out: its `.env` with this machine's addresses, the
units that `task-progress systemd` renders, each started with its own command, environment and
limits, a real Redis, the sample team on its day, a mail server that wants TLS and a login. The
clock is the application's (TEST_CLOCK_OFFSET), a whole number of minutes off, so that beat's
minutes are its minutes. SCALE (TEST_TIME_SCALE) shortens what is waited for; with SCALE=1 the
protocol is written down in docs/day.md.
"""

import argparse
import contextlib
import json
import os
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from signal import SIGTERM
from typing import Any
from zoneinfo import ZoneInfo

import trustme

from app.compose.colours import STUCK
from app.locale import shell_locale
from rehearsal.protocol import Protocol, record
from tests.fork_server import Part
from tests.machine import Machine, lay_out, write_units
from tests.servers import RedisServer, free_port
from tests.smtp_server import Ledger, Plan, SmtpServer
from tests.specification import ENV
from tests.stack import offset_to
from tests.unit_file import Unit

TOKYO = ZoneInfo("Asia/Tokyo")
NINE = datetime(2026, 11, 24, 9, tzinfo=TOKYO)
EVENING_BEFORE = datetime(2026, 11, 23, 18, tzinfo=TOKYO)
BEFORE_NINE = timedelta(minutes=2)
USER = "taro"
PASSWORD = "********"  # noqa: S105 - the specification's own, which no mailbox has
FOR_GOOD = (
    "celery-beat.service",
    "celery-worker-mail.service",
    "celery-worker-ai.service",
    "task-progress-web.service",
)
TICK = "task-progress-tick.service"
ALARM_WITHIN = timedelta(minutes=10)
AGAIN_AT = timedelta(minutes=11)  # after nine: when the mail server is back
BEAT_OF_A_HEART = 40.0  # seconds, never scaled: how often somebody looks, and what a look takes
HANG = 600.0


class Day:
    """One morning: its machine, its mail server, its clock."""

    def __init__(self, folder: Path, redis_url: str, scale: float, protocol: Protocol) -> None:
        self.scale = scale
        self.protocol = protocol
        self.folder = folder
        folder.mkdir()
        home = lay_out(folder, USER)
        self.machine = Machine(home, write_units(home, USER, folder / "units"), redis_url)
        self.machine.forked = False
        self.smtp_port = free_port()
        self.ledger = folder / "ledger"
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.smtp: SmtpServer | None = None
        self.offset = 0.0
        self.due: dict[str, datetime] = {}  # member -> the hour of their reminder
        self.units: dict[str, Part] = {}
        self.ticks: list[int] = []  # how each run of the timer's unit ended

    # --- the clock and the mail server ------------------------------------------------------

    def now(self) -> datetime:
        """The application's clock."""
        return datetime.now(TOKYO) + timedelta(seconds=self.offset)

    def note(self, ja: str, en: str) -> None:
        """A line of the protocol, now."""
        self.protocol.note(self.now(), ja, en)

    def wait(self, true: Callable[[], object], what: str) -> None:
        """Looks each second, or oftener where time is scaled; only a hang ends it."""
        end = time.monotonic() + HANG + 1200 * self.scale
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(what)
            time.sleep(min(1.0, 5 * self.scale))

    def until(self, moment: datetime) -> None:
        """Waits for the application's clock."""
        self.wait(lambda: self.now() >= moment, f"{moment:%H:%M}")

    def mail_server_on(self) -> None:
        """It wants TLS and the specification's login, and writes down what it takes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        plan = Plan("starttls", context, login=("app@example.com", PASSWORD))
        self.smtp = SmtpServer(plan, port=self.smtp_port, ledger=self.ledger)
        self.smtp.start()

    def mail_server_off(self) -> None:
        """Its port refuses."""
        if self.smtp is not None:
            self.smtp.stop()
            self.smtp = None

    @property
    def copies(self) -> Counter[str]:
        """How often the mail server took each mail, by Message-ID."""
        mails = Ledger.read(self.ledger) if self.ledger.exists() else []
        return Counter(str(message_from_bytes(one.data)["Message-ID"]) for one in mails)

    # --- the machine ------------------------------------------------------------------------

    def prepare(self) -> None:
        """The evening before: `.env`, database, sample team."""
        self.offset = float(offset_to(EVENING_BEFORE))
        env = ENV.replace("smtp.example.com", "127.0.0.1").replace("587", str(self.smtp_port))
        self.machine.configure(
            f"{env}SSL_CERT_FILE={self.folder / 'ca.pem'}\nTEST_TIME_SCALE={self.scale}\n"
        )
        evening = {"TEST_CLOCK_OFFSET": str(self.offset), "LANG": "en_US.UTF-8"}
        self.machine.run("task-progress", "db", "upgrade", **evening)
        said = self.machine.run("task-progress", "sample", "load", **evening)
        assert said.rstrip().endswith(f"{NINE:%Y-%m-%d}"), said
        self.note(
            "`.env` を書き、`db upgrade` でデータベースを作り、サンプルチームを読み込みました。",
            "`.env` is written, `db upgrade` has made the database, the sample team is loaded.",
        )

    def forecast(self) -> None:
        """Whom `simulate` names the evening before."""
        evening = {"TEST_CLOCK_OFFSET": str(self.offset)}
        said = self.machine.run("task-progress", "simulate", "--from", f"{NINE:%Y-%m-%d}", "--json",
                                **evening)  # fmt: skip
        sends = [one for one in json.loads(said) if one["verdict"] == "send"]
        self.due = {one["email"]: datetime.fromisoformat(one["at"]) for one in sends}

    def set_clock(self) -> None:
        """Some minutes before nine; in real time a whole number of minutes off."""
        off = (NINE - BEFORE_NINE - datetime.now(UTC)).total_seconds()
        self.offset = off // 60 * 60 if self.scale >= 1 else off + 60
        with (self.machine.home / ".env").open("a", encoding="utf-8") as env:
            env.write(f"TEST_CLOCK_OFFSET={self.offset}\n")

    def start(self) -> None:
        """All units, in no order, as at boot."""
        for name in FOR_GOOD:
            self.units[name] = self.machine.start(name)
        for name in FOR_GOOD:
            self.machine.ready(name)
        self.wait(lambda: self.machine.get("/healthz") == 200, "the pages")
        self.note(
            f"ユニットが動いています: {_listed(FOR_GOOD)}。`/healthz` は 200 です。",
            f"The units run: {_listed(FOR_GOOD)}. `/healthz` says 200.",
        )

    @contextmanager
    def timer(self) -> Iterator[None]:
        """task-progress-tick.timer: the tick's unit at each fifth minute, as scaled."""
        over = threading.Event()
        period = 300 * self.scale

        def run() -> None:
            while not over.wait(period - self.now().timestamp() % period):
                self.ticks.append(self.machine.start(TICK).wait(HANG))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(HANG)

    def stop(self) -> None:
        """TERM to every unit; each ends in its time and leaves nothing behind."""
        for part in self.units.values():
            part.send_signal(SIGTERM)
        for name, part in self.units.items():
            patience = int(Unit.read(self.machine.rendered / name).one("TimeoutStopSec"))
            assert part.wait(patience) == 0, f"{name}: {part.returncode}"
        left = processes_in(self.folder)
        assert left == [], left
        # A word to the admin about the second alarm may just have been made; nothing else waits.
        unsent = [one for one in self.json("outbox", "list") if one["state"] != "accepted"]
        assert all((one["kind"], one["state"]) == ("alert", "ready") for one in unsent), unsent
        self.note(
            "すべてのユニットに TERM を送りました。どれも時間内に終了コード0で止まり、"
            "残ったプロセスも、送信途中のメールもありません。",
            "TERM to all units: each has ended in its time with exit code 0. No process is left, "
            "no mail is on its way.",
        )

    # --- what an operator sees --------------------------------------------------------------

    def json(self, *command: str) -> Any:
        """What a command says, as data."""
        return json.loads(self.machine.run("task-progress", *command, "--json"))

    def alarms(self) -> list[str]:
        """The open alarms by name."""
        return [one["name"] for one in self.json("alerts", "list")]

    def states(self) -> Counter[str]:
        """How many mails are in which state."""
        return Counter(one["state"] for one in self.json("outbox", "list"))

    def red_lines(self, language: str) -> str:
        """What `status` shows in red."""
        said = self.machine.run("task-progress", "status", LANG=language)
        return " / ".join(line for line in said.splitlines() if line.startswith(STUCK.sign))

    def show_status(self) -> None:
        """The red lines of `status`, as an operator reads them."""
        self.note(
            f"`task-progress status`: {self.red_lines('ja_JP.UTF-8')}",
            f"`task-progress status`: {self.red_lines('en_US.UTF-8')}",
        )

    def scaled(self, wait: timedelta) -> timedelta:
        """A wait of the program, as this run has it."""
        return wait * self.scale


# --- the morning --------------------------------------------------------------------------


def play(day: Day) -> None:
    """The whole morning; raises AssertionError or TimeoutError where something is not so."""
    day.mail_server_on()
    day.prepare()
    day.forecast()
    day.set_clock()
    with day.timer():
        day.start()
        _outage(day)
        _recovery(day)
    _the_books(day)
    day.stop()


def _outage(day: Day) -> None:
    """The mail server is down at nine; within ten minutes somebody knows."""
    day.mail_server_off()
    assert day.now() < NINE, "this machine is too busy: it was nine before the units were ready"
    day.note("メールサーバーが止まりました(ポートが接続を断ります)。",
             "The mail server is down: its port refuses.")  # fmt: skip
    day.until(NINE)
    at_nine = len(_due_by(day, NINE)) - len(_due_by(day, NINE - timedelta(minutes=1)))
    day.wait(lambda: day.states()["ready"] >= at_nine, "the decisions of nine")
    waiting = day.states()["ready"]
    day.note(
        f"9時の分が決まりました。{waiting}通が `ready` のまま待っています。",
        f"Nine o'clock is decided: {waiting} mails wait, `ready`.",
    )
    for alarm in ("mail_server_unusable", "mails_not_attempted"):
        _alarm(day, alarm, ALARM_WITHIN)
        day.show_status()
    day.until(NINE + day.scaled(AGAIN_AT))


def _alarm(day: Day, name: str, within: timedelta) -> None:
    latest = NINE + day.scaled(within) + timedelta(seconds=BEAT_OF_A_HEART)
    day.wait(lambda: name in day.machine.page("/healthz")[1], name)
    day.wait(lambda: name in day.alarms(), name)
    assert day.now() <= latest, f"{name} only at {day.now():%H:%M:%S}"
    status, body = day.machine.page("/healthz")
    assert status == 503, status
    reasons = ", ".join(json.loads(body)["reasons"])
    day.note(
        f"警告 `{name}` が `task-progress alerts list` に出ました。`/healthz` は 503({reasons})です。",
        f"Alarm `{name}` stands in `task-progress alerts list`; `/healthz` says 503 ({reasons}).",
    )


def _recovery(day: Day) -> None:
    """The mail server is back: what waited leaves by itself, and the alarms close."""
    day.mail_server_on()
    day.note("メールサーバーが戻りました。だれも何も操作しません。",
             "The mail server is back. Nobody does anything.")  # fmt: skip
    _all_accepted(day)
    day.note(
        f"待っていたメールがすべて受け付けられました(合計 {day.states()['accepted']}通)。",
        f"All that waited is accepted ({day.states()['accepted']} mails in all).",
    )
    day.wait(lambda: day.machine.get("/healthz") == 200 and day.alarms() == [], "closed")
    day.note(
        "警告は自動で終わりました。`/healthz` は 200 です。",
        "The alarms have closed by themselves. `/healthz` says 200.",
    )
    day.wait(lambda: _told_that_it_is_over(day), "the mail that says that it is over")
    _all_accepted(day)
    mails = sum(one["kind"] == "alert" for one in day.json("outbox", "list"))
    day.note(
        f"管理者には、問題が起きたことと終わったことの{mails}通を送りました。",
        f"The admin was mailed {'twice' if mails == 2 else f'{mails} times'}: that it was the "
        "matter, and that it is over.",
    )


def _told_that_it_is_over(day: Day) -> bool:
    """An alert mail was made after the mail server's alarm had closed."""
    alarms = day.json("alerts", "list", "--all")
    closed = max(one["closed_at"] for one in alarms if one["name"] == "mail_server_unusable")
    made = [one["not_before"] for one in day.json("outbox", "list") if one["kind"] == "alert"]
    return any(datetime.fromisoformat(at) >= datetime.fromisoformat(closed) for at in made)


def _all_accepted(day: Day) -> None:
    day.wait(lambda: day.states().keys() == {"accepted"}, "all accepted")


def _the_books(day: Day) -> None:
    """Who was due, what the server took, what the outbox says: the three agree."""
    outbox = day.json("outbox", "list")
    reminded = sorted(one["email"] for one in outbox if one["kind"] == "reminder")
    assert reminded == sorted(_due_by(day, day.now())), reminded
    accepted = Counter(one["message_id"] for one in outbox if one["state"] == "accepted")
    assert day.copies == accepted, (day.copies, accepted)
    assert set(day.copies.values()) == {1}
    assert set(day.ticks) == {0}, day.ticks
    kinds = Counter(one["kind"] for one in outbox)
    told = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
    day.note(
        f"照合: リマインダーは `simulate` が前の晩に挙げた人({len(reminded)}人)と一致し、"
        f"メールサーバーが受け付けたのは1通ずつです({told})。",
        f"The books: reminders went to whom `simulate` had named the evening before "
        f"({len(reminded)}), and the mail server took each mail once ({told}).",
    )


def _due_by(day: Day, moment: datetime) -> list[str]:
    """Whose hour has come by `moment`."""
    return [who for who, at in day.due.items() if at <= moment]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name.removesuffix(".service") for name in names)


# --- the rest -----------------------------------------------------------------------------


def processes_in(folder: Path) -> list[str]:
    """The command lines of all processes that work in `folder` or below."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def main(arguments: Sequence[str]) -> None:
    """Plays the morning, prints it, and writes it down where it was played in real time."""
    parser = argparse.ArgumentParser(description="The mail server is down at nine.")
    parser.add_argument("--scale", type=float, default=0.05, help="1 is real time")
    given = parser.parse_args(arguments)
    protocol = Protocol(shell_locale(os.environ))
    with tempfile.TemporaryDirectory(prefix="tp-day-") as name, contextlib.ExitStack() as ending:
        redis = RedisServer(Path(name) / "redis").start()
        ending.callback(redis.kill)
        day = Day(Path(name) / "machine", redis.url, given.scale, protocol)
        ending.callback(day.mail_server_off)
        ending.callback(day.machine.end)
        play(day)
    if given.scale >= 1:
        record(protocol)


if __name__ == "__main__":
    main(sys.argv[1:])
