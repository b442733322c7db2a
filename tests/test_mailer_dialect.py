"""Mail servers that speak another dialect than they say, or an old one."""

import itertools
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, Literal

import pytest
import trustme

from app.mime.message import Envelope, build
from app.smtp.capabilities import Dialect, features_of
from app.smtp.idle import IdleConnections
from app.util.mailer import MailMessage, MailSendError, Phase, SmtpSession, SmtpSettings
from tests.smtp_server import Plan, SmtpServer

Confused = Literal["says", "loses", "muddles"]
CONFUSED: Sequence[Confused] = ("says", "loses", "muddles")


def envelope(tag: str = "") -> Envelope:
    message = MailMessage(
        to=f"hanako{tag and '+' + tag}@example.jp",
        subject="1件のタスクが未報告です",
        text="進捗はいかがですか。\n",
        mail_from="app@example.com",
        message_id="<reminder.17@example.com>",
    )
    return build(message, date=datetime(2026, 11, 24, tzinfo=UTC))


def settings(server: SmtpServer, **values: Any) -> SmtpSettings:
    return SmtpSettings("127.0.0.1", server.port, **({"timeout": 2.0} | values))


# --- a server that knows no EHLO ------------------------------------------------------------


@pytest.mark.parametrize("code", ["500 5.5.1 what?", "502 not implemented"])
def test_a_server_that_knows_no_ehlo_gets_helo(code: str) -> None:
    with SmtpServer(Plan(script={"ehlo": repeat(code)})) as server:
        with SmtpSession(settings(server)) as session:
            session.send(envelope())
            session.send(envelope())
        assert len(server.mails) == 2
        assert session.features == {}
        said = [line.partition(" ")[0] for line in server.said()]
        assert said == ["EHLO", "HELO", *["MAIL", "RCPT", "DATA"] * 2, "QUIT"]


def test_a_server_that_is_busy_at_ehlo_gets_no_helo() -> None:
    with (
        SmtpServer(Plan(script={"ehlo": ["451 4.3.0 later"]})) as server,
        pytest.raises(MailSendError) as caught,
        SmtpSession(settings(server)) as session,
    ):
        session.send(envelope())
    assert (caught.value.phase, caught.value.code) == (Phase.EHLO, 451)


def test_a_login_is_never_said_to_a_server_without_ehlo() -> None:
    with SmtpServer(Plan(script={"ehlo": repeat("500 what?")})) as server:
        with (
            pytest.raises(MailSendError) as caught,
            SmtpSession(settings(server, username="app", password="x")) as session,
        ):
            session.send(envelope())
        assert caught.value.phase is Phase.TLS
        assert not any(line.startswith("AUTH") for line in server.said())


# --- PIPELINING that is offered and not taken -----------------------------------------------


@pytest.mark.parametrize("confused", CONFUSED)
def test_who_does_not_take_several_commands_at_once_gets_one_by_one_from_then_on(
    confused: Confused,
) -> None:
    kept = IdleConnections()
    with SmtpServer(Plan(confused=confused)) as server:
        for _ in range(2):
            sessions = kept.take(settings(server), 2)
            for session in itertools.chain(sessions, sessions):
                session.send(envelope())
            for session in sessions:
                session.abandon()
            kept.keep(sessions)
        assert len(server.mails) == 8
        assert server.connections == 2 + 2 + 1  # one of them was confused


@pytest.mark.parametrize("confused", CONFUSED)
def test_lines_that_offered_together_are_all_taken_one_by_one(confused: Confused) -> None:
    kept = IdleConnections()
    with SmtpServer(Plan(confused=confused)) as server:
        sessions = kept.take(settings(server), 3)
        for session in sessions:
            session.offer(envelope())
        for session in sessions:
            session.agree()
            session.write_body()
            session.write_dot()
        assert [session.read_answer().code for session in sessions] == [250] * 3
        kept.keep(sessions)
        kept.close()
        assert len(server.mails) == 3


@pytest.mark.parametrize("tag", ["hangrcpt", "closercpt", "503-5-5-1", "hangdata"])
def test_a_mail_that_fails_one_by_one_as_well_leaves_pipelining_on(tag: str) -> None:
    dialect = Dialect()
    with SmtpServer() as server, SmtpSession(settings(server), dialect) as session:
        with pytest.raises(MailSendError):
            session.send(envelope(tag))
        assert dialect.pipelines is None
        session.send(envelope())
        assert dialect.pipelines is True


