"""Starts the parts of the one-machine stack, keeps them running and stops them without orphans.

One thread, no polling: it sleeps until a child ends, a signal arrives or something is due.
A part is a process in a session of its own, so that Ctrl-C in the terminal reaches only the
supervisor, which then stops everything in order. When the supervisor itself is killed, the
kernel kills its children (PR_SET_PDEATHSIG, see prctl(2)); Celery asks the same for its pool
and gunicorn's workers look for their parent.
"""

import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from app.config.sources import home, relative
from app.local.run_config import BAD_CONFIGURATION, CannotRunError
from app.locale import Both
from app.util.private import keep_private

READY_SECONDS = 60.0  # how long a part may take until it is ready
FIRST_PAUSE = 0.5  # seconds before the first restart; doubles each time ...
LONGEST_PAUSE = 10.0  # ... up to this
HEALTHY_AFTER = 30.0  # a part that ran this long starts again with FIRST_PAUSE
QUIET_STOP = 3.0  # seconds a part may take to end before the terminal says that we wait
_PR_SET_PDEATHSIG = 1
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
_LIBC = ctypes.CDLL(None, use_errno=True)


class StopAskedError(Exception):
    """Ctrl-C was pressed, or TERM or HUP was sent."""


@dataclass(frozen=True)
class Part:
    """One program of the stack.

    `every`: seconds from one start to the next of a job that does its work and ends; None for
    a program that runs for good. `stop_seconds`: how long it may take to end after TERM.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] = lambda: True
    every: float | None = None
    stop_seconds: float = 10.0


@dataclass(frozen=True)
class Finished:
    """What a step (a command that runs once) left behind."""

    code: int
    output: str
    errors: str

    def last_words(self, lines: int) -> str:
        """The end of what it said."""
        return _tail(self.output + self.errors, lines)


@dataclass
class _Running:
    """A part with its process; between two runs `process` is None and `due` says when to start."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    restarts: int = 0


