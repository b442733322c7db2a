"""One installation for the browser: gunicorn as in production, SQLite, the sample team."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from signal import SIGKILL

from app import clock, outbox, sample, schema
from app.config import Config, load
from app.config.sources import HOME
from app.local import mailbox
from app.members import sign_in
from app.mime.parts import text_of
from app.services import Services, make
from app.systemd import programs
from tests import sending
from tests.fork_server import Part, launch
from tests.servers import accepts, free_port, wait_until

PROJECT = Path(__file__).resolve().parent.parent
_BIN = Path(sys.executable).parent


@dataclass
class Site:
    """The running pages, and the use cases beside them on the same database."""

    url: str
    config: Config
    services: Services
    today: date  # the sample's day
    folder: Path

    def sign_in_link(self, email: str) -> str:
        """A fresh link, as the mail has it."""
        sign_in.ask(self.services, email, "/", clock.now())
        return self.newest_link(email, "/login/")

    def fresh_link(self, email: str) -> str:
        """A link as `task-progress admin` prints it, without waiting a minute for another mail."""
        return sign_in.make_admin(self.services, email, "e2e", clock.now())

    def newest_link(self, email: str, part: str) -> str:
        """The newest mailed link to `email` that holds `part`, once a page has written its mail."""
        found: list[str] = []

        def there() -> bool:
            found.extend(self._links(email, part))
            return bool(found)

        wait_until(there, f"a mail to {email} with {part}")
        return found[0]

    def _links(self, email: str, part: str) -> Iterator[str]:
        """The same of each mail, the newest first; what is ready is sent before."""
        self.send()
        for mail in mailbox.newest(self.folder / "mailbox"):
            data = mailbox.read(self.folder / "mailbox", mail.id) or b""
            text = text_of(mailbox.parse(data))
            found = re.search(rf"https?://\S*{part}\S*", text or "")
            if email in mail.recipient and found:
                yield found.group()

    def send(self) -> None:
        """What a tick would do now for mails that are ready."""
        now = clock.now()
        sending.deliver(self.services, outbox.sweep(self.services, now), clock.now)


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    """A site, ended with the block."""
    port, smtp_port = free_port(), free_port()
    environ = {
        "DATA_DIR": str(folder),
        "APP_BASE_URL": f"http://127.0.0.1:{port}",
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",  # nobody there: pages go on
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(smtp_port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "Task Progress <task-progress@example.jp>",
        "TASK_PROGRESS_MAILBOX": "1",
        "SECRET_KEY": "a made-up key for tests only: 0123456789 abcdef",
    }
    config = load(environ, folder)
    services = make(config)
    schema.upgrade(services.db)
    day = sample.load(services, clock.now())
    assert day is not None
    catcher = [sys.executable, "-m", "app.local.catcher", "--port", str(smtp_port)]
    catcher += ["--folder", str(folder / "mailbox")]
    web = programs.web(_BIN, port)
    parts = [_start(command, folder, environ) for command in (catcher, web)]
    try:
        wait_until(lambda: accepts(smtp_port), "the mailbox")
        wait_until(lambda: accepts(port), "the pages, see web.log")
        yield Site(environ["APP_BASE_URL"], config, services, day, folder)
    finally:
        for part in parts:
            os.killpg(part.pid, SIGKILL)  # asked to end, it would wait for the browser's connection
        for part in parts:
            part.wait(30)
        services.db.close()


def _start(command: list[str], folder: Path, environ: dict[str, str]) -> Part:
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), HOME: str(folder)}
    # gunicorn reads gunicorn.conf.py in this folder, as under systemd.
    return launch(command, folder / "web.log", cwd=PROJECT, env={**path, **environ})
