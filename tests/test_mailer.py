"""The SMTP session against a real server on loopback that misbehaves as told."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import pytest

from app.config.sources import HOME
from app.mime.message import Envelope, build
from app.smtp.errors import failure
from app.smtp.settings import BEFORE_DOT
from app.smtp.wire import BadReplyError
from app.util.mailer import (
    Answer,
    MailMessage,
    MailSendError,
    Phase,
    SmtpSession,
    SmtpSettings,
    UnusableMessage,
    send_email,
)
from tests.mail_server import MailServer
from tests.smtp_server import Plan, SmtpServer

pytestmark = pytest.mark.filterwarnings("error")


def settings(server: SmtpServer, **values: Any) -> SmtpSettings:
    return SmtpSettings("127.0.0.1", server.port, **({"timeout": 2.0} | values))


def envelope(
    tag: str = "", *, sender: str = "app", text: str = "進捗はいかがですか。\n"
) -> Envelope:
    message = MailMessage(
        to=f"hanako{tag and '+' + tag}@example.jp",
        subject="1件のタスクが未報告です",
        text=text,
        mail_from=f"{sender}@example.com",
        message_id="<reminder.17@example.com>",
    )
    return build(message, date=datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def either(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    with SmtpServer(Plan(pipelining=request.param)) as running:
        yield running


def error_of(server: SmtpServer, mail: Envelope, **values: Any) -> MailSendError:
    with pytest.raises(MailSendError) as caught, SmtpSession(settings(server, **values)) as session:
        session.send(mail)
    return caught.value


# --- a mail that is taken -------------------------------------------------------------------


def test_the_server_gets_the_very_bytes_of_the_envelope(either: SmtpServer) -> None:
    mail = envelope()
    with SmtpSession(settings(either)) as session:
        assert session.send(mail) == Answer(250, "2.0.0 taken")
    (taken,) = either.mails
    assert (taken.sender, taken.recipient) == (mail.sender, mail.recipient)
    assert taken.data == mail.data


@pytest.mark.parametrize(
    "data",
    [b".\r\n", b"..\r\n.\r\n\r\n.\r\n", b".QUIT\r\n", b"a\r\n" * 70_000, b"." * 70_000 + b"\r\n"],
)
def test_dots_are_stuffed_and_arrive_as_they_were(server: SmtpServer, data: bytes) -> None:
    mail = Envelope("app@example.com", "hanako@example.jp", b"Subject: x\r\n\r\n" + data)
    starting_with_dot = Envelope("app@example.com", "hanako@example.jp", data)
    with SmtpSession(settings(server)) as session:
        session.send(mail)
        session.send(starting_with_dot)
    assert [taken.data for taken in server.mails] == [mail.data, data]


@pytest.mark.parametrize(
    "text", [".\n", "..\n", ".\r", "\n.\r\n", "a\rb", "\r\n.\r\nMAIL FROM:<x@y>\r\n"]
)
def test_a_text_with_dots_arrives_as_one_mail(server: SmtpServer, text: str) -> None:
    with SmtpSession(settings(server)) as session:
        session.send(envelope(text=text))
    (taken,) = server.mails
    wanted = text.replace("\r\n", "\n").replace("\n", "\r\n")
    received = message_from_bytes(taken.data, policy=policy.default).get_payload(decode=True)
    assert isinstance(received, bytes)
    assert received.decode().startswith(wanted)


def test_a_session_carries_many_mails_over_one_connection(either: SmtpServer) -> None:
    with SmtpSession(settings(either)) as session:
        for _ in range(5):
            session.send(envelope())
    assert len(either.mails) == 5
    assert either.connections == 1
    assert either.said()[-1] == "QUIT"


def test_the_dot_does_not_wait_for_nagle(server: SmtpServer) -> None:
    with SmtpSession(settings(server)) as session:
        session.open()
        assert session._wire is not None
        assert session._wire._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_refused_mail_leaves_the_next_ones_alone(either: SmtpServer) -> None:
    answers: list[object] = []
    with SmtpSession(settings(either)) as session:
        for tag in ("", "550", "dot554", "data451", "451x1", ""):
            try:
                answers.append(session.send(envelope(tag)).code)
            except MailSendError as error:
                answers.append(error.code)
    assert answers == [250, 550, 554, 451, 451, 250]
    assert either.connections == 1
    assert len(either.mails) == 2


def test_before_dot_is_called_when_all_but_the_dot_is_sent(server: SmtpServer) -> None:
    seen: list[int] = []

    def hook() -> None:
        time.sleep(0.05)
        seen.append(len(server.mails))

    with SmtpSession(settings(server)) as session:
        session.send(envelope(), hook)
    assert seen == [0]
    assert len(server.mails) == 1


@pytest.mark.parametrize("trouble", [RuntimeError("no database"), KeyboardInterrupt()])
def test_no_dot_is_sent_when_before_dot_fails(server: SmtpServer, trouble: BaseException) -> None:
    def hook() -> None:
        raise trouble

    with SmtpSession(settings(server)) as session:
        with pytest.raises(type(trouble)):
            session.send(envelope(), hook)
        server.wait_until_closed()
        session.send(envelope())
    assert len(server.mails) == 1
    assert server.connections == 2
    assert "QUIT" not in [c.line for c in server.commands if c.connection == 1]


def test_leaving_in_the_middle_of_a_body_sends_no_dot(server: SmtpServer) -> None:
    with SmtpSession(settings(server)) as session:
        session.offer(envelope())
        session.agree()
        session.write_body()
        started = time.monotonic()
    assert time.monotonic() - started < 1  # a QUIT would be a line of the body, and unanswered
    server.wait_until_closed()
    assert server.mails == []


def test_a_mail_left_before_its_dot_is_not_mixed_with_the_next(server: SmtpServer) -> None:
    with SmtpSession(settings(server)) as session:
        session.offer(envelope())
        session.agree()
        session.write_body()
        session.send(envelope(text="the next\n"))
    (taken,) = server.mails
    assert taken.data == envelope(text="the next\n").data


def test_a_refused_mail_gets_no_dot_from_a_server_that_wants_its_body_anyway() -> None:
    with SmtpServer(Plan(eager=True)) as server, SmtpSession(settings(server)) as session:
        with pytest.raises(MailSendError) as caught:
            session.send(envelope("550"))
        assert caught.value.code == 550
        server.wait_until_closed()
        session.send(envelope())
    assert [taken.recipient for taken in server.mails] == ["hanako@example.jp"]


def test_what_the_connection_took_is_taken_from_the_first_mails_time() -> None:
    plan, waits = Plan(script={"banner": ["slow"]}, slow=0.5), {"timeout": 200, "time_scale": 0.1}
    with SmtpServer(plan) as server, SmtpSession(settings(server, **waits)) as session:
        session.open()
        session.offer(envelope())
        assert session._limit - time.monotonic() < 0.1 * BEFORE_DOT - 0.4


def test_the_steps_of_several_sessions_overlap(either: SmtpServer) -> None:
    sessions = [SmtpSession(settings(either)) for _ in range(4)]
    for _ in range(3):
        for session in sessions:
            session.offer(envelope())
        for session in sessions:
            session.agree()
            session.write_body()
        for session in sessions:
            session.write_dot()
        assert [session.read_answer().code for session in sessions] == [250] * 4
    for session in sessions:
        session.close()
    assert len(either.mails) == 12
    assert either.connections == 4


# --- who is at fault, and can waiting help? ---------------------------------------------------

# tag (or sender tag): phase, code, blame, permanent, in doubt, and whether a copy is out
REFUSALS = {
    "550": (Phase.RCPT, 550, "mail", True, False, 0),
    "451": (Phase.RCPT, 451, "mail", False, False, 0),
    "450-4-7-1": (Phase.RCPT, 450, "mail", False, False, 0),
    "452": (Phase.RCPT, 452, "server", False, False, 0),
    "452-4-2-2": (Phase.RCPT, 452, "mail", False, False, 0),
    "451-4-3-2": (Phase.RCPT, 451, "server", False, False, 0),
    "530-5-7-0": (Phase.RCPT, 530, "server", True, False, 0),
    "drop421": (Phase.RCPT, 421, "server", False, False, 0),
    "data451": (Phase.DATA, 451, "mail", False, False, 0),
    "dot554": (Phase.DOT, 554, "mail", True, False, 0),
    "dot552": (Phase.DOT, 552, "mail", True, False, 0),
    "dot451": (Phase.DOT, 451, "mail", False, False, 0),
    "dot421": (Phase.DOT, 421, "server", False, False, 0),
    "dot452": (Phase.DOT, 452, "server", False, False, 0),
    "hangrcpt": (Phase.RCPT, None, "mail", False, False, 0),
    "hangdata": (Phase.DATA, None, "mail", False, False, 0),
    "drip": (Phase.RCPT, None, "mail", False, False, 0),
    "closercpt": (Phase.RCPT, None, "mail", False, False, 0),
    "closedata": (Phase.DATA, None, "mail", False, False, 0),
    "closebody": (Phase.BODY, None, "mail", False, False, 0),
    "longrcpt": (Phase.RCPT, None, "mail", False, False, 0),
    "floodrcpt": (Phase.RCPT, None, "mail", False, False, 0),
    "junkrcpt": (Phase.RCPT, None, "mail", False, False, 0),
    "hangdot": (Phase.DOT, None, "mail", False, True, 1),
    "hangdotlost": (Phase.DOT, None, "mail", False, True, 0),
    "closedot": (Phase.DOT, None, "mail", False, True, 1),
    "closedotlost": (Phase.DOT, None, "mail", False, True, 0),
    "dripdot": (Phase.DOT, None, "mail", False, True, 1),
    "longdot": (Phase.DOT, None, "mail", False, True, 1),
    "junkdot": (Phase.DOT, None, "mail", False, True, 1),
    "odddot": (Phase.DOT, None, "mail", False, True, 1),
    "app+mail550": (Phase.MAIL, 550, "server", True, False, 0),
    "app+mail451": (Phase.MAIL, 451, "server", False, False, 0),
    "app+mail421": (Phase.MAIL, 421, "server", False, False, 0),
    "app+hangmail": (Phase.MAIL, None, "server", False, False, 0),
    "app+closemail": (Phase.MAIL, None, "server", False, False, 0),
}


def patience(action: str) -> float:
    """Seconds for a step: few only where nothing but their end ends the mail."""
    return 2.0 if "hang" in action or "drip" in action else 5.0


@pytest.mark.parametrize("tag", REFUSALS)
def test_each_refusal_says_where_whose_fault_and_whether_it_lasts(
    either: SmtpServer, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = envelope(sender=tag) if tag.startswith("app+") else envelope(tag)
    monkeypatch.setattr("app.smtp.settings.DOT_ANSWER", patience(tag))
    timeout = 5.0 if "dot" in tag else patience(tag)
    session = SmtpSession(settings(either, timeout=timeout))
    with pytest.raises(MailSendError) as caught, session:
        # A server that hangs up needs a moment for it; a commit takes as long.
        session.send(mail, lambda: either.wait_until_closed() if tag == "closebody" else None)
    error = caught.value
    found = (error.phase, error.code, error.blame, error.permanent, error.in_doubt)
    assert (*found, len(either.mails)) == REFUSALS[tag]
    assert error.words.ja != error.words.en
    assert str(error) == str(error.words)
    assert "進捗" not in error.words.ja.replace("進捗は", "")


def test_a_reply_line_without_end_is_cut_off_and_named(server: SmtpServer) -> None:
    error = error_of(server, envelope("floodrcpt"), timeout=60)
    assert "not that of an SMTP server" in error.words.en


def test_an_error_carries_the_code_the_status_and_the_words_of_the_server(
    server: SmtpServer,
) -> None:
    error = error_of(server, envelope("550"))
    assert (error.code, error.status, error.text) == (550, "5.1.1", "5.1.1 no such user")
    assert "宛先(RCPT TO)" in error.words.ja
    assert '"550 5.1.1 no such user"' in error.words.en
    assert f"{error.phase}" == "rcpt"


STAGES = {
    "banner": Phase.BANNER,
    "ehlo": Phase.EHLO,
    "mail": Phase.MAIL,
}


@pytest.mark.parametrize("action", ["hang", "close", "drip", "long", "junk", "421 4.3.2 busy"])
@pytest.mark.parametrize("stage", STAGES)
def test_what_fails_before_the_recipient_is_the_servers_fault(stage: str, action: str) -> None:
    with SmtpServer(Plan(script={stage: repeat(action)})) as server:
        started = time.monotonic()
        error = error_of(server, envelope(), timeout=patience(action))
        assert time.monotonic() - started < 5
    assert (error.phase, error.blame, error.in_doubt) == (STAGES[stage], "server", False)
    assert error.code == (421 if action.startswith("421") else None)
    assert server.mails == []


def test_no_answer_to_quit_undoes_an_accepted_mail() -> None:
    for action in ("421 4.3.2 busy", "hang", "close", "long", "junk"):
        with SmtpServer(Plan(script={"quit": [action]})) as server:
            with SmtpSession(settings(server, time_scale=0.1, timeout=20)) as session:
                assert session.send(envelope()).code == 250
            assert len(server.mails) == 1


def test_a_dripping_server_does_not_stretch_the_whole_time_before_the_dot(
    server: SmtpServer,
) -> None:
    # Every single operation has 100 s here; only the 90 s for all (2.7 s scaled) can end it.
    started = time.monotonic()
    error = error_of(server, envelope("drip"), timeout=4_000, time_scale=0.03)
    assert 2 < time.monotonic() - started < 8
    assert (error.phase, error.in_doubt) == (Phase.RCPT, False)


def test_a_server_that_stops_reading_does_not_hold_the_sender(server: SmtpServer) -> None:
    mail = Envelope("app@example.com", "hanako+hangbody@example.jp", b"x" * 998 + b"\r\n")
    big = Envelope(mail.sender, mail.recipient, mail.data * 20_000)
    error = error_of(server, big, timeout=2)
    assert (error.phase, error.blame, error.in_doubt) == (Phase.BODY, "mail", False)


def test_what_a_server_says_before_it_cuts_a_body_is_heard(server: SmtpServer) -> None:
    big = Envelope("app@example.com", "hanako+body552@example.jp", b"x\r\n" * 3_000_000)
    error = error_of(server, big)
    assert (error.phase, error.code, error.permanent) in {
        (Phase.BODY, 552, True),
        (Phase.BODY, None, False),  # the network may throw the words away with the connection
    }
    assert not error.in_doubt


# --- one tired connection ---------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "421"])
def test_a_connection_closed_between_two_mails_is_opened_again(
    end: str, either: SmtpServer
) -> None:
    with SmtpSession(settings(either)) as session:
        session.send(envelope())
        if end == "cut":
            either.cut()
            either.wait_until_closed()
            session.send(envelope())
        else:
            session.send(envelope(sender="app+mail421x1"))
    assert len(either.mails) == 2
    assert either.connections == 2


def test_a_new_connection_is_tried_only_once() -> None:
    plan = Plan(script={"mail": ["ok", *(["421 4.3.2 busy"] * 9)]})
    with SmtpServer(plan) as server, SmtpSession(settings(server)) as session:
        session.send(envelope())
        with pytest.raises(MailSendError) as caught:
            session.send(envelope())
    assert (caught.value.code, caught.value.blame) == (421, "server")
    assert server.connections == 2


def test_a_throttled_connection_goes_on_after_each_fifth_mail() -> None:
    script = {"mail": cycle([*["ok"] * 5, "421 4.7.0 slow down"])}
    with SmtpServer(Plan(script=script)) as server, SmtpSession(settings(server)) as session:
        for _ in range(12):
            session.send(envelope())
    assert len(server.mails) == 12
    assert server.connections == 3


def test_a_server_that_is_not_there_is_the_servers_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for host, part in (("127.0.0.1", "refused"), ("no-such-host.invalid", "no address")):
        with pytest.raises(MailSendError) as caught:
            SmtpSession(SmtpSettings(host, port, timeout=2)).open()
        assert (caught.value.phase, caught.value.blame) == (Phase.CONNECT, "server")
        assert part in caught.value.words.en


@pytest.mark.parametrize("host", ["", "x" * 70 + ".example.jp", "a..b", "\x00"])
def test_a_host_name_that_cannot_be_one_is_an_error_of_its_own_kind(host: str) -> None:
    with pytest.raises(MailSendError) as caught:
        SmtpSession(SmtpSettings(host, 1, timeout=1)).open()
    assert caught.value.phase is Phase.CONNECT


# --- size -----------------------------------------------------------------------------------


def test_a_mail_above_the_servers_limit_is_refused_before_data_with_both_sizes() -> None:
    with SmtpServer(Plan(size=30_000)) as server:
        message = MailMessage(
            to="hanako@example.jp",
            subject="図",
            text="x" * 40_000,
            mail_from="app@example.com",
            message_id="<a@example.com>",
        )
        mail = build(message, date=datetime(2026, 11, 24, tzinfo=UTC))
        error = error_of(server, mail)
        assert (error.phase, error.permanent, error.blame) == (Phase.SIZE, True, "mail")
        for words in error.words:
            assert f"{len(mail.data):,}" in words
            assert "30,000" in words
        assert not any(line.startswith(("MAIL", "DATA")) for line in server.said())
        with SmtpSession(settings(server)) as session:
            session.send(envelope())
        assert any(line.endswith(f" SIZE={len(envelope().data)}") for line in server.said())


@pytest.mark.parametrize("size", [0, int("9" * 400)])
def test_a_limit_that_is_none_limits_nothing(size: int) -> None:
    with SmtpServer(Plan(size=size)) as server, SmtpSession(settings(server)) as session:
        assert session.send(envelope()).code == 250


# --- every error has a place in the tree ------------------------------------------------------


def kinds_of_trouble(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_of_trouble(below)


TROUBLE = {
    *kinds_of_trouble(OSError),
    *(socket.gaierror, socket.herror, TimeoutError, BadReplyError, UnicodeError, ValueError),
    *(one for one in vars(ssl).values() if isinstance(one, type) and issubclass(one, OSError)),
}


class _BrokenWire:
    """A connection on which everything fails with `trouble`."""

    def __init__(self, trouble: Exception) -> None:
        self.trouble = trouble

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object) -> None:
            if name != "close":
                raise self.trouble

        return fail


@pytest.mark.parametrize("kind", sorted(TROUBLE, key=str), ids=lambda kind: kind.__name__)
def test_every_error_of_socket_ssl_and_time_becomes_a_mail_send_error(
    kind: type[Exception],
) -> None:
    try:
        trouble = kind("wrong")
    except TypeError:  # UnicodeDecodeError and the like want more
        trouble = kind.__new__(kind)
    for step in ("offer", "agree", "write_body", "write_dot", "read_answer"):
        session = SmtpSession(SmtpSettings("127.0.0.1"))
        session._wire = _BrokenWire(trouble)  # type: ignore[assignment]  # it only has to fail
        session._envelope = envelope()
        session._asked = session._commands(session._envelope)
        session._limit = time.monotonic() + 9
        with pytest.raises(MailSendError) as caught:
            session.offer(envelope()) if step == "offer" else getattr(session, step)()
        assert not caught.value.permanent
        assert caught.value.in_doubt is (step in {"read_answer"})
        assert caught.value.words.ja
        assert session._wire is None


def test_no_two_kinds_of_trouble_that_need_different_hands_read_the_same() -> None:
    different = [TimeoutError(), ConnectionRefusedError(), ConnectionResetError(), BadReplyError()]
    said = {failure(Phase.CONNECT, error).words for error in [*different, socket.gaierror()]}
    assert len(said) == 5


# --- send_email -------------------------------------------------------------------------------


@pytest.fixture
def environment(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> pytest.MonkeyPatch:
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", str(server.port))
    monkeypatch.setenv("MAIL_FROM", "Task Progress <app@example.com>")
    monkeypatch.setenv("MAIL_REPLY_TO", "窓口 <desk@example.com>")
    monkeypatch.setenv("MAIL_RETURN_PATH", "bounce@example.com")
    return monkeypatch


def test_send_email_takes_what_is_missing_from_the_environment(
    server: SmtpServer, environment: pytest.MonkeyPatch
) -> None:
    answer = send_email(MailMessage(to="花子 <hanako@example.jp>", subject="件名", text="本文"))
    assert answer == (250, "2.0.0 taken")
    (taken,) = server.mails
    assert (taken.sender, taken.recipient) == ("bounce@example.com", "hanako@example.jp")
    message = message_from_bytes(taken.data, policy=policy.default)
    assert message["From"] == "Task Progress <app@example.com>"
    assert message["Reply-To"] == "窓口 <desk@example.com>"
    assert message["Message-ID"].endswith("@example.com>")
    assert abs((message["Date"].datetime - datetime.now(UTC)).total_seconds()) < 60


def test_send_email_prefers_what_the_message_says(
    server: SmtpServer, environment: pytest.MonkeyPatch
) -> None:
    send_email(
        MailMessage(
            to="hanako@example.jp",
            subject="x",
            text="y",
            mail_from="b@example.jp",
            reply_to="c@example.jp",
            return_path="d@example.jp",
            message_id="<e@example.jp>",
        )
    )
    (taken,) = server.mails
    message = message_from_bytes(taken.data, policy=policy.default)
    names = ("From", "Reply-To", "Message-ID")
    assert taken.sender == "d@example.jp"
    assert [message[name] for name in names] == ["b@example.jp", "c@example.jp", "<e@example.jp>"]


@pytest.mark.parametrize(
    ("place", "value"),
    [("to", "a@b.jp, c@d.jp"), ("subject", "a\r\nBcc: x@example.jp"), ("headers", {"A\r\nB": "x"})],
)
def test_send_email_refuses_unusable_input_before_a_byte_is_sent(
    server: SmtpServer, environment: pytest.MonkeyPatch, place: str, value: Any
) -> None:
    usual: dict[str, Any] = {"to": "hanako@example.jp", "subject": "x", "text": "y"}
    with pytest.raises(ValueError, match=place) as caught:
        send_email(MailMessage(**(usual | {place: value})))
    assert isinstance(caught.value, UnusableMessage)
    assert server.connections == 0


def test_send_email_without_a_server_says_what_to_set(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("SMTP_HOST")
    with pytest.raises(MailSendError, match="SMTP_HOST"):
        send_email(MailMessage(to="hanako@example.jp", subject="x", text="y"))


# --- the test server itself -------------------------------------------------------------------


@pytest.mark.slow
def test_the_test_server_runs_as_a_program_and_keeps_its_ledger_when_killed(tmp_path: Path) -> None:
    server = MailServer(tmp_path)
    server.start()
    with SmtpSession(SmtpSettings("127.0.0.1", server.port, timeout=2)) as session:
        session.send(envelope())
        with suppress(MailSendError):
            session.send(envelope("dot554"))
    server.stop()
    (kept,) = server.mails()
    assert kept.data == envelope().data


def test_no_thread_of_the_test_server_outlives_it() -> None:
    with SmtpServer() as server, SmtpSession(settings(server)) as session:
        session.send(envelope())
        server.stop()
    assert not [one for one in server._threads if one.is_alive()]
    assert threading.active_count() < 50