class Supervisor:
    """Use as a context manager in the main thread; leaving it stops every part.

    `logs`: folder for one log file per part. `environ`: the environment of the parts. `say`:
    shows one line to the person at the terminal. `pace` (TEST_TIME_SCALE) multiplies every wait but
    that for a start.
    """

    def __init__(
        self,
        *,
        logs: Path,
        environ: Mapping[str, str],
        say: Callable[[Both], None],
        pace: float = 1.0,
    ) -> None:
        self.logs = logs
        self.environ = dict(environ)
        self.say = say
        self.pace = pace
        self._parts: list[_Running] = []
        self._asked = False

    def __enter__(self) -> Self:
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep_private(self.logs)
        # Blocked, they wait until `_sleep` takes them.
        self._unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop_all()
        finally:
            while signal.sigtimedwait(_SIGNALS, 0):  # what would end this process now
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, self._unblocked)

    # -- what the stack calls ---------------------------------------------------------------

    def start(self, part: Part) -> None:
        """Start `part` and return when it is ready. A periodic part first runs after `every`.

        Raises CannotRunError when it refuses its configuration or is not ready in time,
        StopAskedError on Ctrl-C.
        """
        running = _Running(part)
        self._parts.append(running)
        if part.every is not None:
            running.due = time.monotonic() + part.every * self.pace
            return
        self._launch(running)
        deadline = time.monotonic() + READY_SECONDS
        while not part.ready():
            if time.monotonic() > deadline:
                log, said = relative(self.log_path(part.name)), self.last_words(part.name)
                raise CannotRunError(
                    f"{part.name} の準備が {READY_SECONDS:.0f}秒たっても終わりません。ログ: {log}\n{said}",
                    f"{part.name} was not ready after {READY_SECONDS:.0f} seconds. Log: {log}\n{said}",
                )
            self.turn(0.1)

    def step(self, name: str, command: Sequence[str]) -> Finished:
        """Run a command once to its end, while the parts keep being looked after.

        Its output is returned and also appended to its log. Raises StopAskedError on Ctrl-C
        (then the command is stopped too).
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self._spawn(command, out, err)
            try:
                while _running(process):
                    self.turn(1.0)
            finally:
                self._end(process, name, 10.0)
                finished = Finished(process.returncode, _read(out), _read(err))
                with self.log_path(name).open("ab") as log:
                    log.write((finished.output + finished.errors).encode())
        return finished

    def watch(self) -> None:
        """Keep everything running. Ends by StopAskedError or CannotRunError only."""
        while True:
            self.turn(60.0)

    def pause(self, seconds: float) -> None:
        """Wait, but look after the parts meanwhile."""
        until = time.monotonic() + seconds * self.pace
        while (left := until - time.monotonic()) > 0:
            self.turn(left)

    def turn(self, timeout: float) -> None:
        """Sleep until something happens (at most `timeout` seconds), then do what is due."""
        now = time.monotonic()
        dues = [r.due - now for r in self._parts if r.process is None]
        self._sleep(min([timeout, *dues]))
        if self._asked:
            self._asked = False  # from here on it would mean: hurry
            raise StopAskedError
        for running in self._parts:
            self._look_after(running)

    # -- one part ---------------------------------------------------------------------------

    def _look_after(self, running: _Running) -> None:
        if running.process is None:
            if time.monotonic() >= running.due:
                self._launch(running)
        elif not _running(running.process):
            code = _reap(running.process)
            running.process = None
            self._ended(running, code)

    def _launch(self, running: _Running) -> None:
        with self.log_path(running.part.name).open("ab") as log:
            running.process = self._spawn(running.part.command, log, log)
        running.started = time.monotonic()

    def _ended(self, running: _Running, code: int) -> None:
        """Decide when a part that ended is started again, and say so."""
        part, now = running.part, time.monotonic()
        name, log = part.name, relative(self.log_path(part.name))
        how = Both(f"終了コード {code}", f"exit code {code}")
        if code < 0:
            how = Both(f"シグナル {-code}", f"signal {-code}")
        if code in (BAD_CONFIGURATION, os.EX_CONFIG):
            said = self.last_words(name)
            raise CannotRunError(
                f"{name} が設定を受け付けませんでした。\n{said}",
                f"{name} refuses its configuration.\n{said}",
                BAD_CONFIGURATION,
            )
        if part.every is not None:
            running.due = max(now, running.started + part.every * self.pace)
            if code:
                self.say(
                    Both(
                        f"{name} が失敗しました({how.ja})。次の回にもう一度行います。ログ: {log}",
                        f"{name} failed ({how.en}). It is tried again next time. Log: {log}",
                    )
                )
            return
        if now - running.started > HEALTHY_AFTER * self.pace:
            running.restarts = 0
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**running.restarts) * self.pace
        running.restarts += 1
        running.due = now + pause
        self.say(
            Both(
                f"{name} が止まりました({how.ja})。{pause:.1f}秒後に再起動します。ログ: {log}",
                f"{name} stopped ({how.en}). Starting it again in {pause:.1f} s. Log: {log}",
            )
        )

    def _spawn(
        self, command: Sequence[str], out: IO[bytes], err: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        supervisor, unblocked = os.getpid(), self._unblocked

        def die_with_the_supervisor() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != supervisor:  # it died before the line above
                os._exit(1)

        return subprocess.Popen(  # noqa: S603 - the commands are our own, no shell
            command,
            cwd=home(),  # gunicorn reads its settings there
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=dict(self.environ),
            start_new_session=True,
            preexec_fn=die_with_the_supervisor,  # noqa: PLW1509 - safe: we have one thread
        )

    # -- the end ----------------------------------------------------------------------------

    def _stop_all(self) -> None:
        """Last started, first stopped. A second Ctrl-C kills what is still there at once."""
        for running in reversed(self._parts):
            if running.process is not None:
                self._end(running.process, running.part.name, running.part.stop_seconds)
                running.process = None

    def _end(self, process: subprocess.Popen[bytes], name: str, seconds: float) -> None:
        """TERM to the process alone (Celery finishes its mail), KILL to all it started."""
        if _running(process):
            process.terminate()
            if not self._gone_within(process, QUIET_STOP):
                self.say(
                    Both(
                        f"{name} が作業を終えるのを待っています。"
                        "すぐに止めるには、もう一度 Ctrl-C を押してください。",
                        f"Waiting for {name} to finish its work. Press Ctrl-C again to stop it at "
                        "once.",
                    )
                )
                self._gone_within(process, seconds - QUIET_STOP)
        _reap(process)

    def _gone_within(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        deadline = time.monotonic() + seconds * self.pace
        while _running(process):
            left = deadline - time.monotonic()
            if left <= 0 or self._asked:
                return False
            self._sleep(left)
        return True

    def _sleep(self, seconds: float) -> None:
        """At most `seconds`; a signal or the end of a child ends it."""
        if not self._asked:
            came = signal.sigtimedwait(_SIGNALS, max(0.0, seconds))
            self._asked = came is not None and came.si_signo != signal.SIGCHLD

    # -- logs --------------------------------------------------------------------------------

    def log_path(self, name: str) -> Path:
        """Where a part's output goes."""
        return self.logs / f"{name}.log"

    def last_words(self, name: str) -> str:
        """The end of a part's log, for the person who asks why."""
        path = self.log_path(name)
        return _tail(path.read_text("utf-8", "replace") if path.exists() else "", 12)


def _running(process: subprocess.Popen[bytes]) -> bool:
    """Whether it runs still, without reaping it: its process group must keep its number."""
    if process.returncode is not None:
        return False
    gone = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return gone is None


def _reap(process: subprocess.Popen[bytes]) -> int:
    """Kill what is left of its process group (pool children), then collect its exit code."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _tail(text: str, lines: int) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])
