"""A second channel beside mail: real HTTP on loopback, one class, nothing else of the outbox changed."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis
from sqlalchemy import select

from app import outbox
from app.alerts import Alarm
from app.channel import Answer, Fault, SendError, both_of, refusal_words
from app.db import Database
from app.letters import read_again
from app.locale import Both
from app.mime.message import MailMessage
from app.models import Kind, OutboxMail, State
from app.outbox.breaker import Breaker, Gate
from app.outbox.channels import ALARMS, Channel, channels
from app.outbox.enqueue import NewMail, enqueue
from app.outbox.lease import Claimed
from app.services import Services
from app.util.rate import Rate
from app.util.redis_guard import SendGuard, guard_key
from tests.conftest import NOW, TODAY, People, task
from tests.smtp_server import SmtpServer
from tests.test_outbox_lines import at

SECOND = timedelta(seconds=1)


class ChatServer(ThreadingHTTPServer):
    """Takes each message that is posted, or answers all with `refuse`; `lose`: hangs up instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[dict[str, Any]] = []
        self.refuse: int | None = None
        self.lose = False


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refuse is not None:
            self.send_error(self.server.refuse)
            return
        self.server.taken.append(message)
        if not self.server.lose:
            self.send_response(200)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class ChatError(SendError):
    """A message that the chat server did not take."""

    def __init__(self, code: int | None, *, in_doubt: bool = False) -> None:
        super().__init__(code)
        self.phase, self.code, self.status, self.text = "post", code, None, "the chat server"
        self.permanent = code is not None and 400 <= code < 500
        self.in_doubt, self.of_one = in_doubt, self.permanent
        self.fault = Fault.ADDRESS if code == 404 else Fault.SERVER
        self.words = Both("チャットのサーバー", "the chat server")


class ChatConnection:
    """A POST for each message; what comes before the dot needs no exchange."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._body = b""
        self._request: http.client.HTTPConnection | None = None

    def is_ready_for(self, _prepared: bytes) -> bool:
        return True

    def open(self) -> None:
        """Each POST has a connection of its own."""

    def offer(self, prepared: bytes) -> None:
        self._body = prepared

    def agree(self) -> None:
        """Nothing is asked before."""

    def write_body(self) -> None:
        """It goes with the dot."""

    def write_dot(self, _following: bytes | None) -> None:
        self._request = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        self._request.request("POST", "/", self._body)

    def read_answer(self) -> Answer:
        assert self._request is not None
        try:
            answer = self._request.getresponse()
            answer.read()
        except http.client.HTTPException as error:
            raise ChatError(None, in_doubt=True) from error
        finally:
            self._request.close()
        if answer.status != 200:
            raise ChatError(answer.status)
        return Answer(200, "OK")

    def abandon(self) -> None:
        self._body = b""


class ChatChannel:
    """Two connections; the text of the letter is what is posted."""

    name = "chat"
    missing: str | None = None

    def __init__(self, services: Services, port: int) -> None:
        self.rate = Rate(None, services.limits, self.name)
        self._port = port

    def prepare(self, mail: Claimed, message: MailMessage) -> bytes:
        return json.dumps({"id": mail.id, "to": mail.to_addr, "text": message.text}).encode()

    def pack(self, prepared: bytes) -> bytes:
        return prepared

    def unpack(self, stored: bytes) -> bytes:
        return stored

    def connections(self) -> Sequence[ChatConnection]:
        return [ChatConnection(self._port) for _ in range(2)]

    def keep(self, connections: Sequence[ChatConnection]) -> None:
        """Nothing is kept."""

    def fault_of(self, said: str) -> Fault:
        return Fault.ADDRESS if "404" in said else Fault.MAIL

    def same_refusal(self, said: str) -> str:
        return said


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setitem(ALARMS, "chat", Alarm.MAIL_SERVER)
    with ChatServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def both_ways(services: Services, team: People) -> list[int]:
    """Suzuki's reminder of today by mail and by chat."""
    mail, in_chat = (
        NewMail(
            kind=Kind.REMINDER,
            user_id=team.suzuki.id,
            to_addr=team.suzuki.email,
            local_date=TODAY,
            not_before=NOW,
            expires_at=NOW + timedelta(hours=8),
            channel=channel,
        )
        for channel in ("mail", "chat")
    )
    with services.db.write() as session:
        session.add(task("C-1", team.suzuki))
        return enqueue(session, services, [mail, in_chat], now=NOW)


