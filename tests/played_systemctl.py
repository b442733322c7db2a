"""`systemctl` as far as an upgrade asks it: starts each unit's ExecStart, and stops it as systemd does.

A program, `python -m tests.played_systemctl UNITS stop|start|is-active|… UNIT…`. Beside UNITS stand, each
in a folder or file of its own: `pids` of what runs, `journal` with a line for each thing done, `play` with
the units that really are programs here (the others are only marked as running), `logs`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.systemd import environment_file
from tests.unit_file import Unit

STOPPED_WITHIN = 30.0


class Systemd:
    """The units in a folder, and what stands beside it."""

    def __init__(self, units: Path) -> None:
        self.units = units
        self.pids, self.logs = units.parent / "pids", units.parent / "logs"
        self.played = (units.parent / "play").read_text().split()
        for folder in (self.pids, self.logs):
            folder.mkdir(exist_ok=True)

    def note(self, words: str) -> None:
        """A line of the journal."""
        with (self.units.parent / "journal").open("a") as journal:
            journal.write(words + "\n")

    def start(self, name: str) -> None:
        """The unit's own command with its own environment; nothing of this shell."""
        if self.is_active(name):
            return
        self.note(f"start {name}")
        if name not in self.played:
            (self.pids / name).write_text("")
            return
        unit = Unit.read(self.units / name)
        file = Path(unit.one("EnvironmentFile")).read_text(encoding="utf-8")
        environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment_file.read(file)}
        port = os.environ["WEB_PORT"]
        log = (self.logs / name).open("ab")
        part = subprocess.Popen(
            [word.replace(":8000", f":{port}") for word in unit.command],
            cwd=unit.one("WorkingDirectory"),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        (self.pids / name).write_text(str(part.pid))

    def stop(self, name: str) -> None:
        """TERM to the parent alone (KillMode=mixed), and waits until it has ended."""
        if not (self.pids / name).exists():
            return
        until = time.monotonic() + STOPPED_WITHIN
        if self.is_active(name) and (process := self._pid(name)):
            os.kill(process, signal.SIGTERM)
            while _lives(process) and time.monotonic() < until:
                time.sleep(0.05)
        (self.pids / name).unlink()
        self.note(f"stopped {name}")

    def is_active(self, name: str) -> bool:
        """Whether it was started and has not ended."""
        if not (self.pids / name).exists():
            return False
        process = self._pid(name)
        return process is None or _lives(process)

    def _pid(self, name: str) -> int | None:
        return int((self.pids / name).read_text() or 0) or None


def _lives(process: int) -> bool:
    """One that has ended and that nobody waited for lives no more."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def main(units: Path, verb: str, *words: str) -> int:
    """The exit code of systemctl."""
    systemd = Systemd(units)
    names = [word for word in words if not word.startswith("-")]
    if verb == "is-active":
        return 0 if all(map(systemd.is_active, names)) else 3
    if verb == "is-enabled":
        return 0
    if verb in {"stop", "start"}:
        for name in names:
            (systemd.stop if verb == "stop" else systemd.start)(name)
    else:
        systemd.note(" ".join([verb, *words]))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
