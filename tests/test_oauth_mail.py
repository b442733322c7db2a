"""The mail server takes a token in place of a password: over TLS alone, and renewed where it is refused."""

import base64
import json
import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from sqlalchemy import select

from app import reminders
from app.alerts import open_alerts
from app.alerts.catalogue import words_of
from app.channel import Fault
from app.config import load
from app.config.sources import HOME
from app.db import Database
from app.mime.message import MailMessage
from app.models import Base, OutboxMail
from app.services import Services, make
from app.smtp.errors import MailSendError
from app.smtp.session import SmtpSession
from app.smtp.settings import SmtpSettings
from app.util.mailer import send_email
from tests import sending
from tests.conftest import NOW, People, task
from tests.http_server import serving
from tests.smtp_server import Plan, SmtpServer
from tests.test_mailer_tls import a_mail
from tests.token_endpoint import CLIENT, SECRET, TokenEndpoint, by_secret

pytestmark = pytest.mark.pages  # the account of the mail server, not SQL

USER = "app@example.jp"
GOOGLES = json.dumps({"status": "400", "schemes": "Bearer", "scope": "https://mail.google.com/"})


@dataclass
class Provider:
    """A mail server with its token endpoint, and the settings that lead there."""

    endpoint: TokenEndpoint
    plan: Plan
    server: SmtpServer
    environ: dict[str, str]

    def settings(self, **more: str) -> SmtpSettings:
        folder = Path(self.environ[HOME])
        return SmtpSettings.from_config(load({**self.environ, **more}, folder))

    def no_secret_in(self, text: str) -> None:
        """No token, whole or in part, and no secret."""
        for secret in (*self.endpoint.issued, SECRET, "himitsu"):
            assert secret not in text
            assert base64.b64encode(secret.encode()).decode().rstrip("=")[:-2] not in text


@pytest.fixture
def provider(environ: dict[str, str], tmp_path: Path) -> Iterator[Provider]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(TokenEndpoint(by_secret)) as endpoint:
        plan = Plan(tls="starttls", ssl_context=context, login=(USER, ""), mechanisms=["XOAUTH2"])
        plan.tokens = endpoint.issued
        with SmtpServer(plan) as server:
            environ |= {
                "SMTP_PORT": str(server.port),
                "SMTP_SECURITY": "auto",
                "SMTP_CA_FILE": str(tmp_path / "ca.pem"),
                "SMTP_AUTH": "xoauth2",
                "SMTP_USERNAME": USER,
                "SMTP_OAUTH_PROVIDER": endpoint.url,
                "SMTP_OAUTH_CLIENT_ID": CLIENT,
                "SMTP_OAUTH_CLIENT_SECRET": SECRET,
            }
            yield Provider(endpoint, plan, server, environ)


def error_of(provider: Provider, **more: str) -> MailSendError:
    with pytest.raises(MailSendError) as caught, SmtpSession(provider.settings(**more)) as session:
        session.send(a_mail())
    error = caught.value
    provider.no_secret_in(f"{error} {error.text} {error.words} {error!r} {error.said}")
    assert provider.server.mails == []
    return error


# --- one session ------------------------------------------------------------------------------------


def test_a_token_is_the_login_for_many_mails(provider: Provider) -> None:
    settings = provider.settings()
    for _ in range(2):
        with SmtpSession(settings) as session:
            session.send(a_mail())
            session.send(a_mail())
    assert len(provider.server.mails) == 4
    assert provider.endpoint.asked == 1
    provider.no_secret_in(repr(settings))


def test_a_token_that_is_refused_is_renewed_once_and_the_mail_goes(provider: Provider) -> None:
    settings = provider.settings()
    with SmtpSession(settings) as session:
        session.send(a_mail())
    provider.endpoint.issued.clear()  # as where an admin revokes it before its time
    with SmtpSession(settings) as session:
        assert session.send(a_mail()).code == 250
    assert provider.endpoint.asked == 2


@pytest.mark.parametrize("challenge", ["", GOOGLES])
def test_what_the_server_says_of_a_refused_token_is_told(
    provider: Provider, challenge: str
) -> None:
    """Microsoft answers 535 at once, Google with a 334 that says more."""
    provider.plan.challenge, provider.plan.tokens = challenge, ()
    error = error_of(provider)
    assert (error.code, error.fault) == (535, Fault.OAUTH)
    assert ("(status=400 schemes=Bearer scope=https://mail.google.com/)" in error.text) == bool(
        challenge
    )
    assert provider.endpoint.asked == 2
    assert provider.server.connections == 2


@pytest.mark.parametrize("challenge", ["{", "[]", "7", '"x"', "[" * 5000])
def test_a_334_that_is_no_json_object_changes_nothing(provider: Provider, challenge: str) -> None:
    provider.plan.challenge, provider.plan.tokens = challenge, ()
    assert error_of(provider).text == "5.7.3 Authentication unsuccessful"


