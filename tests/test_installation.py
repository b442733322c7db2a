"""Who an installation is: one id in its database, the same for everybody who looks."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from app import installation, schema
from app.config import Config, load
from app.db import Database
from app.installation import Installation
from app.models import Kind, OutboxMail, Setting
from app.outbox.enqueue import NewMail, enqueue
from app.services import Services, make
from tests.conftest import NOW, TODAY, People, suzuki
from tests.databases import sqlite_copy


@contextlib.contextmanager
def services_on(config: Config) -> Iterator[Services]:
    made = make(config)
    yield made
    made.db.close()


def mail_to(member_id: int, n: int = 0) -> NewMail:
    return NewMail(
        kind=Kind.REMINDER,
        user_id=member_id,
        to_addr="suzuki.ichiro@example.jp",
        local_date=TODAY,
        not_before=NOW,
        expires_at=NOW + timedelta(hours=9),
        n=n,
    )


def message_ids(services: Services, *mails: NewMail) -> list[str]:
    with services.db.write() as session:
        enqueue(session, services, mails, now=NOW)
        return list(session.scalars(select(OutboxMail.message_id).order_by(OutboxMail.id)))


def test_two_installations_with_one_domain_make_different_message_ids(
    services: Services, team: People, environ: dict[str, str], tmp_path: Path
) -> None:
    """A mailbox that has seen a Message-ID may drop the second mail that bears it."""
    other = load({**environ, "DATABASE_URL": sqlite_copy(tmp_path / "other.sqlite3")}, tmp_path)
    with services_on(other) as theirs:
        with theirs.db.write() as session:
            session.add(suzuki(id=team.suzuki.id))
        assert message_ids(services, mail_to(team.suzuki.id)) != message_ids(
            theirs, mail_to(team.suzuki.id)
        )


def test_every_program_on_one_database_makes_the_same(services: Services, team: People) -> None:
    first = services.installation.id()
    assert len(first) >= 12
    assert first in message_ids(services, mail_to(team.suzuki.id))[0]
    with services_on(services.config) as worker:
        assert worker.installation.id() == first
        assert first in message_ids(worker, mail_to(team.suzuki.id, n=1))[1]


def test_two_programs_that_make_it_at_once_agree(database_url: str) -> None:
    def look(_: int) -> str:
        with contextlib.closing(Database(database_url)) as database:
            return Installation(database).id()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(look, range(8)))) == 1


def test_an_id_whose_transaction_was_undone_is_forgotten(db: Database) -> None:
    with db.write() as session:
        session.execute(delete(Setting))
    ours = Installation(db)
    seen = set()
    with contextlib.suppress(ZeroDivisionError), db.write() as session:
        seen = {ours.id_in(session), ours.id_in(session)}
        raise ZeroDivisionError
    assert len(seen) == 1
    kept = ours.id()
    assert kept not in seen
    with db.read() as session:
        assert session.get_one(Setting, installation.KEY).value == kept


def test_an_upgrade_makes_it_once(db: Database) -> None:
    with db.write() as session:
        session.execute(delete(Setting))
    schema.upgrade(db)
    with db.read() as session:
        made = session.get_one(Setting, installation.KEY).value
    schema.upgrade(db)
    assert Installation(db).id() == made


@pytest.mark.parametrize(
    ("mail_from", "end"),
    [
        ("進捗 <app@例え.jp>", "@xn--r8jz45g.jp>"),
        ("App@Example.JP", "@example.jp>"),
        (f"app@{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.jp", f".{'d' * 60}.jp>"),
    ],
)
def test_a_message_id_is_ascii_and_fits_whatever_the_senders_domain(
    environ: dict[str, str], tmp_path: Path, team: People, mail_from: str, end: str
) -> None:
    with services_on(load({**environ, "MAIL_FROM": mail_from}, tmp_path)) as services:
        made = message_ids(services, mail_to(team.suzuki.id))[0]
    assert made.isascii()
    assert made.endswith(end)
    assert "@" in made
    assert len(made) <= 255
