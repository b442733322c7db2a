"""What one run of the stack brings itself, and the files in DATA_DIR that say so.

run.lock: one run per folder. run.env: where to find what this run brought.
"""

import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.config.sources import RUN_FILE, gather, home, relative
from app.locale import Both
from app.util.private import write_whole

BAD_CONFIGURATION = 2  # the exit code of every program here that refuses its configuration
_SENDER = "Task Progress <task-progress@example.jp>"
_MAIL_SERVER = frozenset({"SMTP_HOST", "SMTP_PORT", "SMTP_USERNAME", "SMTP_SECURITY"})
_SERVERS = _MAIL_SERVER | {"SMTP_PRESET", "CELERY_BROKER_URL", "DATABASE_URL"}


class CannotRunError(Exception):
    """Why the stack does not start, and the exit code that says so."""

    def __init__(self, ja: str, en: str, code: int = 1) -> None:
        self.reason = Both(ja, en)
        super().__init__(str(self.reason))
        self.code = code


@dataclass(frozen=True)
class Plan:
    """What this run brings itself, and where. All ports are of 127.0.0.1."""

    port: int
    data_dir: Path
    own_redis: bool
    own_mailbox: bool
    own_database: bool
    redis_port: int
    smtp_port: int
    redis_password: str

    @property
    def first_start(self) -> bool:
        """Sample people only ever go into our own database and our own mailbox."""
        return self.own_database and self.own_mailbox and not self.sample_mark.exists()

    @property
    def sample_mark(self) -> Path:
        """Holds D once the sample was loaded and its reminders were ordered."""
        return self.data_dir / "sample.done"


def data_folder(given: Path | None, environ: Mapping[str, str]) -> Path:
    """DATA_DIR as config.load finds it: what was `given`, `environ`, `.env`, else `data`."""
    found = gather(environ, home(), frozenset({"DATA_DIR"}), [], [])
    return (given or home() / (found.get("DATA_DIR") or "data")).resolve()


def make_plan(port: int, data_dir: Path, environ: Mapping[str, str]) -> Plan:
    """A plan that fills what `environ` and `.env` leave open.

    Whether a variable is set matters here; whether its value is any good config.load says.
    Raises CannotRunError when a mail server is half configured.
    """
    # Another folder than `.env` says: its run.env counts, and not that of a run beside this one.
    found = gather({**environ, "DATA_DIR": str(data_dir)}, home(), _SERVERS | {"DATA_DIR"}, [], [])
    given = {name for name in found if name in _SERVERS}
    if "SMTP_HOST" not in given and given & _MAIL_SERVER:
        stray = ", ".join(sorted(given & _MAIL_SERVER))
        raise CannotRunError(
            f"{stray} は設定されていますが、SMTP_HOST がありません。"
            "SMTP_HOST も設定するか、ローカルのメールボックスを使う場合は外してください。",
            f"{stray}: set, but SMTP_HOST is not. "
            "Set SMTP_HOST too, or remove the others to use the local mailbox.",
            BAD_CONFIGURATION,
        )
    redis_port, smtp_port = free_ports(2)
    return Plan(
        port=port,
        data_dir=data_dir,
        own_redis="CELERY_BROKER_URL" not in given,
        own_mailbox="SMTP_HOST" not in given,
        own_database="DATABASE_URL" not in given,
        redis_port=redis_port,
        smtp_port=smtp_port,
        redis_password=secrets.token_hex(16),
    )


@contextlib.contextmanager
def run_env(plan: Plan) -> Iterator[None]:
    """DATA_DIR/run.env for the time of the run. What `.env` says goes before it."""
    values = {"APP_BASE_URL": f"http://127.0.0.1:{plan.port}"}
    if plan.own_redis:
        server = f"redis://:{plan.redis_password}@127.0.0.1:{plan.redis_port}"
        values |= {"CELERY_BROKER_URL": f"{server}/0", "CELERY_RESULT_BACKEND": f"{server}/1"}
    if plan.own_mailbox:
        values |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(plan.smtp_port)}
        values |= {"SMTP_SECURITY": "none", "MAIL_FROM": _SENDER, "TASK_PROGRESS_MAILBOX": "1"}
    path = plan.data_dir / RUN_FILE
    write_whole(path, "".join(f"{name}={value}\n" for name, value in values.items()).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def only_run(data_dir: Path) -> Iterator[None]:
    """One run per DATA_DIR. The kernel drops a killed run's lock; its run.env is removed here.

    Raises CannotRunError when another run holds the folder.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            where, pid = relative(data_dir), lock.read().strip()
            raise CannotRunError(
                f"{where} ではすでに動いています(プロセス {pid})。"
                "そちらを Ctrl-C で止めるか、DATA_DIR= で別のフォルダーを指定してください。",
                f"Already running on {where} (process {pid}). "
                "Stop it with Ctrl-C, or choose another folder with DATA_DIR=.",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        (data_dir / RUN_FILE).unlink(missing_ok=True)
        yield


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now; held together while choosing, so they differ."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