def send(services: Services, chat: ChatServer, *, after: timedelta = timedelta()) -> int:
    """Sends all that is ready by mail and by chat; returns how many were accepted."""

    def two(services: Services) -> Sequence[Channel]:
        return [*channels(services), ChatChannel(services, chat.server_port)]

    return outbox.send(services, read_again, at(NOW + after), channels=two).accepted


def states(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail.state).order_by(OutboxMail.id)))


def test_one_reminder_goes_by_both_channels_under_keys_and_guards_of_their_own(
    services: Services,
    db: Database,
    both_ways: list[int],
    smtp: SmtpServer,
    chat: ChatServer,
) -> None:
    assert send(services, chat) == 2
    assert states(db) == [State.ACCEPTED] * 2
    assert [len(smtp.mails), len(chat.taken)] == [1, 1]
    assert chat.taken[0]["id"] == both_ways[1]
    with db.read() as session:
        rows = session.scalars(select(OutboxMail).order_by(OutboxMail.id)).all()
    suzuki = rows[0].user_id
    assert [row.dedupe_key for row in rows] == [
        f"reminder:{suzuki}:{TODAY}:0",
        f"reminder:{suzuki}:{TODAY}:0:chat",
    ]


@pytest.mark.usefixtures("both_ways")
def test_each_channel_has_its_guard(
    services: Services, redis_url: str, smtp: SmtpServer, chat: ChatServer, team: People
) -> None:
    guarded = replace(services, guard=SendGuard(redis_url, services.installation.id))
    assert send(guarded, chat) == 2
    bare = guard_key(team.suzuki.id, TODAY)
    with redis.Redis.from_url(redis_url) as client:
        assert sorted(client.keys("remind:*")) == [bare.encode(), f"{bare}:chat".encode()]


def test_each_channel_has_its_rate(services: Services) -> None:
    mail, in_chat = Rate(1, services.limits), Rate(1, services.limits, "chat")
    assert mail.take(1) == 1
    assert [mail.room(1), in_chat.room(1)] == [0, 1]


@pytest.mark.usefixtures("both_ways")
def test_a_chat_server_that_is_down_opens_the_breaker_of_chat_alone(
    services: Services, db: Database, smtp: SmtpServer, chat: ChatServer
) -> None:
    chat.refuse = 503
    assert send(services, chat) == 1
    assert states(db) == [State.ACCEPTED, State.READY]
    with db.read() as session:
        assert Breaker().gate(session, NOW) is Gate.CLOSED
        assert Breaker("chat").gate(session, NOW) is Gate.OPEN
    chat.refuse = None
    assert send(services, chat, after=SECOND) == 0  # not yet
    assert send(services, chat, after=31 * SECOND) == 1
    assert states(db) == [State.ACCEPTED] * 2
    with db.read() as session:
        assert Breaker("chat").gate(session, NOW) is Gate.CLOSED


def test_a_kept_answer_stands_whole_in_both_languages_and_our_own_words_in_each() -> None:
    answer = refusal_words("rcpt", 550, "5.1.1 宛先不明 / user unknown")
    assert both_of(answer) == Both(answer, answer)
    ours = refusal_words("connect", None, str(Both("応答がありませんでした。", "No answer came.")))
    assert both_of(ours) == Both("connect: 応答がありませんでした。", "No answer came.")


@pytest.mark.usefixtures("both_ways")
def test_an_answer_that_never_came_leaves_the_message_in_doubt(
    services: Services, db: Database, smtp: SmtpServer, chat: ChatServer
) -> None:
    chat.lose = True
    assert send(services, chat) == 1
    assert states(db) == [State.ACCEPTED, State.IN_DOUBT]
    with db.read() as session:
        kept = session.scalar(select(OutboxMail.sent_bytes).where(OutboxMail.channel == "chat"))
    assert kept is not None
    assert json.loads(kept) == chat.taken[0]


@pytest.mark.usefixtures("both_ways")
def test_a_refusal_for_good_ends_the_message_and_no_other(
    services: Services, db: Database, smtp: SmtpServer, chat: ChatServer
) -> None:
    chat.refuse = 404
    assert send(services, chat) == 1
    assert states(db) == [State.ACCEPTED, State.FAILED]
    with db.read() as session:
        assert Breaker("chat").gate(session, NOW) is Gate.CLOSED


def test_a_sender_that_knows_mail_alone_leaves_the_other_channel_ready(
    services: Services, db: Database, both_ways: list[int], smtp: SmtpServer
) -> None:
    assert outbox.deliver(services, read_again, both_ways, at(NOW)) == 1
    assert outbox.send(services, read_again, at(NOW)).accepted == 0
    assert states(db) == [State.ACCEPTED, State.READY]
