"""The next mail's offer goes out with the dot of the one before it (RFC 2920 3.1)."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.mime.message import Envelope
from app.smtp.idle import IdleConnections
from app.util.mailer import MailSendError, Phase, SmtpSession, SmtpSettings
from tests import smtp_server
from tests.smtp_server import Plan, SmtpServer


def to(recipient: str, size: int = 10) -> Envelope:
    body = b"Subject: x\r\n\r\n" + b"x" * size + b"\r\n"
    return Envelope("app@example.com", f"{recipient}@example.jp", body)


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def server(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    with SmtpServer(Plan(pipelining=request.param)) as running:
        yield running


def session_at(server: SmtpServer, timeout: float = 5) -> SmtpSession:
    return SmtpSession(SmtpSettings("127.0.0.1", server.port, security="none", timeout=timeout))


def send_all(session: SmtpSession, *mails: Envelope) -> list[str]:
    """Sends each with the next one's offer; what became of each: ok, or the step it failed at."""
    ends: list[str] = []
    for mail, following in zip(mails, [*mails[1:], None], strict=True):
        try:
            session.offer(mail)
            session.agree()
            session.write_body()
            session.write_dot(following)
            session.read_answer()
        except MailSendError as error:
            ends.append(f"{error.phase} {error.code}")
        else:
            ends.append("ok")
    return ends


def taken(server: SmtpServer) -> list[str]:
    return [mail.recipient.partition("@")[0] for mail in server.mails]


def test_all_mails_arrive_once_and_over_one_connection(server: SmtpServer) -> None:
    names = [f"member{number}" for number in range(9)]
    with session_at(server) as session:
        assert send_all(session, *map(to, names)) == ["ok"] * 9
    assert taken(server) == names
    assert server.connections == 1


def test_a_mail_refused_at_its_dot_does_not_disturb_the_one_offered_with_it(
    server: SmtpServer,
) -> None:
    with session_at(server) as session:
        assert send_all(session, to("a"), to("b+dot554"), to("c"), to("d")) == [
            "ok",
            "dot 554",
            "ok",
            "ok",
        ]
    assert taken(server) == ["a", "c", "d"]
    assert server.connections == 1


@pytest.mark.parametrize("tag", ["550", "451", "mail450", "data451"])
def test_a_mail_refused_after_it_was_offered_ahead_does_not_disturb_the_next(
    server: SmtpServer, tag: str
) -> None:
    refused = to(f"b+{tag}")
    if tag == "mail450":
        refused = Envelope("app+mail450@example.com", "b@example.jp", refused.data)
    with session_at(server) as session:
        first, second, *rest = send_all(session, to("a"), refused, to("c"), to("d"))
    assert (first, rest) == ("ok", ["ok", "ok"])
    assert second != "ok"
    assert taken(server) == ["a", "c", "d"]


def test_a_mail_that_was_offered_ahead_and_is_not_sent_leaves_nothing(server: SmtpServer) -> None:
    """Somebody paused sending meanwhile: the connection is given up, as the server wants a body."""
    with session_at(server) as session:
        session.offer(to("a"))
        session.agree()
        session.write_body()
        session.write_dot(to("never"))
        session.read_answer()
        session.send(to("b"))
    assert taken(server) == ["a", "b"]
    assert all("QUIT" not in mail.data.decode() for mail in server.mails)


def test_a_session_left_after_an_offer_ahead_is_not_kept_for_others(server: SmtpServer) -> None:
    with session_at(server) as session:
        session.offer(to("a"))
        session.agree()
        session.write_body()
        session.write_dot(to("never"))
        session.read_answer()
        assert session.is_free is not server.plan.pipelining
    server.wait_until_closed()
    assert taken(server) == ["a"]


@pytest.mark.parametrize("answer", ["421 4.3.2 enough", "close"])
def test_a_server_that_hangs_up_after_an_answer_gets_the_next_mail_over_a_new_connection(
    answer: str,
) -> None:
    plan = Plan(script={"mail": ["ok", answer]})
    with SmtpServer(plan) as server:
        with session_at(server) as session:
            assert send_all(session, to("a"), to("b"), to("c")) == ["ok"] * 3
        assert taken(server) == ["a", "b", "c"]
        assert server.connections == 2