def test_a_server_that_quotes_the_token_is_not_repeated(provider: Provider) -> None:
    token = provider.endpoint.issue()
    provider.endpoint.issue = lambda: token  # type: ignore[method-assign]  # the same again
    provider.plan.challenge = json.dumps({"status": "401", "scope": f"of {token}"})
    provider.plan.tokens = ()
    assert "scope=of ***" in error_of(provider).text


@pytest.mark.parametrize("security", ["auto", "none", "starttls"])
def test_no_token_goes_in_the_clear_and_none_is_asked_for(
    provider: Provider, security: str
) -> None:
    """Not even where the server offers it before TLS."""
    provider.plan.tls, provider.plan.login_in_clear = "none", True
    assert error_of(provider, SMTP_SECURITY=security).phase == "tls"
    assert not [line for line in provider.server.said() if line.startswith("AUTH")]


def test_a_server_without_xoauth2_is_told_no_token(provider: Provider) -> None:
    provider.plan.mechanisms = ["PLAIN", "LOGIN"]
    assert "XOAUTH2" in error_of(provider).words.en
    assert not [line for line in provider.server.said() if line.startswith("AUTH")]


def test_without_a_token_no_mail_server_is_bothered(provider: Provider) -> None:
    provider.endpoint.does = "500"
    error = error_of(provider)
    assert (error.phase, error.fault) == ("auth", Fault.SERVER)
    assert provider.server.connections == 0


def test_send_email_logs_in_by_token_too(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in provider.environ.items():
        monkeypatch.setenv(name, value)
    message = MailMessage(to="hanako@example.jp", subject="件名", text="本文")
    assert [send_email(message).code for _ in range(2)] == [250, 250]
    assert provider.endpoint.asked == 1


# --- a morning --------------------------------------------------------------------------------------

Sends = Callable[[], None]


@pytest.fixture
def morning(provider: Provider, team: People, db: Database, tmp_path: Path) -> Iterator[Services]:
    with db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.tanaka)])
    with closing(make(load(provider.environ, tmp_path))) as services:
        reminders.plan(services, NOW)
        yield services


def states(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail.state).order_by(OutboxMail.id)))


def everything_stored(db: Database) -> str:
    with db.read() as session:
        tables = Base.metadata.sorted_tables
        return repr([list(session.execute(select(table))) for table in tables])


def test_a_token_that_ends_in_mid_morning_costs_no_mail(
    provider: Provider, morning: Services, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """After the first mail the server hangs up, and has forgotten the token."""

    def forget() -> Iterator[str]:
        yield "ok"
        provider.endpoint.issued.clear()
        yield "421 4.3.2 going down"
        while True:
            yield "ok"

    provider.plan.script = {"mail": forget()}
    provider.server._script = {"mail": provider.plan.script["mail"]}  # type: ignore[dict-item]  # as made
    with caplog.at_level(logging.DEBUG):
        sending.send(morning, lambda: NOW)
    assert states(db) == ["accepted"] * 2
    assert len(provider.server.mails) == 2
    assert provider.endpoint.asked == 2
    with db.read() as session:
        assert open_alerts(session) == []
    provider.no_secret_in(caplog.text + everything_stored(db))


def test_a_login_that_is_refused_opens_the_breaker_and_one_alert_says_why(
    provider: Provider, morning: Services, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    provider.plan.challenge, provider.plan.tokens = GOOGLES, ()
    with caplog.at_level(logging.DEBUG):
        sending.send(morning, lambda: NOW)
        sending.send(morning, lambda: NOW)
    assert states(db) == ["ready"] * 2
    assert provider.endpoint.asked == 2  # the second delivery found the breaker open
    with db.read() as session:
        (alert,) = open_alerts(session)
    words = words_of(alert.name, alert.data)
    assert alert.name == "mail_server_unusable"
    assert "scope=https://mail.google.com/" in words.what.en
    assert "SMTP_OAUTH_" in words.fix.ja
    provider.no_secret_in(caplog.text + everything_stored(db) + f"{words}")


def test_a_secret_that_has_ended_is_an_alert_at_once(
    provider: Provider, morning: Services, db: Database
) -> None:
    provider.endpoint.check = lambda _form: {
        "error": "invalid_client",
        "error_description": "AADSTS7000222: The provided client secret keys are expired.",
    }
    sending.send(morning, lambda: NOW)
    assert states(db) == ["ready"] * 2
    with db.read() as session:
        (alert,) = open_alerts(session)
    assert "AADSTS7000222" in words_of(alert.name, alert.data).what.ja


def test_an_endpoint_that_is_away_pauses_and_what_waits_goes_later(
    provider: Provider, morning: Services, db: Database
) -> None:
    provider.endpoint.does = "429"
    sending.send(morning, lambda: NOW)
    assert states(db) == ["ready"] * 2
    with db.read() as session:
        assert open_alerts(session) == []  # in two minutes
    provider.endpoint.does = "answers"
    later = NOW.replace(minute=5)
    sending.send(morning, lambda: later)
    sending.send(morning, lambda: later)
    assert states(db) == ["accepted"] * 2
