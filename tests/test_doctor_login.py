"""`doctor` about the login: what is offered, how long a password or secret is good, which right lacks."""

import base64
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.alerts import open_alerts
from app.alerts.catalogue import words_of
from app.config import load
from app.db import Database
from app.doctor import CheckContext, Finding, Level, mail_login
from app.doctor import mail as mail_check
from app.monitoring import checks
from app.services import make
from tests.conftest import NOW
from tests.test_oauth_mail import GOOGLES, Provider, provider

pytestmark = pytest.mark.pages  # the account of the mail server, not SQL

__all__ = ["provider"]  # the fixture

TODAY = datetime(2026, 11, 30, tzinfo=UTC)


def examined(environ: dict[str, str], folder: Path, **more: str) -> dict[str, Finding]:
    with closing(make(load({**environ, **more}, folder))) as services:
        found = mail_check.mail_server(CheckContext(folder, lambda: TODAY, services))
    return {one.check: one for one in found}


def said(found: dict[str, Finding]) -> str:
    return " ".join(f"{one.says} {one.fix}" for one in found.values())


def test_a_login_by_token_is_tried_without_a_mail(provider: Provider, tmp_path: Path) -> None:
    found = examined(provider.environ, tmp_path, SMTP_OAUTH_SECRET_EXPIRES="2027-11-30")
    assert {one.level for one in found.values()} == {Level.GREEN} | {found["smtp-size"].level}
    assert "XOAUTH2" in found["smtp-login"].says.en
    assert "until Tue 30 Nov 2027" in found["smtp-secret"].says.en
    assert provider.server.mails == []
    assert not [line for line in provider.server.said() if line.startswith("MAIL")]
    provider.no_secret_in(said(found))


@pytest.mark.parametrize(("challenge", "hint"), [("", "Add-MailboxPermission"), (GOOGLES, "委任")])
def test_a_refused_token_is_red_and_says_which_right_lacks(
    provider: Provider, tmp_path: Path, challenge: str, hint: str
) -> None:
    provider.plan.challenge, provider.plan.tokens = challenge, ()
    found = examined(provider.environ, tmp_path)
    assert found["smtp"].level is Level.RED
    assert hint in str(found["smtp"].fix)
    assert "XOAUTH2" in found["smtp-login"].says.en
    provider.no_secret_in(said(found))


def test_a_wrong_secret_is_red_and_says_where_to_make_a_new_one(
    provider: Provider, tmp_path: Path
) -> None:
    found = examined(provider.environ, tmp_path, SMTP_OAUTH_CLIENT_SECRET="wrong-himitsu")
    assert found["smtp"].level is Level.RED
    assert "SMTP_OAUTH_CLIENT_SECRET" in str(found["smtp"].fix)
    provider.no_secret_in(said(found))


@pytest.mark.parametrize(
    ("ends", "level"),
    [("2026-12-30", "yellow"), ("2026-12-31", "green"), ("2026-11-29", "red"), ("", "yellow")],
)
def test_the_end_of_the_secret_is_told_30_days_ahead(
    provider: Provider, tmp_path: Path, ends: str, level: str
) -> None:
    found = examined(provider.environ, tmp_path, SMTP_OAUTH_SECRET_EXPIRES=ends)
    assert found["smtp-secret"].level == level


@pytest.mark.parametrize(("days", "opened"), [(30, True), (31, False)])
def test_the_end_of_the_secret_is_an_alert_30_days_ahead_and_over_with_a_new_one(
    tmp_path: Path, db: Database, provider: Provider, days: int, opened: bool
) -> None:
    def look(day: str, moment: datetime) -> list[Any]:
        given = {**provider.environ, "SMTP_OAUTH_SECRET_EXPIRES": day}
        with closing(make(load(given, tmp_path))) as services:
            checks.run(services, moment)
            assert "mail_login_ends" not in checks.unwell(services, moment)  # mail still goes
            with services.db.read() as session:
                return [one for one in open_alerts(session) if one.name == "mail_login_ends"]

    day = (NOW + timedelta(days=days)).date().isoformat()
    found = look(day, NOW)
    assert bool(found) == opened
    if opened:
        said = words_of(found[0].name, found[0].data).what
        assert "期限は 2026年12月24日(木) です" in said.ja
        assert "ends on Thu 24 Dec 2026" in said.en
        assert look("2030-01-01", NOW + timedelta(minutes=2)) == []


def test_a_password_at_microsoft_has_an_end_and_a_sentence_for_the_admin(
    environ: dict[str, str], tmp_path: Path
) -> None:
    given = {"SMTP_PRESET": "microsoft365", "SMTP_USERNAME": "app@example.jp", "SMTP_PASSWORD": "x"}
    config = load({**environ, **given, "SMTP_HOST": "smtp.office365.com", "SMTP_SECURITY": "auto"})
    with closing(make(config)) as services:
        (one,) = mail_login.future(CheckContext(tmp_path, lambda: TODAY, services))
        (preset,) = mail_login.preset(CheckContext(tmp_path, lambda: TODAY, services))
    assert one.level is Level.YELLOW
    assert "2026年12月末" in one.says.ja
    assert "SMTP.SendAsApp" in str(one.fix)
    assert "SMTP_RATE_PER_MINUTE=30" in preset.says.en
    assert ".env: " in preset.says.en


@pytest.mark.parametrize(
    ("roles", "level"), [(["SMTP.SendAsApp"], "green"), (["Mail.Send"], "red"), ([], "red")]
)
def test_the_rights_in_a_token_of_microsoft_are_read(
    environ: dict[str, str], tmp_path: Path, roles: list[str], level: str
) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"roles": roles}).encode()).decode().rstrip("=")
    given = {
        "SMTP_SECURITY": "auto",
        "SMTP_AUTH": "xoauth2",
        "SMTP_USERNAME": "app@example.jp",
        "SMTP_OAUTH_PROVIDER": "microsoft",
        "SMTP_OAUTH_TENANT": "contoso",
        "SMTP_OAUTH_CLIENT_ID": "x",
        "SMTP_OAUTH_CLIENT_SECRET": "y",
    }
    with closing(make(load({**environ, **given}, tmp_path))) as services:
        case = CheckContext(tmp_path, lambda: TODAY, services)
        (one,) = mail_login.token(case, f"head.{claims}.himitsu")
    assert one.level == level
    assert "himitsu" not in f"{one.says} {one.fix}"


@pytest.mark.parametrize(("author", "warned"), [("app@example.jp", False), ("x@example.jp", True)])
def test_a_sender_that_is_not_the_mailbox_needs_a_permission(
    environ: dict[str, str], tmp_path: Path, author: str, warned: bool
) -> None:
    given = {"SMTP_HOST": "smtp.office365.com", "SMTP_USERNAME": "app@example.jp"}
    given |= {"SMTP_PASSWORD": "x", "SMTP_SECURITY": "auto", "MAIL_FROM": author}
    with closing(make(load({**environ, **given}, tmp_path))) as services:
        found = mail_login.send_as(CheckContext(tmp_path, lambda: TODAY, services))
    assert bool(found) == warned
