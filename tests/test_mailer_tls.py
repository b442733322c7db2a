"""TLS and login: nothing is sent to a stranger, and no password ever goes in the clear."""

import base64
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme

from app.config.sources import HOME
from app.mime.message import Envelope, build
from app.util.mailer import MailMessage, MailSendError, Phase, SmtpSession, SmtpSettings, send_email
from app.util.tls import client_context
from tests.smtp_server import Plan, SmtpServer

USER, PASSWORD = "app@example.com", "ひみつ#1 $x"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAR_OFF = datetime(2300, 1, 1, tzinfo=UTC)


def a_mail() -> Envelope:
    message = MailMessage(
        to="hanako@example.jp",
        subject="x",
        text="y",
        mail_from="app@example.com",
        message_id="<a@example.com>",
    )
    return build(message, date=datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """What a machine that trusts `authority` goes by."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def shown_by(authority: trustme.CA, name: str = "127.0.0.1", **dates: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **dates).configure_cert(context)
    return context


def plan(certificate: ssl.SSLContext, tls: Literal["none", "starttls", "ssl"], **more: Any) -> Plan:
    return Plan(tls=tls, ssl_context=certificate, **more)


def settings(server: SmtpServer, trusting: ssl.SSLContext, **values: Any) -> SmtpSettings:
    usual: dict[str, Any] = {"timeout": 2.0, "ssl_context": trusting}
    return SmtpSettings("127.0.0.1", server.port, **(usual | values))


def error_of(server: SmtpServer, given: SmtpSettings) -> MailSendError:
    with pytest.raises(MailSendError) as caught, SmtpSession(given) as session:
        session.send(a_mail())
    assert server.mails == []
    assert_no_password(server, caught.value)
    return caught.value


def assert_no_password(server: SmtpServer, error: MailSendError | None = None) -> None:
    """No password in a line that was sent in the clear, none in an error."""
    clear = " ".join(command.line for command in server.commands if not command.secured)
    said = f"{error} {error and error.text} {error and error.words} {error!r}"
    plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    for secret in (PASSWORD, base64.b64encode(PASSWORD.encode()).decode(), plain):
        assert secret not in clear
        assert secret not in said


# --- where it works -----------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(
    ("tls", "security"),
    [("starttls", "auto"), ("starttls", "starttls"), ("ssl", "ssl")],
)
def test_a_login_over_tls_sends_many_mails(
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    tls: Literal["starttls", "ssl"],
    security: str,
    mechanism: str,
) -> None:
    script = plan(shown_by(authority), tls, login=(USER, PASSWORD), mechanisms=[mechanism])
    with SmtpServer(script) as server:
        given = settings(server, trusting, security=security, username=USER, password=PASSWORD)
        with SmtpSession(given) as session:
            for _ in range(3):
                session.send(a_mail())
        assert len(server.mails) == 3
        assert_no_password(server)
        assert all(c.secured for c in server.commands if c.line.startswith(("AUTH", "MAIL")))


def test_port_465_speaks_ssl_from_the_first_byte() -> None:
    assert SmtpSettings("x", 465).speaks_ssl_first
    assert not SmtpSettings("x", 587).speaks_ssl_first
    assert SmtpSettings("x", 2465, security="ssl").speaks_ssl_first
    assert not SmtpSettings("x", 465, security="none").speaks_ssl_first


def test_auto_without_a_login_sends_in_the_clear_where_no_tls_is_offered(
    trusting: ssl.SSLContext,
) -> None:
    with SmtpServer() as server, SmtpSession(settings(server, trusting)) as session:
        assert session.send(a_mail()).code == 250


def test_security_none_does_not_use_what_is_offered(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with SmtpServer(plan(shown_by(authority), "starttls")) as server:
        with SmtpSession(settings(server, trusting, security="none")) as session:
            session.send(a_mail())
        assert "STARTTLS" not in server.said()


def test_an_authority_named_by_ssl_cert_file_is_trusted(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with SmtpServer(plan(shown_by(authority), "starttls")) as server:
        given = SmtpSettings("127.0.0.1", server.port, security="starttls", timeout=2)
        with SmtpSession(given) as session:
            assert session.send(a_mail()).code == 250


# --- where nothing is sent ----------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"not_before": LONG_AGO, "not_after": LONG_AGO + timedelta(1)}, "期限が切れて"),
    "not yet valid": ({"not_before": FAR_OFF, "not_after": FAR_OFF + timedelta(1)}, "まだ始まって"),
    "another host": ({"name": "smtp.example.org"}, "別の"),
}


@pytest.mark.parametrize("tls", ["starttls", "ssl"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_certificate_is_named_in_plain_words_and_nothing_is_sent(
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    wrong: str,
    tls: Literal["starttls", "ssl"],
) -> None:
    options, words = WRONG[wrong]
    with SmtpServer(plan(shown_by(authority, **options), tls)) as server:
        security = "ssl" if tls == "ssl" else "auto"
        given = settings(server, trusting, security=security, username=USER, password=PASSWORD)
        error = error_of(server, given)
    assert (error.phase, error.blame, error.permanent) == (Phase.TLS, "server", False)
    assert words in error.words.ja
    assert "certificate" in error.words.en


@pytest.mark.parametrize("security", ["auto", "starttls"])
def test_a_stranger_with_a_certificate_of_his_own_gets_nothing(
    trusting: ssl.SSLContext, security: str
) -> None:
    with SmtpServer(plan(shown_by(trustme.CA()), "starttls")) as server:
        error = error_of(server, settings(server, trusting, security=security))
    assert error.phase is Phase.TLS
    assert "信頼されていません" in error.words.ja


def test_a_self_signed_certificate_is_called_that(trusting: ssl.SSLContext, tmp_path: Path) -> None:
    alone = trustme.CA()
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with alone.private_key_pem.tempfile() as key, alone.cert_pem.tempfile() as itself:
        certificate.load_cert_chain(itself, key)
    with SmtpServer(plan(certificate, "starttls")) as server:
        error = error_of(server, settings(server, trusting))
    assert "自己署名" in error.words.ja
    assert "self-signed" in error.words.en


@pytest.mark.parametrize(
    ("security", "username"),
    [("starttls", None), ("auto", USER), ("starttls", USER), ("none", USER)],
)
def test_without_starttls_nothing_is_sent_where_tls_or_a_login_is_asked(
    trusting: ssl.SSLContext, security: str, username: str | None
) -> None:
    with SmtpServer(Plan(login=(USER, PASSWORD), login_in_clear=True)) as server:
        given = settings(
            server, trusting, security=security, username=username, password=username and PASSWORD
        )
        error = error_of(server, given)
        assert not any(line.startswith(("AUTH", "MAIL")) for line in server.said())
    assert (error.phase, error.blame) == (Phase.TLS, "server")
    assert "SMTP_SECURITY" in error.words.ja


@pytest.mark.parametrize("action", ["454 4.7.0 not now", "hang", "close", "junk"])
def test_a_starttls_that_fails_is_no_way_round_it(
    authority: trustme.CA, trusting: ssl.SSLContext, action: str
) -> None:
    script = plan(shown_by(authority), "starttls", script={"starttls": repeat(action)})
    with SmtpServer(script) as server:
        error = error_of(server, settings(server, trusting, timeout=0.3))
    assert (error.phase, error.blame) == (Phase.TLS, "server")


def test_words_slipped_in_before_tls_are_not_believed(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    slipped = ["220 2.0.0 go on\r\n250-test.example\r\n250 AUTH PLAIN"]
    script = plan(shown_by(authority), "starttls", script={"starttls": slipped})
    with SmtpServer(script) as server:
        error = error_of(server, settings(server, trusting, username=USER, password=PASSWORD))
    assert error.phase is Phase.TLS


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_an_old_tls_is_refused_and_called_old(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    certificate = shown_by(authority)
    certificate.set_ciphers("ALL:@SECLEVEL=0")
    certificate.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    certificate.maximum_version = ssl.TLSVersion.TLSv1_1
    with SmtpServer(plan(certificate, "starttls")) as server:
        error = error_of(server, settings(server, trusting))
    assert error.phase is Phase.TLS
    assert "版が古すぎます" in error.words.ja


def test_ssl_to_a_port_without_it_says_so(trusting: ssl.SSLContext) -> None:
    with SmtpServer() as server:
        error = error_of(server, settings(server, trusting, security="ssl"))
    assert error.phase is Phase.TLS
    assert "SMTP_PORT" in error.words.ja


def test_a_handshake_that_never_ends_is_abandoned(trusting: ssl.SSLContext) -> None:
    # A plain server waits for a line; the handshake waits for an answer to its hello.
    with SmtpServer(Plan(script={"banner": repeat("hang")})) as server:
        error = error_of(server, settings(server, trusting, security="ssl", timeout=0.3))
    assert error.phase is Phase.TLS
    assert "No answer came in time" in error.words.en


# --- the login ----------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_refused_login_is_told_apart_and_shows_no_password(
    authority: trustme.CA, trusting: ssl.SSLContext, mechanism: str
) -> None:
    script = plan(shown_by(authority), "starttls", login=(USER, "another"), mechanisms=[mechanism])
    with SmtpServer(script) as server:
        error = error_of(server, settings(server, trusting, username=USER, password=PASSWORD))
    assert (error.phase, error.code, error.blame) == (Phase.AUTH, 535, "server")
    assert error.permanent
    assert error.login_refused


def test_a_server_that_repeats_the_password_in_its_answer_is_not_quoted(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    answer = f"535 5.7.8 no: AUTH PLAIN {plain} {PASSWORD}"
    script = plan(
        shown_by(authority), "starttls", login=(USER, PASSWORD), script={"auth": [answer]}
    )
    with SmtpServer(script) as server:
        error = error_of(server, settings(server, trusting, username=USER, password=PASSWORD))
    assert error.text == "5.7.8 no: *** ***"


@pytest.mark.parametrize(
    ("more", "code", "permanent"),
    [
        ({"script": {"auth": repeat("454 4.7.0 later")}}, 454, False),
        ({"mechanisms": ["CRAM-MD5", "XOAUTH2"]}, None, False),
        ({"script": {"auth": repeat("hang")}}, None, False),
    ],
)
def test_a_login_that_cannot_be_tried_is_the_servers_fault(
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    more: dict[str, Any],
    code: int | None,
    permanent: bool,
) -> None:
    with SmtpServer(
        plan(shown_by(authority), "starttls", login=(USER, PASSWORD), **more)
    ) as server:
        error = error_of(server, settings(server, trusting, username=USER, password=PASSWORD))
    assert (error.phase, error.code, error.permanent) == (Phase.AUTH, code, permanent)
    assert error.login_refused
    assert error.blame == "server"


def test_a_server_that_wants_a_login_nobody_configured_says_530(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with SmtpServer(plan(shown_by(authority), "starttls", login=(USER, PASSWORD))) as server:
        error = error_of(server, settings(server, trusting))
    assert (error.phase, error.code, error.blame) == (Phase.MAIL, 530, "server")
    assert error.login_refused


def test_send_email_sends_no_password_in_the_clear(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with SmtpServer(Plan(login=(USER, PASSWORD), login_in_clear=True)) as server:
        monkeypatch.setenv(HOME, str(tmp_path))
        values = {"HOST": "127.0.0.1", "PORT": str(server.port), "USERNAME": USER}
        for name, value in (values | {"PASSWORD": PASSWORD}).items():
            monkeypatch.setenv(f"SMTP_{name}", value)
        monkeypatch.setenv("MAIL_FROM", "app@example.com")
        with pytest.raises(MailSendError) as caught:
            send_email(MailMessage(to="hanako@example.jp", subject="x", text="y"))
        assert_no_password(server, caught.value)
        assert not any(line.startswith("AUTH") for line in server.said())


def test_settings_show_no_password() -> None:
    assert PASSWORD not in repr(SmtpSettings("x", username=USER, password=PASSWORD))


# --- an authority of one's own --------------------------------------------------------------


def pem(authority: trustme.CA, folder: Path, *more: trustme.CA) -> Path:
    file = folder / "mail-ca.pem"
    file.write_bytes(b"".join(one.cert_pem.bytes() for one in (authority, *more)))
    return file


def answer_of(server: SmtpServer, ca_file: Path | None) -> int:
    given = SmtpSettings("127.0.0.1", server.port, timeout=2.0, security="starttls")
    with SmtpSession(replace(given, ca_file=ca_file)) as session:
        return session.send(a_mail()).code


def test_an_authority_of_ones_own_is_trusted_from_a_file(tmp_path: Path) -> None:
    ours = trustme.CA()
    with SmtpServer(plan(shown_by(ours), "starttls")) as server:
        assert answer_of(server, pem(trustme.CA(), tmp_path, ours)) == 250


def test_the_authorities_of_the_system_stay_trusted_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = trustme.CA()
    system.cert_pem.write_to_path(str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    with SmtpServer(plan(shown_by(system), "starttls")) as server:
        assert answer_of(server, pem(trustme.CA(), tmp_path)) == 250


def test_a_servers_own_certificate_may_stand_in_the_file(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    file = tmp_path / "server.pem"
    leaf.cert_chain_pems[0].write_to_path(str(file))
    with SmtpServer(plan(context, "starttls")) as server:
        assert answer_of(server, file) == 250


def test_a_stranger_is_refused_with_the_way_to_the_file(tmp_path: Path) -> None:
    with SmtpServer(plan(shown_by(trustme.CA()), "starttls")) as server:
        with pytest.raises(MailSendError) as caught:
            answer_of(server, pem(trustme.CA(), tmp_path))
        assert server.mails == []
    assert "SMTP_CA_FILE" in caught.value.words.ja
    assert "SMTP_CA_FILE" in caught.value.words.en


def test_the_name_on_the_certificate_counts_also_with_a_file(tmp_path: Path) -> None:
    ours = trustme.CA()
    with (
        SmtpServer(plan(shown_by(ours, "mail.example.jp"), "starttls")) as server,
        pytest.raises(MailSendError, match="SMTP_HOST"),
    ):
        answer_of(server, pem(ours, tmp_path))


def test_tls_is_at_least_1_2_whatever_the_system_allows() -> None:
    assert client_context().minimum_version is ssl.TLSVersion.TLSv1_2
