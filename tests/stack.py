"""The real processes of one installation, for tests: beat, workers, commands, a mail server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from tests.servers import die_with_parent, wait_until
from tests.smtp_server import SmtpServer

PROJECT = Path(__file__).resolve().parent.parent
CELERY = Path(sys.executable).parent / "celery"
APP = "app.celery_app.celery"


class Stack:
    """One installation in a temp folder. Everything it started is ended with it."""

    def __init__(self, folder: Path, environ: Mapping[str, str], smtp: SmtpServer) -> None:
        self.folder = folder
        self.environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), **environ}
        self.smtp = smtp
        self.parts: list[subprocess.Popen[bytes]] = []

    def celery(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Starts `celery -A … ARGUMENTS`; its output goes to a file named for it."""
        log = self.folder / f"{'-'.join(arguments[:3])}-{len(self.parts)}.log"
        with log.open("wb") as out:
            part = subprocess.Popen(
                [CELERY, "-A", APP, *arguments],
                cwd=self.folder,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - it calls only the kernel
            )
        self.parts.append(part)
        return part

    def worker(self, queue: str = "mail", **environ: str) -> subprocess.Popen[bytes]:
        """A worker with two processes, ready."""
        name = f"{queue}{len(self.parts)}@localhost"
        part = self.celery("worker", "-Q", queue, "-n", name, "-c", "2", "-l", "INFO", **environ)
        log = self.folder / f"worker--Q-{queue}-{len(self.parts) - 1}.log"
        wait_until(lambda: b" ready." in log.read_bytes(), f"worker, see {log}")
        return part

    def beat(self) -> subprocess.Popen[bytes]:
        """A beat."""
        return self.celery("beat", "-l", "INFO")

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`celery -A … ARGUMENTS`, to its end."""
        return self._run([str(CELERY), "-A", APP, *arguments], check=check)

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`task-progress ARGUMENTS`, to its end."""
        return self._run([sys.executable, "-m", "app.cli", *arguments], check=check)

    def _run(self, command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def end(self, part: subprocess.Popen[bytes], how: Signals = SIGKILL) -> None:
        """Ends a part, its pool included when it is killed."""
        if how is SIGKILL:
            os.killpg(part.pid, SIGKILL)
        elif part.poll() is None:
            part.send_signal(how)
        part.wait(60)

    def logs(self) -> str:
        """All that the parts said."""
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("*.log")))

    def finished_jobs(self) -> int:
        """How many jobs the workers have finished so far."""
        return len(re.findall(r"Task app\.\S+ succeeded", self.logs()))

    def recipients(self) -> list[str]:
        """Who got a mail, sorted; twice is twice."""
        return sorted(mail.recipient for mail in self.smtp.mails)


@contextmanager
def running(folder: Path, environ: Mapping[str, str], smtp: SmtpServer) -> Iterator[Stack]:
    """A stack, ended with the block."""
    stack = Stack(folder, environ, smtp)
    try:
        yield stack
    finally:
        for part in stack.parts:
            if part.poll() is None:
                # Popen.args may be one string; ours are lists.
                stack.end(part, SIGTERM if part.args[3] == "beat" else SIGKILL)  # type: ignore[index]


def offset_to(moment: datetime) -> str:
    """TEST_CLOCK_OFFSET that makes it `moment` now."""
    return str((moment - datetime.now(UTC)).total_seconds())
