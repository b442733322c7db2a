"""A machine as the specification lays it out, with units started as systemd starts them.

Each ExecStart runs as a plain process with the EnvironmentFile read as systemd reads it, and
under the limits of its unit (tests/confined.py) where systemd-analyze is there to name them.
"""

import http.client
import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from signal import SIGKILL

from app.config.sources import HOME
from app.systemd import environment_file, units
from tests import confined, fork_server
from tests.fork_server import Part
from tests.servers import free_port, spawn, wait_until
from tests.stack import PROJECT
from tests.unit_file import Unit

ANALYZE = shutil.which("systemd-analyze")


def lay_out(base: Path, user: str) -> Path:
    """base/home/USER/task-progress-api with `venv`, an empty `data` and an empty `.env`."""
    folder = base / "home" / user / "task-progress-api"
    folder.mkdir(parents=True)
    for name in ("app", "gunicorn.conf.py"):
        (folder / name).symlink_to(PROJECT / name)
    (folder / "venv").symlink_to(Path(sys.prefix))
    (folder / "data").mkdir(mode=0o700)
    (folder / ".env").touch(mode=0o600)
    return folder


def write_units(home: Path, user: str, out: Path) -> Path:
    """The units of the installation in `home`, as files in `out`."""
    out.mkdir()
    for name, unit in units.render(replace(units.place(user, home), ai=True), "ja").items():
        (out / name).write_text(unit, encoding="utf-8")
    return out


class Machine:
    """The installation in `home`: units started with their own command, environment, limits."""

    def __init__(self, home: Path, rendered: Path, redis_url: str) -> None:
        self.home = home
        self.rendered = rendered
        self.redis_url = redis_url
        self.web_port = free_port()
        self.forked = True  # False: each starts as in production, from the code in `home`
        self.parts: list[Part] = []
        (home.parent / "tmp").mkdir()

    def configure(self, env: str) -> None:
        """Writes `.env`; only the ports are the test's own."""
        backend = self.redis_url.replace("/0", "/1", 1)
        env = env.replace("redis://127.0.0.1:6379/0", self.redis_url)
        (self.home / ".env").write_text(env.replace("redis://127.0.0.1:6379/1", backend))

    def environ(self, unit: Unit) -> dict[str, str]:
        """What a program of systemd finds: nothing of this shell."""
        file = Path(unit.one("EnvironmentFile")).read_text(encoding="utf-8")
        own = dict(one.split("=", 1) for one in unit.all("Environment"))
        usual = {"PATH": os.environ["PATH"], "HOME": str(self.home.parent), "LANG": "C.UTF-8"}
        return {**usual, **own, **environment_file.read(file)}

    def start(self, name: str) -> Part:
        """ExecStart of the unit `name`, in its WorkingDirectory."""
        file = self.rendered / name
        unit = Unit.read(file)
        command = [one.replace(":8000", f":{self.web_port}") for one in unit.command]
        folder, environ = unit.one("WorkingDirectory"), self.environ(unit)
        writable = [self.home.parent / "tmp", self.home / "data"]
        part: Part
        if self.forked:
            limits = partial(confined.limit, file, writable) if ANALYZE else None
            environ |= {HOME: str(self.home)}  # the code that is forked does not lie in it
            part = fork_server.start(
                command, self.log(name), cwd=folder, env=environ, limits=limits
            )
        else:
            command = self._confined(file, writable, command)
            part = spawn(command, self.log(name), cwd=folder, env=environ)
        self.parts.append(part)
        return part

    @staticmethod
    def _confined(unit: Path, writable: list[Path], command: list[str]) -> list[str]:
        if not ANALYZE:
            return command
        limits = [sys.executable, "-m", "tests.confined", str(unit), *map(str, writable), "--"]
        return ["/usr/bin/env", f"PYTHONPATH={PROJECT}", *limits,
                "/usr/bin/env", "-u", "PYTHONPATH", *command]  # fmt: skip

    def log(self, name: str) -> Path:
        """Where the unit writes what journalctl would show."""
        return self.home.parent / f"{name}.log"

    def said(self, name: str) -> str:
        """All that the unit has said so far."""
        return self.log(name).read_text() if self.log(name).exists() else ""

    def says(self, name: str, words: str, times: int = 1) -> None:
        """Waits until the unit has said `words` so often."""
        wait_until(lambda: self.said(name).count(words) >= times, f"{words!r}, {self.log(name)}")

    def ready(self, name: str, times: int = 1) -> None:
        """Waits until the unit works."""
        words = {"celery-beat.service": "beat: Starting", "task-progress-web.service": "Booting"}
        self.says(name, words.get(name, " ready."), times)

    def run(self, *command: str, **environ: str) -> str:
        """A program of the virtual environment, as an operator starts it in the folder."""
        words = [str(self.home / "venv" / "bin" / command[0]), *command[1:]]
        env = {"PATH": os.environ["PATH"], "LANG": "en_US.UTF-8", **environ}
        if self.forked:
            env |= {HOME: str(self.home)}
            done = fork_server.run(words, cwd=self.home, env=env)
        else:
            done = subprocess.run(
                words, cwd=self.home, env=env,
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def page(self, path: str) -> tuple[int, str]:
        """The status of a page, and its text."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=10)) as line:
            line.request("GET", path)
            answer = line.getresponse()
            return answer.status, answer.read().decode()

    def get(self, path: str) -> int:
        """The status of a page."""
        return self.page(path)[0]

    def end(self) -> None:
        """Kills what is left."""
        for part in self.parts:
            if part.poll() is None:
                os.killpg(part.pid, SIGKILL)
                part.wait(10)
