"""SMTP_PRESET: defaults that a named setting overrides, and a morning that a provider's limits let pass."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import select

from app import reminders
from app.config import ConfigError, load, presets
from app.db import Database
from app.models import Member, OutboxMail
from app.services import make
from tests import sending
from tests.conftest import NOW, suzuki, task
from tests.smtp_server import Plan, SmtpServer

MICROSOFT = {
    "SMTP_PRESET": "microsoft365",
    "SMTP_USERNAME": "app@example.jp",
    "SMTP_PASSWORD": "hush",
}


# --- what a preset gives ------------------------------------------------------------------------------


def test_a_preset_alone_is_a_whole_mail_server(tmp_path: Path) -> None:
    config = load(MICROSOFT, tmp_path)
    assert (config.smtp_host, config.smtp_port, config.smtp_security) == (
        "smtp.office365.com",
        587,
        "starttls",
    )
    assert (config.smtp_connections, config.smtp_rate_per_minute) == (1, 30)
    assert config.mail_from == "Task Progress <app@example.jp>"
    assert config.mail_return_path == "app@example.jp"


def test_a_named_setting_goes_before_the_preset_and_an_empty_one_does_not(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "MAIL_FROM=Notices <notices@example.jp>\nSMTP_RATE_PER_MINUTE=\n"
    )
    config = load({**MICROSOFT, "SMTP_CONNECTIONS": "2"}, tmp_path)
    assert (config.smtp_connections, config.smtp_rate_per_minute) == (2, 30)
    assert config.mail_from == "Notices <notices@example.jp>"
    given, own = presets.compare(config)
    assert "SMTP_RATE_PER_MINUTE=30" in given
    assert own == ["SMTP_CONNECTIONS=2", "MAIL_FROM=Notices <notices@example.jp>"]


@pytest.mark.parametrize("name", [*presets.PRESETS])
def test_every_preset_loads(tmp_path: Path, name: str) -> None:
    config = load({**MICROSOFT, "SMTP_PRESET": name, "MAIL_FROM": "app@example.jp"}, tmp_path)
    assert config.smtp_host
    assert config.smtp_security == "starttls"


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load({**MICROSOFT, "SMTP_PRESET": "office"}, tmp_path)
    assert "SMTP_PRESET" in [name for name, _ in caught.value.faults]


def test_without_a_preset_nothing_is_given(tmp_path: Path) -> None:
    config = load({"SMTP_HOST": "smtp.example.com", "MAIL_FROM": "app@example.com"}, tmp_path)
    assert (config.smtp_connections, config.smtp_rate_per_minute) == (1, None)


# --- a morning ------------------------------------------------------------------------------------------


class Strict:
    """A server that takes 3 connections at a time and 30 mails in any 60 seconds, as Microsoft does."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._times: list[float] = []
        self.server = SmtpServer(Plan(script={"banner": self._banner(), "mail": self._mail()}))

    def _banner(self) -> Iterator[str]:
        while True:
            yield self._unless(len(self.server._open) > 3, "421 4.3.2 too many connections")

    def _mail(self) -> Iterator[str]:
        while True:
            now = time.monotonic()
            self._times = [*(one for one in self._times if now - one < 60), now]
            yield self._unless(len(self._times) > 30, "451 4.7.0 too many messages")

    def _unless(self, over: bool, answer: str) -> str:
        if over:
            self.refused.append(answer)
        return answer if over else "ok"


def morning(environ: dict[str, str], folder: Path, db: Database, people: int) -> Strict:
    """Three senders at once (the worker's two, and the timer) until nothing is left, or is refused."""
    with db.write() as session:
        members = [suzuki() for _ in range(people)]
        for number, member in enumerate(members):
            member.email = f"member{number}@example.jp"
        session.add_all(members)
        session.flush()
        session.add_all([task(f"T-{number}", one) for number, one in enumerate(members)])
    strict = Strict()
    with strict.server as server, ExitStack() as made:
        given = {**environ, "SMTP_PORT": str(server.port)}
        senders = [made.enter_context(closing(make(load(given, folder)))) for _ in range(3)]
        reminders.plan(senders[0], NOW)
        threads = [
            threading.Thread(target=sending.send, args=(one, lambda: NOW)) for one in senders
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return strict


@pytest.mark.slow
def test_a_morning_of_20_with_the_preset_meets_no_refusal_at_microsofts_limits(
    environ: dict[str, str], tmp_path: Path, db: Database
) -> None:
    """In real time: 30 a minute are 20 in some 40 seconds."""
    strict = morning({**environ, "SMTP_PRESET": "microsoft365"}, tmp_path, db, 20)
    assert strict.refused == []
    assert len(strict.server.mails) == 20
    with db.read() as session:
        assert set(session.scalars(select(OutboxMail.state))) == {"accepted"}
        assert len(session.scalars(select(Member.id)).all()) == 20


def test_without_it_the_same_server_refuses(
    environ: dict[str, str], tmp_path: Path, db: Database
) -> None:
    """So the test above can fail."""
    strict = morning({**environ, "SMTP_CONNECTIONS": "4"}, tmp_path, db, 40)
    assert strict.refused
