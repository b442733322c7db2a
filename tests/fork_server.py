"""Programs of the product without the second of a processor that their imports take.

A server process has imported what they import (tests/preloaded.py); each program is a fork of it,
with the arguments, environment, folder and output that it would have, in a session of its own. What
is about the start of a program itself, its account or its loader starts it by `servers.spawn`.
"""

import atexit
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.servers import die_with_parent, spawn, wait_until

_PROJECT = Path(__file__).resolve().parent.parent
_MODULES = {"celery": "celery", "task-progress": "app.cli", "gunicorn": "gunicorn"}
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.preloaded"])


class Program:
    """A running program, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, minus the signal's number where one ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended; subprocess.TimeoutExpired after `timeout` seconds."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


Part = Program | subprocess.Popen[bytes]


def launch(command: Sequence[str], log: Path, *, cwd: str | Path, env: Mapping[str, str]) -> Part:
    """Starts it, as a fork where that can be; what it says is added to `log`."""
    if can_fork(command, env):
        return start(command, log, cwd=cwd, env=env)
    return spawn(command, log, cwd=cwd, env=env)


def can_fork(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether this is a program of the product that its loader and interpreter start as usual."""
    own = command[0] == sys.executable and command[1] == "-m"
    usual = not any(name.startswith(("LD_", "PYTHONW", "PYTHONH")) for name in environ)
    if environ.get("PYTHONPATH", str(_PROJECT)).split(os.pathsep)[0] != str(_PROJECT):
        return False  # other code than what was imported here
    return usual and (own or _of_this_python(command[0]))


def _of_this_python(program: str) -> bool:
    path = Path(program)
    return path.name in _MODULES and path.parent.resolve() == Path(sys.executable).parent.resolve()


def start(
    command: Sequence[str],
    out: Path,
    *,
    cwd: str | Path,
    env: Mapping[str, str],
    errors: Path | None = None,
    limits: Callable[[], None] | None = None,
) -> Program:
    """Starts it; what it says is added to `out`, and its errors to `errors` or there too.

    `limits` is called in the new process, before anything of the program.
    """
    files = (str(out), str(errors or out))
    arguments = (list(command), files, str(cwd), dict(env), limits)
    process = _SERVER.Process(target=_become, args=arguments, name=" ".join(command))
    out.touch()
    process.start()
    program = Program(process)
    wait_until(lambda: _has_its_session(program.pid), "fork")
    return program


def run(
    command: Sequence[str], *, cwd: str | Path, env: Mapping[str, str], timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        program = start(command, out, cwd=cwd, env=env, errors=errors)
        try:
            code = program.wait(timeout)
        finally:
            program.kill()
        return subprocess.CompletedProcess(
            list(command), code, out.read_text("utf-8"), errors.read_text("utf-8")
        )


def _has_its_session(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:  # it has ended already
        return True


def _become(
    command: Sequence[str],
    files: tuple[str, str],
    cwd: str,
    env: Mapping[str, str],
    limits: Callable[[], None] | None,
) -> None:
    """In the fork: takes everything on that a new process would have, and runs the program."""
    atexit._clear()
    multiprocessing.current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]  # the tests' own
    os.setsid()
    die_with_parent()
    os.umask(0o022)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    _speak(*files)
    if limits:
        limits()
    if command[1] == "-m":
        module, sys.argv = command[2], list(command[2:])
    else:
        module, sys.argv = _MODULES[Path(command[0]).name], list(command)
    sys.path[0] = cwd
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()


def _speak(out: str, errors: str) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in ((1, out), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the program's life
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        os.fdopen(2, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True
    )
