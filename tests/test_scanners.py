"""What a mail's scanner does: it follows every link of a mail, many times. On both databases."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from sqlalchemy import select

from app import create_app, reminders
from app.config import Config
from app.db import Database
from app.letters import read_again
from app.models import Base, OutboxMail, Report
from app.outbox.claim import claim
from app.outbox.precheck import Send
from app.services import Services
from tests.conftest import NOW, People, task

pytestmark = pytest.mark.slow

SCANNERS: list[dict[str, str]] = [
    {"User-Agent": "Mozilla/5.0 (compatible; Mail Security Scanner)"},
    {"Purpose": "prefetch", "Sec-Purpose": "prefetch;prerender", "X-Moz": "prefetch"},
    {"X-Purpose": "preview", "Range": "bytes=0-100"},
    {"If-Modified-Since": "Tue, 24 Nov 2026 00:00:00 GMT", "Accept": "*/*"},
    {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST", "X-Method-Override": "POST"},
]


@pytest.fixture
def letter(services: Services, db: Database, team: People) -> Iterator[Send]:
    """The letter of 鈴木さん with three tasks, as it would go out at nine."""
    with time_machine.travel(NOW, tick=False):
        with db.write() as session:
            tasks = [task(f"T-{number}", team.suzuki) for number in (1, 2, 3)]
            session.add_all(tasks)
            session.flush()
            session.add(
                Report(
                    task_id=tasks[0].id,
                    reporter_id=team.suzuki.id,
                    counts_for=NOW.date().replace(day=13),
                    percent=85,
                    status="at_risk",
                    text="前回のひとこと",
                    created_at=NOW.replace(day=13),
                )
            )
        reminders.plan(services, NOW)
        with db.write() as session:
            ids = session.scalars(select(OutboxMail.id)).all()
            mails = claim(session, ids, "mail", now=NOW, scale=1.0, at_most=9)
            (made,) = read_again(services, session, mails, NOW)
        assert isinstance(made, Send)
        yield made


@pytest.fixture
def scanner(config: Config, services: Services) -> FlaskClient:
    """It keeps cookies, as some do."""
    return create_app(config, services).test_client()


def links_of(letter: Send, services: Services) -> list[str]:
    """Every address in the mail: both parts, and the headers."""
    message = letter.message
    text = "\n".join([unescape(message.html or ""), message.text, *message.headers.values()])
    base = re.escape(services.config.app_base_url.rstrip("/"))
    return sorted(set(re.findall(rf"{base}(/[^\s\"<>]+)", text)))


def everything(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with db.read() as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def test_no_scanner_that_looks_at_every_link_of_a_mail_changes_a_row(
    letter: Send, scanner: FlaskClient, services: Services, db: Database
) -> None:
    links = links_of(letter, services)
    assert len(links) == 3 * 5 + 1 + 3 + 1 + 2 + 1  # choices, as before, pages, all, others, stop
    before = everything(db)
    for path in links:
        for headers in SCANNERS:
            assert scanner.get(path, headers=headers).status_code in {200, 206, 304}
            assert scanner.head(path, headers=headers).status_code in {200, 206, 304}
    for path in links:  # and what a scanner finds on those pages, one step further
        for further in set(re.findall(r'(?:href|action)="(/[ru]/[^"]+)"', scanner.get(path).text)):
            assert scanner.get(unescape(further)).status_code in {200, 405}
            assert scanner.head(unescape(further)).status_code in {200, 405}
    assert everything(db) == before
    assert len(before["tasks"]) == 3


def test_methods_that_no_page_of_a_mail_has_are_refused_and_change_no_row(
    letter: Send, scanner: FlaskClient, services: Services, db: Database
) -> None:
    before = everything(db)
    for path in links_of(letter, services):
        for method in ("PUT", "PATCH", "DELETE", "PROPFIND", "TRACE"):
            assert scanner.open(path, method=method).status_code == 405
        assert scanner.options(path).status_code == 200
    assert everything(db) == before