@pytest.mark.parametrize("tag", ["hangrcpt", "closercpt", "hangdata", "closedata"])
def test_once_a_mail_went_so_a_silent_recipient_is_tried_once(tag: str) -> None:
    with SmtpServer() as server, SmtpSession(settings(server)) as session:
        session.send(envelope())
        with pytest.raises(MailSendError):
            session.send(envelope(tag))
        assert sum(f"+{tag}@" in line for line in server.said()) == 1


def test_a_server_that_goes_away_meanwhile_is_not_called_confused() -> None:
    dialect = Dialect()
    script = {"banner": ["ok", "421 4.3.2 going down"]}
    with SmtpServer(Plan(script=script)) as server, SmtpSession(settings(server), dialect) as one:
        with pytest.raises(MailSendError, match="going down"):
            one.send(envelope("closercpt"))
        assert dialect.pipelines is None


def test_a_recipient_that_is_refused_is_offered_once() -> None:
    with SmtpServer() as server, SmtpSession(settings(server)) as session:
        with pytest.raises(MailSendError):
            session.send(envelope("550"))
        assert server.connections == 1


def test_pipelining_can_be_switched_off() -> None:
    with SmtpServer(Plan(confused="loses")) as server:
        with SmtpSession(settings(server, pipelining="off")) as session:
            for following in (envelope(), None):
                session.offer(envelope())
                session.agree()
                session.write_body()
                session.write_dot(following)
                session.read_answer()
        assert server.connections == 1
        assert len(server.mails) == 2


# --- logins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "auth"),
    [
        (["AUTH=PLAIN LOGIN"], "PLAIN LOGIN"),
        (["AUTH LOGIN", "AUTH=LOGIN PLAIN"], "LOGIN PLAIN"),
        (["AUTH PLAIN", "AUTH LOGIN CRAM-MD5"], "PLAIN LOGIN CRAM-MD5"),
        (["auth  login"], "LOGIN"),
        (["AUTH"], ""),
        (["AUTHENTICATE=x"], None),
    ],
)
def test_every_way_to_offer_a_login_is_read(lines: list[str], auth: str | None) -> None:
    found = features_of("\n".join(["mx.example", "SIZE 1000", *lines]))
    assert found.get("AUTH") == auth
    assert found["SIZE"] == "1000"


USER, PASSWORD = "app@example.com", "ひみつ#1 $x"


def logged_in(*, tls: bool = True, **plan: Any) -> tuple[list[str], MailSendError | None]:
    """What was said to log in, and what went wrong, if anything."""
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(trusting)
    script = Plan(tls="starttls", ssl_context=context, login=(USER, PASSWORD), **plan)
    with SmtpServer(script) as server:
        given = settings(server, username=USER, password=PASSWORD, ssl_context=trusting)
        error = None
        try:
            with SmtpSession(given) as session:
                session.send(envelope())
        except MailSendError as caught:
            error = caught
        said = [line for line in server.said() if line.startswith("AUTH")]
        return [" ".join(line.split(" ")[:2]) for line in said], error


@pytest.mark.parametrize("lines", [["AUTH=PLAIN LOGIN"], ["AUTH LOGIN", "AUTH=PLAIN"]])
def test_a_login_offered_in_an_old_way_is_taken(lines: list[str]) -> None:
    assert logged_in(auth_lines=lines) == (["AUTH PLAIN"], None)


def test_login_is_tried_where_plain_is_offered_and_not_understood() -> None:
    assert logged_in(understood=["LOGIN"]) == (["AUTH PLAIN", "AUTH LOGIN"], None)


@pytest.mark.parametrize("refusal", ["504 what?", "534 5.7.9 too weak", "501 5.5.4 not that one"])
def test_every_word_against_the_mechanism_leads_to_the_other(refusal: str) -> None:
    assert logged_in(script={"auth": [refusal]}) == (["AUTH PLAIN", "AUTH LOGIN"], None)


def test_a_wrong_password_is_said_once() -> None:
    """Twice as many wrong ones would lock the account twice as soon."""
    said, error = logged_in(script={"auth": ["535 5.7.8 wrong password"]})
    assert said == ["AUTH PLAIN"]
    assert error is not None
    assert error.login_refused
    assert error.code == 535


def test_plain_alone_and_not_understood_is_a_refused_login() -> None:
    said, error = logged_in(mechanisms=["PLAIN"], understood=[])
    assert said == ["AUTH PLAIN"]
    assert error is not None
    assert (error.code, error.login_refused) == (504, True)