def test_a_server_that_loses_what_comes_with_a_dot_is_not_asked_so_again() -> None:
    plan = Plan(script={"mail": ["ok", "hang"]})
    with SmtpServer(plan) as server:
        with session_at(server, timeout=0.3) as session:
            assert send_all(session, *map(to, "abcde")) == ["ok"] * 5
            assert not session.dialect.looks_ahead
        assert taken(server) == [*"abcde"]
        assert server.connections == 2


def test_a_mail_too_large_for_the_server_is_not_offered_ahead() -> None:
    with SmtpServer(Plan(size=1000)) as server, session_at(server) as session:
        assert send_all(session, to("a"), to("b", size=2000), to("c")) == [
            "ok",
            f"{Phase.SIZE} None",
            "ok",
        ]
    assert taken(server) == ["a", "c"]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("agreed", [True, False])
def test_a_connection_left_after_an_offer_is_not_kept(pipelining: bool, agreed: bool) -> None:
    """Else the next mail is taken for the body of this one, and goes to this one's recipient."""
    with SmtpServer(Plan(pipelining=pipelining)) as server:
        kept, left = IdleConnections(), session_at(server, timeout=0.5)
        left.offer(to("a"))
        if agreed:
            left.agree()
        kept.keep([left])
        (again,) = kept.take(left.settings, 1)
        again.send(to("b"))
        again.close()
        assert taken(server) == ["b"]


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_connection_left_after_an_offer_is_not_used_for_another_mail(pipelining: bool) -> None:
    with SmtpServer(Plan(pipelining=pipelining)) as server:
        with session_at(server, timeout=0.5) as session:
            session.offer(to("a"))
            session.send(to("b"))
        assert taken(server) == ["b"]


def impatient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The server waits for a body only so long, as Postfix under stress does."""
    talk: Any = smtp_server._Talk
    whole = talk.read_body

    def read_body(self: Any) -> bytes:
        self.line.settimeout(seconds)
        try:
            return bytes(whole(self))
        except TimeoutError:
            self.reply("421 4.4.2 timeout exceeded")
            raise smtp_server._HungUpError from None
        finally:
            self.line.settimeout(None)

    monkeypatch.setattr(talk, "read_body", read_body)


def test_a_server_that_did_not_wait_for_the_mail_offered_ahead_gets_it_over_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient(monkeypatch, 0.2)
    with SmtpServer(Plan()) as server:
        with session_at(server) as session:
            first, second = to("a"), to("b")
            session.offer(first)
            session.agree()
            session.write_body()
            session.write_dot(second)
            session.read_answer()
            time.sleep(0.5)
            session.send(second)
        assert taken(server) == ["a", "b"]


def test_a_connection_closed_between_two_mails_does_not_end_looking_ahead() -> None:
    """Nothing was offered with the dot, so nothing can have been lost with it."""
    with SmtpServer(Plan(script={"mail": ["ok", "close"]})) as server:
        with session_at(server) as session:
            session.send(to("a"))
            session.send(to("b"))
            assert session.dialect.looks_ahead
        assert taken(server) == ["a", "b"]


def test_a_server_that_wants_the_dot_last_puts_one_mail_in_doubt_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk: Any = smtp_server._Talk
    whole = talk.read_until

    def read_until(self: Any, end: bytes) -> bytes:
        if end != b"\r\n.\r\n":
            return bytes(whole(self, end))
        while not self.buffer.endswith(end):
            self.receive()
        found, self.buffer = self.buffer[: -len(end)], b""
        return bytes(found)

    monkeypatch.setattr(talk, "read_until", read_until)
    monkeypatch.setattr("app.smtp.settings.DOT_ANSWER", 0.6)
    with SmtpServer(Plan()) as server:
        with session_at(server) as session:
            assert send_all(session, *map(to, "abc")) == ["dot None", "ok", "ok"]
        assert taken(server) == ["b", "c"]
