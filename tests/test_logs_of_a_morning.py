"""What all programs of an installation say in a morning with trouble: countable, and of nobody."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from sqlalchemy import select, update

from app.config import load
from app.db import Database
from app.links import ReportLink, StopLink
from app.models import DecisionRow, Member, OutboxMail, SignInLink, State
from app.services import make
from tests.conftest import TODAY, People, task
from tests.databases import empty, sqlite_copy
from tests.servers import wait_until
from tests.smtp_server import Plan, SmtpServer
from tests.stack import Stack, offset_to, running
from tests.test_logs import LINE, READ
from tests.test_main_job import NINE, _server_context
from tests.test_web_logs import ask, gunicorn

pytestmark = pytest.mark.slow

USER, WORD, WRONG = "app@example.jp", "a-made-up-word-no-1", "a-made-up-word-no-2"
KEY = "a made-up key for tests only: 0123456789 abcdef"


@dataclass
class Morning:
    """What was said, and what may be said nowhere."""

    lines: list[dict[str, Any]]
    said: str
    database: Database
    server: SmtpServer
    hidden: set[str] = field(default_factory=set)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.lines if one["event"] == name]


# One kind of database for each format: a morning takes its time.
@pytest.fixture(params=["sqlite-text", "postgresql-json"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The fixture of conftest, with the database of this kind of morning."""
    yield from _database(kind.partition("-")[0], request, tmp_path)


