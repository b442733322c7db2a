"""A program with the database of another: its key, its mail server, its sender and its address."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text

from app import audit, doctor, reminders, schema
from app.alerts import open_alerts
from app.config import SECRET_KEY_FILE, load
from app.db import Database
from app.doctor import CheckContext, Level, settings
from app.identity import fingerprints, known_settings
from app.models import Member, OutboxMail, Setting, State
from app.monitoring import checks, status
from app.services import Services, make
from tests import sending
from tests.conftest import NOW, People, task
from tests.databases import on_sqlite
from tests.smtp_server import SmtpServer
from tests.stack import PYTHON, running

pytestmark = pytest.mark.pages

ANOTHER = "another made-up key for tests only: 9876543210 abcdef"
THIRD = "a third made-up key for tests only: 0000000000 abcdef"
MINUTE = timedelta(minutes=1)

Made = Callable[..., Services]


@pytest.fixture
def program(environ: dict[str, str], smtp: SmtpServer, tmp_path: Path) -> Iterator[Made]:
    """A program on the one database, with settings of its own."""
    made: list[Services] = []

    def with_settings(**values: str) -> Services:
        settings = {**environ, "SMTP_PORT": str(smtp.port), **values}
        made.append(make(load({k: v for k, v in settings.items() if v}, tmp_path)))
        return made[-1]

    yield with_settings
    for one in made:
        one.idle.close()
        one.db.close()


def sent(services: Services, day: int = 0) -> int:
    """How many mails this program gets out on this day."""
    now = NOW + timedelta(days=day)
    return sending.deliver(services, reminders.plan(services, now).ids, lambda: now)


def ready(db: Database) -> int:
    with db.read() as session:
        return len(list(session.scalars(select(OutboxMail).where(OutboxMail.state == State.READY))))


@pytest.fixture
def due(db: Database, team: People) -> Member:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    return team.suzuki


def known_server(db: Database, server: str) -> None:
    """The database has sent through this server so far."""
    with db.write() as session:
        row = session.get_one(Setting, known_settings.KEY)
        row.value = {**row.value, "mail_server": server}


# --- SECRET_KEY -----------------------------------------------------------------------------


def test_a_program_with_another_key_ends_with_what_to_do_and_sends_nothing(
    program: Made, due: Member, db: Database, smtp: SmtpServer
) -> None:
    assert sent(program()) == 1
    stray = program(SECRET_KEY=ANOTHER)
    with pytest.raises(known_settings.UnknownKey, match="SECRET_KEY_PREVIOUS"):
        known_settings.check(stray)
    assert sent(stray, day=1) == 0
    assert (ready(db), len(smtp.mails)) == (1, 1)
    known_settings.check(program())
    with db.read() as session:
        assert ANOTHER not in str([row.value for row in session.scalars(select(Setting))])


def test_the_key_before_proves_a_new_one_and_machines_may_follow_one_by_one(
    program: Made, due: Member, environ: dict[str, str]
) -> None:
    sent(program())
    rotated = program(SECRET_KEY=ANOTHER, SECRET_KEY_PREVIOUS=environ["SECRET_KEY"])
    assert sent(rotated, day=1) == 1
    assert sent(program(), day=2) == 1  # a machine that was not given the new one yet
    assert sent(program(SECRET_KEY=ANOTHER), day=3) == 1
    assert sent(program(SECRET_KEY=THIRD), day=6) == 0


def test_a_database_without_fingerprints_takes_those_of_the_first_that_sends(
    program: Made, due: Member, db: Database
) -> None:
    with db.write() as session:
        session.execute(delete(Setting).where(Setting.key == known_settings.KEY))
    known_settings.check(program(SECRET_KEY=ANOTHER))
    assert sent(program(SECRET_KEY=ANOTHER)) == 1
    with pytest.raises(known_settings.UnknownKey):
        known_settings.check(program())


def test_a_lost_key_file_is_not_silently_replaced(
    program: Made, due: Member, tmp_path: Path
) -> None:
    key = tmp_path / SECRET_KEY_FILE
    sent(program(SECRET_KEY=""))
    kept = key.read_text()
    key.unlink()
    with pytest.raises(known_settings.UnknownKey, match=f"{SECRET_KEY_FILE} .*--new-key"):
        known_settings.check(program(SECRET_KEY=""))
    assert not key.exists()
    key.write_text(kept)
    key.chmod(0o600)
    known_settings.check(program(SECRET_KEY=""))


def test_a_new_key_can_be_gone_on_with(program: Made, due: Member) -> None:
    sent(program())
    lost = program(SECRET_KEY=ANOTHER)
    known_settings.confirm(lost, who="cli:root", now=NOW)
    assert sent(lost, day=1) == 1
    with pytest.raises(known_settings.UnknownKey):
        known_settings.check(program())
    (entry,) = [one for one in audit.entries(lost, limit=50) if one.what == "identity.confirm"]
    assert (entry.who, entry.data["key"]) == ("cli:root", True)


# --- the mail server ------------------------------------------------------------------------


def test_another_mail_server_sends_nothing_until_somebody_confirms_it(
    program: Made, due: Member, db: Database, smtp: SmtpServer, tmp_path: Path
) -> None:
    services = program()
    assert sent(services) == 1
    known_server(db, "smtp.example.com:587")
    assert sent(services, day=1) == 0
    assert (ready(db), len(smtp.mails)) == (1, 1)
    later = NOW + timedelta(days=1)
    (line,) = status.stopped(services, later)
    assert line.mark == "bad"
    assert "smtp.example.com:587" in line.sentence.ja
    assert _alerts(services, later) == ["mail_server_changed"]
    known_settings.confirm(services, who="cli:root", now=later)
    assert status.stopped(services, later) == []
    assert _alerts(services, later + MINUTE) == []
    assert sending.deliver(services, [_last(db)], lambda: later) == 1


def test_a_mail_server_that_never_took_a_mail_is_no_known_one(
    program: Made, due: Member, db: Database
) -> None:
    """Whoever mistyped SMTP_HOST on the first day mends it, and that is all."""
    services = program()
    assert sent(program(SMTP_HOST="smtp.localhost")) == 0
    known_server(db, "smtp.exmaple.com:587")
    assert status.stopped(services, NOW) == []
    assert sending.deliver(services, [_last(db)], lambda: NOW + MINUTE) == 1
    known_server(db, "smtp.example.com:587")
    assert len(status.stopped(services, NOW)) == 1


def test_the_right_program_goes_on_beside_a_stray_one_and_the_alert_stays(
    program: Made, due: Member, db: Database
) -> None:
    right, stray = program(), program(TASK_PROGRESS_MAILBOX="1")
    assert sent(right) == 1
    assert sent(stray, day=1) == 0
    now = NOW + timedelta(days=1)
    assert _alerts(stray, now) == ["mail_server_changed"]
    assert sending.deliver(right, [_last(db)], lambda: now) == 1
    assert _alerts(right, now + MINUTE) == ["mail_server_changed"]
    assert _alerts(right, now + 10 * MINUTE) == []  # since the stray one is gone


def test_another_port_of_the_own_mailbox_and_the_first_real_server_are_no_question(
    program: Made, due: Member
) -> None:
    mailbox = program(TASK_PROGRESS_MAILBOX="1")
    here = known_settings.settings_of(mailbox.config, "x")
    elsewhere = known_settings.settings_of(
        program(TASK_PROGRESS_MAILBOX="1", SMTP_PORT="9").config, "x"
    )
    known = fingerprints.taken(here)
    assert fingerprints.compare(known, elsewhere) == fingerprints.compare(known, here)
    real = known_settings.settings_of(program(SMTP_HOST="smtp.example.com").config, "x")
    assert fingerprints.compare(known, real).may_send
    assert fingerprints.learnt(known, real)["mail_server"].startswith("smtp.example.com:")
    assert not fingerprints.compare(fingerprints.taken(real), here).may_send


# --- what is only told ----------------------------------------------------------------------


def test_another_sender_or_address_is_told_once_and_stops_nothing(
    program: Made, due: Member, tmp_path: Path
) -> None:
    sent(program())
    other = {"MAIL_FROM": "Other <other@example.jp>", "APP_BASE_URL": "https://other.example.jp"}
    services = program(**other)
    assert [sent(services, day=1), sent(services, day=2)] == [1, 1]
    told = [one for one in audit.entries(services, limit=50) if one.what == "identity.change"]
    keys = [sorted(change["key"] for change in one.data["changes"]) for one in told]
    assert keys == [["APP_BASE_URL", "MAIL_FROM"]]

    def found() -> list[doctor.Finding]:
        return settings.identity_check(CheckContext(tmp_path, lambda: NOW, services))

    assert {one.level for one in found()} == {Level.YELLOW}
    known_settings.confirm(services, who="cli:root", now=NOW)
    assert {one.level for one in found()} == {Level.GREEN}


# --- the programs ---------------------------------------------------------------------------


@pytest.mark.slow
@on_sqlite
def test_each_program_ends_with_the_sentence(
    program: Made, due: Member, environ: dict[str, str], tmp_path: Path, smtp: SmtpServer
) -> None:
    sent(program())
    others = {**environ, "SECRET_KEY": ANOTHER, "SMTP_PORT": str(smtp.port)}
    with running(tmp_path, others, smtp) as stray:
        ends = [
            stray.worker(wait=False, processes=1),
            stray.beat(),
            stray.start("pages", PYTHON, "-m", "gunicorn", "-c", _GUNICORN, "-b", "127.0.0.1:0",
                        "app:create_app()"),
        ]  # fmt: skip
        assert [part.wait(120) for part in ends] == [os.EX_CONFIG] * 3
        for part in ends:
            assert "--new-key" in stray.said(part)
        for command in ("status", "tick", "confirm", "db upgrade"):
            done = stray.command(*command.split(), check=False)
            assert (done.returncode, "--new-key" in done.stderr) == (2, True)
        assert stray.command("confirm", "--new-key").returncode == 0
        assert stray.command("status").returncode == 0


@pytest.mark.slow
@on_sqlite
def test_a_lost_key_keeps_nobody_from_an_upgrade(  # noqa: PLR0917 - all fixtures
    program: Made,
    due: Member,
    db: Database,
    environ: dict[str, str],
    tmp_path: Path,
    smtp: SmtpServer,
) -> None:
    """`db upgrade` wants the key, so the word about it must not want the upgrade."""
    sent(program())
    version = text("UPDATE alembic_version SET version_num = :version")
    with db.write() as session:
        session.execute(version, {"version": "0012"})
    others = {**environ, "SECRET_KEY": ANOTHER, "SMTP_PORT": str(smtp.port)}
    with running(tmp_path, others, smtp) as stray:
        assert stray.command("db", "upgrade", check=False).returncode == 2
        assert schema.version(db) == "0012"
        assert stray.command("confirm", "--new-key").returncode == 0
        with db.write() as session:
            session.execute(version, {"version": schema.HEAD})
        assert stray.command("db", "upgrade").returncode == 0


_GUNICORN = str(Path(__file__).resolve().parent.parent / "gunicorn.conf.py")


def _alerts(services: Services, now: datetime) -> list[str]:
    checks.run(services, now)
    with services.db.read() as session:
        return [one.name for one in open_alerts(session) if one.name == "mail_server_changed"]


def _last(db: Database) -> int:
    with db.read() as session:
        return max(session.scalars(select(OutboxMail.id)))