def _database(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:

    if kind == "sqlite":
        yield sqlite_copy(tmp_path / "task-progress.sqlite3")
        return
    url: str = request.getfixturevalue("_postgresql_of_worker")
    yield url
    empty(url)


@pytest.fixture
def morning(
    kind: str, environ: dict[str, str], tmp_path: Path, db: Database, team: People
) -> Iterator[Morning]:
    """A login refused, a letter that breaks, mails, pages, a sign-in, a refused import; all told."""
    form = kind.partition("-")[2]
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    plan = Plan(tls="starttls", login=(USER, WORD))
    plan.ssl_context = _server_context(ca)
    with SmtpServer(plan) as server:
        settings = {
            **environ,
            "SMTP_PORT": str(server.port),
            "SMTP_SECURITY": "starttls",
            "SMTP_USERNAME": USER,
            "SMTP_PASSWORD": WORD,
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
            "TEST_CLOCK_OFFSET": offset_to(NINE),
            "TEST_TIME_SCALE": "0.1",
            "LOG_FORMAT": form,
            "LANG": "en_US.UTF-8",
        }
        with running(tmp_path, settings, server) as stack:
            told = _live(stack, db, team)
            hidden = _secrets(settings, tmp_path, db, team, server)
            stack.end_all()
            said = stack.logs() + told
        read = READ[form]
        lines = [read(line) for line in said.splitlines() if line.strip()]
        yield Morning(lines, said, db, server, hidden)


def _live(stack: Stack, db: Database, team: People) -> str:
    """The morning itself; returns what the commands said on stderr, and the timer's tick."""
    with db.write() as session:
        session.add_all(
            [
                task("T-1", team.sato, title="見積書を承認する"),
                task("T-2", team.suzuki, title="監視ダッシュボード作成"),
                task("T-3", team.tanaka, title="在庫の棚卸し"),
            ]
        )
    stack.beat()
    stack.worker("ai")
    told = ""
    stack.environ["SMTP_PASSWORD"] = WRONG
    ran = stack.command("tick")
    told += ran.stderr + (ran.stdout if stack.environ["LOG_FORMAT"] == "json" else "")
    stack.environ["SMTP_PASSWORD"] = WORD
    with db.write() as session:  # between the decision and the letter
        broken = update(Member).where(Member.id == team.tanaka.id)
        session.execute(broken.values(timezone="Nowhere/Atall"))
    stack.worker()

    def all_ended() -> bool:
        stack.publish("notifications.tick")
        time.sleep(0.5)
        with db.read() as session:
            states = set(session.scalars(select(OutboxMail.state)))
        return states <= {State.ACCEPTED, State.FAILED}

    wait_until(all_ended, stack.logs(), 60)
    told += _import(stack)
    _pages(stack, db, team)
    wait_until(all_ended, stack.logs(), 60)
    return told


def _import(stack: Stack) -> str:
    file = stack.folder / "members.csv"
    rows = ["new@example.jp,新人 太郎,Nowhere/Atall", "other@example.jp,別人 花,Asia/Tokyo"]
    file.write_text("\n".join(["email,name,timezone", *rows]), encoding="utf-8")
    ran = stack.command("import", "members", str(file), check=False)
    assert ran.returncode == 1
    lines = ran.stderr.splitlines()
    # In text it answers whoever typed it with sentences: those are no lines of a log.
    return "\n".join(line for line in lines if line[:1] == "{" or LINE.match(line)) + "\n"


def _pages(stack: Stack, db: Database, team: People) -> None:
    """A mail's pages, a letter page that breaks, and a sign-in with its link."""
    links = make(load(stack.environ, stack.folder)).links
    log = stack.folder / "web-999.log"
    with gunicorn({k: v for k, v in stack.environ.items() if k != "PATH"}, log) as port:
        for member in (team.suzuki, team.tanaka):
            for method in ("GET", "POST"):
                ask(port, method, urlsplit(links.report_url(ReportLink(member.id, TODAY))).path)
                ask(port, method, urlsplit(links.stop_url(StopLink(member.id, "reminder"))).path)
        assert ask(port, "POST", "/login", f"email={team.suzuki.email}") in {200, 400}

        def asked() -> object:
            with db.read() as session:
                return session.scalars(select(SignInLink.id)).first()

        wait_until(asked, "the link to sign in", 30)
        path = urlsplit(links.sign_in_url(int(str(asked())))).path
        assert ask(port, "GET", path) == 200
        assert ask(port, "POST", path) in {302, 403}


def _secrets(
    settings: dict[str, str], folder: Path, db: Database, team: People, server: SmtpServer
) -> set[str]:
    services = make(load(settings, folder))
    links = services.links
    hidden = {WORD, WRONG, KEY}
    with db.read() as session:
        signs_in = [links.sign_in_url(one) for one in session.scalars(select(SignInLink.id))]
        hidden |= {one for one in session.scalars(select(OutboxMail.subject)) if one}
    urls = [links.stop_url(StopLink(m.id, "reminder")) for m in (team.sato, team.suzuki)]
    urls += [links.report_url(ReportLink(m.id, TODAY)) for m in (team.sato, team.tanaka)]
    for url in urls + signs_in:
        hidden |= set(urlsplit(url).path.split("/")[2].split("."))
    for member in (team.sato, team.suzuki, team.tanaka):
        hidden |= {member.email, member.name}
    hidden |= {
        "新人 太郎",
        "new@example.jp",
        "見積書を承認する",
        "監視ダッシュボード作成",
        "在庫の棚卸し",
    }
    for mail in server.mails:
        body = _body(mail.data)
        hidden |= {line.strip() for line in body.splitlines() if len(line.strip()) > 12}
    return hidden


def _body(data: bytes) -> str:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    text = message.get_body(("plain",))
    assert text is not None
    return str(text.get_content())


def test_a_morning_is_told_line_by_line_and_no_line_tells_of_anybody(morning: Morning) -> None:
    assert len(morning.hidden) > 20
    assert sorted(word for word in morning.hidden if word in morning.said) == []

    # each decision once
    with morning.database.read() as session:
        rows = list(session.execute(select(DecisionRow.id, DecisionRow.user_id)))
        mails = {one.id: one for one in session.scalars(select(OutboxMail))}
    decisions = {int(one["id"]): int(one["member"]) for one in morning.events("decision")}
    assert len(morning.events("decision")) == len(rows) > 2
    assert decisions == {row.id: row.user_id for row in rows}
    assert {one["date"] for one in morning.events("decision")} == {"2026-11-24"}
    of_mails = {int(one["mail"]) for one in morning.events("decision") if "mail" in one}
    assert of_mails == {one.id for one in mails.values() if one.decision_id is not None}

    # each end of an attempt once
    ends = morning.events("mail")
    accepted = Counter(int(one["id"]) for one in ends if one["state"] == "accepted")
    assert accepted == Counter(m.id for m in mails.values() if m.state == State.ACCEPTED)
    assert len(accepted) == len(morning.server.mails) > 2
    assert all(int(one["ms"]) < 60_000 for one in ends if one["state"] == "accepted")
    refused = [one for one in ends if int(one.get("code", 0)) == 535]
    assert len(refused) == len([c for c in morning.server.said() if c.startswith("AUTH")]) - len(
        {mail.connection for mail in morning.server.mails}
    )
    assert {one["reason"] for one in refused} == {"auth 5.7.8"}
    (broken,) = [one for one in ends if one["state"] == "failed"]
    assert broken["reason"] == "ValueError"
    assert "app/letters/__init__.py" in broken["exception"]
    assert {one["kind"] for one in ends} >= {"reminder", "sign_in"}
    assert all(int(one["attempts"]) > 0 for one in ends)

    # all programs speak
    loggers = {one["logger"] for one in morning.lines}
    assert {"celery.beat", "celery.worker.strategy", "gunicorn.error", "gunicorn.access"} <= loggers
